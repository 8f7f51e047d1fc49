// Optimisers over the parameters of a module.
#include "internal.h"

#include <torch/optim/adam.h>
#include <torch/optim/sgd.h>
#include <torch/serialize/archive.h>

#include <sstream>

struct tb_optimizer : tb::Counted {
  std::vector<at::Tensor> params;
  std::unique_ptr<torch::optim::Optimizer> optimizer;
  std::vector<at::Tensor> places;  // of the weights, while they are away
};

using tb::guarded;
using tb::kNoGrad;
using tb::need;
using tb::without_grad;

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

std::vector<at::Tensor> gradients(const tb_optimizer* opt) {
  std::vector<at::Tensor> out;
  for (const auto& p : need(opt, "optimizer").params)
    if (p.grad().defined()) out.push_back(p.grad().detach());
  return out;
}

// leave notes where the weights are, before any moves, whatever happens then.
void leave(tb_optimizer* opt) {
  std::vector<at::Tensor> places;
  for (const auto& p : opt->params) places.push_back(p.detach().clone());
  opt->places = std::move(places);
}

// length is the L2 norm over all, on their device.
at::Tensor length(const std::vector<at::Tensor>& all) {
  std::vector<at::Tensor> norms;
  for (const auto& t : all) norms.push_back(t.norm(2));
  return norms.size() == 1 ? norms[0] : at::stack(norms).norm(2);
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

tb_status* tb_optimizer_clip_grad_norm(tb_mode mode, tb_optimizer* opt, double max_norm) {
  return guarded(without_grad(mode), [&] {
    const auto grads = gradients(opt);
    if (grads.empty()) return;
    const auto factor = max_norm / (length(grads) + 1e-6);
    const auto clipped = factor.clamp(c10::nullopt, 1.0);
    for (auto g : grads) g.mul_(clipped);
  });
}

tb_status* tb_optimizer_relate_grad(tb_mode mode, tb_optimizer* opt, double share) {
  return guarded(without_grad(mode), [&] {
    const auto grads = gradients(opt);
    if (grads.empty()) return;
    std::vector<at::Tensor> weights;
    for (const auto& p : opt->params)
      if (p.grad().defined()) weights.push_back(p.detach());
    const auto factor = length(weights) / length(grads).clamp_min(1e-12) * share;
    for (auto g : grads) g.mul_(factor);
  });
}

tb_status* tb_optimizer_scale_grad(tb_mode mode, tb_optimizer* opt, double factor) {
  return guarded(without_grad(mode), [&] {
    for (auto g : gradients(opt)) g.mul_(factor);
  });
}

tb_status* tb_optimizer_step(tb_mode mode, tb_optimizer* opt) {
  return guarded(without_grad(mode), [&] {
    need(opt, "optimizer");
    opt->optimizer->step();
  });
}

tb_status* tb_optimizer_climb(tb_mode mode, tb_optimizer* opt, double rho) {
  return guarded(without_grad(mode), [&] {
    if (!need(opt, "optimizer").places.empty())
      throw tb::ArgumentError("the weights are away already");
    std::vector<at::Tensor> scaled, norms;
    for (const auto& p : opt->params) {
      const auto w = p.detach();
      const auto& g = p.grad();
      scaled.push_back(g.defined() ? w.abs() * g.detach() : at::zeros_like(w));
      norms.push_back(scaled.back().norm(2));
    }
    // A slope of 0 leaves them where they are.
    const auto factor = rho / at::stack(norms).norm(2).clamp_min(1e-12);
    leave(opt);
    for (size_t i = 0; i < opt->params.size(); ++i) {
      auto w = opt->params[i].detach();
      w.add_(w.abs() * scaled[i] * factor);
    }
  });
}

tb_status* tb_optimizer_lean(tb_mode mode, tb_optimizer* opt, const tb_module* to, double share) {
  return guarded(without_grad(mode), [&] {
    const auto& params = need(opt, "optimizer").params;
    std::vector<at::Tensor> ends;
    for (auto p : need(to, "module").value.parameters()) {
      if (p.is_floating_point()) ends.push_back(p.detach()); // no others have slopes
    }
    bool alike = ends.size() == params.size();
    for (size_t i = 0; alike && i < ends.size(); ++i) alike = ends[i].sizes() == params[i].sizes();
    if (!alike) throw tb::ArgumentError("the module's parameters are of other shapes");
    if (opt->places.empty()) leave(opt);
    for (size_t i = 0; i < ends.size(); ++i)
      params[i].detach().add_((ends[i] - opt->places[i]) * share);
  });
}

tb_status* tb_optimizer_return(tb_mode mode, tb_optimizer* opt) {
  return guarded(without_grad(mode), [&] {
    if (need(opt, "optimizer").places.empty()) throw tb::ArgumentError("the weights are not away");
    for (size_t i = 0; i < opt->params.size(); ++i) opt->params[i].detach().copy_(opt->places[i]);
    opt->places.clear();
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
