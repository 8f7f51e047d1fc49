package gatetest

import (
	"slices"
	"strings"
)

func pickled(name, data, want string) change {
	return change{name: name, model: Honest().With("data.pkl", data), want: want}
}

// pickles name or build what TorchScript's do not.
func pickles() []change {
	with := net
	doubled := ")"
	for range 40 { // twice as many values each time
		doubled += "q\x00h\x00\x86"
	}
	many := "\x80\x02" + strings.Repeat("]", 300) + strings.Repeat("a", 299) + "."
	nested := strings.Repeat("(", 300) + strings.Repeat("t", 300)
	return []change{
		pickled("os.system", "\x80\x02"+global("os", "system")+tuple(text("id"))+"R.", "data.pkl: it names os.system, which is refused"),
		pickled("eval", "\x80\x02"+global("builtins", "eval")+tuple(text("1"))+"R.", "it names builtins.eval"),
		pickled("system by posix", with(call("posix", "system", text("id"))), "it names posix.system"),
		pickled("class that is not there", object("__torch__", "Other"), "it holds a __torch__.Other, a class that the archive's code does not have"),
		pickled("class in C++", object("__torch__.torch.classes.nnapi", "Compilation"), "a class that the archive's code does not have"),
		pickled("name with an escape", "\x80\x02"+global("\x1b[2J", "x")+".", "it names"),
		pickled("quantised tensor", with(call("torch._utils", "_rebuild_qtensor")), "it names torch._utils._rebuild_qtensor"),
		pickled("sparse tensor", with(call("torch._utils", "_rebuild_sparse_tensor")), "it names torch._utils._rebuild_sparse_tensor"),
		pickled("tensor by number", with(call("torch.jit._pickle", "build_tensor_from_id", whole(0))), "it names torch.jit._pickle.build_tensor_from_id"),
		pickled("unknown opcode", "\x80\x02\xff.", "data.pkl: pickle, byte 3: opcode 0xff: TorchScript does not write it"),
		pickled("name on the stack", "\x80\x04\x8c\x02os\x8c\x06system\x93.", "opcode 0x8c: TorchScript does not write it"),
		pickled("extension", "\x80\x02\x82\x01.", "opcode 0x82"),
		pickled("function by number", "\x80\x02"+global("collections", "OrderedDict")+"K\x00)R.", "a call of a number"),
		pickled("text beyond the end", "\x80\x02X\xff\xff\xff\x7fa.", "it ends too early"),
		pickled("no end", "\x80\x02)", "it ends too early"),
		pickled("something behind the end", net(weight)+"cos\nsystem\n", "something lies behind its end"),
		pickled("two values", "\x80\x02)).", "values left over"),
		pickled("value never kept", "\x80\x02h\x07.", "no value 7 was kept"),
		pickled("appended one by one", many, "opcode 0x61"),
		pickled("nested", with(nested), "weight of __torch__.Net is not what"),
		pickled("dicts without end", "\x80\x02("+strings.Repeat("}", 1<<20)+"t.", "too many values"),
		pickled("kept without end", "\x80\x02)"+strings.Repeat("r\x00\x00\x00\x00", 1<<10)+".", "the model is no object"),
		pickled("marks", "\x80\x02"+strings.Repeat("(", 100_000)+".", "too many values"),
		pickled("memory that doubles", "\x80\x02"+doubled+".", "the model is no object"),
		pickled("list in itself", "\x80\x02]q\x00(h\x00e.", "the model is no object"),
		pickled("no model", "\x80\x02K\x01.", "the model is no object"),
		constants("constants that double", doubled, "the values are too many or nested too deeply"),
		constants("constants that nest", nested, "the values are too many or nested too deeply"),
		constants("constant in itself", "(]q\x00(h\x00et", "a value holds itself"),
		constants("constants that are no tuple", "]", "the constants are no tuple"),
		constants("constant that names something", tuple(global("os", "system")), "constants.pkl: it names os.system"),
		constants("constant outside of its record", tuple(tensor("0", 8, 0, []int64{9}, []int64{1})), "lies outside of its 32 bytes"),
		constants("long text again and again", "("+text(strings.Repeat("a", 1<<20))+"q\x01"+strings.Repeat("h\x01", 1000)+"t", "the values are too many or nested too deeply"),
		constants("type of nothing but lines", tuple(global("torch.jit._pickle", "restore_type_tag")+"]"+text("List[int]"+strings.Repeat("\n", 1<<20))+"\x86R"), "a type that is too long"),
		constants("dimensions without end", tuple(tensor("0", 8, 0, slices.Repeat([]int64{1}, 65), slices.Repeat([]int64{1}, 65))), "a tensor of 65 dimensions"),
		constants("text with an escape", tuple(text("\x1b]0;x\a")), "a text with control characters"),
	}
}

