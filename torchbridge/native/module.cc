// TorchScript modules: load, save, run, move, look inside.
#include "internal.h"

#include <sstream>

#include <ATen/autocast_mode.h>
#include <torch/csrc/jit/runtime/graph_executor.h>
#include <torch/version.h>

using tb::give;
using tb::guarded;
using tb::kNoGrad;
using tb::need;
using torch::jit::Module;

namespace {

Module submodule(const Module& root, const std::string& name) {
  for (const auto& m : root.named_modules())
    if (m.name == name) return m.value;
  throw tb::ArgumentError("the module has no part named \"" + name + "\"");
}

at::Tensor member(const Module& m, tb_member kind, const std::string& name) {
  if (kind == TB_PARAMETERS) {
    for (const auto& p : m.named_parameters())
      if (p.name == name) return p.value;
    throw tb::ArgumentError("the module has no parameter named \"" + name + "\"");
  }
  for (const auto& b : m.named_buffers())
    if (b.name == name) return b.value;
  throw tb::ArgumentError("the module has no buffer named \"" + name + "\"");
}

template <class List>
std::vector<std::string> names_of(const List& list) {
  std::vector<std::string> names;
  for (const auto& entry : list) names.push_back(entry.name);
  return names;
}

// PyTorch mangles class names ("__torch__.torch.nn.modules.linear.___torch_mangle_3.Linear").
std::string plain_class_name(const Module& m) {
  const auto type = m.type()->name();
  return type.has_value() ? type->name() : std::string("Module");
}

// Gradients are asked for by name, since a copy of a module forgets them.
void copy_requires_grad(const Module& from, Module& to) {
  auto target = to.parameters().begin();
  for (const auto& p : from.parameters()) {
    (*target).set_requires_grad(p.requires_grad());
    ++target;
  }
}

// Before 2.4 autocasting was set device by device.
#if TORCH_VERSION_MAJOR > 2 || (TORCH_VERSION_MAJOR == 2 && TORCH_VERSION_MINOR >= 4)
void set_autocast(c10::DeviceType device, bool on, at::ScalarType type) {
  at::autocast::set_autocast_dtype(device, type);
  at::autocast::set_autocast_enabled(device, on);
}
#else
void set_autocast(c10::DeviceType device, bool on, at::ScalarType type) {
  if (device == c10::DeviceType::CPU) {
    at::autocast::set_autocast_cpu_dtype(type);
    at::autocast::set_cpu_enabled(on);
  } else {
    at::autocast::set_autocast_gpu_dtype(type);
    at::autocast::set_enabled(on);
  }
}
#endif

// Casts in one forward pass. Weights that were cast are kept for its length, so
// that one used twice is cast once.
class AutocastGuard {
 public:
  AutocastGuard(int32_t precision, c10::DeviceType device)
      : device_(device), on_(precision == TB_PRECISION_BFLOAT16 || precision == TB_PRECISION_FLOAT16) {
    if (!on_) return;
    if (precision == TB_PRECISION_FLOAT16 && device == c10::DeviceType::CPU)
      throw tb::ArgumentError("autocast to float16 needs a GPU: use bfloat16 on a CPU");
    set_autocast(device_, true, precision == TB_PRECISION_FLOAT16 ? at::kHalf : at::kBFloat16);
  }
  ~AutocastGuard() {
    if (!on_) return;
    at::autocast::clear_cache();
    set_autocast(device_, false, device_ == c10::DeviceType::CPU ? at::kBFloat16 : at::kHalf);
  }
  AutocastGuard(const AutocastGuard&) = delete;
  AutocastGuard& operator=(const AutocastGuard&) = delete;

 private:
  c10::DeviceType device_;
  bool on_;
};

}  // namespace

namespace tb {

void set_channels_last(Module& m, bool on) {
  const auto format = on ? at::MemoryFormat::ChannelsLast : at::MemoryFormat::Contiguous;
  for (auto p : m.parameters())
    if (p.dim() == 4) p.set_data(p.detach().contiguous(format));
}

}  // namespace tb

