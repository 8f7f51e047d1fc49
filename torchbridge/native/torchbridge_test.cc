// Tests of the C interface as a C caller sees it; built with AddressSanitizer
// by `make asan`. The Go tests cover the mathematics.
#include <cmath>
#include <cstdio>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "torchbridge.h"

extern "C" int openblas_get_num_threads(void) __attribute__((weak)); // if that is the BLAS

namespace {

int failures = 0;

#define CHECK(condition)                                                  \
  do {                                                                    \
    if (!(condition)) {                                                   \
      std::printf("FAIL %s:%d: %s\n", __FILE__, __LINE__, #condition);    \
      ++failures;                                                         \
    }                                                                     \
  } while (0)

const tb_mode kGrad{1, 1, TB_PRECISION_FULL};

// Expects success; prints the reason otherwise.
bool ok(tb_status* s) {
  if (s == nullptr) return true;
  std::printf("     status %d: %s\n", tb_status_code(s), tb_status_message(s));
  tb_status_free(s);
  return false;
}

// Expects this code and a one-line message that contains text.
bool fails(tb_status* s, tb_code code, const std::string& text) {
  const std::string message = tb_status_message(s);
  const bool right = s != nullptr && tb_status_code(s) == code && message.find('\n') == std::string::npos &&
                     message.find(text) != std::string::npos;
  if (!right) std::printf("     got status %d: %s\n", tb_status_code(s), message.c_str());
  tb_status_free(s);
  return right;
}

tb_tensor* floats(const std::vector<float>& values, const std::vector<int64_t>& shape) {
  tb_tensor* t = nullptr;
  CHECK(ok(tb_tensor_from(values.data(), values.size() * sizeof(float), TB_FLOAT32, shape.data(), shape.size(), &t)));
  return t;
}

std::vector<float> read(const tb_tensor* t) {
  std::vector<float> values(static_cast<size_t>(tb_tensor_numel(t)));
  CHECK(ok(tb_tensor_read(t, values.data(), values.size() * sizeof(float))));
  return values;
}

void test_every_kind_of_exception_becomes_a_status() {
  CHECK(fails(tb_fail(0), TB_ERR_TORCH, "a failure made on purpose"));
  CHECK(fails(tb_fail(1), TB_ERR_MEMORY, "out of memory"));
  CHECK(fails(tb_fail(2), TB_ERR_STD, "made on purpose"));
  CHECK(fails(tb_fail(3), TB_ERR_UNKNOWN, "unknown type"));
  CHECK(fails(tb_fail(4), TB_ERR_MEMORY, "memory"));
  CHECK(fails(tb_fail(99), TB_ERR_ARGUMENT, "no such kind"));
  tb_status* s = tb_fail(0);
  CHECK(std::strlen(tb_status_detail(s)) > std::strlen(tb_status_message(s)));
  tb_status_free(s);
  tb_status_free(nullptr);
}

void test_null_handles_are_errors_not_crashes() {
  tb_tensor* out = nullptr;
  CHECK(fails(tb_unary(kGrad, TB_NEG, nullptr, &out), TB_ERR_ARGUMENT, "missing"));
  CHECK(fails(tb_module_forward(kGrad, nullptr, nullptr, 0, &out), TB_ERR_ARGUMENT, "missing"));
  CHECK(fails(tb_module_train(nullptr, 1), TB_ERR_ARGUMENT, "missing"));
  CHECK(fails(tb_optimizer_step(kGrad, nullptr), TB_ERR_ARGUMENT, "missing"));
  CHECK(out == nullptr);
  tb_tensor_free(nullptr);
  tb_module_free(nullptr);
  tb_optimizer_free(nullptr);
  tb_strings_free(nullptr);
  tb_bytes_free(nullptr);
}

void test_bad_arguments() {
  tb_tensor* out = nullptr;
  const int64_t shape[] = {2, 3}, negative[] = {-1};
  const float data[6] = {};
  CHECK(fails(tb_tensor_from(data, 4, TB_FLOAT32, shape, 2, &out), TB_ERR_ARGUMENT, "24 bytes"));
  CHECK(fails(tb_tensor_from(data, 4, TB_FLOAT32, negative, 1, &out), TB_ERR_ARGUMENT, "negative"));
  CHECK(fails(tb_tensor_from(data, 24, TB_OTHER, shape, 2, &out), TB_ERR_ARGUMENT, "element type"));
  CHECK(fails(tb_tensor_full(shape, 2, 0, TB_FLOAT32, "abacus", &out), TB_ERR_ARGUMENT, "abacus"));
  tb_tensor* t = floats({1, 2, 3, 4, 5, 6}, {2, 3});
  float small[2];
  CHECK(fails(tb_tensor_read(t, small, sizeof small), TB_ERR_ARGUMENT, "24 bytes"));
  CHECK(fails(tb_unary(kGrad, TB_UNARY_COUNT, t, &out), TB_ERR_ARGUMENT, "no such operation"));
  CHECK(fails(tb_binary(kGrad, TB_MATMUL, t, t, &out), TB_ERR_TORCH, "cannot be multiplied"));
  CHECK(out == nullptr);
  tb_tensor_free(t);
}

void test_empty_tensor() {
  const int64_t shape[] = {0, 4};
  tb_tensor* t = nullptr;
  CHECK(ok(tb_tensor_from(nullptr, 0, TB_FLOAT32, shape, 2, &t)));
  CHECK(tb_tensor_numel(t) == 0);
  CHECK(ok(tb_tensor_read(t, nullptr, 0)));
  tb_tensor_free(t);
}

tb_module* small_linear() {
  tb_module* m = nullptr;
  tb_tensor* w = floats({1, 2, 3, 4}, {2, 2});
  CHECK(ok(tb_module_new(nullptr, "Small", &m)));
  CHECK(ok(tb_module_add_parameter(m, "weight", w)));
  CHECK(ok(tb_module_define(m, "def forward(self, x):\n    return torch.matmul(x, self.weight)\n")));
  tb_tensor_free(w);
  return m;
}

void test_module_trains_saves_and_loads() {
  tb_module* m = small_linear();
  tb_tensor *x = floats({1, 1}, {1, 2}), *y = nullptr, *sum = nullptr, *weight = nullptr;
  tb_optimizer* sgd = nullptr;
  CHECK(ok(tb_sgd_new(m, tb_sgd_options{0.5, 0, 0, 0}, &sgd)));
  CHECK(ok(tb_module_forward(kGrad, m, &x, 1, &y)));
  CHECK(ok(tb_reduce(kGrad, TB_SUM, y, 1, 0, 0, &sum)));
  CHECK(ok(tb_tensor_backward(kGrad, sum)));
  CHECK(ok(tb_optimizer_scale_grad(kGrad, sgd, 4)));
  CHECK(ok(tb_optimizer_clip_grad_norm(kGrad, sgd, 100)));
  CHECK(ok(tb_optimizer_relate_grad(kGrad, sgd, 2)));     // 2·‖(1,2,3,4)‖ = 2·√30
  CHECK(ok(tb_optimizer_scale_grad(kGrad, sgd, 1 / std::sqrt(30.0))));  // of four equal ones: 1 each
  CHECK(ok(tb_optimizer_step(kGrad, sgd)));
  CHECK(ok(tb_module_get(m, TB_PARAMETERS, "weight", &weight)));
  CHECK((read(weight) == std::vector<float>{0.5, 1.5, 2.5, 3.5}));

  tb_bytes *bytes = nullptr, *again = nullptr;
  tb_module* loaded = nullptr;
  CHECK(ok(tb_module_save(m, &bytes)));
  CHECK(ok(tb_module_save(m, &again)));
  CHECK(tb_bytes_size(bytes) == tb_bytes_size(again) &&
        std::memcmp(tb_bytes_data(bytes), tb_bytes_data(again), tb_bytes_size(bytes)) == 0);
  CHECK(ok(tb_module_load(tb_bytes_data(bytes), tb_bytes_size(bytes), "cpu", &loaded)));
  tb_tensor* from_file = nullptr;
  CHECK(ok(tb_module_forward(kGrad, loaded, &x, 1, &from_file)));
  CHECK((read(from_file) == std::vector<float>{3, 5}));
  tb_module* broken = nullptr;
  tb_status* s = tb_module_load(tb_bytes_data(bytes), tb_bytes_size(bytes) / 2, "cpu", &broken);
  CHECK(s != nullptr && broken == nullptr);
  tb_status_free(s);
  tb_tensor* nothing = nullptr;
  CHECK(fails(tb_module_get(m, TB_PARAMETERS, "bias", &nothing), TB_ERR_ARGUMENT, "bias"));
  s = tb_module_define(m, "def f(self:");  // libtorch 1.13 and 2.x throw different types
  CHECK(std::string(tb_status_message(s)).rfind("expected ident", 0) == 0);
  tb_status_free(s);

  for (tb_tensor* t : {x, y, sum, weight, from_file}) tb_tensor_free(t);
  tb_bytes_free(bytes);
  tb_bytes_free(again);
  tb_module_free(m);
  tb_module_free(loaded);
  tb_optimizer_free(sgd);
}

// 1 + 2^-9 is 1 in bfloat16, which has seven bits behind the point.
void test_autocast_ends_with_its_call() {
  tb_module* m = small_linear();
  const float fine = 1 + 1.0f / 512;
  tb_tensor *x = floats({fine, 0}, {1, 2}), *y = nullptr;
  const tb_mode bf16{1, 1, TB_PRECISION_BFLOAT16};
  CHECK(ok(tb_module_forward(bf16, m, &x, 1, &y)));
  CHECK(tb_tensor_dtype(y) == TB_FLOAT32);
  CHECK((read(y) == std::vector<float>{1, 2}));
  tb_tensor_free(y);
  const tb_mode half{1, 1, TB_PRECISION_FLOAT16}, none{1, 1, TB_PRECISION_COUNT};
  CHECK(fails(tb_module_forward(half, m, &x, 1, &y), TB_ERR_ARGUMENT, "needs a GPU"));
  CHECK(fails(tb_module_forward(none, m, &x, 1, &y), TB_ERR_ARGUMENT, "no such precision"));
  tb_tensor* odd = floats({1, 2, 3}, {1, 3});
  tb_status* refused = tb_module_forward(bf16, m, &odd, 1, &y);
  CHECK(refused != nullptr);
  tb_status_free(refused);
  CHECK(ok(tb_module_forward(kGrad, m, &x, 1, &y)));
  CHECK((read(y) == std::vector<float>{fine, 2 * fine}));
  tb_tensor_free(y);
  tb_tensor_free(odd);
  tb_tensor_free(x);
  tb_module_free(m);
}

void test_errors_belong_to_their_call_not_to_a_thread() {
  tb_status *first = tb_fail(2), *second = nullptr;
  std::thread([&] { second = tb_fail(0); }).join();
  CHECK(fails(first, TB_ERR_STD, "std::runtime_error"));
  CHECK(fails(second, TB_ERR_TORCH, "on purpose"));
}

void test_threads_travel_with_the_call() {
  int32_t n = 0;
  CHECK(ok(tb_threads(tb_mode{1, 0, TB_PRECISION_FULL}, &n)) && n == 1);
  CHECK(ok(tb_threads(tb_mode{2, 0, TB_PRECISION_FULL}, &n)) && n == 2);
  CHECK(ok(tb_threads(tb_mode{1, 0, TB_PRECISION_FULL}, &n)) && n == 1);
  CHECK(openblas_get_num_threads == nullptr || openblas_get_num_threads() == 1);
}

}  // namespace

int main() {
  CHECK(tb_abi_version() == TB_ABI_VERSION);
  test_every_kind_of_exception_becomes_a_status();
  test_null_handles_are_errors_not_crashes();
  test_bad_arguments();
  test_empty_tensor();
  test_module_trains_saves_and_loads();
  test_autocast_ends_with_its_call();
  test_errors_belong_to_their_call_not_to_a_thread();
  test_threads_travel_with_the_call();
  CHECK(tb_live_handles() == 0);
  std::printf("torchbridge_test against libtorch %s: %s\n", tb_torch_version(), failures == 0 ? "ok" : "FAILED");
  return failures == 0 ? 0 : 1;
}