func constants(name, value, want string) change {
	m := Honest().With("constants.pkl", "\x80\x02"+value+".").and(Record{Name: "constants/0", Data: strings.Repeat("\x00", 32)})
	return change{name: name, model: m, want: want}
}

// tensors lie of what is in their records.
func tensors() []change {
	shaped := func(count, offset int64, shape, stride []int64) string {
		return net(tensor("0", count, offset, shape, stride))
	}
	const max31, max63 = 1<<31 - 1, 1<<63 - 1
	return []change{
		pickled("more elements than the record has", shaped(1000, 0, []int64{2, 4}, []int64{4, 1}), "data/0 has 32 bytes, 1000 elements of float32 take 4000"),
		pickled("fewer elements than the record has", shaped(7, 0, []int64{7}, []int64{1}), "data/0 has 32 bytes, 7 elements of float32 take 28"),
		pickled("elements without end", shaped(max63, 0, []int64{2, 4}, []int64{4, 1}), "of a form that is not known"),
		pickled("elements below zero", shaped(-8, 0, []int64{2, 4}, []int64{4, 1}), "of a form that is not known"),
		pickled("offset", shaped(8, 1, []int64{2, 4}, []int64{4, 1}), "a tensor of shape [2 4] lies outside of its 32 bytes"),
		pickled("offset far off", shaped(8, max63, []int64{1}, []int64{1}), "lies outside of its 32 bytes"),
		pickled("offset below zero", shaped(8, -1, []int64{1}, []int64{1}), "a tensor of a form that is not known"),
		pickled("stride", shaped(8, 0, []int64{2, 4}, []int64{5, 1}), "lies outside of its 32 bytes"),
		pickled("stride far off", shaped(8, 0, []int64{2, 4}, []int64{max31, 1}), "lies outside of its 32 bytes"),
		pickled("stride below zero", shaped(8, 7, []int64{8}, []int64{-1}), "a tensor of a form that is not known"),
		pickled("shape", shaped(8, 0, []int64{9}, []int64{1}), "lies outside of its 32 bytes"),
		pickled("shape that overflows", shaped(8, 0, []int64{max31, max31, 4}, []int64{0, 0, 0}), "lies outside of its 32 bytes"),
		pickled("shape beyond all numbers", shaped(8, 0, []int64{max63}, []int64{1}), "a tensor of a form that is not known"),
		pickled("shape below zero", shaped(8, 0, []int64{-1}, []int64{1}), "a tensor of a form that is not known"),
		pickled("shape without stride", shaped(8, 0, []int64{2, 4}, []int64{1}), "a tensor of a form that is not known"),
		pickled("no such record", net(tensor("9", 8, 0, []int64{8}, []int64{1})), "it needs the record data/9, which the archive lacks"),
		pickled("record by a path", net(tensor("../version", 8, 0, []int64{8}, []int64{1})), "it needs the record data/../version"),
		pickled("another type", net(stored("DoubleStorage", "cpu", "0", 8, 0, []int64{8}, []int64{1})), "data/0 has 32 bytes, 8 elements of float64 take 64"),
		pickled("unknown type", net(stored("QInt8Storage", "cpu", "0", 32, 0, []int64{32}, []int64{1})), "of a form that is not known"),
		pickled("device", net(stored("FloatStorage", "meta", "0", 8, 0, []int64{8}, []int64{1})), "a tensor on the device meta"),
		pickled("device with an escape", net(stored("FloatStorage", "cpu\x1b[2J", "0", 8, 0, []int64{8}, []int64{1})), "a tensor on the device"),
		pickled("tensor with state", net(strings.TrimSuffix(weight, "R")+"R}b"), "of a form that TorchScript does not write"),
	}
}

// held is Net with two members more, classes in front of it, and the values of both.
func held(name, classes, one, first, two, second string) change {
	code := classes + members + "  " + one + "\n  " + two + "\n" + forward("", flatten)
	key := func(member string) string { return strings.Fields(member)[0] }
	data := object("__torch__", "Net", "weight", weight, "bias", bias, "training", yes, key(one), first, key(two), second)
	return change{name: name, model: Honest().With("code/__torch__.py", code).With("data.pkl", data), want: "two of __torch__.Net is not what the archive's code declares"}
}

