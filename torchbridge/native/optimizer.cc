// Optimisers over the parameters of a module.
#include "internal.h"

#include <torch/nn/utils/clip_grad.h>
#include <torch/optim/adam.h>
#include <torch/optim/sgd.h>
#include <torch/serialize/archive.h>

#include <sstream>

struct tb_optimizer : tb::Counted {
  std::vector<at::Tensor> params;
  std::unique_ptr<torch::optim::Optimizer> optimizer;
};

using tb::guarded;
using tb::kNoGrad;
using tb::need;

namespace {

template <class Algorithm, class Options>
tb_optimizer* optimizer_of(const tb_module* m, const Options& options) {
  auto made = std::make_unique<tb_optimizer>();
  for (auto p : need(m, "module").value.parameters())
    if (p.requires_grad()) made->params.push_back(p);
  if (made->params.empty())
    throw tb::ArgumentError("the module has no parameter that takes gradients");
  made->optimizer = std::make_unique<Algorithm>(made->params, options);
  return made.release();
}

}  // namespace

extern "C" {

tb_status* tb_sgd_new(const tb_module* m, tb_sgd_options o, tb_optimizer** out) {
  return guarded(kNoGrad, [&] {
    *out = optimizer_of<torch::optim::SGD>(m, torch::optim::SGDOptions(o.lr)
                                                  .momentum(o.momentum)
                                                  .weight_decay(o.weight_decay)
                                                  .nesterov(o.nesterov != 0));
  });
}

tb_status* tb_adam_new(const tb_module* m, tb_adam_options o, tb_optimizer** out) {
  return guarded(kNoGrad, [&] {
    *out = optimizer_of<torch::optim::Adam>(
        m, torch::optim::AdamOptions(o.lr).betas({o.beta1, o.beta2}));
  });
}

void tb_optimizer_free(tb_optimizer* opt) { delete opt; }

tb_status* tb_optimizer_set_lr(tb_optimizer* opt, double lr) {
  return guarded(kNoGrad, [&] {
    need(opt, "optimizer");
    for (auto& group : opt->optimizer->param_groups()) group.options().set_lr(lr);
  });
}

tb_status* tb_optimizer_zero_grad(tb_optimizer* opt) {
  return guarded(kNoGrad, [&] {
    need(opt, "optimizer");
    // Dropping gradients saves a pass over memory that zeroing would cost.
    for (auto& p : opt->params) p.mutable_grad().reset();
  });
}

tb_status* tb_optimizer_clip_grad_norm(tb_mode mode, tb_optimizer* opt, double max_norm, double* norm) {
  return guarded({mode.threads, 0, TB_AUTOCAST_OFF}, [&] {
    need(opt, "optimizer");
    *norm = torch::nn::utils::clip_grad_norm_(opt->params, max_norm);
  });
}

tb_status* tb_optimizer_step(tb_mode mode, tb_optimizer* opt) {
  return guarded({mode.threads, 0, TB_AUTOCAST_OFF}, [&] {
    need(opt, "optimizer");
    opt->optimizer->step();
  });
}

tb_status* tb_optimizer_save(const tb_optimizer* opt, tb_bytes** out) {
  return guarded(kNoGrad, [&] {
    torch::serialize::OutputArchive archive;
    need(opt, "optimizer").optimizer->save(archive);
    std::ostringstream stream;
    archive.save_to(stream);
    tb::give(out, stream.str());
  });
}

tb_status* tb_optimizer_restore(tb_optimizer* opt, const void* data, size_t size) {
  return guarded(kNoGrad, [&] {
    auto& optimizer = *need(opt, "optimizer").optimizer;
    torch::serialize::InputArchive archive;
    archive.load_from(static_cast<const char*>(data), size);
    optimizer.load(archive);
  });
}

}  // extern "C"
