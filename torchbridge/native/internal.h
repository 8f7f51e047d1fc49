// What the .cc files share: the handle types, and the guard that every
// function's body runs in.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <ATen/Parallel.h>
#include <torch/script.h>

#include "torchbridge.h"

namespace tb {

extern std::atomic<int64_t> live_handles;

// Counts itself, so that a leak can be seen from outside.
struct Counted {
  Counted() { ++live_handles; }
  ~Counted() { --live_handles; }
  Counted(const Counted&) = delete;
  Counted& operator=(const Counted&) = delete;
};

// The caller's mistake, as opposed to libtorch's refusal.
struct ArgumentError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

constexpr tb_mode kNoGrad{0, 0, TB_PRECISION_FULL};
inline tb_mode without_grad(tb_mode mode) { return {mode.threads, 0, mode.precision}; }

// The whole process's, so each call says what it wants.
void allow_tf32(bool on);

// For this thread's operations, and for the process's BLAS.
void use_threads(int32_t n);

// Sets what libtorch keeps per thread for the length of one call.
class ModeGuard {
 public:
  explicit ModeGuard(tb_mode mode) : grad_(mode.grad != 0) {
    if (mode.threads > 0) use_threads(mode.threads);
    if (mode.precision < 0 || mode.precision >= TB_PRECISION_COUNT)
      throw ArgumentError("no such precision: " + std::to_string(mode.precision));
    allow_tf32(mode.precision == TB_PRECISION_TF32);
  }

 private:
  at::AutoGradMode grad_;
};

// Turns the exception in flight into a status. Call it inside catch (...).
tb_status* current_exception_status() noexcept;

template <class Body>
tb_status* guarded(tb_mode mode, Body&& body) noexcept {
  try {
    ModeGuard guard(mode);
    body();
    return nullptr;
  } catch (...) {
    return current_exception_status();
  }
}

template <class Handle, class Value>
void give(Handle** out, Value&& value) {
  *out = new Handle(std::forward<Value>(value));
}

template <class T>
const T& need(const T* handle, const char* what) {
  if (handle == nullptr) throw ArgumentError(std::string(what) + " is missing (a null handle)");
  return *handle;
}

c10::ScalarType scalar_type(tb_dtype dtype);
c10::Device device_of(const char* name);
inline at::IntArrayRef shape_of(const int64_t* shape, size_t dims) {
  return at::IntArrayRef(shape, dims);
}
// Parameters and floating buffers moved to channels-last or back, in place.
void set_channels_last(torch::jit::Module& m, bool on);

}  // namespace tb

struct tb_tensor : tb::Counted {
  explicit tb_tensor(at::Tensor v) : value(std::move(v)) {}
  at::Tensor value;
};

struct tb_module : tb::Counted {
  explicit tb_module(torch::jit::Module v) : value(std::move(v)) {}
  torch::jit::Module value;
};

struct tb_strings : tb::Counted {
  explicit tb_strings(std::vector<std::string> v) : value(std::move(v)) {}
  std::vector<std::string> value;
};

struct tb_bytes : tb::Counted {
  explicit tb_bytes(std::string v) : value(std::move(v)) {}
  std::string value;
};
