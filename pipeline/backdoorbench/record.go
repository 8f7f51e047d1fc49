// Package backdoorbench reads the record that BackdoorBench leaves of an attack, and
// writes what its tools read of a defence. No code of a record is run.
package backdoorbench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"ulrl/pipeline/dataset"
	"ulrl/pipeline/fault"
	"ulrl/pipeline/pickle"
	"ulrl/pipeline/torchfile"
)

// Files of a record.
const (
	FileAttack  = "attack_result.pt"
	FileDefense = "defense_result.pt"
	FolderTest  = "bd_test_dataset" // <class>/<index>.png: test images with the trigger on
)

// Record is an attack's.
type Record struct {
	Dir     string
	Network string // such as "preactresnet18"
	Classes int
	DataSet string // BackdoorBench's name: cifar10, cifar100, gtsrb, tiny, mnist, …
	H, W, C int    // of the images that the network was trained on
	// State is the model's state dict: names without "module.", in order.
	State *torchfile.Dict
	// Triggered are the test images with the trigger on, files within Dir; filled
	// by FindImages, none where the record has none.
	Triggered []dataset.Listed
	Warnings  []string

	test any // bd_test
}

// Read reads the record in dir but for its images. What is wrong with it is misuse.
func Read(dir string) (*Record, error) {
	file := filepath.Join(dir, FileAttack)
	if info, err := os.Stat(dir); err == nil && !info.IsDir() {
		return nil, fault.Misuse("%s: a file: give the record's folder, which has %s", dir, FileAttack)
	}
	value, err := torchfile.Read(file)
	if err != nil {
		return nil, err
	}
	r := &Record{Dir: dir}
	if err := r.fill(value); err != nil {
		return nil, fault.Misuse("%s: %w", file, err)
	}
	return r, nil
}

func (r *Record) fill(value any) error {
	d, ok := value.(*torchfile.Dict)
	if !ok {
		return fmt.Errorf("it holds no dict with model_name, num_classes and model: not an attack's record")
	}
	classes := int64(0)
	for _, key := range []struct {
		name string
		read func(v any) bool
	}{
		{"model_name", func(v any) (ok bool) { r.Network, ok = v.(string); return }},
		{"num_classes", func(v any) (ok bool) { classes, ok = v.(int64); return ok && classes > 1 && classes <= 100000 }},
		{"clean_data", func(v any) (ok bool) { r.DataSet, ok = v.(string); return }},
		{"img_size", r.size},
		{"model", r.state},
	} {
		v, there := d.Get(key.name)
		if !there {
			return fmt.Errorf("it lacks %s: not an attack's record", key.name)
		}
		if !key.read(v) {
			return fmt.Errorf("its %s is of a form that is not known", key.name)
		}
	}
	r.Classes = int(classes)
	r.test, _ = d.Get("bd_test")
	return nil
}

// size reads [H, W, C].
func (r *Record) size(v any) bool {
	items := sequence(v)
	if len(items) < 2 {
		return false
	}
	r.C = 3
	for i, to := range []*int{&r.H, &r.W, &r.C}[:min(3, len(items))] {
		n, ok := items[i].(int64)
		if !ok || n < 1 || n > 4096 {
			return false
		}
		*to = int(n)
	}
	return r.C == 1 || r.C == 3
}

func sequence(v any) []any {
	switch v := v.(type) {
	case *pickle.List:
		return v.Items
	case pickle.Tuple:
		return v
	}
	return nil
}

// state reads a state dict, with or without what DataParallel puts before names.
func (r *Record) state(v any) bool {
	d, ok := v.(*torchfile.Dict)
	if !ok || d.Len() == 0 {
		return false
	}
	r.State = pickle.NewDict()
	for i, key := range d.Keys {
		name, ok := key.(string)
		t, okTensor := d.Values[i].(*torchfile.Tensor)
		if !ok || !okTensor {
			return false
		}
		r.State.Set(strings.TrimPrefix(name, "module."), t)
	}
	return true
}

// FindImages finds the triggered test images, which bd_test lists by index. What is
// wrong with them is misuse.
func (r *Record) FindImages(ctx context.Context) error {
	if err := r.images(ctx); ctx.Err() != nil {
		return ctx.Err()
	} else if err != nil {
		return fault.Misuse("%s: %w", filepath.Join(r.Dir, FileAttack), err)
	}
	return nil
}

