/* The C interface of libtorchbridge: libtorch (CPU or CUDA) for callers that
 * cannot speak C++.
 *
 * Rules that hold for every function here:
 *  - A function that can fail returns a tb_status*. NULL is success; anything
 *    else is owned by the caller and ends in tb_status_free. Outputs are
 *    written last and only on success. No C++ exception leaves the library.
 *  - Handles (tensor, module, optimizer, ...) are owned by the caller and end in
 *    their *_free function; NULL is accepted there.
 *  - Pointers passed in are read during the call only, never kept.
 *  - Nothing here is a setting that a later call relies on: gradient mode and
 *    thread count travel in tb_mode with each call. (The random seed is the
 *    one exception: libtorch's generator is a process-wide object.)
 *  - Shapes are int64 arrays with their length beside them.
 */
#ifndef TORCHBRIDGE_H
#define TORCHBRIDGE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/* Raised whenever a signature or the meaning of an argument changes. */
#define TB_ABI_VERSION 7

typedef struct tb_status tb_status;
typedef struct tb_tensor tb_tensor;
typedef struct tb_module tb_module;
typedef struct tb_optimizer tb_optimizer;
typedef struct tb_strings tb_strings;
typedef struct tb_bytes tb_bytes;

/* What is multiplied in. The 16-bit types are those to which a module's forward
 * casts what it multiplies (autocast): tb_module_forward alone heeds them, and its
 * result is float32. TF32 is a GPU's way to multiply float32 with 10 bits of
 * mantissa; it counts for every call, backward included. */
typedef enum tb_precision {
  TB_PRECISION_FULL = 0,
  TB_PRECISION_BFLOAT16 = 1,
  TB_PRECISION_FLOAT16 = 2, /* on a GPU only */
  TB_PRECISION_TF32 = 3,    /* on a GPU only; elsewhere the same as full */
  TB_PRECISION_COUNT
} tb_precision;

/* How a call runs. grad: record operations for backward. threads: CPU threads
 * that one operation may use, 0 for libtorch's own choice. precision: a
 * tb_precision. */
typedef struct tb_mode {
  int32_t threads;
  int32_t grad;
  int32_t precision;
} tb_mode;

typedef enum tb_code {
  TB_OK = 0,
  TB_ERR_ARGUMENT = 1, /* the caller's mistake: bad name, shape, enum */
  TB_ERR_TORCH = 2,    /* libtorch refused; the message is its reason */
  TB_ERR_MEMORY = 3,   /* an allocation failed, on the host or the device */
  TB_ERR_STD = 4,      /* another std::exception */
  TB_ERR_UNKNOWN = 5   /* something that is no std::exception */
} tb_code;

typedef enum tb_dtype {
  TB_UINT8 = 0,
  TB_INT64 = 1,
  TB_FLOAT32 = 2,
  TB_FLOAT64 = 3,
  TB_BOOL = 4,
  TB_OTHER = 5 /* only ever returned */
} tb_dtype;

/* ---- status.cc ---- */
tb_code tb_status_code(const tb_status* status);
/* One line, valid until tb_status_free. */
const char* tb_status_message(const tb_status* status);
/* All that libtorch said, its stack dump included. */
const char* tb_status_detail(const tb_status* status);
void tb_status_free(tb_status* status);

size_t tb_strings_count(const tb_strings* list);
const char* tb_strings_at(const tb_strings* list, size_t i);
void tb_strings_free(tb_strings* list);

const void* tb_bytes_data(const tb_bytes* bytes);
size_t tb_bytes_size(const tb_bytes* bytes);
void tb_bytes_free(tb_bytes* bytes);

/* Handles (statuses excepted) that exist now; a program that has freed
 * everything reads 0. */
int64_t tb_live_handles(void);

/* ---- library.cc ---- */
uint32_t tb_abi_version(void);
/* The libtorch that this library was compiled against, such as "1.13.0". */
const char* tb_torch_version(void);
/* Devices that can be used now, "cpu" first, then "cuda:0" and so on. */
tb_status* tb_devices(tb_strings** out);
/* libtorch's own description of its build: BLAS, oneDNN, CUDA, threading. */
tb_status* tb_build_config(tb_strings** out);
tb_status* tb_seed(uint64_t seed);
/* Keeps freed memory in the process: without it glibc gives tensors back to
 * the kernel and takes new, zeroed pages for the next, a quarter of a training
 * step's time. For the whole process; call it once, early. */
