package pipeline

import (
	"context"
	"encoding/json"
	"math"
	"os"
	"os/exec"
	"testing"

	"ulrl/pipeline/testenv"
	torch "ulrl/torchbridge"
)

// The cleaned file is an ordinary TorchScript file: Python's torch loads it,
// gets the same logits, and can train it.
func TestPythonLoadsTheCleanedModel(t *testing.T) {
	interpreter := testenv.Python(t, "torch")
	f := newFixture(t)
	f.attack()
	if _, err := Run(context.Background(), f.config(), f.env, RunOptions{}); err != nil {
		t.Fatal(err)
	}
	const script = `
import json, sys, torch
model = torch.jit.load(sys.argv[1])
assert not model.training
x = (torch.arange(2 * 144).float().reshape(2, 1, 12, 12) % 17) / 8 - 1
logits = model(x)
model.train()
model(x).sum().backward()
assert all(p.grad is not None for p in model.parameters())
print(json.dumps(logits.flatten().tolist()))
`
	cmd := exec.Command(interpreter, "-c", script, f.path("run", "cleaned.pt"))
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var theirs []float64
	if err := json.Unmarshal(out, &theirs); err != nil {
		t.Fatal(err)
	}
	archive, err := os.ReadFile(f.path("run", "cleaned.pt"))
	if err != nil {
		t.Fatal(err)
	}
	x := make([]float32, 2*144)
	for i := range x {
		x[i] = float32(i%17)/8 - 1
	}
	testenv.Do(t, f.dev, func(s *torch.Scope) error {
		m, err := s.LoadModule(archive)
		if err != nil {
			return err
		}
		if err := m.Train(false); err != nil {
			return err
		}
		ours := torch.Values[float32](m.Forward(torch.From(s, x, 2, 1, 12, 12)))
		for i := range ours {
			if math.Abs(float64(ours[i])-theirs[i]) > 1e-5 {
				t.Errorf("logit %d: %v here, %v in Python", i, ours[i], theirs[i])
			}
		}
		return s.Err()
	})
}
