// Package testenv is what tests of several packages need: a device, and files
// that are not in every checkout.
package testenv

import (
	"cmp"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	torch "ulrl/torchbridge"
)

// NoSkip is the variable that turns a skipped test into a failure.
const NoSkip = "ULRL_TEST_NO_SKIP"

// Skip skips the test, or fails it where NoSkip is set.
func Skip(t testing.TB, format string, args ...any) {
	t.Helper()
	if os.Getenv(NoSkip) != "" {
		t.Fatalf(NoSkip+" is set, but: "+format, args...)
	}
	t.Skipf(format, args...)
}

// AnyLibtorch skips, under -short, a test that comes out the same whichever libtorch
// the library is built against.
func AnyLibtorch(t testing.TB) {
	t.Helper()
	if testing.Short() {
		t.Skip("comes out the same with any libtorch")
	}
}

// Shared is a file or folder of the development data beside the checkout; the
// test is skipped where it is absent, as in a user's clone.
func Shared(t testing.TB, parts ...string) string {
	t.Helper()
	path := filepath.Join(append([]string{Root(t), "..", "shared"}, parts...)...)
	if _, err := os.Stat(path); err != nil {
		Skip(t, "the development data %s is not beside this checkout", filepath.Join(parts...))
	}
	return path
}

// FashionMNIST is the folder of the four IDX files.
func FashionMNIST(t testing.TB) string {
	t.Helper()
	dir := cmp.Or(os.Getenv("ULRL_DATA_DIR"), "/usr/share/datasets/fashion-mnist")
	if _, err := os.Stat(dir); err != nil {
		Skip(t, "Fashion-MNIST is not installed: apt-get install dataset-fashion-mnist")
	}
	return dir
}

// Root is the checkout's folder.
func Root(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		if dir == filepath.Dir(dir) {
			t.Fatal("no go.mod above the test's folder")
		}
		dir = filepath.Dir(dir)
	}
}

// CPU opens the CPU with one thread, since packages are tested side by side, and
// checks at the test's end that no handle of the bridge is left.
func CPU(t testing.TB) (*torch.Library, *torch.Device) {
	t.Helper()
	lib, err := torch.Open(func(what string) { t.Error("leak:", what) })
	if err != nil {
		t.Fatal(err)
	}
	before := lib.LiveHandles()
	dev, err := lib.Device("cpu", 1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		dev.Close()
		if n := lib.LiveHandles() - before; n != 0 {
			t.Errorf("%d handles of the bridge were left", n)
		}
	})
	return lib, dev
}

// Do runs f on the device and fails the test on an error.
func Do(t testing.TB, dev *torch.Device, f func(s *torch.Scope) error) {
	t.Helper()
	if err := dev.Do(context.Background(), f); err != nil {
		t.Fatal(err)
	}
}

// Python is an interpreter that can import modules; $PYTHON, if set, is asked
// first. Without one the test is skipped.
func Python(t testing.TB, modules ...string) string {
	t.Helper()
	program := "pass"
	if len(modules) > 0 {
		program = "import " + strings.Join(modules, ", ")
	}
	for _, name := range []string{os.Getenv("PYTHON"), "python3", "/usr/bin/python3"} {
		if name != "" && exec.Command(name, "-c", program).Run() == nil {
			return name
		}
	}
	Skip(t, "no Python that can %s: apt-get install python3-%s", program, strings.Join(modules, " python3-"))
	return ""
}

// Slurm skips where no Slurm answers; scripts/slurm-local.sh starts one.
func Slurm(t testing.TB) {
	t.Helper()
	if out, err := exec.Command("sinfo", "--noheader").CombinedOutput(); err != nil {
		Skip(t, "no Slurm answers (scripts/slurm-local.sh start): %v %s", err, out)
	}
}
