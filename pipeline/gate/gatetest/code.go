package gatetest

import "strings"

func coded(name, statements, want string) change {
	return change{name: name, model: Honest().With("code/__torch__.py", source(statements, "torch.flatten(x, 1)")), want: want}
}

func classed(name, code, want string) change {
	return change{name: name, model: Honest().With("code/__torch__.py", code), want: want}
}

func writing(c change) change { c.writes = true; return c }
func late(c change) change    { c.late = true; return c }

const (
	line11  = "code/__torch__.py, line 11: "
	flatten = "torch.flatten(x, 1)"
)

// code writes the canary, or tries to hide that it does, or is of a form that the
// serialiser does not write.
func code(canary string) []change {
	path := quoted(canary)
	apart := strings.Join(strings.SplitAfter(canary, "/"), `", "`)
	hook := func(list, def string) string {
		return strings.Replace(members, "  weight", "  __"+list+"__ = [\"hook\", ]\n  weight", 1) + def + forward("", flatten)
	}
	return []change{
		writing(coded("save", "torch.save(x, "+path+")", line11+"torch.save: it writes files")),
		writing(coded("save by its namespace", "ops.aten.save(x, "+path+")", line11+"ops.aten.save: it writes files")),
		writing(coded("save with spaces", "torch . save (x, "+path+")", line11+"torch.save: it writes files")),
		writing(coded("save on two lines", "_0 = (torch\n  .save(x, "+path+"), 1)", line11+"torch.save: it writes files")),
		writing(coded("save behind a comment", "_0 = (torch # .relu\n  .save(x, "+path+"), 1)", line11+"a comment")),
		coded("save over a joined line", "torch.\\\n  save(x, "+path+")", line11+"the character '\\\\'"),
		coded("save as a method", "x.save("+path+")", line11+"save(…) as a method: it writes files"),
		coded("torch under another name", "t = torch\nt.save(x, "+path+")", line11+"torch: no operator"),
		coded("ops under another name", "t = ops.aten\nt.save(x, "+path+")", line11+"ops.aten: no operator"),
		coded("an operator under another name", "t = getattr\nt(x, \"save\")("+path+")", line11+"getattr of another form"),
		coded("getattr", "getattr(x, \"save\")("+path+")", line11+"getattr of another form"),
		writing(coded("getattr of torch", "getattr(torch, \"save\")(x, "+path+")", line11+"getattr of another form")),
		coded("getattr of joined texts", `getattr(x, "sa" "ve")(`+path+")", line11+"two texts side by side"),
		writing(coded("getattr with escapes", `getattr(torch, "\163ave")(x, `+path+")", line11+"getattr of another form")),
		coded("getattr of an expression", `getattr((x), "0")`, line11+"getattr of another form"),
		writing(coded("path in parts", `torch.save(x, torch.join("", ["`+apart+`"]))`, line11+"torch.save: it writes files")),
		writing(coded("file mapped", "x = torch.from_file("+path+", True, 4)\nx = torch.view(x, [1, 4])", line11+"torch.from_file: it reads and writes files")),
		coded("print", `print("\033]0;pwned\007")`, line11),
		coded("print under another name", "p = print\np(1)", line11+"print writes to the terminal"),
		coded("warning with an escape", `torch.warn("\033[2J")`, line11+"a control character in a text"),
		late(coded("warning of what is computed", "torch.warn(torch.str(x))", "aten::warn: it writes to the terminal")),
		coded("fork", "_0 = fork(self.forward, x)", line11+"fork: a classifier needs no such thing"),
		coded("wait", "_0 = torch.wait(x)", line11+"torch.wait: it starts work"),
		coded("class in C++", "_0 = __torch__.torch.classes.nnapi.Compilation()", "a class in C++, which is refused"),
		coded("class in C++ by parts", "_0 = __torch__.torch\n_1 = _0.classes.nnapi.Compilation()", line11+"__torch__.torch without a class"),
		coded("import", "import os", line11+"import: a classifier needs no such thing"),
		writing(classed("state set on load", strings.Replace(members, "  training : bool\n", "  training : bool\n  def __setstate__(self: __torch__.Net,\n    state: Tuple[Tensor, Tensor]) -> None:\n    self.weight = (state)[0]\n    self.bias = (state)[1]\n    self.training = False\n    torch.save(self.weight, "+path+")\n    return None\n  def __getstate__(self: __torch__.Net) -> Tuple[Tensor, Tensor]:\n    return (self.weight, self.bias)\n", 1)+forward("", flatten),
			"code/__torch__.py, line 7: __setstate__")).data(object2(tuple(weight, bias))),
		classed("state asked for on save", members+"  def __getstate__(self: __torch__.Net) -> Tensor:\n    return self.weight\n"+forward("", flatten), "__getstate__"),
		classed("hook that writes", hook("forward_hooks", "  def hook(self: __torch__.Net,\n    x: Tuple[Tensor],\n    y: Tensor) -> Tensor:\n    torch.save(y, "+path+")\n    return y\n"), "torch.save: it writes files"),
		classed("hook before that writes", hook("forward_pre_hooks", "  def hook(self: __torch__.Net,\n    x: Tuple[Tensor]) -> Tuple[Tensor]:\n    torch.save((x)[0], "+path+")\n    return x\n"), "torch.save: it writes files"),
		classed("function that nobody calls", "def f(x: Tensor) -> Tensor:\n  torch.save(x, "+path+")\n  return x\n"+source("", flatten), "line 2: torch.save"),
		coded("name in other letters", "tоrch = x", line11+"the character"),
		coded("zero byte", "_0 = 1\x00", line11+"the character"),
		coded("tab", "_0\t= 1", line11+"the character"),
		coded("single quotes", "_0 = 'a'", line11+"the character"),
		coded("three quotes", `_0 = """a"""`, line11+"two texts side by side"),
		coded("text without end", `_0 = "a`, line11+"a text does not end"),
		coded("bracket without end", "_0 = (1", "a bracket is not closed"),
		coded("bracket too many", "_0 = 1)", line11+"a bracket ) that closes nothing"),
		coded("unknown escape", `_0 = "\x1b[2J"`, line11+"a control character in a text"),
		coded("call behind a number", "_0 = 0x1e+torch.from_file("+path+", True, 4)", line11+"a number of a form that TorchScript does not write"),
		coded("call behind an exponent", "_0 = 1e+torch.from_file("+path+", True, 4)", line11+"a number of a form that TorchScript does not write"),
		coded("file mapped as a method", "x.from_file("+path+")", line11+"from_file(…) as a method: it reads and writes files"),
		classed("save as a method, beside one of that name", members+"  def save(self: __torch__.Net,\n    x: Tensor) -> Tensor:\n    return x\n"+forward("x.save("+path+")", flatten), "save(…) as a method: it writes files"),
		coded("memory reached by a method", "x = x._reshape_alias([9999], [1])", line11+"_reshape_alias(…) as a method: it can reach memory"),
		classed("names without end", strings.Repeat("a\n", 2<<20+1), "the archive has more code than a classifier needs"),
		coded("hidden name", "_0 = self.__class__", line11+"__class__"),
	}
}

