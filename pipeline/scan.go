package pipeline

import (
	"context"
	"fmt"

	"ulrl/pipeline/fault"
	"ulrl/pipeline/gate"
	"ulrl/pipeline/model"
	"ulrl/pipeline/runstore"
)

// Scanned is what Scan says of one file: it passed, it was refused, or it could not
// be read.
type Scanned struct {
	Path    string   `json:"path"`
	OK      bool     `json:"ok"`
	Refused string   `json:"refused,omitempty"` // why, in one line
	Error   string   `json:"error,omitempty"`   // why it could not be read
	SHA256  string   `json:"sha256,omitempty"`
	Bytes   int      `json:"bytes"`
	Gate    *Verdict `json:"gate,omitempty"`
}

// Scan checks model files as every command does before it loads one, and does no
// more: libtorch is not needed and nothing of a file is run. With the list comes an
// error where a file did not pass: misuse, but for files that could not be read.
func Scan(ctx context.Context, paths []string) ([]Scanned, error) {
	list := []Scanned{}
	refused, unread := 0, 0
	for _, path := range paths {
		if ctx.Err() != nil {
			return list, ctx.Err()
		}
		one := scanFile(path)
		if one.Refused != "" {
			refused++
		}
		if one.Error != "" {
			unread++
		}
		list = append(list, one)
	}
	switch {
	case unread > 0:
		return list, fmt.Errorf("%d of %d files could not be read, %d refused", unread, len(list), refused)
	case refused > 0:
		return list, fault.Misuse("%d of %d files refused", refused, len(list))
	}
	return list, nil
}

func scanFile(path string) Scanned {
	data, err := model.ReadBytes(path)
	if err != nil {
		return Scanned{Path: path, Error: err.Error()}
	}
	one := Scanned{Path: path, SHA256: runstore.SumOf(data), Bytes: len(data)}
	verdict, err := gate.Check(data)
	if err != nil {
		one.Refused = err.Error()
		return one
	}
	one.OK, one.Gate = true, verdict
	one.Gate.Archive = nil // a list of models need not fit in memory
	return one
}

// CheckModel is Scan of one file, as an error.
func CheckModel(path string) error {
	_, err := model.ReadFile(path)
	return err
}
