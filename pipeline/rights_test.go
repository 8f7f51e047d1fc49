package pipeline

import (
	"slices"
	"testing"

	"ulrl/pipeline/config"
)

// What lies beside a file that the config names is nobody's business.
func TestAJobReadsWhatTheConfigNamesAlone(t *testing.T) {
	for _, c := range []struct {
		name string
		data config.Data
		want []string
	}{
		{"IDX, labels beside", config.Data{Kind: "idx", Train: "home/a.gz", Test: "none"},
			[]string{"home/a.gz", "home/a", "home/train-labels-idx1-ubyte.gz", "home/train-labels-idx1-ubyte"}},
		{"IDX, labels named", config.Data{Kind: "idx", Train: "home/a", TrainLabels: "other/b", Test: "none"},
			[]string{"home/a", "home/a.gz", "other/b", "other/b.gz"}},
		{"NumPy", config.Data{Kind: "npy", Train: "home/a.npz", Test: "home/b.npy", TestLabels: "home/l.npy"},
			[]string{"home/a.npz", "home/b.npy", "home/l.npy"}},
		{"folders", config.Data{Kind: "folder", Dir: "set", Train: "home/a"}, []string{"set", "home/a", "set/test"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			read := Rights(&config.Config{Device: "cpu", Data: c.data}).Read
			for _, path := range c.want {
				if !slices.Contains(read, path) {
					t.Errorf("%s is not among %q", path, read)
				}
			}
			for _, path := range read {
				if path == "home" || path == "other" || path == "." || path == "none" {
					t.Errorf("%s is among %q", path, read)
				}
			}
		})
	}
}