// Unusual are honest members of types that few models have.
func Unusual() Model {
	pair := tuple(whole(1), "]")
	return held("", "class NT(NamedTuple):\n  a : int\n  b : List[int]\n", "one : __torch__.NT", tuple(whole(1), "]q\x05"),
		"two : Tuple[complex, Union[int, Tuple[int, List[int]]], Optional[List[int]], Any]",
		tuple(call("builtins", "complex", "G"+strings.Repeat("\x00", 8), "G"+strings.Repeat("\x00", 8)), pair, "h\x05", text("a"))).model
}

// objects are not what the code says they are.
func objects() []change {
	return []change{
		pickled("number for a tensor", net(whole(1)), "weight of __torch__.Net is not what the archive's code declares"),
		pickled("object for a tensor", net(instance("__torch__", "Net", "training", yes)), "weight of __torch__.Net is not what"),
		pickled("member that is not declared", object("__torch__", "Net", "extra", yes), "__torch__.Net has no member extra"),
		pickled("number for a name", "\x80\x02"+global("__torch__", "Net")+")\x81}(K\x01K\x02ub.", "whose name is no text"),
		pickled("object without state", "\x80\x02"+global("__torch__", "Net")+")\x81.", "of a form that TorchScript does not write"),
		pickled("state that is no dict", object2(tuple(weight)), "of a form that TorchScript does not write"),
		pickled("object kept too early", "\x80\x02"+global("__torch__", "Net")+")\x81q\x00}b.", "kept before it has its state"),
		pickled("dict filled twice", "\x80\x02"+global("__torch__", "Net")+")\x81}(X\x01\x00\x00\x00aK\x01u(X\x01\x00\x00\x00bK\x01ub.", "filled twice"),
		pickled("list of another kind", net(call("torch.jit._pickle", "build_intlist", "](X\x01\x00\x00\x00ae")), "weight of __torch__.Net is not what"),
		{name: "another class than declared", model: Honest().
			With("code/__torch__.py", "class A(Module):\n  a : int\nclass B(Module):\n  a : int\n  b : int\nclass Net(Module):\n  part : __torch__.B\n").
			With("data.pkl", object("__torch__", "Net", "part", instance("__torch__", "A", "a", "K\x01"))),
			want: "part of __torch__.Net is not what the archive's code declares"},
		held("list under two types of object", "class Small(Module):\n  a : int\nclass Big(Module):\n  a : int\n  b : int\n", "one : List[__torch__.Small]", "]q\x05", "two : List[__torch__.Big]", "h\x05"),
		held("list under two types of tuple", "", "one : List[Tuple[int]]", "]q\x05", "two : List[Tuple[int, int]]", "h\x05"),
		held("list under two types, within", "", "one : Optional[List[Tuple[int]]]", "]q\x05", "two : Tuple[int, List[Tuple[int, int]]]", tuple(whole(1), "h\x05")),
		held("list under another type than its own", "", "one : List[Tuple[int]]", call("torch.jit._pickle", "restore_type_tag", "]q\x05", text("List[Tuple[int]]")), "two : Any", call("torch.jit._pickle", "restore_type_tag", "h\x05", text("List[Tuple[int, int]]"))),
		held("dict under two types", "", "one : Dict[str, Tuple[int]]", "}q\x05", "two : Dict[str, Tuple[int, int]]", "h\x05"),
		held("tuple with names, too short", "class NT(NamedTuple):\n  a : int\n  b : int\n", "one : int", whole(1), "two : __torch__.NT", tuple(whole(7))),
		held("tuple with names, of another kind", "class NT(NamedTuple):\n  a : int\n  b : Tensor\n", "one : int", whole(1), "two : __torch__.NT", tuple(whole(7), whole(7))),
		held("tuple too short for a union", "", "one : int", whole(1), "two : Union[Tuple[int, int], NoneType]", tuple(whole(7))),
		held("tuple of a type that is not known", "", "one : int", whole(1), "two : Future[Tuple[int, int]]", tuple(whole(7))),
		{name: "class twice", model: Honest().With("code/__torch__.py", source("", flatten)+source("", flatten)), want: "the class __torch__.Net is there twice"},
	}
}