func (r *Record) images(ctx context.Context) error {
	d, _ := r.test.(*torchfile.Dict)
	if d == nil {
		r.Warnings = append(r.Warnings, "the record has no triggered test images: ASR cannot be measured")
		return nil
	}
	container, _ := d.Get("bd_data_container")
	inner, ok := container.(*torchfile.Dict)
	if !ok {
		r.Warnings = append(r.Warnings, "the record is of an older form, whose triggered test images have no true class: ASR cannot be measured")
		return nil
	}
	data, _ := inner.Get("data_dict")
	list, ok := data.(*torchfile.Dict)
	if !ok {
		return errors.New("its bd_test lists no images")
	}
	known := map[string]bool{}
	for i, key := range list.Keys {
		if err := ctx.Err(); err != nil {
			return err
		}
		l, err := r.image(key, list.Values[i])
		if err != nil {
			return err
		}
		if known[l.File] {
			return fmt.Errorf("it lists the test image %s twice", l.File)
		}
		known[l.File] = true
		r.Triggered = append(r.Triggered, l)
	}
	slices.SortFunc(r.Triggered, func(a, b dataset.Listed) int { return strings.Compare(a.File, b.File) })
	return r.strays(ctx, known)
}

// image reads {"path": …/<class>/<index>.png, "other_info": [target, class]}. The
// path is of the machine that made the record; its end is looked up in Dir.
func (r *Record) image(index, value any) (dataset.Listed, error) {
	d, ok := value.(*torchfile.Dict)
	if !ok {
		return dataset.Listed{}, fmt.Errorf("test image %v lies in the file itself and not beside it as PNG: such records are not read", index)
	}
	at, _ := d.Get("path")
	labelled, _ := d.Get("other_info")
	text, ok := at.(string)
	labels := sequence(labelled)
	if !ok || len(labels) < 2 {
		return dataset.Listed{}, fmt.Errorf("test image %v is of a form that is not known", index)
	}
	target, ok1 := labels[0].(int64)
	class, ok2 := labels[1].(int64)
	if n := int64(r.Classes); !ok1 || !ok2 || target < 0 || class < 0 || target >= n || class >= n {
		return dataset.Listed{}, fmt.Errorf("test image %v has classes %v and %v, wanted numbers from 0 to %d", index, word(labels[0]), word(labels[1]), r.Classes-1)
	}
	text = strings.ReplaceAll(text, `\`, "/")
	folder, name := path.Base(path.Dir(text)), path.Base(text)
	if strings.Trim(folder, "./") == "" || strings.Trim(name, "./") == "" {
		return dataset.Listed{}, fmt.Errorf("test image %v has the path %q, wanted …/CLASS/INDEX.png", index, text)
	}
	file := path.Join(FolderTest, folder, name)
	info, err := os.Stat(filepath.Join(r.Dir, FolderTest, folder, name))
	if err != nil || !info.Mode().IsRegular() {
		return dataset.Listed{}, fmt.Errorf("it lists the test image %s, which is not there: copy the record's %s too", file, FolderTest)
	}
	return dataset.Listed{File: file, Class: class, Target: target}, nil
}

// word is a value that was to be a whole number, for people; other values may be
// of any size.
func word(v any) string {
	if n, is := v.(int64); is {
		return fmt.Sprint(n)
	}
	return pickle.Kind(v)
}

// strays warns of files among the images that the record does not list.
func (r *Record) strays(ctx context.Context, known map[string]bool) error {
	found, first := 0, ""
	root := filepath.Join(r.Dir, FolderTest)
	err := filepath.WalkDir(root, func(at string, e os.DirEntry, err error) error {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil || e.IsDir() {
			return err
		}
		rel, err := filepath.Rel(r.Dir, at)
		if name := filepath.ToSlash(rel); err == nil && !known[name] {
			if found++; found == 1 {
				first = name
			}
		}
		return err
	})
	if found > 0 {
		r.Warnings = append(r.Warnings, fmt.Sprintf("%d files in %s are not in the record and are left out, such as %s", found, FolderTest, first))
	}
	if err != nil && len(known) > 0 {
		return fmt.Errorf("list the test images: %w", err)
	}
	return nil
}
