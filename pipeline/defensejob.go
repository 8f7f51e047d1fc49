package pipeline

import (
	"context"
	"os"
	"path/filepath"

	"ulrl/pipeline/backdoorbench"
	"ulrl/pipeline/cores"
	"ulrl/pipeline/fault"
	"ulrl/pipeline/model"
	"ulrl/pipeline/runstore"
	torch "ulrl/torchbridge"
)

// DefenseFile is where BackdoorBench's tools look for a defence.
func DefenseFile(record string) string {
	return filepath.Join(record, "defense", "ulrl", backdoorbench.FileDefense)
}

// ExportDefense gives what BackdoorBench's tools read of a defence: the weights of
// a cleaned model under the names that the attack's record has.
func ExportDefense(ctx context.Context, env Env, cleaned, record string) ([]byte, error) {
	r, err := backdoorbench.Read(record)
	if err != nil {
		return nil, err
	}
	from, err := model.ReadFile(cleaned)
	if err != nil {
		return nil, err
	}
	dev, err := env.Lib.Device("cpu", cores.Count())
	if err != nil {
		return nil, err
	}
	defer dev.Close()
	var text []byte
	err = dev.Do(ctx, func(s *torch.Scope) error {
		m, err := from.Load(s)
		if err != nil {
			return err
		}
		text, err = r.Defense(s, m)
		return err
	})
	return text, err
}

// WriteDefense puts text where file says, and makes the folder.
func WriteDefense(file string, text []byte) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return fault.Misuse("folder of the defence: %w", err)
	}
	return runstore.WriteFileAtomic(file, text, 0o644)
}
