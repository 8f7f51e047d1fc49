package pipeline

import (
	"fmt"
	"path/filepath"
	"strings"

	"ulrl/pipeline/config"
)

// configName is a run's name as near to text as one may be.
func configName(text string) string {
	name := strings.Map(func(r rune) rune {
		if r < 128 && (r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("._-", r)) {
			return r
		}
		return '-'
	}, text)
	if strings.Trim(name, ".") == "" {
		return "imported"
	}
	return name[:min(len(name), 100)]
}

// benchSet is a data set as BackdoorBench trains on it.
type benchSet struct {
	name      string // ours
	mean, std string // where they are not the usual ones of name
	files     bool   // it comes as image files, which are resized
}

func benchSets() map[string]benchSet {
	return map[string]benchSet{
		"cifar10":  {name: "cifar10"},
		"cifar100": {name: "cifar100"},
		"gtsrb":    {name: "gtsrb", files: true},
		"tiny":     {name: "tiny-imagenet", files: true},
		"mnist":    {name: "mnist", mean: "[0.5]", std: "[0.5]"},
		"celeba":   {name: "custom", mean: "[0, 0, 0]", std: "[1, 1, 1]", files: true},
		"imagenet": {name: "custom", mean: "[0.485, 0.456, 0.406]", std: "[0.229, 0.224, 0.225]", files: true},
	}
}

// set is the record's data set; one that is not known is taken for images that
// were not normalised, and said.
func (im *importing) set() benchSet {
	if set, known := benchSets()[im.r.DataSet]; known {
		return set
	}
	im.result.Warnings = append(im.result.Warnings, fmt.Sprintf(
		"the data set %q is not known: config.yaml takes its images as not normalised; set data.mean and data.std as the model was trained with", im.r.DataSet))
	return benchSet{name: "custom", mean: repeat("0", im.r.C), std: repeat("1", im.r.C), files: true}
}

// config is the file for ulrl run.
func (im *importing) config() []byte {
	set := im.set()
	dir := im.o.Data
	if dir == "" {
		dir = filepath.Join("data", set.name)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "# A BackdoorBench record, as ulrl import found it. The clean images are not in it:\n# data.dir says where they are.\n")
	fmt.Fprintf(&b, "name: %q\ndata:\n  name: %s\n  kind: auto\n  dir: %q\n  classes: %d\n", im.name, set.name, dir, im.r.Classes)
	if set.files {
		fmt.Fprintf(&b, "  size: [%d, %d]\n", im.r.H, im.r.W)
	}
	if set.mean != "" {
		fmt.Fprintf(&b, "  mean: %s\n  std: %s\n", set.mean, set.std)
	}
	fmt.Fprintf(&b, "clean: {count: 0, ratio: 0.01}\nmodel:\n  path: %q\n", filepath.Join(im.o.Dir, config.BackdooredFile))
	if len(im.r.Triggered) > 0 {
		fmt.Fprintf(&b, "attack:\n  name: %s\n  images: %q\n  target: %d\n", config.AttackRecorded, filepath.Join(im.o.Dir, importedImages), im.result.Target)
	}
	return []byte(b.String())
}

func repeat(value string, n int) string {
	return "[" + strings.TrimSuffix(strings.Repeat(value+", ", n), ", ") + "]"
}
