package pickle

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"ulrl/pipeline/testenv"
)

func everything(Global) error { return nil }

func dict(pairs ...any) *Dict {
	d := NewDict()
	for i := 0; i < len(pairs); i += 2 {
		d.Set(pairs[i], pairs[i+1])
	}
	return d
}

// CPython writes, in each protocol, what is read here.
func TestReadsWhatPythonWrites(t *testing.T) {
	python := testenv.Python(t)
	const program = `
import collections, pickle, sys
shared = [1]
value = {
    "none": None, "yes": True, "no": False, "small": 7, "byte": 255, "short": 65535, "negative": -3, "int": 2**31 - 1,
    "long": -2**62, "longest": 2**63 - 1, "float": 0.1, "text": "Grüße", "long text": "x" * 300, "empty": (),
    "one": (1,), "three": (1, 2, 3), "four": (1, 2, 3, 4), "list": [1, "a", [2.5]], "shared": [shared, shared],
    7: "number", "ordered": collections.OrderedDict([("b", 1), ("a", 2)]), "class": collections.OrderedDict,
}
if sys.argv[1] != "0":
    value["set"] = {5}
    value["bytes"] = b"\x00\xff"
sys.stdout.buffer.write(pickle.dumps(value, protocol=int(sys.argv[1])))
`
	shared := &List{[]any{int64(1)}}
	ordered := Global{"collections", "OrderedDict"}
	for _, protocol := range []string{"0", "1", "2", "3", "4", "5"} {
		text, err := exec.Command(python, "-c", program, protocol).Output()
		if err != nil {
			t.Fatal(err)
		}
		got, err := Read(text, everything)
		if err != nil {
			t.Fatalf("protocol %s: %v", protocol, err)
		}
		d := got.(*Dict)
		for key, want := range map[any]any{
			"none": nil, "yes": true, "no": false, "small": int64(7), "byte": int64(255), "short": int64(65535),
			"negative": int64(-3), "int": int64(1<<31 - 1), "long": int64(-1 << 62), "longest": int64(1<<63 - 1), "float": 0.1,
			"text": "Grüße", "long text": strings.Repeat("x", 300), "empty": Tuple{}, "one": Tuple{int64(1)},
			"three": Tuple{int64(1), int64(2), int64(3)}, "four": Tuple{int64(1), int64(2), int64(3), int64(4)},
			"list": &List{[]any{int64(1), "a", &List{[]any{2.5}}}}, "shared": &List{[]any{shared, shared}}, int64(7): "number",
			"class": ordered,
		} {
			if value, ok := d.Get(key); !ok || !reflect.DeepEqual(value, want) {
				t.Errorf("protocol %s, %v: got %#v", protocol, key, value)
			}
		}
		list, _ := d.Get("shared")
		if items := list.(*List).Items; items[0] != items[1] {
			t.Errorf("protocol %s: a list that is shared became two", protocol)
		}
		value, _ := d.Get("ordered")
		object, ok := value.(*Object)
		if !ok || object.Class != ordered {
			t.Fatalf("protocol %s: ordered dict: %#v", protocol, value)
		}
		if object.Entries != nil && !reflect.DeepEqual(object.Entries.Keys, []any{"b", "a"}) {
			t.Errorf("protocol %s: ordered dict: %v", protocol, object.Entries.Keys)
		}
	}
}

func TestPythonReadsWhatIsWritten(t *testing.T) {
	python := testenv.Python(t)
	value := dict("none", nil, "flags", Tuple{true, false}, "n", &List{[]any{int64(0), int64(255), int64(256), int64(-1), int64(1 << 40), int64(-1 << 63)}},
		"x", 0.1, "t", "Grüße", int64(3), Tuple{}, "four", Tuple{"a", "b", "c", "d"}, "none in it", &List{}, "nothing", NewDict(),
		"ordered", &Object{Class: Global{"collections", "OrderedDict"}, Args: Tuple{}, Entries: dict("b", int64(1), "a", int64(2))},
		"c", Global{"collections", "OrderedDict"}, "counted", &Object{Class: Global{"collections", "deque"}, Args: Tuple{}, Items: []any{int64(1), int64(2)}})
	text, err := Write(value)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "value.pkl")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	const program = `
import collections, pickle, sys
got = pickle.load(open(sys.argv[1], "rb"))
want = {
    "none": None, "flags": (True, False), "n": [0, 255, 256, -1, 1 << 40, -1 << 63], "x": 0.1, "t": "Grüße", 3: (),
    "four": ("a", "b", "c", "d"), "none in it": [], "nothing": {}, "ordered": collections.OrderedDict([("b", 1), ("a", 2)]),
    "c": collections.OrderedDict, "counted": collections.deque([1, 2]),
}
assert got == want and list(got) == list(want), got
`
	if out, err := exec.Command(python, "-c", program, file).CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
	again, err := Read(text, everything)
	if err != nil || !reflect.DeepEqual(again.(*Dict).Keys, value.Keys) {
		t.Errorf("read back: %v, %v", again, err)
	}
}

