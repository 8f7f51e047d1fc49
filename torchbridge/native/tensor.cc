// Tensors: making, reading, moving, gradients.
#include "internal.h"

#include <cstring>

using tb::give;
using tb::guarded;
using tb::kNoGrad;
using tb::need;

namespace tb {

c10::ScalarType scalar_type(tb_dtype dtype) {
  switch (dtype) {
    case TB_UINT8: return at::kByte;
    case TB_INT64: return at::kLong;
    case TB_FLOAT32: return at::kFloat;
    case TB_FLOAT64: return at::kDouble;
    case TB_BOOL: return at::kBool;
    case TB_OTHER: break;
  }
  throw ArgumentError("no such element type");
}

}  // namespace tb

namespace {

// Answers of tensors of unusual kinds (nested, sparse) may throw; there is no
// status to put that into.
template <class Value, class Question>
Value asked(Value otherwise, Question&& question) noexcept {
  try {
    return question();
  } catch (...) {
    return otherwise;
  }
}

}  // namespace

extern "C" {

tb_status* tb_tensor_from(const void* data, size_t size, tb_dtype dtype, const int64_t* shape,
                          size_t dims, tb_tensor** out) {
  return guarded(kNoGrad, [&] {
    auto extents = tb::shape_of(shape, dims);
    for (auto extent : extents)
      if (extent < 0) throw tb::ArgumentError("a negative extent in a shape");
    auto t = at::empty(extents, tb::scalar_type(dtype));
    if (t.nbytes() != size)
      throw tb::ArgumentError("the shape asks for " + std::to_string(t.nbytes()) + " bytes, " +
                              std::to_string(size) + " were given");
    if (size > 0) std::memcpy(t.data_ptr(), data, size);
    give(out, std::move(t));
  });
}

tb_status* tb_tensor_full(const int64_t* shape, size_t dims, double value, tb_dtype dtype,
                          const char* device, tb_tensor** out) {
  return guarded(kNoGrad, [&] {
    give(out, at::full(tb::shape_of(shape, dims), value,
                       at::TensorOptions(tb::scalar_type(dtype)).device(tb::device_of(device))));
  });
}

tb_status* tb_tensor_read(const tb_tensor* t, void* data, size_t size) {
  return guarded(kNoGrad, [&] {
    auto host = need(t, "tensor").value.detach().to(at::kCPU).contiguous();
    if (host.nbytes() != size)
      throw tb::ArgumentError("the tensor holds " + std::to_string(host.nbytes()) +
                              " bytes, the buffer " + std::to_string(size));
    if (size > 0) std::memcpy(data, host.data_ptr(), size);
  });
}

tb_status* tb_tensor_item(const tb_tensor* t, double* out) {
  return guarded(kNoGrad, [&] { *out = need(t, "tensor").value.item().toDouble(); });
}

void tb_tensor_free(tb_tensor* t) { delete t; }

tb_dtype tb_tensor_dtype(const tb_tensor* t) {
  return asked(TB_OTHER, [&] {
    switch (t->value.scalar_type()) {
      case at::kByte: return TB_UINT8;
      case at::kLong: return TB_INT64;
      case at::kFloat: return TB_FLOAT32;
      case at::kDouble: return TB_FLOAT64;
      case at::kBool: return TB_BOOL;
      default: return TB_OTHER;
    }
  });
}

size_t tb_tensor_dims(const tb_tensor* t) {
  return asked(size_t{0}, [&] { return static_cast<size_t>(t->value.dim()); });
}
int64_t tb_tensor_size(const tb_tensor* t, size_t dim) {
  return asked(int64_t{-1}, [&] { return t->value.size(static_cast<int64_t>(dim)); });
}
int64_t tb_tensor_numel(const tb_tensor* t) {
  return asked(int64_t{0}, [&] { return t->value.numel(); });
}
int32_t tb_tensor_requires_grad(const tb_tensor* t) {
  return asked(0, [&] { return t->value.requires_grad() ? 1 : 0; });
}
int32_t tb_tensor_is_channels_last(const tb_tensor* t) {
  return asked(0, [&] { return t->value.is_contiguous(at::MemoryFormat::ChannelsLast) ? 1 : 0; });
}

tb_status* tb_tensor_to_device(tb_mode mode, const tb_tensor* t, const char* device,
                               tb_tensor** out) {
  return guarded(mode, [&] {
    const auto& from = need(t, "tensor").value;
    const auto to = tb::device_of(device);
    // A copy from pageable memory would wait for all that the GPU has still to do.
    if (from.is_cpu() && to.is_cuda())
      give(out, from.pin_memory().to(to, /*non_blocking=*/true));
    else
      give(out, from.to(to));
  });
}

tb_status* tb_tensor_to_dtype(tb_mode mode, const tb_tensor* t, tb_dtype dtype, tb_tensor** out) {
  return guarded(mode, [&] { give(out, need(t, "tensor").value.to(tb::scalar_type(dtype))); });
}

tb_status* tb_tensor_channels_last(tb_mode mode, const tb_tensor* t, tb_tensor** out) {
  return guarded(mode, [&] {
    give(out, need(t, "tensor").value.contiguous(at::MemoryFormat::ChannelsLast));
  });
}

tb_status* tb_tensor_alias(const tb_tensor* t, tb_tensor** out) {
  return guarded(kNoGrad, [&] { give(out, need(t, "tensor").value); });
}

tb_status* tb_tensor_clone(const tb_tensor* t, tb_tensor** out) {
  return guarded(kNoGrad, [&] { give(out, need(t, "tensor").value.detach().clone()); });
}

tb_status* tb_tensor_detach(const tb_tensor* t, tb_tensor** out) {
  return guarded(kNoGrad, [&] { give(out, need(t, "tensor").value.detach()); });
}

tb_status* tb_tensor_set_requires_grad(tb_tensor* t, int32_t on) {
  return guarded(kNoGrad, [&] {
    need(t, "tensor");
    t->value.set_requires_grad(on != 0);
  });
}

tb_status* tb_tensor_grad(const tb_tensor* t, tb_tensor** out) {
  return guarded(kNoGrad, [&] {
    auto grad = need(t, "tensor").value.grad();
    if (grad.defined())
      give(out, std::move(grad));
    else
      *out = nullptr;
  });
}

tb_status* tb_tensor_backward(tb_mode mode, const tb_tensor* t) {
  return guarded(mode, [&] { need(t, "tensor").value.backward(); });
}

tb_status* tb_tensor_copy_from(tb_mode mode, tb_tensor* t, const tb_tensor* src) {
  return guarded(tb::without_grad(mode), [&] {
    need(t, "tensor");
    t->value.copy_(need(src, "source").value);
  });
}

tb_status* tb_tensor_copy_rows(tb_mode mode, tb_tensor* t, const int64_t* index, size_t n,
                               const tb_tensor* src) {
  return guarded(tb::without_grad(mode), [&] {
    need(t, "tensor");
    auto rows = at::empty({static_cast<int64_t>(n)}, at::kLong);
    if (n > 0) std::memcpy(rows.data_ptr(), index, n * sizeof(int64_t));
    t->value.index_copy_(0, rows.to(t->value.device()), need(src, "source").value);
  });
}

}  // extern "C"
