// Modules made from parameters and TorchScript source, without Python.
#include "internal.h"

using tb::give;
using tb::guarded;
using tb::kNoGrad;
using tb::need;

extern "C" {

tb_status* tb_module_new(const tb_module* root, const char* class_name, tb_module** out) {
  return guarded(kNoGrad, [&] {
    auto unit = root != nullptr ? root->value._ivalue()->compilation_unit()
                                : std::make_shared<torch::jit::CompilationUnit>();
    torch::jit::Module m(c10::QualifiedName("__torch__." + std::string(class_name)), unit,
                         /*shouldMangle=*/true);
    // train() and eval() set it where it exists.
    m.register_attribute("training", c10::BoolType::get(), true);
    give(out, std::move(m));
  });
}

tb_status* tb_module_add_parameter(tb_module* m, const char* name, const tb_tensor* value) {
  return guarded(kNoGrad, [&] {
    need(m, "module");
    auto data = need(value, "value").value.detach().clone();
    data.set_requires_grad(data.is_floating_point());
    m->value.register_parameter(name, std::move(data), /*is_buffer=*/false);
  });
}

tb_status* tb_module_add_buffer(tb_module* m, const char* name, const tb_tensor* value) {
  return guarded(kNoGrad, [&] {
    need(m, "module");
    m->value.register_buffer(name, need(value, "value").value.detach().clone());
  });
}

tb_status* tb_module_add_module(tb_module* m, const char* name, const tb_module* child) {
  return guarded(kNoGrad, [&] {
    need(m, "module");
    m->value.register_module(name, need(child, "child").value);
  });
}

tb_status* tb_module_define(tb_module* m, const char* source) {
  return guarded(kNoGrad, [&] {
    need(m, "module");
    m->value.define(source);
  });
}

}  // extern "C"
