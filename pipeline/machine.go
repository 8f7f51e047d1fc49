package pipeline

import (
	"bufio"
	"os"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"

	"ulrl/pipeline/cores"
	"ulrl/pipeline/runstore"
	torch "ulrl/torchbridge"
)

// spent is what this process has taken so far: the most memory that it had
// resident, in bytes, and its threads' processor time in seconds, which other
// work on the machine does not lengthen as it does the clock's. Zeros where the
// system does not tell.
func spent() (peakBytes int64, cpuSeconds float64) {
	var usage unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &usage) != nil {
		return 0, 0
	}
	seconds := func(t unix.Timeval) float64 { return float64(t.Sec) + float64(t.Usec)/1e6 }
	return usage.Maxrss << 10, seconds(usage.Utime) + seconds(usage.Stime) // Linux counts KiB
}

func cpuName() string {
	f, err := os.Open("/proc/cpuinfo")
	if err != nil {
		return runtime.GOARCH
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if key, value, ok := strings.Cut(lines.Text(), ":"); ok && strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}

func thisMachine(dev *torch.Device) (runstore.Machine, error) {
	threads, err := dev.Threads()
	return runstore.Machine{
		OS: runtime.GOOS + "/" + runtime.GOARCH, CPU: cpuName(), Cores: cores.Count(),
		Device: dev.Name(), Threads: threads,
	}, err
}

func versions(env Env) runstore.Versions {
	return runstore.Versions{ULRL: env.Version, Go: runtime.Version(), Libtorch: env.Lib.TorchVersion()}
}
