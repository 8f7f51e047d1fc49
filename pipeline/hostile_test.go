package pipeline

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"ulrl/pipeline/gate/gatetest"
	"ulrl/pipeline/sandbox"
	"ulrl/pipeline/testenv"
	torch "ulrl/torchbridge"
)

// asVictim has TestAsVictim load the file that it names, without the gate.
const asVictim = "ULRL_TEST_VICTIM_OF"

// TestAsVictim is the process that a hostile file is given to.
func TestAsVictim(t *testing.T) {
	path := os.Getenv(asVictim)
	if path == "" {
		return // it is no test of its own
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lib, err := torch.Open(nil)
	if err != nil {
		t.Fatal(err)
	}
	if os.Getenv(asVictim+"_CONFINED") != "" {
		if _, err := Confine(sandbox.Rights{Memory: 4 << 30}); err != nil {
			t.Fatal(err)
		}
	}
	dev, err := lib.Device("cpu", 1)
	if err != nil {
		t.Fatal(err)
	}
	defer dev.Close()
	_ = dev.Do(context.Background(), func(s *torch.Scope) error {
		m, err := s.LoadModule(data)
		if err == nil {
			m.Forward(s.Full(0.5, torch.Float32, 1, 1, 2, 2))
		}
		return err
	})
}

// What writes files from a hostile model when nothing stops it writes none when it
// is confined, though the gate is not there.
func TestHostileModelsStayInside(t *testing.T) {
	if has := sandbox.Supported(); !has.Enough() {
		testenv.Skip(t, "this kernel has %s", has)
	}
	canary := filepath.Join(t.TempDir(), "canary")
	tried := 0
	for _, h := range gatetest.Corpus(t, canary) {
		if !h.Writes {
			continue
		}
		path := filepath.Join(t.TempDir(), "model.pt")
		if err := os.WriteFile(path, h.Data, 0o600); err != nil {
			t.Fatal(err)
		}
		written := func(confined string) bool {
			cmd := exec.Command(os.Args[0], "-test.run=^TestAsVictim$")
			cmd.Env = append(os.Environ(), asVictim+"="+path, asVictim+"_CONFINED="+confined)
			out, err := cmd.CombinedOutput()
			_, stat := os.Stat(canary)
			if confined != "" && err != nil && !errors.As(err, new(*exec.ExitError)) {
				t.Errorf("%s: %v: %s", h.Name, err, out)
			}
			if stat == nil {
				if err := os.Remove(canary); err != nil {
					t.Fatal(err)
				}
			} else if !errors.Is(stat, fs.ErrNotExist) {
				t.Fatal(stat)
			}
			return stat == nil
		}
		if !written("") {
			t.Errorf("%s: it writes nothing with nothing to stop it: it proves nothing", h.Name)
		}
		if written("1") {
			t.Errorf("%s: it wrote out of the sandbox", h.Name)
		}
		tried++
	}
	if tried == 0 {
		t.Error("no file of the corpus writes")
	}
	t.Logf("%d files", tried)
}