void tb_tune_allocator(void);
/* Threads that an operation under this mode uses. */
tb_status* tb_threads(tb_mode mode, int32_t* out);
/* The kernel's number of the calling thread. */
int64_t tb_thread_id(void);
/* Fails on purpose, for tests of the error path. kind: 0 c10::Error,
 * 1 std::bad_alloc, 2 std::runtime_error, 3 an int, 4 an allocation that is
 * too large. */
tb_status* tb_fail(int32_t kind);

/* ---- tensor.cc ---- */
/* Copies size bytes, laid out C-contiguously, into a new tensor on the CPU. */
tb_status* tb_tensor_from(const void* data, size_t size, tb_dtype dtype,
                          const int64_t* shape, size_t dims, tb_tensor** out);
tb_status* tb_tensor_full(const int64_t* shape, size_t dims, double value,
                          tb_dtype dtype, const char* device, tb_tensor** out);
/* Copies the elements, C-contiguous, to data; size must be exact. */
tb_status* tb_tensor_read(const tb_tensor* t, void* data, size_t size);
/* The one element of a tensor, as a double (waits for the device). */
tb_status* tb_tensor_item(const tb_tensor* t, double* out);
void tb_tensor_free(tb_tensor* t);

/* What a tensor is; for one that cannot say, TB_OTHER, 0 or -1. */
tb_dtype tb_tensor_dtype(const tb_tensor* t);
size_t tb_tensor_dims(const tb_tensor* t);
int64_t tb_tensor_size(const tb_tensor* t, size_t dim);
int64_t tb_tensor_numel(const tb_tensor* t);
int32_t tb_tensor_requires_grad(const tb_tensor* t);
int32_t tb_tensor_is_channels_last(const tb_tensor* t);

/* From the CPU to a GPU it does not wait for the copy. */
tb_status* tb_tensor_to_device(tb_mode mode, const tb_tensor* t,
                               const char* device, tb_tensor** out);
tb_status* tb_tensor_to_dtype(tb_mode mode, const tb_tensor* t, tb_dtype dtype,
                              tb_tensor** out);
tb_status* tb_tensor_channels_last(tb_mode mode, const tb_tensor* t,
                                   tb_tensor** out);
/* Another handle on the same tensor, history included. */
tb_status* tb_tensor_alias(const tb_tensor* t, tb_tensor** out);
/* A copy that shares neither memory nor history. */
tb_status* tb_tensor_clone(const tb_tensor* t, tb_tensor** out);
/* The same memory without history. */
tb_status* tb_tensor_detach(const tb_tensor* t, tb_tensor** out);
tb_status* tb_tensor_set_requires_grad(tb_tensor* t, int32_t on);
/* The gradient; *out is NULL where there is none yet. */
tb_status* tb_tensor_grad(const tb_tensor* t, tb_tensor** out);
tb_status* tb_tensor_backward(tb_mode mode, const tb_tensor* t);
/* Overwrites the elements of t, outside of any history. */
tb_status* tb_tensor_copy_from(tb_mode mode, tb_tensor* t, const tb_tensor* src);
/* Overwrites rows index[i] of t by rows i of src, outside of any history. */
tb_status* tb_tensor_copy_rows(tb_mode mode, tb_tensor* t, const int64_t* index,
                               size_t n, const tb_tensor* src);

/* ---- ops.cc ---- */
typedef enum tb_unary_op {
  TB_NEG = 0, TB_ABS, TB_SQRT, TB_SQUARE, TB_SIGN, TB_ROUND, TB_RELU,
  TB_TANH, TB_SIGMOID, TB_EXP, TB_LOG, TB_ISFINITE, TB_UNARY_COUNT
} tb_unary_op;
typedef enum tb_binary_op {
  TB_ADD = 0, TB_SUB, TB_MUL, TB_DIV, TB_MAXIMUM, TB_MINIMUM, TB_EQ, TB_NE,
  TB_GT, TB_LT, TB_AND, TB_MATMUL, TB_BINARY_COUNT
} tb_binary_op;
typedef enum tb_reduce_op {
  TB_SUM = 0, TB_MEAN, TB_AMAX, TB_AMIN, TB_ARGMAX, TB_ALL, TB_NORM2,
  TB_REDUCE_COUNT
} tb_reduce_op;

