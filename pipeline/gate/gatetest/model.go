// Package gatetest makes TorchScript files for tests, byte by byte and without
// libtorch: a small honest one, and hostile ones of every kind that is known.
package gatetest

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"strings"
	"testing"
)

// Model is a file in the making.
type Model struct {
	Records []Record
}

// Record is one of a file's.
type Record struct {
	Name   string // behind the file's folder, unless it starts with "/"
	Data   string
	Method uint16 // zip.Store or zip.Deflate
	Flags  uint16
}

// Honest is a linear layer of two classes over four pixels.
func Honest() Model {
	return Model{[]Record{
		{Name: "data.pkl", Data: object("__torch__", "Net", "weight", weight, "bias", bias, "training", yes)},
		{Name: "code/__torch__.py", Data: source("", "torch.flatten(x, 1)"), Method: zip.Deflate},
		{Name: "data/0", Data: strings.Repeat("\x00\x00\x80\x3f", 8)},
		{Name: "data/1", Data: strings.Repeat("\x00\x00\x00\x00", 2)},
		{Name: "constants.pkl", Data: "\x80\x02)."},
		{Name: "version", Data: "3\n"},
	}}
}

// source is the code of Honest, with statements in front of the last one and the
// pixels made by an expression.
func source(statements, pixels string) string {
	return members + forward(statements, pixels)
}

const members = `class Net(Module):
  __parameters__ = ["weight", "bias", ]
  __buffers__ = []
  weight : Tensor
  bias : Tensor
  training : bool
`

func forward(statements, pixels string) string {
	return `  def forward(self: __torch__.Net,
    x: Tensor) -> Tensor:
    weight = self.weight
    bias = self.bias
` + indented(statements) + "    return torch.linear(" + pixels + ", weight, bias)\n"
}

// indented puts statements into a method.
func indented(statements string) string {
	var out strings.Builder
	for line := range strings.Lines(statements) {
		out.WriteString("    " + strings.TrimSuffix(line, "\n") + "\n")
	}
	return out.String()
}

// With is m with a record replaced or added.
func (m Model) With(name, data string) Model {
	for i, r := range m.Records {
		if r.Name == name {
			return m.replaced(i, Record{name, data, r.Method, r.Flags})
		}
	}
	return m.and(Record{Name: name, Data: data})
}

func (m Model) replaced(i int, r Record) Model {
	records := append([]Record{}, m.Records...)
	records[i] = r
	return Model{records}
}

func (m Model) and(r Record) Model {
	return Model{append(append([]Record{}, m.Records...), r)}
}

func (m Model) without(name string) Model {
	var records []Record
	for _, r := range m.Records {
		if r.Name != name {
			records = append(records, r)
		}
	}
	return Model{records}
}

// Bytes is the file.
func (m Model) Bytes(t testing.TB) []byte {
	t.Helper()
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	for _, r := range m.Records {
		name := "net/" + r.Name
		if rest, absolute := strings.CutPrefix(r.Name, "/"); absolute {
			name = rest
		}
		h := &zip.FileHeader{Name: name, Method: r.Method, Flags: r.Flags}
		data := []byte(r.Data)
		h.CRC32, h.UncompressedSize64 = crc32.ChecksumIEEE(data), uint64(len(data))
		if r.Method == zip.Deflate {
			data = deflated(t, data)
		}
		h.CompressedSize64 = uint64(len(data))
		f, err := w.CreateRaw(h)
		if err == nil {
			_, err = f.Write(data)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// What a pickle is made of.
const yes = "\x88"

var (
	weight = tensor("0", 8, 0, []int64{2, 4}, []int64{4, 1})
	bias   = tensor("1", 2, 0, []int64{2}, []int64{1})
)

func global(module, name string) string { return "c" + module + "\n" + name + "\n" }

func text(s string) string {
	return "X" + string(binary.LittleEndian.AppendUint32(nil, uint32(len(s)))) + s
}

func whole(n int64) string {
	return "\x8a\x08" + string(binary.LittleEndian.AppendUint64(nil, uint64(n)))
}

func tuple(items ...string) string { return "(" + strings.Join(items, "") + "t" }

func wholes(list []int64) string {
	var items []string
	for _, n := range list {
		items = append(items, whole(n))
	}
	return tuple(items...)
}

func call(module, name string, args ...string) string {
	return global(module, name) + tuple(args...) + "R"
}

// stored is a tensor of a class of storage, from a device.
func stored(class, device, key string, count, offset int64, shape, stride []int64) string {
	return call("torch._utils", "_rebuild_tensor_v2",
		tuple(text("storage"), global("torch", class), text(key), text(device), whole(count))+"Q",
		whole(offset), wholes(shape), wholes(stride), "\x89", global("collections", "OrderedDict")+")R")
}

func tensor(key string, count, offset int64, shape, stride []int64) string {
	return stored("FloatStorage", "cpu", key, count, offset, shape, stride)
}

// instance is an object and its members, by turns names and values.
func instance(module, class string, state ...string) string {
	out := global(module, class) + ")\x81}("
	for i, s := range state {
		if i%2 == 0 {
			s = text(s)
		}
		out += s
	}
	return out + "ub"
}

// object is a whole pickle of one.
func object(module, class string, state ...string) string {
	return "\x80\x02" + instance(module, class, state...) + "."
}

// net is Honest's data.pkl with another weight.
func net(weight string) string {
	return object("__torch__", "Net", "weight", weight, "bias", bias, "training", yes)
}

// quoted is a text in code.
func quoted(s string) string { return fmt.Sprintf("%q", s) }