// data is c with another data.pkl.
func (c change) data(pickle string) change {
	c.model = c.model.With("data.pkl", pickle)
	return c
}

// object2 is a pickle of Net with a state that is no dict.
func object2(state string) string {
	return "\x80\x02" + global("__torch__", "Net") + ")\x81" + state + "b."
}

// operators reach what a classifier must not.
func operators() []change {
	list := []change{
		late(coded("operator as a method", "x = x.to_sparse()", "aten::to_sparse: it is none of the operators")),
		late(classed("cast to another object", "class Big(Module):\n  __parameters__ = []\n  __buffers__ = []\n  a : int\n  b : int\n  c : int\n  d : int\n"+source("_0 = unchecked_cast(__torch__.Big, self)\nx = torch.add(x, _0.d)", flatten), "prim::unchecked_cast[structure]: it takes a value")),
		late(classed("operator in a function that is not called", "def f(x: Tensor) -> Tensor:\n  return x.to_sparse()\n"+source("if torch.gt(torch.dim(x), 99):\n  x0 = __torch__.f(x)\nelse:\n  x0 = x\nx = x0", flatten), "aten::to_sparse")),
	}
	for _, call := range []string{
		"torch.upsample_linear1d(torch.rand([1, 1, 2]), [4], False, 1e-19)",
		"torch.upsample_bilinear2d(x, [4, 4], False, 1e-09, None)",
		"torch.upsample_bilinear2d(x, [4, 4], False, None, torch.item(torch.sum(x)))",
		"torch.upsample_trilinear3d(torch.rand([1, 1, 2, 2, 2]), [4, 4, 4], False, None, None, 1e-19)",
	} {
		operator, _, _ := strings.Cut(strings.TrimPrefix(call, "torch."), "(")
		list = append(list, late(coded(operator+" and a scale: "+call[len(call)-9:], "x = torch.mul(x, torch.sum("+call+"))", "aten::"+operator+"[scale]: it is told a scale")))
	}
	for _, o := range []struct{ call, want string }{
		{"torch._weight_norm(torch.rand([64, 2]), torch.rand([1, 1]), 0)", "does not check the sizes that it is given"},
		{"torch._transform_bias_rescale_qkv(torch.zeros([1, 1, 30000000]), torch.ones([3]), 1)", "memory that is not its own"},
		{"torch._local_scalar_dense(torch.slice(torch.ones([8]), 0, 8, 9))", "memory that is not its own"},
		{"torch._sparse_coo_tensor_unsafe(x, x, [1])", "memory that is not its own"},
		{"torch._sparse_csr_tensor_unsafe(x, x, x, [1])", "memory that is not its own"},
		{`torch.segment_reduce(x, "sum", lengths=x, unsafe=True)`, "memory that is not its own"},
		{"torch._reshape_alias(x, [9999], [1])", "memory that is not its own"},
		{"torch.native_channel_shuffle(x, 0)", "memory that is not its own"},
		{"torch.as_strided(x, [9999], [1])", "memory that is not its own"},
		{"torch.set_(x, x, 0, [9999], [1])", "memory that is not its own"},
		{"torch.resize_(x, [9999])", "memory that is not its own"},
		{"torch.unsafe_split(x, 1)", "memory that is not its own"},
		{"torch._unsafe_view(x, [1])", "memory that is not its own"},
		{"ops.c10d.allreduce_([x], x, x, 1)", "talks to other machines"},
		{"ops.prim.rpc_sync(x)", "talks to other machines"},
		{"ops.prim.Print(x)", "writes to the terminal"},
		{"ops.prim.TimePoint()", "reads the clock"},
		{"ops.quantized.linear(x, x, 1., 0)", "none of the operators"},
		{"ops.sparse.qlinear(x, x)", "none of the operators"},
		{"ops.prepacked.linear_clamp_run(x, x)", "none of the operators"},
		{`ops.profiler._record_function_enter("x", None)`, "none of the operators"},
		{"ops.static_runtime.to_copy(x)", "none of the operators"},
		{"torch.manual_seed(1)", "none of the operators"},
		{"torch.repeat_interleave(x, x, output_size=1)", "none of the operators"},
	} {
		name, _, _ := strings.Cut(o.call, "(")
		list = append(list, coded(name, "_0 = "+o.call, line11+name+": it "+strings.TrimPrefix(reason(o.want), "it ")))
	}
	return list
}

