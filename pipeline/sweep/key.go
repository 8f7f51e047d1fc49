package sweep

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"ulrl/pipeline/config"
	"ulrl/pipeline/fault"
)

// inputs hashes input files, each once.
type inputs struct{ known map[string]string }

func newInputs() *inputs { return &inputs{known: map[string]string{}} }

// attackKey is the hash of all that an attack's model follows from.
func (in *inputs) attackKey(c *config.Config) (string, error) {
	a := c.Attack
	a.Output, a.CleanModel.Dir = "", ""
	files, err := in.of(append(dataFiles(c.Data), a.Trigger.Pattern, a.Trigger.Mask, a.Blended.Pattern, a.LF.Pattern, a.Images))
	if err != nil {
		return "", err
	}
	return digest(struct {
		Kind   string
		Device string
		Seed   uint64
		Data   config.Data
		Attack config.Attack
		Files  []string
	}{KindAttack, c.Device, c.Seed, c.Data, a, files})
}

// cleanKey is the hash of all that a cleaned model follows from, beside what its attack does.
func (in *inputs) cleanKey(c *config.Config, attackKey string) (string, error) {
	own := *c
	// Where things lie and how many cores do the work change nothing.
	own.Output, own.Threads, own.Attack, own.Model.Path = "", 0, config.Attack{Name: c.Attack.Name}, ""
	model, trigger := "", ""
	if c.Model.Path != "" {
		paths := []string{c.Model.Path, filepath.Join(c.Attack.Output, config.TriggerFile)}
		if _, err := os.Stat(paths[1]); errors.Is(err, fs.ErrNotExist) {
			paths[1] = "" // the config describes it
		}
		files, err := in.of(paths)
		if err != nil {
			return "", err
		}
		model, trigger = files[0], files[1]
	}
	return digest(struct {
		Kind, Attack, Model string
		Trigger             string `json:",omitempty"` // of a model that no job makes
		Config              config.Config
	}{KindClean, attackKey, model, trigger, own})
}

func digest(v any) (string, error) {
	h := sha256.New()
	if err := json.NewEncoder(h).Encode(v); err != nil {
		return "", fmt.Errorf("hash a job: %w", err)
	}
	return sum(h), nil
}

func sum(h hash.Hash) string { return hex.EncodeToString(h.Sum(nil)) }

// dataFiles are the files and folders that hold the images.
func dataFiles(d config.Data) []string {
	files := []string{d.Dir, d.Train, d.TrainLabels, d.TestLabels}
	labelled := d.TrainLabels != "" && (d.TestLabels != "" || d.Test == config.NoTestSet)
	if named := d.Train != "" && d.Test != ""; d.Kind == config.KindNPY || named && (d.Kind == config.KindFolder || labelled) {
		files[0] = "" // nothing is read there
	}
	if d.Test != config.NoTestSet {
		files = append(files, d.Test)
	}
	return files
}

// of hashes files by what is in them, and folders by the names and sizes of all
// that is below and by what is in it, but for the images of a large folder: to
// read tens of thousands would take longer than to plan. Empty paths give "".
func (in *inputs) of(paths []string) ([]string, error) {
	out := make([]string, len(paths))
	for i, path := range paths {
		if path == "" {
			continue
		}
		if in.known[path] == "" {
			var err error
			if in.known[path], err = fingerprint(path); errors.Is(err, fs.ErrNotExist) {
				return nil, fault.Misuse("%s: no such file", path)
			} else if err != nil {
				return nil, fault.Misuse("hash the inputs: %w", err)
			}
		}
		out[i] = in.known[path]
	}
	return out, nil
}

// few is how many files of a folder are read whole, as lists and batches always are.
const few = 500

func fingerprint(path string) (string, error) {
	h := sha256.New()
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	if !info.IsDir() {
		err := content(h, path)
		return sum(h), err
	}
	files, err := below(path)
	if err != nil {
		return "", err
	}
	for _, at := range files {
		info, err := os.Stat(at)
		if err != nil {
			if info, err = os.Lstat(at); err != nil { // a link to nowhere is one
				return "", err
			}
		}
		name, err := filepath.Rel(path, at)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(h, "%q %d\n", name, info.Size())
		if info.Mode().IsRegular() && (len(files) <= few || !isImage(name)) {
			if err := content(h, at); err != nil {
				return "", err
			}
		}
	}
	return sum(h), nil
}

// below is the files below a folder, which may be a link, in the order of their names.
func below(dir string) (files []string, err error) {
	// The separator makes WalkDir follow dir itself.
	err = filepath.WalkDir(dir+string(filepath.Separator), func(at string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			files = append(files, at)
		}
		return err
	})
	return files, err
}

func content(h hash.Hash, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(h, f)
	return err
}

func isImage(name string) bool {
	return slices.Contains([]string{".png", ".jpg", ".jpeg", ".ppm", ".pgm"}, strings.ToLower(filepath.Ext(name)))
}
