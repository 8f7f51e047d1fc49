package pipeline

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"ulrl/pipeline/attack"
	"ulrl/pipeline/config"
	"ulrl/pipeline/dataset"
	"ulrl/pipeline/fault"
	"ulrl/pipeline/runstore"
)

// FileCheckpoint is what Attack keeps of a training that is not over.
const FileCheckpoint = "checkpoint.zip"

// checkpointFile keeps the checkpoint of a lab's training.
type checkpointFile struct {
	dir   string
	of    *attack.Lab
	saved int // epochs
}

// checkpointState is state.json in the file.
type checkpointState struct {
	Epochs int    `json:"epochs"`
	Key    string `json:"key"` // of what the training follows from
}

func (f *checkpointFile) path() string { return filepath.Join(f.dir, FileCheckpoint) }

// use has the lab save after each epoch, and with resume begin where the file
// says, if there is one.
func (f *checkpointFile) use(env Env, resume bool) error {
	key, err := f.key()
	if err != nil {
		return err
	}
	_, err = os.Stat(f.path())
	there := err == nil
	switch {
	case resume && there:
		at, err := f.read(key)
		if errors.Is(err, runstore.ErrDamaged) {
			env.Log.Warnf("%v: the training begins anew", err)
			break
		} else if err != nil {
			return err
		}
		f.of.Resume, f.saved = at, at.Epochs
		env.Log.Infof("going on after epoch %d of %d", at.Epochs, f.of.Config.Train.Epochs)
	case resume:
		env.Log.Infof("%s is not there: the training begins anew", f.path())
	case there:
		env.Log.Warnf("%s, of a training that was interrupted, is replaced: --resume would go on with it", f.path())
	}
	f.of.Save = func(at attack.Checkpoint) error {
		if at.Epochs == f.of.Config.Train.Epochs {
			return nil // the model itself follows
		}
		data, err := packCheckpoint(at, checkpointState{Epochs: at.Epochs, Key: key})
		if err != nil {
			return fmt.Errorf("write %s: %w", f.path(), err)
		}
		if err := runstore.WriteFileAtomic(f.path(), data, 0o644); err != nil {
			return err
		}
		f.saved = at.Epochs
		return nil
	}
	return nil
}

// advise tells how to go on after an interrupt.
func (f *checkpointFile) advise(err error) error {
	if f.saved == 0 || !errors.Is(err, context.Canceled) {
		return err
	}
	return fmt.Errorf("%w: --resume goes on after epoch %d", err, f.saved)
}

func (f *checkpointFile) remove() error {
	if err := os.Remove(f.path()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove the checkpoint of the finished training: %w", err)
	}
	return nil
}

// key is a hash of all that the training follows from but the images, of which
// their labels stand.
func (f *checkpointFile) key() (string, error) {
	c := f.of.Config
	c.Output, c.CleanModel.Dir = "", ""
	h := sha256.New()
	err := json.NewEncoder(h).Encode(struct {
		Attack config.Attack
		Draw   dataset.LoaderOptions
		Labels []int64
	}{c, f.of.Draw, f.of.Set.Labels})
	return hex.EncodeToString(h.Sum(nil)), err
}

// parts are the archives of a checkpoint by their names in the file.
func parts(at *attack.Checkpoint) map[string]*[]byte {
	return map[string]*[]byte{"model.pt": &at.Model, "sgd.pt": &at.SGD, "adam.pt": &at.Adam, "trigger.pt": &at.Trigger}
}

func packCheckpoint(at attack.Checkpoint, state checkpointState) ([]byte, error) {
	text, err := json.Marshal(state)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	put := func(name string, data []byte) error {
		entry, err := w.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Store})
		if err == nil {
			_, err = entry.Write(data)
		}
		return err
	}
	if err := put("state.json", text); err != nil {
		return nil, err
	}
	for name, data := range parts(&at) {
		if *data == nil {
			continue
		}
		if err := put(name, *data); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

func (f *checkpointFile) read(key string) (*attack.Checkpoint, error) {
	var state checkpointState
	var text []byte
	data, err := os.ReadFile(f.path())
	if err != nil {
		return nil, fmt.Errorf("read the checkpoint: %w", err)
	}
	r, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err == nil {
		text, err = fs.ReadFile(r, "state.json")
	}
	if err == nil {
		err = json.Unmarshal(text, &state)
	}
	if err != nil {
		return nil, fmt.Errorf("checkpoint %s: %w: %w", f.path(), runstore.ErrDamaged, err)
	}
	if state.Key != key {
		return nil, fault.Misuse("checkpoint %s is of another config or other data: run without --resume, or with what it was made with", f.path())
	}
	at := &attack.Checkpoint{Epochs: state.Epochs}
	for name, part := range parts(at) {
		if *part, err = fs.ReadFile(r, name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("checkpoint %s: %w: %s: %w", f.path(), runstore.ErrDamaged, name, err)
		}
	}
	return at, nil
}
