// Package model reads a TorchScript classifier and says what it is: whether it
// can be cleaned, which layers it has, which one is its head.
package model

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"ulrl/pipeline/fault"
	"ulrl/pipeline/gate"
	"ulrl/pipeline/memory"
	torch "ulrl/torchbridge"
)

// File is a model file that passed the gate. It is read once: what was hashed is
// what was checked, and what was checked is what is loaded.
type File struct {
	Path   string
	SHA256 string // hex, of the file
	Size   int    // of the file, bytes
	gate.Verdict
}

// ReadFile reads a TorchScript archive and refuses what a classifier's file does
// not look like, without running any of it.
func ReadFile(name string) (*File, error) {
	data, err := ReadBytes(name)
	if err != nil {
		return nil, fault.Misuse("model %s: %w", name, err)
	}
	verdict, err := gate.Check(data)
	if err != nil {
		return nil, fault.Misuse("model %s: %w", name, err)
	}
	sum := sha256.Sum256(data)
	return &File{Path: name, SHA256: hex.EncodeToString(sum[:]), Size: len(data), Verdict: *verdict}, nil
}

// ReadBytes reads a file, and does not wait for pipes and devices, nor begins what memory
// does not hold. Its errors do not name the file.
func ReadBytes(name string) ([]byte, error) {
	info, err := os.Stat(name)
	if err == nil {
		err = readable(info)
	}
	var data []byte
	if err == nil {
		data, err = os.ReadFile(name)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errors.New("no such file")
	}
	if pe := (*fs.PathError)(nil); errors.As(err, &pe) {
		err = pe.Err
	}
	return data, err
}

// readable says why a file's contents cannot be had.
func readable(file fs.FileInfo) error {
	if !file.Mode().IsRegular() {
		return errors.New("not a file")
	}
	const gib = 1 << 30
	if have, err := memory.Available(); err == nil && file.Size() > have {
		return fmt.Errorf("it has %.1f GiB, and %.1f GiB of memory are free", float64(file.Size())/gib, float64(have)/gib)
	}
	return nil
}

// Load loads the archive onto the scope's device and checks what its code can do
// and that forward takes one tensor, before anything of it is run.
func (f *File) Load(s *torch.Scope) (*torch.Module, error) {
	m, err := s.LoadModule(f.Archive)
	if err != nil {
		return nil, f.refused("libtorch cannot load it", err)
	}
	operators, err := m.Operators()
	if err != nil {
		return nil, f.refused("read its operators", err)
	}
	if err := gate.Operators(operators); err != nil {
		m.Close()
		return nil, fault.Misuse("model %s: %w", f.Path, err)
	}
	required, most, err := m.Arity()
	if err != nil {
		return nil, f.refused("read its forward", err)
	}
	if required > 1 || most < 1 {
		return nil, fault.Misuse("model %s: its forward wants %d inputs; a classifier takes one, a batch of images", f.Path, required)
	}
	return m, nil
}

// refused words an error of libtorch's about the file: the user's to mend by another
// file, unless memory ran out.
func (f *File) refused(doing string, err error) error {
	err = fmt.Errorf("model %s: %s: %w", f.Path, doing, err)
	if torch.IsMemory(err) {
		return err
	}
	return fault.AsMisuse(err)
}

// Probe runs the model once on images N×C×H×W in evaluation mode and returns
// how many classes it tells apart. classes > 0 is how many it should.
func (f *File) Probe(s *torch.Scope, m *torch.Module, images *torch.Tensor, classes int) (int, error) {
	if err := m.Train(false); err != nil {
		return 0, fmt.Errorf("model %s: %w", f.Path, err)
	}
	shape := images.Shape()
	var logits []int
	numbers := true
	s.NoGrad(func() {
		scores := m.Forward(images)
		logits, numbers = scores.Shape(), scores.Eq(scores).All().Item() != 0 // NaN is not even itself
	})
	if err := s.Err(); torch.IsMemory(err) {
		return 0, fmt.Errorf("model %s: run it on two images: %w", f.Path, err)
	} else if strings.HasPrefix(fmt.Sprint(err), "forward returned ") {
		return 0, fault.Misuse("model %s: its %w; a classifier returns one row of class scores per image", f.Path, err)
	} else if err != nil {
		return 0, fault.Misuse("model %s cannot take images of %s: %w; use the data (channels, size) that it was trained on", f.Path, times(shape[1:]), err)
	}
	if len(logits) != 2 || logits[0] != shape[0] || logits[1] < 2 {
		return 0, fault.Misuse("model %s: its output is %s, not one row of class scores per image (%d×classes)", f.Path, times(logits), shape[0])
	}
	if classes > 0 && logits[1] != classes {
		return 0, fault.Misuse("model %s tells %d classes apart, the data has %d: use the data that it was trained on, or set data.classes", f.Path, logits[1], classes)
	}
	if !numbers {
		return 0, fault.Misuse("model %s: its outputs are not numbers (NaN): it came apart in training, or wants other images than these", f.Path)
	}
	return logits[1], nil
}

func times(shape []int) string {
	if len(shape) == 0 {
		return "a single number"
	}
	return strings.Trim(strings.ReplaceAll(fmt.Sprint(shape), " ", "×"), "[]")
}
