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

func TestHonest(t *testing.T) {
	v, err := gate.Check(gatetest.Honest().Bytes(t))
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(v.Operators, " "); got != "torch.flatten torch.linear" {
		t.Errorf("operators %s", got)
	}
	again, err := gate.Check(v.Archive)
	if err != nil {
		t.Fatal(err)
	}
	if string(again.Archive) != string(v.Archive) {
		t.Error("packed again it differs")
	}
}

// Types that few models have are taken where the values are of them; lines without anything
// and numbers of every form take nothing away.
func TestUnusual(t *testing.T) {
	if _, err := gate.Check(gatetest.Unusual().Bytes(t)); err != nil {
		t.Error(err)
	}
	code := "def f(x: int) -> float:\n\n\n  return 1.5e-05\ndef g() -> complex:\n\n  return 1.j\ndef set_all(x: int) -> None:\n  _0 = [1., 1e+20, .5, 0, -7, 1.25]\n  return None\n" +
		"class A(Module):\n  def f(self: __torch__.a.A) -> None:\n    _0 = (self).set_all(1)\n    return None\n"
	if _, err := gate.Check(gatetest.Honest().With("code/__torch__/a.py", code).Bytes(t)); err != nil {
		t.Error(err)
	}
}

// Records that PyTorch writes beside the model, of 2.x too, are left out.
func TestWhatLoadingDoesNotNeedIsLeftOut(t *testing.T) {
	plain, err := gate.Check(gatetest.Honest().Bytes(t))
	if err != nil {
		t.Fatal(err)
	}
	m := gatetest.Honest()
	names := []string{
		".data/serialization_id", "code/__torch__.py.debug_pkl", "extra/note.txt",
		"traced_inputs.pkl", "traced_inputs/0", "traced_inputs/12", // of torch.jit.trace, since 2.0
	}
	for _, name := range names {
		m = m.With(name, "cos\nsystem\n")
	}
	v, err := gate.Check(m.Bytes(t))
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(v.Dropped, names) || !bytes.Equal(v.Archive, plain.Archive) {
		t.Errorf("left out: %q", v.Dropped)
	}
	if _, err := gate.Check(m.With("traced_inputs/x", "").Bytes(t)); err == nil {
		t.Error("traced_inputs/x passed")
	}
}

func TestHostile(t *testing.T) {
	corpus := gatetest.Corpus(t, "/nowhere/canary")
	if len(corpus) < 40 {
		t.Errorf("only %d hostile files", len(corpus))
	}
	seen := map[string]bool{}
	for _, h := range corpus {
		name := strings.ReplaceAll(h.Name, "/", "_")
		if key := h.Name + h.Want; seen[key] {
			t.Errorf("%s is there twice", name)
		} else {
			seen[key] = true
		}
		t.Run(name, func(t *testing.T) {
			_, err := gate.Check(h.Data)
			var refused *gate.Refused
			switch {
			case h.Late && err == nil:
			case h.Late:
				t.Errorf("the text is refused as well: %v", err)
			case !errors.As(err, &refused):
				t.Fatalf("got %v, wanted a refusal", err)
			case !strings.Contains(err.Error(), h.Want):
				t.Errorf("got  %s\nwant %s", err, h.Want)
			}
			if err != nil && (strings.ContainsFunc(err.Error(), func(r rune) bool { return r < ' ' || r == 0x7f }) || len(err.Error()) > 400) {
				t.Errorf("not one line of plain text: %q", err)
			}
		})
	}
	t.Logf("%d files", len(corpus))
}
