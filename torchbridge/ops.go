package torchbridge

/*
#include "torchbridge.h"
*/
import "C"

func (t *Tensor) unary(op C.tb_unary_op) *Tensor {
	return t.unaryWith(func(out **C.tb_tensor) *C.tb_status { return C.tb_unary(t.s.mode, op, t.h, out) })
}

func (t *Tensor) binary(op C.tb_binary_op, b *Tensor) *Tensor {
	if !t.s.ready(t, b) {
		return &Tensor{s: t.s}
	}
	return t.unaryWith(func(out **C.tb_tensor) *C.tb_status { return C.tb_binary(t.s.mode, op, t.h, b.h, out) })
}

func (t *Tensor) scalar(op C.tb_binary_op, b float64) *Tensor {
	return t.unaryWith(func(out **C.tb_tensor) *C.tb_status {
		return C.tb_binary_scalar(t.s.mode, op, t.h, C.double(b), out)
	})
}

func (t *Tensor) reduce(op C.tb_reduce_op) *Tensor {
	return t.unaryWith(func(out **C.tb_tensor) *C.tb_status {
		return C.tb_reduce(t.s.mode, op, t.h, 1, 0, 0, out)
	})
}

func (t *Tensor) reduceDim(op C.tb_reduce_op, dim int, keep bool) *Tensor {
	return t.unaryWith(func(out **C.tb_tensor) *C.tb_status {
		return C.tb_reduce(t.s.mode, op, t.h, 0, C.int64_t(dim), cBool(keep), out)
	})
}

// Elementwise functions of one tensor.

// Neg is −t.
func (t *Tensor) Neg() *Tensor { return t.unary(C.TB_NEG) }

// Abs is |t|.
func (t *Tensor) Abs() *Tensor { return t.unary(C.TB_ABS) }

// Sqrt is the square root.
func (t *Tensor) Sqrt() *Tensor { return t.unary(C.TB_SQRT) }

// Square is t².
func (t *Tensor) Square() *Tensor { return t.unary(C.TB_SQUARE) }

// Sign is −1, 0 or 1.
func (t *Tensor) Sign() *Tensor { return t.unary(C.TB_SIGN) }

// Exp is e to the power of t.
func (t *Tensor) Exp() *Tensor { return t.unary(C.TB_EXP) }

// Log is the natural logarithm.
func (t *Tensor) Log() *Tensor { return t.unary(C.TB_LOG) }

// Round rounds to the nearest integer, halves to even.
func (t *Tensor) Round() *Tensor { return t.unary(C.TB_ROUND) }

// IsFinite is true where an element is neither infinite nor NaN.
func (t *Tensor) IsFinite() *Tensor { return t.unary(C.TB_ISFINITE) }

// Operations on two tensors broadcast as PyTorch's do.

// Add is t + b.
func (t *Tensor) Add(b *Tensor) *Tensor { return t.binary(C.TB_ADD, b) }

// Sub is t − b.
func (t *Tensor) Sub(b *Tensor) *Tensor { return t.binary(C.TB_SUB, b) }

// Mul is the elementwise product.
func (t *Tensor) Mul(b *Tensor) *Tensor { return t.binary(C.TB_MUL, b) }

// Div is the elementwise quotient.
func (t *Tensor) Div(b *Tensor) *Tensor { return t.binary(C.TB_DIV, b) }

// Eq is true where the elements are equal.
func (t *Tensor) Eq(b *Tensor) *Tensor { return t.binary(C.TB_EQ, b) }

// NeScalar is true where an element is not b.
func (t *Tensor) NeScalar(b float64) *Tensor { return t.scalar(C.TB_NE, b) }

// MatMul is the matrix product.
func (t *Tensor) MatMul(b *Tensor) *Tensor { return t.binary(C.TB_MATMUL, b) }

// AddScalar is t + b.
func (t *Tensor) AddScalar(b float64) *Tensor { return t.scalar(C.TB_ADD, b) }

// MulScalar is t · b.
func (t *Tensor) MulScalar(b float64) *Tensor { return t.scalar(C.TB_MUL, b) }

// DivScalar is t / b.
func (t *Tensor) DivScalar(b float64) *Tensor { return t.scalar(C.TB_DIV, b) }

// Lt is true where an element is below b's.
func (t *Tensor) Lt(b *Tensor) *Tensor { return t.binary(C.TB_LT, b) }

// Clamp limits the elements to [low, high].
func (t *Tensor) Clamp(low, high float64) *Tensor {
	return t.unaryWith(func(out **C.tb_tensor) *C.tb_status {
		return C.tb_clamp(t.s.mode, t.h, C.double(low), C.double(high), out)
	})
}

// Sum adds all elements up.
func (t *Tensor) Sum() *Tensor { return t.reduce(C.TB_SUM) }

