package gate_test

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"ulrl/pipeline/gate"
	"ulrl/pipeline/gate/gatetest"
)

// judge wants a verdict on whatever a file holds: one line of plain text, or an
// archive that passes as well and stays as it is.
func judge(t *testing.T, data []byte) {
	t.Helper()
	before := slices.Clone(data)
	v, err := gate.Check(data)
	if !bytes.Equal(data, before) {
		t.Fatal("the file was changed")
	}
	if err != nil {
		var refused *gate.Refused
		if !errors.As(err, &refused) {
			t.Fatalf("no refusal: %v", err)
		}
		if strings.ContainsFunc(err.Error(), func(r rune) bool { return r < ' ' || r >= 0x7f && r < 0xa0 }) || len(err.Error()) > 1000 {
			t.Fatalf("not one line of plain text: %q", err)
		}
		return
	}
	again, err := gate.Check(v.Archive)
	if err != nil {
		t.Fatalf("packed anew it does not pass: %v", err)
	}
	if !bytes.Equal(again.Archive, v.Archive) || len(again.Dropped) > 0 {
		t.Fatal("packed anew twice it differs")
	}
}

func FuzzCheck(f *testing.F) {
	f.Add(gatetest.Honest().Bytes(f))
	for _, h := range gatetest.Corpus(f, "/nowhere/canary") {
		if len(h.Data) < 10_000 {
			f.Add(h.Data)
		}
	}
	f.Fuzz(judge)
}

// The archive's checksums keep a fuzzer from changing records, so those are
// changed before the archive is made.
func FuzzRecords(f *testing.F) {
	honest := gatetest.Honest()
	text := map[string]string{}
	for _, r := range honest.Records {
		text[r.Name] = r.Data
	}
	f.Add(text["data.pkl"], text["constants.pkl"], text["code/__torch__.py"])
	f.Add(text["data.pkl"], "\x80\x02]q\x00(h\x00et.", "class Net(Module):\n  a : Tuple[int, List[Dict[str, Tensor]]]\n  __annotations__[\"0\"] = Optional[__torch__.Net]\n")
	f.Add(text["constants.pkl"], "\x80\x02X\x01\x00\x00\x00a.", "def f(x: Tensor) -> Tensor:\n  return getattr(x, \"0\")\n")
	f.Fuzz(func(t *testing.T, data, constants, code string) {
		judge(t, honest.With("data.pkl", data).With("constants.pkl", constants).With("code/__torch__.py", code).Bytes(t))
	})
}
