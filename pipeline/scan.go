package pipeline

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"

	"ulrl/pipeline/fault"
	"ulrl/pipeline/gate"
)

// Scanned is what Scan found of one file.
type Scanned struct {
	Path    string   `json:"path"`
	OK      bool     `json:"ok"`
	Refused string   `json:"refused,omitempty"` // why, in one line
	SHA256  string   `json:"sha256"`
	Bytes   int      `json:"bytes"`
	Gate    *Verdict `json:"gate,omitempty"`
}

// Scan checks model files as every command does before it loads one, and does no
// more: libtorch is not needed and nothing of a file is run. The error is of a file
// that could not be read; those before it are in the list.
func Scan(ctx context.Context, paths []string) ([]Scanned, error) {
	var list []Scanned
	for _, path := range paths {
		if ctx.Err() != nil {
			return list, ctx.Err()
		}
		one, err := scanFile(path)
		if err != nil {
			return list, fmt.Errorf("scan: %w", err)
		}
		list = append(list, one)
	}
	return list, nil
}

func scanFile(path string) (Scanned, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return Scanned{}, err
	}
	sum := sha256.Sum256(data)
	one := Scanned{Path: path, SHA256: hex.EncodeToString(sum[:]), Bytes: len(data)}
	verdict, err := gate.Check(data)
	var refused *gate.Refused
	switch {
	case errors.As(err, &refused):
		one.Refused = refused.Error()
	case err != nil:
		return one, fmt.Errorf("%s: %w", path, err)
	default:
		one.OK, one.Gate = true, verdict
	}
	return one, nil
}

// AllPassed is misuse where the gate refused a file.
func AllPassed(list []Scanned) error {
	refused := 0
	for _, s := range list {
		if !s.OK {
			refused++
		}
	}
	if refused == 0 {
		return nil
	}
	return fault.Misuse("%d of %d files refused", refused, len(list))
}
