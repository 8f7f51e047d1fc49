package gate

import (
	"fmt"
	"slices"
	"strings"
	"sync"
)

// Operators judges the operators of a model that was loaded, as
// torchbridge.Module.Operators names them. Its error is a *Refused that names the
// first that a classifier needs not have.
func Operators(names []string) error {
	for _, n := range slices.Sorted(slices.Values(names)) {
		if !allowed(n) {
			return &Refused{What: fmt.Sprintf("its code uses %s: %s", clip(n), reasonOf(n)), Advice: ownAdvice}
		}
	}
	return nil
}

func allowed(operator string) bool {
	namespace, name, ok := strings.Cut(operator, "::")
	return ok && allowList()[namespace][name]
}

// allowList is by namespace. Of an operator with _ behind its name, which works in
// place, the plain one's safety is its own: it writes within the same elements.
var allowList = sync.OnceValue(func() map[string]map[string]bool {
	list := map[string]map[string]bool{"aten": {}, "prim": {}}
	for _, n := range strings.Fields(inPlaceToo) {
		list["aten"][n], list["aten"][n+"_"] = true, true
	}
	for _, n := range strings.Fields(tensorMaths + shapes + language) {
		list["aten"][n] = true
	}
	for _, n := range strings.Fields(primitives) {
		list["prim"][n] = true
	}
	return list
})

// Operators that share a name share its entry, so a name is here only where all of
// them check what they are given. That leaves out, though they are plain maths:
// repeat_interleave (a wrong output_size writes out of bounds in 1.13), searchsorted
// and bucketize (a sorter is not checked), embedding_bag and max_unpool (offsets and
// indices), native_batch_norm and its kin (sizes are checked by batch_norm alone),
// _weight_norm and _transform_bias_rescale_qkv (sizes), _local_scalar_dense (no element).
// The upsample operators are allowed where no scale is named beside the size.

// inPlaceToo are element by element, or fill a tensor.
const inPlaceToo = `
abs absolute acos acosh add addcdiv addcmul arccos arccosh arcsin arcsinh arctan arctan2 arctanh asin asinh atan atan2
atanh bernoulli bitwise_and bitwise_left_shift bitwise_not bitwise_or bitwise_right_shift bitwise_xor ceil celu clamp
clamp_max clamp_min clip copysign cos cosh deg2rad detach div divide dropout alpha_dropout feature_dropout
feature_alpha_dropout elu eq erf erfc erfinv exp exp2 expm1 fill fix float_power floor floor_divide fmod frac ge greater
greater_equal gt hardsigmoid hardswish hardtanh heaviside hypot ldexp le leaky_relu lerp less less_equal lgamma digamma
log log10 log1p log2 logical_and logical_not logical_or logical_xor logit lt masked_fill mish mul multiply nan_to_num ne
neg negative not_equal pow rad2deg reciprocal relu relu6 remainder round rrelu rsqrt selu sgn sigmoid sign silu sin sinc
sinh sqrt square sub subtract tan tanh threshold tril triu true_divide trunc xlogy zero cumsum cumprod
index_add index_copy index_fill index_put scatter scatter_add masked_scatter swapaxes swapdims t transpose squeeze unsqueeze
addmm addmv addr addbmm baddbmm renorm normal
`

const tensorMaths = `
batch_norm instance_norm layer_norm group_norm rms_norm local_response_norm
conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d convolution _convolution _convolution_mode conv_tbc
linear bilinear matmul mm bmm mv dot inner outer ger vdot einsum tensordot chain_matmul kron cross
_native_multi_head_attention scaled_dot_product_attention _scaled_dot_product_attention
adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d adaptive_max_pool1d adaptive_max_pool2d adaptive_max_pool3d
avg_pool1d avg_pool2d avg_pool3d max_pool1d max_pool2d max_pool3d max_pool1d_with_indices max_pool2d_with_indices
max_pool3d_with_indices
gelu glu softmax log_softmax _softmax _log_softmax softplus softshrink hardshrink log_sigmoid prelu _prelu_kernel
softmin logsumexp logaddexp logaddexp2 special_expit special_erf special_log1p special_logit special_softmax special_log_softmax
upsample_nearest1d upsample_nearest2d upsample_nearest3d upsample_linear1d upsample_bilinear2d upsample_bicubic2d
upsample_trilinear3d _upsample_nearest_exact1d _upsample_nearest_exact2d _upsample_nearest_exact3d
_upsample_bilinear2d_aa _upsample_bicubic2d_aa __interpolate __upsample __upsample_bilinear __upsample_nearest
grid_sampler grid_sampler_2d grid_sampler_3d affine_grid_generator pixel_shuffle pixel_unshuffle im2col col2im
pad constant_pad_nd reflection_pad1d reflection_pad2d reflection_pad3d replication_pad1d replication_pad2d replication_pad3d
_pad_circular _pad_enum
sum nansum mean nanmean prod max min amax amin aminmax argmax argmin all any std var std_mean var_mean median nanmedian mode
norm linalg_norm linalg_vector_norm linalg_matrix_norm frobenius_norm norm_except_dim quantile nanquantile cummax cummin
logcumsumexp count_nonzero topk sort msort argsort kthvalue unique_dim unique_consecutive _unique _unique2 bincount trace
diff dist cdist cosine_similarity pairwise_distance maximum minimum fmax fmin isnan isinf isfinite isposinf isneginf
isclose allclose equal is_nonzero nonzero where signbit real imag angle conj conj_physical resolve_conj
resolve_neg complex polar view_as_real view_as_complex
fft_fft fft_ifft fft_rfft fft_irfft fft_fft2 fft_ifft2 fft_rfft2 fft_irfft2 fft_fftn fft_ifftn fft_rfftn fft_irfftn
fft_fftshift fft_ifftshift fft_fftfreq fft_rfftfreq
mse_loss l1_loss smooth_l1_loss huber_loss cross_entropy_loss nll_loss nll_loss2d nll_loss_nd kl_div binary_cross_entropy
binary_cross_entropy_with_logits cosine_embedding_loss margin_ranking_loss triplet_margin_loss
embedding one_hot index index_select gather take take_along_dim masked_select rsub
rand rand_like randn randn_like randint randint_like randperm multinomial uniform_ exponential_ random_ log_normal_
_no_grad_normal_ _no_grad_uniform_ _no_grad_zero_ _no_grad_fill_ native_dropout
zeros zeros_like ones ones_like full full_like empty empty_like new_zeros new_ones new_full new_empty eye arange linspace
logspace tensor scalar_tensor as_tensor tril_indices triu_indices hann_window hamming_window
clone copy_ to cpu cuda type_as contiguous lift_fresh _cast_Float _cast_Double _cast_Half _cast_Long _cast_Int _cast_Byte
_autocast_to_full_precision _autocast_to_reduced_precision data positive
`