func TestWhatIsNamedIsAskedFor(t *testing.T) {
	refuse := errors.New("refused")
	for name, text := range map[string]string{
		"protocol 0":    "cos\nsystem\n(S'id'\ntR.",
		"protocol 4":    "\x80\x04\x8c\x02os\x94\x8c\x06system\x94\x93\x94\x8c\x02id\x94\x85\x94R\x94.",
		"INST":          "(S'id'\nios\nsystem\n.",
		"OBJ":           "(cos\nsystem\nS'id'\no.",
		"NEWOBJ":        "\x80\x02cos\nsystem\nU\x02id\x85\x81.",
		"before errors": "cos\nsystem\n\xff",
	} {
		var asked []string
		_, err := Read([]byte(text), func(g Global) error {
			asked = append(asked, g.String())
			return refuse
		})
		if !errors.Is(err, refuse) || !reflect.DeepEqual(asked, []string{"os.system"}) {
			t.Errorf("%s: asked for %q, %v", name, asked, err)
		}
	}
	// Allowed, it is still data only.
	got, err := Read([]byte("cos\nsystem\n(S'id'\ntR."), everything)
	if want := (&Object{Class: Global{"os", "system"}, Args: Tuple{"id"}}); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%#v, %v", got, err)
	}
}

func TestDamagedPicklesAreErrors(t *testing.T) {
	for name, test := range map[string]struct{ text, want string }{
		"empty":             {"", "too early"},
		"no stop":           {"N", "too early"},
		"nothing":           {".", "left over"},
		"two values":        {"NN.", "left over"},
		"mark left":         {"(N.", "left over"},
		"pop of nothing":    {"0.", "no mark"},
		"below the mark":    {"N(s.", "nothing to work on"},
		"no mark":           {"Nt.", "no mark"},
		"huge text":         {"X\xff\xff\xff\xffab.", "too early"},
		"huge text, wide":   {"\x8d\xff\xff\xff\xff\xff\xff\xff\xffab.", "too early"},
		"huge number":       {"\x8b\xff\xff\xff\x7f.", "too early"},
		"long number":       {"\x8a\x09\x00\x00\x00\x00\x00\x00\x00\x00\x01.", "beyond 64 bits"},
		"long, top bit":     {"\x8a\x09\x00\x00\x00\x00\x00\x00\x00\x80\x00.", "beyond 64 bits"},
		"no such memo":      {"h\x05.", "no value 5"},
		"key without value": {"}(Nu.", "key without"},
		"entries of a list": {"](NNu.", "no entries"},
		"items of a dict":   {"}(Ne.", "no items"},
		"state of a list":   {"]Nb.", "no state"},
		"call of a list":    {"])R.", "a call of"},
		"args no tuple":     {"ca\nb\n]R.", "no tuple"},
		"call of nothing":   {"(o.", "call of nothing"},
		"name no text":      {"NN\x93.", "no text"},
		"extension":         {"\x82\x01.", "not known"},
		"out of band":       {"\x97.", "not known"},
		"frame":             {"\x80\x04\x95\x01\x00", "too early"},
		"escapes":           {"Va\\u0100\n.", "escapes"},
		"float":             {"Fabc\n.", "no number"},
		"quotes":            {"Sabc\n.", "quotes"},
	} {
		if v, err := Read([]byte(test.text), everything); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, %v", name, v, err)
		}
	}
}

func TestManyValuesAreRefused(t *testing.T) {
	if _, err := Read(append(bytes.Repeat([]byte{'N'}, maxValues+1), '.'), everything); err == nil || !strings.Contains(err.Error(), "too many") {
		t.Error(err)
	}
}

func TestMarksAndKeysAreBounded(t *testing.T) {
	if _, err := Read(bytes.Repeat([]byte{'('}, 1<<20), everything); err == nil || !strings.Contains(err.Error(), "too many") {
		t.Error(err)
	}
	long := append([]byte("}X\x01\x04\x00\x00"), bytes.Repeat([]byte{'k'}, maxKey+1)...)
	if _, err := Read(append(long, "Ns."...), everything); err == nil || !strings.Contains(err.Error(), "a key of 1025 bytes") {
		t.Error(err)
	}
}

