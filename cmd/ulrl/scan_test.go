package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ulrl/pipeline/gate/gatetest"
)

func TestScan(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, data []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good := write("good.pt", gatetest.Honest().Bytes(t))
	bad := write("bad.pt", []byte("\x80\x02."))
	for _, c := range []struct {
		paths  []string
		exit   int
		stdout string
		stderr string
	}{
		{[]string{good}, 0, good + ": ok\n", ""},
		{[]string{bad, good}, exitMisuse, bad + ": refused: this is a Python pickle, not TorchScript: save the model with torch.jit.script(model).save(path)\n" + good + ": ok\n", "ulrl: 1 of 2 files refused\n"},
		{[]string{dir, bad, good}, exitFailure, dir + ": not read: not a file\n", "ulrl: 1 of 3 files could not be read, 1 refused\n"},
		{[]string{filepath.Join(dir, "nowhere")}, exitFailure, "nowhere: not read: no such file\n", "could not be read"},
	} {
		got := ulrl(t, append([]string{"scan"}, c.paths...)...)
		if got.exit != c.exit || !strings.Contains(got.stdout, c.stdout) || !strings.Contains(got.stderr, c.stderr) {
			t.Errorf("scan %v: %+v", c.paths, got)
		}
	}
	got := ulrl(t, "scan", "--json", good, bad)
	var found struct {
		Files []struct {
			OK      bool
			Refused string
			Gate    struct{ Operators []string }
		}
		Error string
		Exit  int
	}
	if err := json.Unmarshal([]byte(got.stdout), &found); err != nil {
		t.Fatal(err)
	}
	if len(found.Files) != 2 || !found.Files[0].OK || len(found.Files[0].Gate.Operators) != 2 || found.Files[1].Refused == "" || found.Exit != exitMisuse || got.exit != exitMisuse {
		t.Errorf("got %s", got.stdout)
	}
}
