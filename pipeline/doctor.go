package pipeline

import (
	"context"
	"fmt"
	"os"
	"strings"

	"ulrl/pipeline/config"
	"ulrl/pipeline/cores"
	"ulrl/pipeline/dataset"
	"ulrl/pipeline/model"
	"ulrl/pipeline/sandbox"
)

// Check is one thing that Doctor looked at.
type Check struct {
	Name   string `json:"name"`
	Value  string `json:"value"`
	OK     bool   `json:"ok"`
	Advice string `json:"advice,omitempty"`
}

// DoctorReport is all that Doctor looked at.
type DoctorReport struct {
	OK     bool    `json:"ok"`
	Checks []Check `json:"checks"`
}

// Doctor looks at this machine and at the data that c needs.
func Doctor(ctx context.Context, env Env, c *config.Config) (*DoctorReport, error) {
	report := &DoctorReport{OK: true}
	add := func(check Check) {
		report.OK = report.OK && check.OK
		report.Checks = append(report.Checks, check)
	}
	build, parallel, err := env.Lib.BuildConfig()
	if err != nil {
		return nil, err
	}
	devices, err := env.Lib.Devices()
	if err != nil {
		return nil, err
	}
	add(Check{Name: "libtorch", Value: env.Lib.TorchVersion(), OK: true})
	add(Check{Name: "devices", Value: strings.Join(devices, ", "), OK: true})
	add(Check{Name: "processor", Value: cpuName(), OK: true})
	add(Check{Name: "cores", Value: fmt.Sprintf("%d physical cores may be used", cores.Count()), OK: true})
	add(blasCheck(build))
	add(sandboxCheck(sandbox.Supported()))
	add(Check{Name: "threading", Value: firstLine(parallel, "ATen parallel backend:"), OK: true})
	for _, check := range dataChecks(ctx, c) {
		add(check)
	}
	if c.Model.Path != "" {
		add(modelCheck(c.Model.Path))
	}
	return report, ctx.Err()
}

// sandboxCheck tells whether models can be confined.
func sandboxCheck(has sandbox.Support) Check {
	check := Check{Name: "sandbox", Value: has.String(), OK: has.Enough()}
	if !check.OK {
		check.Advice = "models cannot be kept from this system's files: run ulrl in a container or virtual machine, with --trust-model"
	}
	return check
}

// blasCheck tells which linear algebra libtorch calls; Debian's reference BLAS
// is ten times slower than OpenBLAS.
func blasCheck(build string) Check {
	check := Check{Name: "BLAS", OK: true, Value: setting(build, "BLAS_INFO=")}
	if strings.Contains(build, "MKL-DNN") || strings.Contains(build, "oneDNN") || strings.Contains(build, "USE_MKLDNN=ON") || strings.Contains(build, "USE_MKLDNN=1") {
		check.Value += " with oneDNN"
	}
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return check
	}
	for _, name := range []string{"libopenblas", "libmkl", "libblis", "libblas.so"} {
		if at := strings.Index(string(maps), name); at >= 0 {
			file, _, _ := strings.Cut(string(maps)[at:], "\n")
			check.Value += ", loaded: " + file
			if name == "libblas.so" && !strings.Contains(string(maps), "openblas") {
				check.OK = false
				check.Advice = "this is the slow reference BLAS: apt-get install libopenblas0-pthread"
			}
			break
		}
	}
	return check
}

func setting(text, key string) string {
	_, rest, ok := strings.Cut(text, key)
	if !ok {
		return "unknown"
	}
	value, _, _ := strings.Cut(rest, ",")
	return strings.TrimSpace(value)
}

func firstLine(text, prefix string) string {
	_, rest, ok := strings.Cut(text, prefix)
	if !ok {
		return "unknown"
	}
	line, _, _ := strings.Cut(rest, "\n")
	return strings.TrimSpace(line)
}

// modelCheck has the gate look at a model's file; nothing of it is run.
func modelCheck(path string) Check {
	file, err := model.ReadFile(path)
	if err != nil {
		return Check{Name: "model", Value: "not usable", Advice: err.Error()}
	}
	return Check{Name: "model", OK: true, Value: fmt.Sprintf("%s, %.1f MB; ulrl inspect tells more", path, float64(file.Size)/1e6)}
}

func dataChecks(ctx context.Context, c *config.Config) []Check {
	var checks []Check
	for _, at := range []struct{ split, images, labels string }{
		{"train", c.Data.Train, c.Data.TrainLabels}, {"test", c.Data.Test, c.Data.TestLabels},
	} {
		if at.images == config.NoTestSet {
			continue
		}
		check := Check{Name: "data " + c.Data.Name + " " + at.split}
		set, err := dataset.Read(ctx, source(c.Data, at.split, at.images, at.labels))
		if err != nil {
			check.Value, check.Advice = "not usable", err.Error()
		} else {
			check.OK = true
			check.Value = fmt.Sprintf("%d images %d×%d×%d, %d classes", set.Len(), set.C, set.H, set.W, len(set.Classes))
		}
		checks = append(checks, check)
	}
	return checks
}