// reason is how the line goes on behind "it ".
func reason(want string) string {
	switch want {
	case "memory that is not its own":
		return "can reach " + want
	case "none of the operators":
		return "is " + want
	}
	return want
}

// deep is code that nests, which overflows the stack of libtorch's parser.
func deep() []change {
	const n = 200_000
	return []change{
		coded("brackets", "_0 = "+strings.Repeat("(", n)+"1"+strings.Repeat(")", n), line11+"an expression is nested too deeply"),
		coded("brackets on lines", "_0 = "+strings.Repeat("[\n", n)+strings.Repeat("]", n), "an expression is nested too deeply"),
		coded("signs", "_0 = "+strings.Repeat("-", n)+"1", line11+"an expression is nested too deeply"),
		coded("members", "_0 = x"+strings.Repeat(".t", n), line11+"an expression is nested too deeply"),
		coded("nots", "_0 = "+strings.Repeat("not ", n)+"True", line11+"an expression is nested too deeply"),
		coded("sums", "_0 = 1"+strings.Repeat(" + 1", n), line11+"an expression is nested too deeply"),
		coded("blocks", blocks(2000), "the code is nested too deeply"),
		coded("long name", "_0 = "+strings.Repeat("x", n), line11+"a name or number of 200000 characters"),
	}
}

func blocks(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(strings.Repeat(" ", i) + "if True:\n")
	}
	return b.String()
}
