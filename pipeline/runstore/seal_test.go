package runstore

import (
	"encoding/json"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestASealBreaksWithAnyBit(t *testing.T) {
	for _, indent := range []string{"", " ", "  "} {
		object, err := json.MarshalIndent(map[string]any{"a": 1.5, "b": []string{"x", `}, "checksum": "`}}, "", indent)
		if indent == "" {
			object, err = json.Marshal(map[string]any{"a": 1.5, "b": "x"})
		}
		if err != nil {
			t.Fatal(err)
		}
		text := Seal(object)
		var back map[string]any
		if err := json.Unmarshal(text, &back); err != nil || back["a"] != 1.5 || len(back["checksum"].(string)) != 64 {
			t.Fatalf("%q: %v", text, err)
		}
		if err := CheckSeal(text); err != nil {
			t.Errorf("%q: %v", text, err)
		}
		for i := range len(text) - 1 { // the last byte is a line's end
			for bit := range 8 {
				bad := append([]byte{}, text...)
				if bad[i] ^= 1 << bit; CheckSeal(bad) == nil {
					t.Errorf("byte %d, bit %d: %q passes", i, bit, bad)
				}
			}
			if CheckSeal(text[:i]) == nil {
				t.Errorf("the first %d bytes pass", i)
			}
		}
	}
	if err := CheckSeal([]byte(`{"a": 1}`)); err != nil {
		t.Errorf("of an earlier ulrl: %v", err)
	}
}

func TestDamagedFilesAreNamed(t *testing.T) {
	whole := func(t *testing.T) string {
		dir := filepath.Join(t.TempDir(), "run")
		r, err := Create(dir, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(r.WriteFile(FileCleaned, []byte("weights")), r.WriteFile(FileNeurons, []byte("layer,index")),
			r.Event(PhaseEvent{Kind: KindPhase, Phase: "x"}), r.Finish(StatusComplete, &Result{Name: "n"})); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	if err := CheckFiles(whole(t), FileResult); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{FileCleaned, FileNeurons, FileEvents, FileResult} {
		for harm, do := range map[string]func(path string) error{
			"cut":  func(path string) error { return os.Truncate(path, 3) },
			"gone": os.Remove,
			"flipped": func(path string) error {
				text, err := os.ReadFile(path)
				if err == nil {
					text[rand.IntN(len(text)-1)] ^= 1 << 3
					err = os.WriteFile(path, text, 0o644)
				}
				return err
			},
		} {
			dir := whole(t)
			if err := do(filepath.Join(dir, name)); err != nil {
				t.Fatal(err)
			}
			err := CheckFiles(dir, FileResult)
			if name == FileResult && harm == "gone" {
				if !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("%s %s: %v", name, harm, err)
				}
			} else if !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), name) {
				t.Errorf("%s %s: %v", name, harm, err)
			}
		}
	}
}

// The page is made of the result, and anew by "ulrl report": the run is whole without it.
func TestThePageIsNotVouchedFor(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	r, err := Create(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(r.WriteFile(FileReport, []byte("<p>")), r.WriteFile(FileCleaned, []byte("weights")), r.Finish(StatusComplete, &Result{})); err != nil {
		t.Fatal(err)
	}
	var of struct {
		Sums map[string]string `json:"sha256"`
	}
	if err := ReadSealed(filepath.Join(dir, FileResult), &of); err != nil || of.Sums[FileReport] != "" || of.Sums[FileCleaned] == "" {
		t.Errorf("sums %v, %v", of.Sums, err)
	}
	// Results of before name it.
	of.Sums[FileReport] = SumOf([]byte("<p>"))
	object, err := json.MarshalIndent(of, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, FileResult), Seal(object), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, FileReport), []byte("<p>anew"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := CheckFiles(dir, FileResult); err != nil {
		t.Error(err)
	}
}
