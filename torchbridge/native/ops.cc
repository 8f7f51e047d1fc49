// Operations on tensors.
#include "internal.h"

using tb::give;
using tb::guarded;
using tb::need;

namespace {

at::Tensor unary(tb_unary_op op, const at::Tensor& a) {
  switch (op) {
    case TB_NEG: return a.neg();
    case TB_ABS: return a.abs();
    case TB_SQRT: return a.sqrt();
    case TB_SQUARE: return a.square();
    case TB_SIGN: return a.sign();
    case TB_ROUND: return a.round();
    case TB_RELU: return a.relu();
    case TB_TANH: return a.tanh();
    case TB_SIGMOID: return a.sigmoid();
    case TB_EXP: return a.exp();
    case TB_LOG: return a.log();
    case TB_ISFINITE: return a.isfinite();
    case TB_UNARY_COUNT: break;
  }
  throw tb::ArgumentError("no such operation on one tensor");
}

at::Tensor binary(tb_binary_op op, const at::Tensor& a, const at::Tensor& b) {
  switch (op) {
    case TB_ADD: return a.add(b);
    case TB_SUB: return a.sub(b);
    case TB_MUL: return a.mul(b);
    case TB_DIV: return a.div(b);
    case TB_MAXIMUM: return at::maximum(a, b);
    case TB_MINIMUM: return at::minimum(a, b);
    case TB_EQ: return a.eq(b);
    case TB_NE: return a.ne(b);
    case TB_GT: return a.gt(b);
    case TB_LT: return a.lt(b);
    case TB_AND: return a.logical_and(b);
    case TB_MATMUL: return a.matmul(b);
    case TB_BINARY_COUNT: break;
  }
  throw tb::ArgumentError("no such operation on two tensors");
}

at::Tensor binary_scalar(tb_binary_op op, const at::Tensor& a, double b) {
  switch (op) {
    case TB_ADD: return a.add(b);
    case TB_SUB: return a.sub(b);
    case TB_MUL: return a.mul(b);
    case TB_DIV: return a.div(b);
    case TB_EQ: return a.eq(b);
    case TB_NE: return a.ne(b);
    case TB_GT: return a.gt(b);
    case TB_LT: return a.lt(b);
    default: throw tb::ArgumentError("no such operation on a tensor and a number");
  }
}

at::Tensor reduce_whole(tb_reduce_op op, const at::Tensor& a) {
  switch (op) {
    case TB_SUM: return a.sum();
    case TB_MEAN: return a.mean();
    case TB_AMAX: return a.max();
    case TB_AMIN: return a.min();
    case TB_ARGMAX: return a.argmax();
    case TB_ALL: return a.all();
    case TB_NORM2: return a.norm();
    case TB_REDUCE_COUNT: break;
  }
  throw tb::ArgumentError("no such reduction");
}

at::Tensor reduce_dim(tb_reduce_op op, const at::Tensor& a, int64_t dim, bool keep) {
  switch (op) {
    case TB_SUM: return a.sum(dim, keep);
    case TB_MEAN: return a.mean(dim, keep);
    case TB_AMAX: return a.amax(dim, keep);
    case TB_AMIN: return a.amin(dim, keep);
    case TB_ARGMAX: return a.argmax(dim, keep);
    case TB_ALL: return a.all(dim, keep);
    case TB_NORM2: return a.norm(2, {dim}, keep);
    case TB_REDUCE_COUNT: break;
  }
  throw tb::ArgumentError("no such reduction");
}

at::Tensor pictures(const at::Tensor& bytes, const at::Tensor& moves, const at::Tensor& table) {
  if (bytes.dim() != 4 || bytes.scalar_type() != at::kByte)
    throw tb::ArgumentError("pictures must be uint8 of N×C×H×W");
  const auto n = bytes.size(0), c = bytes.size(1), h = bytes.size(2), w = bytes.size(3);
  if (moves.sizes() != at::IntArrayRef({n, 3}) || moves.scalar_type() != at::kLong)
    throw tb::ArgumentError("moves must be int64 of N×3");
  if (table.sizes() != at::IntArrayRef({c, 256}))
    throw tb::ArgumentError("the table must be of C×256");
  const auto count = moves.options();
  const auto rows = at::arange(h, count) + moves.narrow(1, 0, 1);     // N×H
  const auto columns = at::arange(w, count) + moves.narrow(1, 1, 1);  // N×W
  const auto mirrored = at::where(moves.narrow(1, 2, 1).ne(0), w - 1 - at::arange(w, count) + moves.narrow(1, 1, 1), columns);
  const auto inside = rows.ge(0).logical_and(rows.lt(h)).view({n, h, 1}).logical_and(
      mirrored.ge(0).logical_and(mirrored.lt(w)).view({n, 1, w}));
  const auto from = rows.clamp(0, h - 1).mul(w).view({n, h, 1}) + mirrored.clamp(0, w - 1).view({n, 1, w});
  const auto cut = bytes.reshape({n, c, h * w})
                       .gather(2, from.view({n, 1, h * w}).expand({n, c, h * w}))
                       .view({n, c, h, w})
                       .masked_fill(inside.logical_not().view({n, 1, h, w}), 0);
  return table.reshape({-1}).take(cut.to(at::kLong) + at::arange(c, count).mul(256).view({1, c, 1, 1}));
}

}  // namespace

