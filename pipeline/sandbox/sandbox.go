// Package sandbox confines the process that runs somebody else's model: what it
// may read and write (Landlock), which system calls it may make (seccomp) and how
// much memory and disk it may take. A process cannot leave it again, nor can
// threads that it starts.
package sandbox

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"unsafe"

	"github.com/landlock-lsm/go-landlock/landlock"
	ll "github.com/landlock-lsm/go-landlock/landlock/syscall"
	"golang.org/x/sys/unix"
	"kernel.org/pub/linux/libs/security/libcap/psx"

	seccomp "github.com/elastic/go-seccomp-bpf"
)

// Rights are what a confined process may do beside computing with what it has:
// it keeps the files that are open already.
type Rights struct {
	Read   []string // files and folders with all below them; those that are not there are left out
	Write  []string // folders in which it may make, change and remove plain files and folders
	GPU    bool     // the devices of CUDA, which take more of the kernel
	Memory int64    // bytes of private memory; 0: no limit
	File   int64    // bytes of the longest file that it may write; 0: no limit
}

// Support is what the kernel gives.
type Support struct {
	Landlock int  `json:"landlock"` // the version of its interface; 0: none
	Seccomp  bool `json:"seccomp"`
}

// Supported asks the kernel.
func Supported() Support {
	version, err := ll.LandlockGetABIVersion()
	if err != nil {
		version = 0
	}
	return Support{Landlock: version, Seccomp: seccomp.Supported()}
}

// Enough tells whether Confine can work.
func (s Support) Enough() bool { return s.Landlock > 0 && s.Seccomp }

// String is such as "Landlock 7, seccomp".
func (s Support) String() string {
	switch {
	case s.Enough():
		return fmt.Sprintf("Landlock %d, seccomp", s.Landlock)
	case s.Seccomp:
		return "seccomp, but no Landlock (Linux 5.13 has it, if it is switched on: lsm=landlock)"
	case s.Landlock > 0:
		return fmt.Sprintf("Landlock %d, but no seccomp", s.Landlock)
	}
	return "neither Landlock nor seccomp"
}

// ErrUnsupported is Confine's where the kernel cannot do it.
var ErrUnsupported = errors.New("this kernel cannot confine a process")

// Confine restricts this process for good, all of its threads. It fails where the
// kernel lacks a part of it, rather than do less than was asked.
func Confine(r Rights) error {
	if has := Supported(); !has.Enough() {
		return fmt.Errorf("%w: it has %s", ErrUnsupported, has)
	}
	if err := r.limit(); err != nil {
		return err
	}
	if err := dropCapabilities(); err != nil {
		return fmt.Errorf("give up the powers of root: %w", err)
	}
	if err := landlock.V9.BestEffort().Restrict(r.rules()...); err != nil {
		return fmt.Errorf("restrict files: %w", err)
	}
	if err := filter(r.GPU); err != nil {
		return fmt.Errorf("restrict system calls: %w", err)
	}
	return nil
}

// limit sets what the process may take. There is never a core dump: it would be a
// file of the model's making, as large as its memory.
func (r Rights) limit() error {
	limits := []struct {
		what  string
		which int
		to    int64
	}{
		{"core dumps", unix.RLIMIT_CORE, 0}, {"memory", unix.RLIMIT_DATA, r.Memory}, {"files", unix.RLIMIT_FSIZE, r.File},
	}
	for _, l := range limits {
		if l.to == 0 && l.which != unix.RLIMIT_CORE {
			continue
		}
		var now unix.Rlimit
		if err := unix.Getrlimit(l.which, &now); err != nil {
			return fmt.Errorf("limit %s: %w", l.what, err)
		}
		to := min(uint64(l.to), now.Max)
		if err := unix.Setrlimit(l.which, &unix.Rlimit{Cur: to, Max: to}); err != nil {
			return fmt.Errorf("limit %s: %w", l.what, err)
		}
	}
	return nil
}

// dropCapabilities leaves root's process, all of its threads, what opens the files of
// others where Landlock lets it, and nothing else: with all of them it could look into
// any process.
func dropCapabilities() error {
	const kept = 1 << unix.CAP_DAC_OVERRIDE
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var now, to [2]unix.CapUserData
	if err := unix.Capget(&header, &now[0]); err != nil {
		return err
	}
	to[0] = unix.CapUserData{Effective: now[0].Effective & kept, Permitted: now[0].Permitted & kept}
	if to == now {
		return nil // there are none to give up
	}
	var stay runtime.Pinner // while all threads read them
	defer stay.Unpin()
	stay.Pin(&header)
	stay.Pin(&to)
	if _, _, errno := psx.Syscall3(unix.SYS_CAPSET, uintptr(unsafe.Pointer(&header)), uintptr(unsafe.Pointer(&to[0])), 0); errno != 0 {
		return errno
	}
	return nil
}

const (
	readable = ll.AccessFSReadFile | ll.AccessFSReadDir
	// No symbolic links, sockets, pipes or devices are made.
	writable = readable | ll.AccessFSWriteFile | ll.AccessFSTruncate |
		ll.AccessFSMakeReg | ll.AccessFSMakeDir | ll.AccessFSRemoveFile | ll.AccessFSRemoveDir
	usable = ll.AccessFSReadFile | ll.AccessFSWriteFile | ll.AccessFSIoctlDev // of a device
)

// machine is what any process of Go and libtorch reads of its machine. Of other
// processes in /proc Landlock keeps what a debugger could see.
var machine = []string{
	"/proc", "/sys/devices/system", "/sys/fs/cgroup", "/dev/urandom", "/dev/random", "/dev/zero",
	"/etc/localtime", "/usr/share/zoneinfo", "/etc/ld.so.cache",
}

// gpu is what CUDA opens beside the machine.
var gpu = []string{"/sys/module", "/sys/bus/pci", "/sys/devices/pci0000:00", "/sys/class"}

func (r Rights) rules() []landlock.Rule {
	read := append(append([]string{}, machine...), r.Read...)
	devices := []string{"/dev/null"}
	if r.GPU {
		read = append(read, gpu...)
		devices = append(devices, nvidiaDevices()...)
	}
	rules := []landlock.Rule{
		landlock.PathAccess(writable, r.Write...),
		landlock.PathAccess(usable, devices...).IgnoreIfMissing(),
	}
	for _, path := range read {
		access := landlock.AccessFSSet(readable)
		if info, err := os.Stat(path); err != nil {
			continue // it cannot be opened either
		} else if !info.IsDir() {
			access = ll.AccessFSReadFile
		}
		rules = append(rules, landlock.PathAccess(access, path).IgnoreIfMissing())
	}
	return rules
}
