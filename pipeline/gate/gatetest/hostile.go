package gatetest

import (
	"bytes"
	"compress/flate"
	"testing"
)

// Hostile is a file that must not pass.
type Hostile struct {
	Name string
	Data []byte
	Want string // in the one line of the refusal
	// Late: the file passes Check and is refused by what its graphs hold, or by libtorch.
	Late bool
	// Writes: with no gate, loading it and running forward on 1×1×2×2 images writes
	// the canary's file.
	Writes bool
}

// Corpus is every hostile file. Those that write something write the file canary.
func Corpus(t testing.TB, canary string) []Hostile {
	t.Helper()
	all := containers(t)
	for _, list := range [][]change{records(), code(canary), operators(), deep(), pickles(), tensors(), objects()} {
		for _, c := range list {
			all = append(all, Hostile{c.name, c.model.Bytes(t), c.want, c.late, c.writes})
		}
	}
	return all
}

// change is a hostile file that a ZIP writer can write.
type change struct {
	name   string
	model  Model
	want   string
	late   bool
	writes bool
}

func deflated(t testing.TB, data []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := flate.NewWriter(&out, flate.BestSpeed)
	if err == nil {
		_, err = w.Write(data)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}
