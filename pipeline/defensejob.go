package pipeline

import (
	"context"
	"os"
	"path/filepath"

	"ulrl/pipeline/backdoorbench"
	"ulrl/pipeline/fault"
	"ulrl/pipeline/model"
	"ulrl/pipeline/runstore"
	torch "ulrl/torchbridge"
)

// ExportDefense writes what BackdoorBench's tools read of a defence: the weights of
// a cleaned model under the names that the attack's record has. file "" is where
// those tools look, defense/ulrl/ in the record. It returns the file's name.
func ExportDefense(ctx context.Context, env Env, cleaned, record, file string) (string, error) {
	if file == "" {
		file = filepath.Join(record, "defense", "ulrl", backdoorbench.FileDefense)
	}
	r, err := backdoorbench.Read(record)
	if err != nil {
		return "", err
	}
	from, err := model.ReadFile(cleaned)
	if err != nil {
		return "", err
	}
	dev, err := env.Lib.Device("cpu", PhysicalCores())
	if err != nil {
		return "", err
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
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return "", fault.Misuse("folder of the defence: %w", err)
	}
	return file, runstore.WriteFileAtomic(file, text, 0o644)
}
