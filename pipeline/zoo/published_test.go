package zoo

import (
	"bufio"
	"cmp"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"ulrl/pipeline/testenv"
	torch "ulrl/torchbridge"
)

// checker is testdata/published.py, running.
type checker struct {
	in  io.WriteCloser
	out *bufio.Reader
}

func newChecker(t *testing.T) *checker {
	t.Helper()
	cmd := exec.Command(testenv.Python(t, "torch", "torchvision"), filepath.Join("testdata", "published.py"))
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	})
	return &checker{in, bufio.NewReader(out)}
}

// check is what the script says about a file.
func (c *checker) check(t *testing.T, path string, spec Spec) string {
	t.Helper()
	err := json.NewEncoder(c.in).Encode(map[string]any{
		"path": path, "name": spec.Name, "width": spec.Width, "classes": spec.Classes,
	})
	if err != nil {
		t.Fatal(err)
	}
	answer, err := c.out.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(answer)
}

// The published definitions take our state dicts, with the same keys in the
// same order, and compute the same, all of it in Python: logits, and statistics in training.
func TestNetworksEqualThePublishedOnes(t *testing.T) {
	testenv.AnyLibtorch(t)
	published := newChecker(t)
	small := map[string]int{"vgg16": 8, "vgg16_bn": 8, "vgg19": 8} // these are large; vgg19_bn speaks for them
	var specs []Spec
	for _, n := range networks() {
		specs = append(specs, Spec{Name: n.name, Width: cmp.Or(small[n.name], n.width)})
	}
	specs = append(specs,
		Spec{Name: "vit_b_16", Width: 128}, Spec{Name: "mobilenet_v3_large", Width: 24}, Spec{Name: "densenet121", Width: 12})
	for _, spec := range specs {
		spec.Channels, spec.Classes, spec.Seed = 3, 10, 1
		t.Run(spec.Name+"-"+itoa(spec.Width), func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "network.pt")
			save(t, path, spec)
			if answer := published.check(t, path, spec); answer != "ok" {
				t.Error(answer)
			}
		})
	}
}

func save(t *testing.T, path string, spec Spec) {
	t.Helper()
	_, dev := testenv.CPU(t)
	testenv.Do(t, dev, func(s *torch.Scope) error {
		m, err := New(s, spec)
		if err != nil {
			return err
		}
		archive, err := m.Save()
		if err != nil {
			return err
		}
		return os.WriteFile(path, archive, 0o644)
	})
}
