package pipeline

import (
	"bufio"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"

	"ulrl/pipeline/runstore"
	torch "ulrl/torchbridge"
)

// PhysicalCores is how many cores this process may use, hyperthreads counted
// once and a cgroup's limit respected: more threads than that make tensor
// operations slower.
func PhysicalCores() int {
	usable := runtime.GOMAXPROCS(0) // since Go 1.25 at most the cgroup's CPU limit
	var allowed unix.CPUSet
	if err := unix.SchedGetaffinity(0, &allowed); err != nil {
		return usable
	}
	cores := map[string]bool{}
	paths, _ := filepath.Glob("/sys/devices/system/cpu/cpu[0-9]*/topology/thread_siblings_list")
	for _, path := range paths {
		if !allowed.IsSet(cpuNumber(path)) {
			continue
		}
		siblings, err := os.ReadFile(path)
		if err != nil {
			return usable
		}
		cores[string(siblings)] = true
	}
	if len(cores) == 0 {
		return usable
	}
	return min(len(cores), usable)
}

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

func cpuNumber(path string) int {
	n := 0
	for _, digit := range strings.TrimPrefix(strings.Split(path, "/")[5], "cpu") {
		n = n*10 + int(digit-'0')
	}
	return n
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
		OS: runtime.GOOS + "/" + runtime.GOARCH, CPU: cpuName(), Cores: PhysicalCores(),
		Device: dev.Name(), Threads: threads,
	}, err
}

func versions(env Env) runstore.Versions {
	return runstore.Versions{ULRL: env.Version, Go: runtime.Version(), Libtorch: env.Lib.TorchVersion()}
}
