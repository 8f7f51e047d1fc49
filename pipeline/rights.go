package pipeline

import (
	"os"
	"strings"

	"ulrl/pipeline/config"
	"ulrl/pipeline/dataset"
	"ulrl/pipeline/memory"
	"ulrl/pipeline/sandbox"
)

// maxWritten bounds a file that a confined job writes.
const maxWritten = 16 << 30

// Rights are what a confined job of c's may read, all that the config names, and
// in which folders it may write.
func Rights(c *config.Config, write ...string) sandbox.Rights {
	d, a := c.Data, c.Attack
	read := []string{d.Dir, c.ModelPath(), a.Output, a.Images, a.CleanModel.Dir, a.Blended.Pattern, a.LF.Pattern, a.Trigger.Pattern, a.Trigger.Mask}
	read = append(read, source(d, dataset.Train, d.Train, d.TrainLabels).Paths()...)
	if d.Test != config.NoTestSet {
		read = append(read, source(d, dataset.Test, d.Test, d.TestLabels).Paths()...)
	}
	r := FileRights(read, write...)
	if r.GPU = strings.HasPrefix(c.Device, "cuda") || c.Device == "auto" && hasGPU(); r.GPU {
		r.Memory = 0 // CUDA maps far more than it takes
	}
	return r
}

// FileRights are those of a job that reads files and folders and writes below others.
func FileRights(read []string, write ...string) sandbox.Rights {
	r := sandbox.Rights{Write: write, File: maxWritten}
	if have, err := memory.Available(); err == nil {
		r.Memory = have
	}
	for _, path := range read {
		if path == "" {
			continue
		}
		r.Read = append(r.Read, path)
		if info, err := os.Stat(path); err == nil && info.IsDir() {
			r.Read = append(r.Read, sandbox.Links(path)...)
		}
	}
	return r
}

func hasGPU() bool {
	_, err := os.Stat("/dev/nvidiactl")
	return err == nil
}

// Confine restricts this process to r and to the libraries that it has loaded,
// and says by what.
func Confine(r sandbox.Rights) (string, error) {
	libraries, err := sandbox.Libraries()
	if err != nil {
		return "", err
	}
	r.Read = append(r.Read, libraries...)
	by := sandbox.Supported().String() // which cannot be asked afterwards
	return by, sandbox.Confine(r)
}