// shapes are views that libtorch bounds, and questions about tensors.
const shapes = `
view view_as reshape reshape_as flatten unflatten ravel permute movedim moveaxis numpy_T adjoint mT mH expand expand_as
broadcast_to broadcast_tensors select narrow slice split split_with_sizes chunk tensor_split hsplit vsplit dsplit unbind
unfold diagonal diag diag_embed diagflat block_diag select_scatter slice_scatter diagonal_scatter
cat concat concatenate stack hstack vstack dstack column_stack row_stack meshgrid cartesian_prod combinations
flip fliplr flipud roll rot90 repeat tile atleast_1d atleast_2d atleast_3d sum_to_size
size stride storage_offset dim numel len is_contiguous is_floating_point is_complex is_signed is_same_size is_leaf
get_device element_size result_type promote_types can_cast is_grad_enabled set_grad_enabled is_autocast_enabled
is_autocast_cpu_enabled is_scripting has_torch_function requires_grad_ is_pinned sym_size sym_numel sym_stride _shape_as_tensor
`

// language is what code does with numbers, texts, lists and dicts. A warning is
// allowed where its text is a constant.
const language = `
warn[text] format str join split splitlines lower upper strip lstrip rstrip startswith endswith find replace
Bool Int Float Complex Size device BoolImplicit IntImplicit FloatImplicit ScalarImplicit ComplexImplicit item
__and__ __or__ __xor__ __not__ __is__ __isnot__ __contains__ __getitem__ __lshift__ __rshift__ __iand__ __ior__ __ixor__
__range_length __derive_index __round_to_zero_floordiv floordiv mathremainder divmod
append extend insert pop popitem remove reverse count clear copy list dict keys values items get setdefault update
_set_item Delete sorted _unwrap_optional degrees radians factorial fabs gcd gamma isspace isdigit isalpha
`

const primitives = `
Constant If Loop Return Param Store Load Uninitialized RaiseException unchecked_cast unchecked_unwrap_optional isinstance annotate
ListConstruct ListUnpack TupleConstruct TupleUnpack TupleIndex TupleSlice DictConstruct NumToTensor ImplicitTensorToNum
GetAttr SetAttr CreateObject Enter Exit EnumName EnumValue
dtype device layout shape data grad requires_grad is_cuda is_cpu is_nested is_sparse is_quantized is_mkldnn is_meta is_mps
is_xpu is_vulkan is_ort is_ipu is_sparse_csr itemsize type index min max abs rangelist tolist StringIndex ModuleContainerIndex
`

// reasonOf says why an operator is refused, of those that someone may wonder about.
func reasonOf(operator string) string {
	namespace, name, _ := strings.Cut(operator, "::")
	switch operator {
	case "aten::save":
		return "it writes files"
	case "aten::from_file":
		return "it reads and writes files"
	case "prim::Print", "aten::warn":
		return "it writes to the terminal"
	case "prim::fork", "prim::forkClosure", "aten::wait", "prim::awaitable":
		return "it starts work that nothing waits for"
	case "prim::CallMethod", "prim::CallFunction":
		return "it calls what cannot be looked into"
	case "prim::TimePoint":
		return "it reads the clock"
	case "prim::unchecked_cast[structure]":
		return "it takes a value for what it may not be"
	case "aten::_weight_norm":
		return "it does not check the sizes that it is given; torch.nn.utils.remove_weight_norm, before the export, does without it"
	}
	if strings.HasSuffix(name, "[scale]") {
		return "it is told a scale, which may lead outside of the image; give interpolate a size, or recompute_scale_factor=True"
	}
	switch {
	case namespace == "c10d" || strings.HasPrefix(name, "rpc_"):
		return "it talks to other machines"
	case strings.Contains(name, "unsafe"), strings.HasPrefix(name, "as_strided"), strings.HasPrefix(name, "resize"), strings.HasPrefix(name, "set_"),
		name == "_reshape_alias", name == "_transform_bias_rescale_qkv", name == "_local_scalar_dense", name == "segment_reduce", name == "native_channel_shuffle", strings.HasPrefix(name, "sparse_"):
		return "it can reach memory that is not its own"
	}
	return needless
}

// needless is the reason where there is no other.
const needless = "it is none of the operators that a classifier needs"