extern "C" {

tb_status* tb_unary(tb_mode mode, tb_unary_op op, const tb_tensor* a, tb_tensor** out) {
  return guarded(mode, [&] { give(out, unary(op, need(a, "tensor").value)); });
}

tb_status* tb_binary(tb_mode mode, tb_binary_op op, const tb_tensor* a, const tb_tensor* b,
                     tb_tensor** out) {
  return guarded(mode, [&] {
    give(out, binary(op, need(a, "first tensor").value, need(b, "second tensor").value));
  });
}

tb_status* tb_binary_scalar(tb_mode mode, tb_binary_op op, const tb_tensor* a, double b,
                            tb_tensor** out) {
  return guarded(mode, [&] { give(out, binary_scalar(op, need(a, "tensor").value, b)); });
}

tb_status* tb_reduce(tb_mode mode, tb_reduce_op op, const tb_tensor* a, int32_t whole, int64_t dim,
                     int32_t keepdim, tb_tensor** out) {
  return guarded(mode, [&] {
    const auto& t = need(a, "tensor").value;
    give(out, whole != 0 ? reduce_whole(op, t) : reduce_dim(op, t, dim, keepdim != 0));
  });
}

tb_status* tb_kth_largest(tb_mode mode, const tb_tensor* a, int64_t k, tb_tensor** out) {
  return guarded(mode, [&] {
    const auto flat = need(a, "tensor").value.reshape(-1);
    if (k < 1 || k > flat.numel()) throw tb::ArgumentError("k must be from 1 to the number of elements");
    give(out, std::get<0>(flat.topk(k)).amin());
  });
}

tb_status* tb_clamp(tb_mode mode, const tb_tensor* a, double low, double high, tb_tensor** out) {
  return guarded(mode, [&] { give(out, need(a, "tensor").value.clamp(low, high)); });
}

tb_status* tb_reshape(tb_mode mode, const tb_tensor* a, const int64_t* shape, size_t dims,
                      tb_tensor** out) {
  return guarded(mode,
                 [&] { give(out, need(a, "tensor").value.reshape(tb::shape_of(shape, dims))); });
}

tb_status* tb_narrow(tb_mode mode, const tb_tensor* a, int64_t dim, int64_t start, int64_t length,
                     tb_tensor** out) {
  return guarded(mode, [&] { give(out, need(a, "tensor").value.narrow(dim, start, length)); });
}

tb_status* tb_index_select(tb_mode mode, const tb_tensor* a, int64_t dim, const tb_tensor* index,
                           tb_tensor** out) {
  return guarded(mode, [&] {
    give(out, need(a, "tensor").value.index_select(dim, need(index, "index").value));
  });
}

tb_status* tb_cat(tb_mode mode, const tb_tensor* const* parts, size_t n, int64_t dim,
                  tb_tensor** out) {
  return guarded(mode, [&] {
    std::vector<at::Tensor> list;
    for (size_t i = 0; i < n; ++i) list.push_back(need(parts[i], "tensor").value);
    give(out, at::cat(list, dim));
  });
}

tb_status* tb_log_softmax(tb_mode mode, const tb_tensor* a, int64_t dim, tb_tensor** out) {
  return guarded(mode, [&] { give(out, need(a, "tensor").value.log_softmax(dim)); });
}

tb_status* tb_cross_entropy(tb_mode mode, const tb_tensor* logits, const tb_tensor* labels,
                            tb_tensor** out) {
  return guarded(mode, [&] {
    give(out, at::cross_entropy_loss(need(logits, "logits").value, need(labels, "labels").value));
  });
}

tb_status* tb_pictures(tb_mode mode, const tb_tensor* bytes, const tb_tensor* moves,
                       const tb_tensor* table, tb_tensor** out) {
  return guarded(mode, [&] {
    give(out, pictures(need(bytes, "pictures").value, need(moves, "moves").value,
                       need(table, "table").value));
  });
}

tb_status* tb_cosine_similarity(tb_mode mode, const tb_tensor* a, const tb_tensor* b, int64_t dim,
                                tb_tensor** out) {
  return guarded(mode, [&] {
    give(out, at::cosine_similarity(need(a, "first tensor").value, need(b, "second tensor").value,
                                    dim));
  });
}

}  // extern "C"