tb_status* tb_unary(tb_mode mode, tb_unary_op op, const tb_tensor* a,
                    tb_tensor** out);
/* Operands broadcast as in PyTorch. */
tb_status* tb_binary(tb_mode mode, tb_binary_op op, const tb_tensor* a,
                     const tb_tensor* b, tb_tensor** out);
tb_status* tb_binary_scalar(tb_mode mode, tb_binary_op op, const tb_tensor* a,
                            double b, tb_tensor** out);
/* Reduces one dimension (negative counts from the end) or, with whole != 0,
 * everything to a scalar. */
tb_status* tb_reduce(tb_mode mode, tb_reduce_op op, const tb_tensor* a,
                     int32_t whole, int64_t dim, int32_t keepdim,
                     tb_tensor** out);
/* The k-th largest of all elements, k from 1. */
tb_status* tb_kth_largest(tb_mode mode, const tb_tensor* a, int64_t k,
                          tb_tensor** out);
tb_status* tb_clamp(tb_mode mode, const tb_tensor* a, double low, double high,
                    tb_tensor** out);
/* One extent may be -1. */
tb_status* tb_reshape(tb_mode mode, const tb_tensor* a, const int64_t* shape,
                      size_t dims, tb_tensor** out);
/* [start, start+length) of dimension dim; a view. */
tb_status* tb_narrow(tb_mode mode, const tb_tensor* a, int64_t dim,
                     int64_t start, int64_t length, tb_tensor** out);
tb_status* tb_index_select(tb_mode mode, const tb_tensor* a, int64_t dim,
                           const tb_tensor* index, tb_tensor** out);
tb_status* tb_cat(tb_mode mode, const tb_tensor* const* parts, size_t n,
                  int64_t dim, tb_tensor** out);
tb_status* tb_log_softmax(tb_mode mode, const tb_tensor* a, int64_t dim,
                          tb_tensor** out);
/* Mean cross-entropy of N×K logits against N int64 labels. */
tb_status* tb_cross_entropy(tb_mode mode, const tb_tensor* logits,
                            const tb_tensor* labels, tb_tensor** out);
/* Pictures as a model takes them: bytes is uint8 N×C×H×W, moves int64 N×3, table
 * float32 C×256, all on one device. Picture i is cut out of itself moves[i][0] rows
 * further down and moves[i][1] columns further right, with 0 where it has nothing,
 * then mirrored where moves[i][2] is not 0; byte v of channel c becomes
 * table[c][v]. */
tb_status* tb_pictures(tb_mode mode, const tb_tensor* bytes,
                       const tb_tensor* moves, const tb_tensor* table,
                       tb_tensor** out);
tb_status* tb_cosine_similarity(tb_mode mode, const tb_tensor* a,
                                const tb_tensor* b, int64_t dim,
                                tb_tensor** out);

/* ---- module.cc ---- */
/* Loads a TorchScript archive from memory onto a device. */
tb_status* tb_module_load(const void* data, size_t size, const char* device,
                          tb_module** out);
/* The archive as bytes; the same module gives the same bytes. */
tb_status* tb_module_save(const tb_module* m, tb_bytes** out);
void tb_module_free(tb_module* m);
/* Runs forward on n tensors; its result must be one tensor. */
tb_status* tb_module_forward(tb_mode mode, const tb_module* m,
                             const tb_tensor* const* inputs, size_t n,
                             tb_tensor** out);
tb_status* tb_module_train(tb_module* m, int32_t on);
tb_status* tb_module_to_device(tb_module* m, const char* device);
/* Floating-point parameters and buffers to TB_FLOAT32 or TB_FLOAT64. */
tb_status* tb_module_to_dtype(tb_module* m, tb_dtype dtype);
/* Convolution weights to channels-last order (on) or back to contiguous. */
tb_status* tb_module_channels_last(tb_module* m, int32_t on);
tb_status* tb_module_requires_grad(tb_module* m, int32_t on);
/* An independent copy, all parameters requiring gradients as before. */
tb_status* tb_module_copy(const tb_module* m, tb_module** out);
/* An evaluation-only copy with constants folded and layers fused. */
tb_status* tb_module_for_inference(const tb_module* m, tb_module** out);

