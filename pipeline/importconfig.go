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

// benchData says where and how BackdoorBench's data sets lie, by its names.
var benchData = map[string]struct{ name, kind string }{
	"cifar10":  {"cifar10", "cifar"},
	"cifar100": {"cifar100", "cifar"},
	"gtsrb":    {"gtsrb", "gtsrb"},
	"tiny":     {"tiny-imagenet", "tiny-imagenet"},
	"mnist":    {"mnist", "idx"},
}

// config is the file for ulrl run.
func (im *importing) config() []byte {
	data, known := benchData[im.r.DataSet]
	if !known {
		data.name, data.kind = "custom", "folder"
	}
	dir := im.o.Data
	if dir == "" {
		dir = filepath.Join("data", data.name)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "# A BackdoorBench record, as ulrl import found it. The clean images are not in it:\n# data.dir says where they are.\n")
	fmt.Fprintf(&b, "name: %s\ndata:\n  name: %s\n  kind: %s\n  dir: %q\n  classes: %d\n", im.name, data.name, data.kind, dir, im.r.Classes)
	if data.kind != "cifar" && data.kind != "idx" {
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
