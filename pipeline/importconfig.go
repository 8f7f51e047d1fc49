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

// benchData are ours of BackdoorBench's names of data sets.
var benchData = map[string]string{"cifar10": "cifar10", "cifar100": "cifar100", "gtsrb": "gtsrb", "tiny": "tiny-imagenet", "mnist": "mnist"}

// config is the file for ulrl run.
func (im *importing) config() []byte {
	name, known := benchData[im.r.DataSet]
	if !known {
		name = "custom"
	}
	dir := im.o.Data
	if dir == "" {
		dir = filepath.Join("data", name)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "# A BackdoorBench record, as ulrl import found it. The clean images are not in it:\n# data.dir says where they are.\n")
	fmt.Fprintf(&b, "name: %s\ndata:\n  name: %s\n  kind: auto\n  dir: %q\n  classes: %d\n", im.name, name, dir, im.r.Classes)
	if name == "gtsrb" || name == "tiny-imagenet" || !known { // those that come as image files
		fmt.Fprintf(&b, "  size: [%d, %d]\n", im.r.H, im.r.W)
	}
	switch {
	case im.r.DataSet == "mnist": // BackdoorBench's own
		fmt.Fprintf(&b, "  mean: [0.5]\n  std: [0.5]\n")
	case !known:
		fmt.Fprintf(&b, "  mean: %s   # as the model was trained with\n  std: %s\n", repeat("0", im.r.C), repeat("1", im.r.C))
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