typedef enum tb_member {
  TB_PARAMETERS = 0, /* dotted names, in the module's order */
  TB_BUFFERS,
  TB_SUBMODULES, /* the root is "" */
  TB_MEMBER_COUNT
} tb_member;
tb_status* tb_module_names(const tb_module* m, tb_member kind, tb_strings** out);
/* A parameter or buffer by dotted name; shares memory with the module. */
tb_status* tb_module_get(const tb_module* m, tb_member kind, const char* name,
                         tb_tensor** out);
/* Class name of a submodule as Python's author saw it, such as "Linear". */
tb_status* tb_module_class(const tb_module* m, const char* name,
                           tb_strings** out);
/* Arguments of forward behind self: how many must be given, and how many may. */
tb_status* tb_module_arity(const tb_module* m, int32_t* required, int32_t* most);
/* Sorted names of the operators in all code that was loaded with the module:
   every function, and every method, hook and property of every class, in blocks
   and subgraphs too. A call whose target is such code is not named, since its
   target is listed; any other stays: prim::CallMethod (of an interface or of a
   class made in C++), prim::CallFunction. Two names say more than libtorch's:
   "aten::warn[text]" warns with a constant of printable ASCII, whose {} may be
   filled in;
   "prim::unchecked_cast[structure]" takes a value for an object or a tuple that
   its type does not promise to be, which libtorch does not check. */
tb_status* tb_module_operators(const tb_module* m, tb_strings** out);

/* ---- module_build.cc: modules made without Python ---- */
/* root is NULL for the first module; its parts name it, to share its types. */
tb_status* tb_module_new(const tb_module* root, const char* class_name,
                         tb_module** out);
tb_status* tb_module_add_parameter(tb_module* m, const char* name,
                                   const tb_tensor* value);
tb_status* tb_module_add_buffer(tb_module* m, const char* name,
                                const tb_tensor* value);
tb_status* tb_module_add_module(tb_module* m, const char* name,
                                const tb_module* child);
/* TorchScript source of one or more methods. */
tb_status* tb_module_define(tb_module* m, const char* source);

/* ---- optimizer.cc: every parameter of a module that takes gradients ---- */
typedef struct tb_sgd_options {
  double lr;
  double momentum;
  double weight_decay;
  int32_t nesterov;
} tb_sgd_options;
typedef struct tb_adam_options {
  double lr;
  double beta1;
  double beta2;
} tb_adam_options;
tb_status* tb_sgd_new(const tb_module* m, tb_sgd_options options,
                      tb_optimizer** out);
tb_status* tb_adam_new(const tb_module* m, tb_adam_options options,
                       tb_optimizer** out);
void tb_optimizer_free(tb_optimizer* opt);
tb_status* tb_optimizer_set_lr(tb_optimizer* opt, double lr);
tb_status* tb_optimizer_zero_grad(tb_optimizer* opt);
/* Scales the gradients down to a global L2 norm of max_norm at most, as PyTorch's
 * clip_grad_norm_ does; unlike C++'s it does not wait for the device. */
tb_status* tb_optimizer_clip_grad_norm(tb_mode mode, tb_optimizer* opt,
                                       double max_norm);
/* Scales the gradients to a global L2 norm of share times that of the weights
 * that have them; gradients of 0 stay. */
tb_status* tb_optimizer_relate_grad(tb_mode mode, tb_optimizer* opt,
                                    double share);
/* Multiplies all gradients. */
tb_status* tb_optimizer_scale_grad(tb_mode mode, tb_optimizer* opt,
                                   double factor);
tb_status* tb_optimizer_step(tb_mode mode, tb_optimizer* opt);
/* Moves every weight up the slope of the loss, each in proportion to its own size:
 * w + rho·w²·g / ‖ |w|·g ‖, the norm over all; by a share of the way from where it
 * was, before it climbed as well, to another module's; and back to where it was. */
tb_status* tb_optimizer_climb(tb_mode mode, tb_optimizer* opt, double rho);
tb_status* tb_optimizer_lean(tb_mode mode, tb_optimizer* opt,
                             const tb_module* to, double share);
tb_status* tb_optimizer_return(tb_mode mode, tb_optimizer* opt);
/* What it remembers of its steps (momentum and the like), as bytes, and back
 * into an optimiser of the same kind over parameters of the same shapes. */
tb_status* tb_optimizer_save(const tb_optimizer* opt, tb_bytes** out);
tb_status* tb_optimizer_restore(tb_optimizer* opt, const void* data,
                                size_t size);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