// What is wrong with an array is said without repeating the array.
func TestDamagedArraysAreNotPrinted(t *testing.T) {
	shape := any(Tuple{})
	for range 40 {
		shape = Tuple{shape, shape}
	}
	dtype := &Object{Class: Global{"numpy", "dtype"}, Args: Tuple{"u1"}}
	array := &Object{Class: Global{"numpy.core.multiarray", "_reconstruct"}, State: Tuple{int64(1), Tuple{shape}, dtype, false, []byte{}}}
	if _, ok, err := ArrayOf(array); !ok || err == nil || len(err.Error()) > 200 {
		t.Errorf("%v, %d bytes of error", ok, len(fmt.Sprint(err)))
	}
}

// Bytes are written in several ways, no bytes at all by the type's name.
func TestBytes(t *testing.T) {
	for name, c := range map[string]struct {
		value any
		want  string
		ok    bool
	}{
		"bytes": {[]byte("a"), "a", true}, "text": {"a", "a", true},
		"encoded": {&Object{Class: Global{"_codecs", "encode"}, Args: Tuple{"\u00ff", "latin1"}}, "\xff", true},
		"none":    {&Object{Class: Global{"__builtin__", "bytes"}}, "", true},
		"so many": {&Object{Class: Global{"builtins", "bytes"}, Args: Tuple{int64(9)}}, "", false},
		"another": {&Object{Class: Global{"os", "bytes"}}, "", false},
		"number":  {int64(1), "", false},
	} {
		if got, ok := Bytes(c.value); ok != c.ok || string(got) != c.want {
			t.Errorf("%s: %q, %v", name, got, ok)
		}
	}
	if !NumPy(Global{"__builtin__", "bytes"}) || NumPy(Global{"__builtin__", "eval"}) {
		t.Error("of the built-in names bytes alone is NumPy's")
	}
}

func TestWriteRefuses(t *testing.T) {
	for _, v := range []any{[]byte{1}, &Set{}, 1, &List{[]any{struct{}{}}}, &Object{Named: NewDict()}} {
		if _, err := Write(v); err == nil {
			t.Errorf("%T was written", v)
		}
	}
}

func FuzzRead(f *testing.F) {
	text, err := Write(dict("a", Tuple{int64(1), 2.5}, "b", &Object{Class: Global{"collections", "OrderedDict"}, Args: Tuple{}, Entries: dict("x", Persistent{"1"})}))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte("\x80\x04\x8c\x02os\x94\x8c\x06system\x94\x93\x94\x8c\x02id\x94\x85\x94R\x94."))
	f.Add([]byte("}(N]u."))
	f.Fuzz(func(t *testing.T, text []byte) {
		if _, err := Read(text, everything); err != nil && err.Error() == "" {
			t.Error("an error without words")
		}
		if _, err := ReadTorchScript(text, everything); err == nil {
			if _, err := Read(text, everything); err != nil {
				t.Errorf("taken as TorchScript's, and else %v", err)
			}
		}
	})
}

// Errors name values in words of the field, not by Go's types.
func TestErrorsAreInPlainWords(t *testing.T) {
	for text, want := range map[string]string{
		"\x80\x02)K\x01a.":                         "a tuple takes no items",
		"\x80\x02ccollections\nOrderedDict\n)R)R.": "a call of an object",
		"\x80\x02K\x01}b.":                         "a number takes no state",
		"\x80\x02N(K\x01K\x02u.":                   "None takes no entries",
	} {
		if _, err := Read([]byte(text), everything); err == nil || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
	for _, v := range []any{nil, true, int64(1), 1.5, "a", []byte("a"), Tuple{}, &List{}, NewDict(), &Set{}, Global{}, &Object{}, Persistent{}, &Array{}} {
		if kind := Kind(v); kind == Kind(struct{}{}) {
			t.Errorf("%T has no kind", v)
		}
	}
}

func TestTorchScriptIsStricter(t *testing.T) {
	for text, want := range map[string]string{
		"\x80\x02}(X\x01\x00\x00\x00aK\x01u.": "",
		"\x80\x02]q\x00.":                     "",
		"\x80\x02\x8c\x01a.":                  "opcode 0x8c: TorchScript does not write it",
		"\x80\x02).)":                         "something lies behind its end",
		"\x80\x02ca\nb\n)\x81q\x00}b.":        "kept before it has its state",
		"\x80\x02](K\x01e(K\x02e.":            "filled twice",
		"\x80\x02}(X\x01\x00\x00\x00aK\x01u(X\x01\x00\x00\x00bK\x01u.": "filled twice",
	} {
		if _, err := Read([]byte(text), everything); err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
		_, err := ReadTorchScript([]byte(text), everything)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: got %v, want %q", text, err, want)
		}
	}
}
