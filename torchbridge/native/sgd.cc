// Stochastic gradient descent over the parameters of a module.
#include "internal.h"

#include <torch/nn/utils/clip_grad.h>
#include <torch/optim/sgd.h>

struct tb_sgd : tb::Counted {
  tb_sgd(std::vector<at::Tensor> p, const torch::optim::SGDOptions& o)
      : params(p), optimizer(std::move(p), o) {}
  std::vector<at::Tensor> params;
  torch::optim::SGD optimizer;
};

using tb::guarded;
using tb::kNoGrad;
using tb::need;

extern "C" {

tb_status* tb_sgd_new(const tb_module* m, tb_sgd_options o, tb_sgd** out) {
  return guarded(kNoGrad, [&] {
    std::vector<at::Tensor> params;
    for (auto p : need(m, "module").value.parameters())
      if (p.requires_grad()) params.push_back(p);
    if (params.empty()) throw tb::ArgumentError("the module has no parameter that takes gradients");
    auto options = torch::optim::SGDOptions(o.lr)
                       .momentum(o.momentum)
                       .weight_decay(o.weight_decay)
                       .nesterov(o.nesterov != 0);
    *out = new tb_sgd(std::move(params), options);
  });
}

void tb_sgd_free(tb_sgd* sgd) { delete sgd; }

tb_status* tb_sgd_set_lr(tb_sgd* sgd, double lr) {
  return guarded(kNoGrad, [&] {
    need(sgd, "optimizer");
    for (auto& group : sgd->optimizer.param_groups())
      static_cast<torch::optim::SGDOptions&>(group.options()).lr(lr);
  });
}

tb_status* tb_sgd_zero_grad(tb_sgd* sgd) {
  return guarded(kNoGrad, [&] {
    need(sgd, "optimizer");
    // Dropping gradients saves a pass over memory that zeroing would cost.
    for (auto& p : sgd->params) p.mutable_grad().reset();
  });
}

tb_status* tb_sgd_clip_grad_norm(tb_mode mode, tb_sgd* sgd, double max_norm, double* norm) {
  return guarded({mode.threads, 0}, [&] {
    need(sgd, "optimizer");
    *norm = torch::nn::utils::clip_grad_norm_(sgd->params, max_norm);
  });
}

tb_status* tb_sgd_step(tb_mode mode, tb_sgd* sgd) {
  return guarded({mode.threads, 0}, [&] {
    need(sgd, "optimizer");
    sgd->optimizer.step();
  });
}

}  // extern "C"
