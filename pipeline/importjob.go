package pipeline

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"

	"ulrl/pipeline/backdoorbench"
	"ulrl/pipeline/config"
	"ulrl/pipeline/cores"
	"ulrl/pipeline/dataset"
	"ulrl/pipeline/fault"
	"ulrl/pipeline/runstore"
	"ulrl/pipeline/zoo"
	torch "ulrl/torchbridge"
)

// What an import leaves beside the model, config.BackdooredFile.
const (
	FileImport       = "import.json"
	FileImportConfig = "config.yaml"
	importedImages   = "triggered"
)

// ImportOptions of Import.
type ImportOptions struct {
	Dir  string // where it goes; "": models/ and the record's name
	Data string // the clean data set; "": data/ and its name
}

// ImportResult is what Import leaves in import.json.
type ImportResult struct {
	Record    string   `json:"record"`
	SHA256    string   `json:"sha256"` // of attack_result.pt
	Network   string   `json:"network"`
	Classes   int      `json:"classes"`
	DataSet   string   `json:"data_set"`
	Size      []int    `json:"size"` // height, width, channels
	Triggered int      `json:"triggered_images"`
	Target    int      `json:"target"` // most of them
	Warnings  []string `json:"warnings"`
}

// ImportFolder is where an import of record goes.
func ImportFolder(record string, o ImportOptions) string {
	if o.Dir != "" {
		return o.Dir
	}
	return filepath.Join("models", importName(record))
}

func importName(record string) string { return configName(filepath.Base(filepath.Clean(record))) }

// Import turns a BackdoorBench record into what Run needs, in the empty folder
// partial, which is to become ImportFolder: the model as TorchScript, the triggered
// test images, a config.
func Import(ctx context.Context, env Env, record string, o ImportOptions, partial string) (*ImportResult, error) {
	o.Dir = ImportFolder(record, o)
	r, err := backdoorbench.Read(record)
	if err != nil {
		return nil, err
	}
	if err := r.FindImages(ctx); err != nil {
		return nil, err
	}
	im := &importing{env: env, r: r, o: o, name: importName(record), partial: partial}
	if err := im.write(ctx); err != nil {
		return nil, err
	}
	for _, w := range im.result.Warnings {
		env.Log.Warn(w)
	}
	return im.result, nil
}

// importing is one import under way.
type importing struct {
	env           Env
	r             *backdoorbench.Record
	o             ImportOptions
	name, partial string
	result        *ImportResult
}

func (im *importing) write(ctx context.Context) error {
	sum, err := runstore.SumFile(filepath.Join(im.r.Dir, backdoorbench.FileAttack))
	if err != nil {
		return fault.Misuse("read the record: %w", err)
	}
	im.result = &ImportResult{
		Record: im.r.Dir, SHA256: sum,
		Network: im.r.Network, Classes: im.r.Classes, DataSet: im.r.DataSet, Size: []int{im.r.H, im.r.W, im.r.C},
		Triggered: len(im.r.Triggered), Target: usualTarget(im.r), Warnings: append([]string{}, im.r.Warnings...),
	}
	model, err := im.model(ctx)
	if err != nil {
		return err
	}
	if len(im.r.Triggered) > 0 {
		if err := im.images(ctx); err != nil {
			return err
		}
	}
	settings := im.config() // which may warn
	for name, data := range map[string][]byte{config.BackdooredFile: model, FileImportConfig: settings} {
		if err := runstore.WriteFileAtomic(filepath.Join(im.partial, name), data, 0o644); err != nil {
			return err
		}
	}
	return runstore.WriteSealed(filepath.Join(im.partial, FileImport), im.result)
}

// model makes the record's network with its weights, as TorchScript.
func (im *importing) model(ctx context.Context) ([]byte, error) {
	dev, err := im.env.Lib.Device("cpu", cores.Count())
	if err != nil {
		return nil, err
	}
	defer dev.Close()
	var archive []byte
	err = dev.Do(ctx, func(s *torch.Scope) error {
		m, err := zoo.New(s, zoo.Spec{Name: im.r.Network, Channels: im.r.C, Classes: im.r.Classes, Side: min(im.r.H, im.r.W)})
		if err != nil {
			return fmt.Errorf("%s: %w", im.r.Dir, err)
		}
		tensors, err := im.r.Tensors(s)
		if err != nil {
			return err
		}
		if err := zoo.Fill(s, m, tensors); err != nil {
			return fmt.Errorf("%s is of a %s, by its model_name, but: %w", filepath.Join(im.r.Dir, backdoorbench.FileAttack), im.r.Network, err)
		}
		archive, err = saveForUsers(s, m)
		return err
	})
	return archive, err
}

// images copies the triggered images and lists them. They are read once as ulrl
// run will, so that a broken one or one of another size shows now.
func (im *importing) images(ctx context.Context) error {
	dir := filepath.Join(im.partial, importedImages)
	list := make([]dataset.Listed, len(im.r.Triggered))
	for i, l := range im.r.Triggered {
		if err := ctx.Err(); err != nil {
			return err
		}
		to := path.Join(path.Base(path.Dir(l.File)), path.Base(l.File))
		if err := copyFile(filepath.Join(dir, filepath.FromSlash(to)), filepath.Join(im.r.Dir, filepath.FromSlash(l.File))); err != nil {
			return err
		}
		list[i] = dataset.Listed{File: to, Class: l.Class, Target: l.Target}
	}
	var text bytes.Buffer
	if err := dataset.WriteList(&text, list); err != nil {
		return err
	}
	if err := runstore.WriteFileAtomic(filepath.Join(dir, dataset.FileList), text.Bytes(), 0o644); err != nil {
		return err
	}
	like := &dataset.Set{C: im.r.C, H: im.r.H, W: im.r.W, Classes: make([]string, im.r.Classes)}
	_, _, err := dataset.ReadListed(ctx, dir, like)
	if fault.IsMisuse(err) {
		// The copy goes again: the user is told of the original.
		return fault.Misuse("%s", strings.ReplaceAll(err.Error(), dir, filepath.Join(im.r.Dir, backdoorbench.FolderTest)))
	}
	return err
}

func copyFile(to, from string) error {
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return fmt.Errorf("write the import: %w", err)
	}
	in, err := os.Open(from)
	if err != nil {
		return fault.Misuse("read the record: %w", err)
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return fmt.Errorf("write the import: %w", err)
	}
	_, err = io.Copy(out, in)
	if err := errors.Join(err, out.Close()); err != nil {
		return fmt.Errorf("write the import: %w", err)
	}
	return nil
}

// usualTarget is what most triggers lead to.
func usualTarget(r *backdoorbench.Record) int {
	counts := make([]int, r.Classes)
	best := 0
	for _, l := range r.Triggered {
		if counts[l.Target]++; counts[l.Target] > counts[best] {
			best = int(l.Target)
		}
	}
	return best
}