extern "C" {

tb_status* tb_module_load(const void* data, size_t size, const char* device, tb_module** out) {
  return guarded(kNoGrad, [&] {
    std::istringstream in(std::string(static_cast<const char*>(data), size));
    auto m = torch::jit::load(in, tb::device_of(device));
    give(out, std::move(m));
  });
}

tb_status* tb_module_save(const tb_module* m, tb_bytes** out) {
  return guarded(kNoGrad, [&] {
    std::ostringstream stream;
    need(m, "module").value.save(stream);
    give(out, stream.str());
  });
}

void tb_module_free(tb_module* m) { delete m; }

tb_status* tb_module_forward(tb_mode mode, const tb_module* m, const tb_tensor* const* inputs,
                             size_t n, tb_tensor** out) {
  return guarded(mode, [&] {
    // The profiling executor re-specialises graphs and made training steps
    // slower than eager; without it each operator runs as eager runs it.
    torch::jit::GraphOptimizerEnabledGuard plain(false);
    auto module = need(m, "module").value;
    std::vector<c10::IValue> stack;
    for (size_t i = 0; i < n; ++i) stack.emplace_back(need(inputs[i], "input").value);
    const auto device = n > 0 ? inputs[0]->value.device().type() : c10::DeviceType::CPU;
    auto result = [&] {
      AutocastGuard casts(mode.precision, device);
      return module.forward(std::move(stack));
    }();
    if (!result.isTensor())
      throw tb::ArgumentError("forward returned " + result.tagKind() + ", not one tensor");
    auto tensor = result.toTensor();
    if (!tensor.defined() || tensor.is_nested() || tensor.layout() != at::kStrided)
      throw tb::ArgumentError("forward returned a tensor of an unusual kind (empty, nested or sparse)");
    if (tensor.scalar_type() == at::kHalf || tensor.scalar_type() == at::kBFloat16) tensor = tensor.to(at::kFloat);
    give(out, std::move(tensor));
  });
}

tb_status* tb_module_train(tb_module* m, int32_t on) {
  return guarded(kNoGrad, [&] {
    need(m, "module");
    m->value.train(on != 0);
  });
}

tb_status* tb_module_to_device(tb_module* m, const char* device) {
  return guarded(kNoGrad, [&] {
    need(m, "module");
    m->value.to(tb::device_of(device));
  });
}

tb_status* tb_module_to_dtype(tb_module* m, tb_dtype dtype) {
  return guarded(kNoGrad, [&] {
    need(m, "module");
    const auto type = tb::scalar_type(dtype);
    if (!at::isFloatingType(type)) throw tb::ArgumentError("a module's element type must be floating");
    // Module::to would turn integer buffers (num_batches_tracked) as well.
    for (auto p : m->value.parameters())
      if (p.is_floating_point()) p.set_data(p.detach().to(type));
    for (auto b : m->value.buffers())
      if (b.is_floating_point()) b.set_data(b.detach().to(type));
  });
}

tb_status* tb_module_channels_last(tb_module* m, int32_t on) {
  return guarded(kNoGrad, [&] {
    need(m, "module");
    tb::set_channels_last(m->value, on != 0);
  });
}

tb_status* tb_module_requires_grad(tb_module* m, int32_t on) {
  return guarded(kNoGrad, [&] {
    need(m, "module");
    for (auto p : m->value.parameters())
      if (p.is_floating_point()) p.set_requires_grad(on != 0);
  });
}

tb_status* tb_module_copy(const tb_module* m, tb_module** out) {
  return guarded(kNoGrad, [&] {
    auto copy = need(m, "module").value.deepcopy();
    copy_requires_grad(m->value, copy);
    give(out, std::move(copy));
  });
}

tb_status* tb_module_for_inference(const tb_module* m, tb_module** out) {
  return guarded(kNoGrad, [&] {
    auto copy = need(m, "module").value.deepcopy();
    copy.eval();
    give(out, torch::jit::optimize_for_inference(copy));
  });
}

tb_status* tb_module_names(const tb_module* m, tb_member kind, tb_strings** out) {
  return guarded(kNoGrad, [&] {
    const auto& module = need(m, "module").value;
    switch (kind) {
      case TB_PARAMETERS: return give(out, names_of(module.named_parameters()));
      case TB_BUFFERS: return give(out, names_of(module.named_buffers()));
      case TB_SUBMODULES: return give(out, names_of(module.named_modules()));
      case TB_MEMBER_COUNT: break;
    }
    throw tb::ArgumentError("no such kind of member");
  });
}

tb_status* tb_module_get(const tb_module* m, tb_member kind, const char* name, tb_tensor** out) {
  return guarded(kNoGrad, [&] { give(out, member(need(m, "module").value, kind, name)); });
}

tb_status* tb_module_class(const tb_module* m, const char* name, tb_strings** out) {
  return guarded(kNoGrad, [&] {
    const auto part = submodule(need(m, "module").value, name);
    give(out, std::vector<std::string>{plain_class_name(part)});
  });
}

tb_status* tb_module_arity(const tb_module* m, int32_t* required, int32_t* most) {
  return guarded(kNoGrad, [&] {
    const auto method = need(m, "module").value.find_method("forward");
    if (!method) throw tb::ArgumentError("the module has no forward method");
    int32_t must = 0, may = 0;
    const auto& arguments = method->function().getSchema().arguments();
    for (size_t i = 1; i < arguments.size(); ++i) {  // 0 is self
      ++may;
      if (!arguments[i].default_value().has_value()) ++must;
    }
    *required = must;
    *most = may;
  });
}

}  // extern "C"
