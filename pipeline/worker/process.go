package worker

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// process is a worker that was started.
type process struct {
	cmd     *exec.Cmd
	in      io.WriteCloser
	out     *os.File
	printed *printout
	ended   chan struct{}
	began   time.Time             // by the clock that nobody sets
	alive   atomic.Int64          // when it last showed progress, in nanoseconds since it began
	why     atomic.Pointer[error] // the error for which it was ended
}

func (w Worker) start() (*process, error) {
	out, theirs, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	p := &process{out: out, printed: &printout{}, ended: make(chan struct{})}
	// Whatever becomes of the file that this program was started from.
	p.cmd = exec.Command("/proc/self/exe", w.Args...)
	p.cmd.Args[0] = "ulrl"
	p.cmd.Env = environment(os.Environ())
	p.cmd.Stdout, p.cmd.Stderr = p.printed, p.printed
	p.cmd.ExtraFiles = []*os.File{theirs}
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return nil, errors.Join(err, out.Close())
	}
	// What whoever started this process left open is not for the worker.
	if err := unix.CloseRange(3, math.MaxInt32, unix.CLOSE_RANGE_CLOEXEC); err != nil {
		return nil, errors.Join(fmt.Errorf("keep open files from the worker: %w", err), out.Close())
	}
	p.began = time.Now()
	if err := p.cmd.Start(); err != nil {
		return nil, errors.Join(err, out.Close())
	}
	return p, nil
}

func (p *process) close() {
	_ = p.in.Close()
	_ = p.out.Close()
}

func (p *process) wait() error {
	err := p.cmd.Wait()
	close(p.ended)
	return err
}

// blame notes why the worker is to end, unless there was a reason before.
func (p *process) blame(why error) { p.why.CompareAndSwap(nil, &why) }

// end kills the worker, for why.
func (p *process) end(why error) {
	p.blame(why)
	_ = p.cmd.Process.Kill() // fails only where it is gone
}

// reason is why it was ended; nil where it was not.
func (p *process) reason() error {
	if why := p.why.Load(); why != nil {
		return *why
	}
	return nil
}

// environment is what libtorch and Go's runtime ask for. The rest stays here: a
// model has no business with somebody's keys.
func environment(all []string) []string {
	prefixes := []string{
		"LD_LIBRARY_PATH=", "PATH=", "LANG=", "LC_", "TZ=", "OMP_", "GOMP_", "KMP_", "MKL_", "OPENBLAS_", "DNNL_", "ONEDNN_",
		"ATEN_", "TORCH_", "PYTORCH_", "CUDA_", "CUBLAS_", "CUDNN_", "NVIDIA_", "MALLOC_", "GODEBUG=", "GOMAXPROCS=", "GOGC=", "GOMEMLIMIT=", "GOTRACEBACK=", "ULRL_WORKER_",
	}
	var out []string
	for _, entry := range all {
		for _, prefix := range prefixes {
			if strings.HasPrefix(entry, prefix) {
				out = append(out, entry)
				break
			}
		}
	}
	return out
}

// printout keeps the beginning of what a worker prints.
type printout struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (t *printout) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if room := maxDetail - t.text.Len(); room > 0 {
		t.text.Write(p[:min(len(p), room)])
	}
	return len(p), nil
}

func (t *printout) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.text.String()
}