// Mean is the mean of all elements.
func (t *Tensor) Mean() *Tensor { return t.reduce(C.TB_MEAN) }

// Max is the largest element.
func (t *Tensor) Max() *Tensor { return t.reduce(C.TB_AMAX) }

// KthLargest is the k-th largest of all elements, k from 1.
func (t *Tensor) KthLargest(k int) *Tensor {
	return t.unaryWith(func(out **C.tb_tensor) *C.tb_status {
		return C.tb_kth_largest(t.s.mode, t.h, C.int64_t(k), out)
	})
}

// Norm is the L2 norm of all elements.
func (t *Tensor) Norm() *Tensor { return t.reduce(C.TB_NORM2) }

// All is true when all elements are.
func (t *Tensor) All() *Tensor { return t.reduce(C.TB_ALL) }

// SumDim adds up along a dimension (negative counts from the end), which goes
// away, or keeps extent 1 with keep.
func (t *Tensor) SumDim(dim int, keep bool) *Tensor { return t.reduceDim(C.TB_SUM, dim, keep) }

// ArgMaxDim is the int64 index of the largest element along a dimension.
func (t *Tensor) ArgMaxDim(dim int) *Tensor { return t.reduceDim(C.TB_ARGMAX, dim, false) }

// Reshape gives the elements another shape; one extent may be -1.
func (t *Tensor) Reshape(shape ...int) *Tensor {
	p, n := cShape(shape)
	return t.unaryWith(func(out **C.tb_tensor) *C.tb_status { return C.tb_reshape(t.s.mode, t.h, p, n, out) })
}

// Narrow is a view of [start, start+length) of a dimension.
func (t *Tensor) Narrow(dim, start, length int) *Tensor {
	return t.unaryWith(func(out **C.tb_tensor) *C.tb_status {
		return C.tb_narrow(t.s.mode, t.h, C.int64_t(dim), C.int64_t(start), C.int64_t(length), out)
	})
}

// Rows copies the rows (dimension 0) of these indices, in their order.
func (t *Tensor) Rows(index []int) *Tensor {
	long := make([]int64, len(index))
	for i, n := range index {
		long[i] = int64(n)
	}
	rows := From(t.s, long, len(long))
	if !t.s.ready(t, rows) {
		return &Tensor{s: t.s}
	}
	return t.unaryWith(func(out **C.tb_tensor) *C.tb_status {
		return C.tb_index_select(t.s.mode, t.h, 0, rows.h, out)
	})
}

// Pictures takes t, uint8 of N×C×H×W, to what a model takes: picture i is cut out
// of itself moves[i][0] rows further down and moves[i][1] columns further right,
// with 0 where it has nothing, then mirrored where moves[i][2] is not 0; byte v of
// channel c becomes table[c][v]. moves is int64 of N×3, table float32 of C×256.
func (t *Tensor) Pictures(moves, table *Tensor) *Tensor {
	if !t.s.ready(t, moves, table) {
		return &Tensor{s: t.s}
	}
	return t.unaryWith(func(out **C.tb_tensor) *C.tb_status {
		return C.tb_pictures(t.s.mode, t.h, moves.h, table.h, out)
	})
}

// Cat joins tensors along a dimension; the result belongs to s.
func (s *Scope) Cat(dim int, parts ...*Tensor) *Tensor {
	inputs, ok := s.handles(parts)
	if !ok {
		return &Tensor{s: s}
	}
	var out *C.tb_tensor
	st := C.tb_cat(s.mode, &inputs[0], C.size_t(len(inputs)), C.int64_t(dim), &out)
	return s.tensor(st, out)
}

// LogSoftmax is the logarithm of the softmax along a dimension.
func (t *Tensor) LogSoftmax(dim int) *Tensor {
	return t.unaryWith(func(out **C.tb_tensor) *C.tb_status {
		return C.tb_log_softmax(t.s.mode, t.h, C.int64_t(dim), out)
	})
}

// CrossEntropy is the mean cross-entropy of N×K logits against N int64 labels.
func (t *Tensor) CrossEntropy(labels *Tensor) *Tensor {
	if !t.s.ready(t, labels) {
		return &Tensor{s: t.s}
	}
	return t.unaryWith(func(out **C.tb_tensor) *C.tb_status {
		return C.tb_cross_entropy(t.s.mode, t.h, labels.h, out)
	})
}

// CosineSimilarity is the cosine between t and b along a dimension.
func (t *Tensor) CosineSimilarity(b *Tensor, dim int) *Tensor {
	if !t.s.ready(t, b) {
		return &Tensor{s: t.s}
	}
	return t.unaryWith(func(out **C.tb_tensor) *C.tb_status {
		return C.tb_cosine_similarity(t.s.mode, t.h, b.h, C.int64_t(dim), out)
	})
}
