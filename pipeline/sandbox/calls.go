package sandbox

import (
	"fmt"
	"os"

	seccomp "github.com/elastic/go-seccomp-bpf"
	"github.com/elastic/go-seccomp-bpf/arch"
	"golang.org/x/sys/unix"
)

// allowed are the system calls of a process that computes with files: those of
// Go's runtime, of libtorch on a CPU, and of reading and writing files, where
// Landlock says which. Programs, sockets and other processes are not among them.
var allowed = []string{
	// files
	"read", "readv", "pread64", "write", "writev", "pwrite64", "lseek", "close",
	"stat", "lstat", "fstat", "newfstatat", "fstatat64", "statx", "statfs", "fstatfs", "access", "faccessat", "faccessat2",
	"getdents64", "readlink", "readlinkat", "fsync", "fdatasync", "ftruncate", "fallocate", "fadvise64", "flock",
	"dup", "dup2", "dup3", "pipe", "pipe2", "poll", "ppoll", "select", "pselect6",
	"epoll_create1", "epoll_ctl", "epoll_pwait", "epoll_wait", "eventfd2",
	"mkdir", "mkdirat", "unlink", "unlinkat", "rmdir", "rename", "renameat", "renameat2", "umask", "getcwd",
	// memory
	"munmap", "mprotect", "mremap", "madvise", "mincore", "brk", "membarrier", "mbind", "get_mempolicy", "set_mempolicy",
	// threads, signals, time
	"futex", "set_robust_list", "get_robust_list", "rseq", "set_tid_address", "gettid", "exit", "exit_group", "restart_syscall",
	"rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "rt_sigtimedwait", "sigaltstack",
	"sched_yield", "sched_getaffinity", "sched_setaffinity", "sched_getparam", "sched_getscheduler",
	"sched_get_priority_max", "sched_get_priority_min", "getcpu", "getpriority",
	"nanosleep", "clock_nanosleep", "clock_gettime", "clock_getres", "gettimeofday", "time", "times",
	// who and where
	"getpid", "getppid", "getpgrp", "getuid", "geteuid", "getgid", "getegid", "getrandom", "uname", "sysinfo", "getrusage",
	"getrlimit", "arch_prctl",
}

// allowedGPU are what CUDA needs beside them.
var allowedGPU = []string{
	"ioctl", "memfd_create", "mlock", "munlock", "mlock2", "socket", "socketpair", "connect", "sendmsg", "recvmsg", "sendto", "recvfrom", "bind",
	"getsockname", "getsockopt", "setsockopt", "mmap", "sched_setscheduler", "getpgid",
}

// deadly end the process at once: nothing that computes makes them, so that
// whatever does is an attack, and the user shall know.
var deadly = []string{
	"execve", "execveat", "fork", "vfork", "ptrace", "process_vm_readv", "process_vm_writev", "pidfd_getfd",
	"mount", "umount2", "pivot_root", "chroot", "setns", "unshare", "open_by_handle_at",
	"bpf", "perf_event_open", "userfaultfd", "io_uring_setup", "keyctl", "add_key", "request_key",
	"init_module", "finit_module", "delete_module", "kexec_load", "kexec_file_load", "reboot",
	"setuid", "setgid", "setreuid", "setregid", "setresuid", "setresgid", "setgroups", "capset",
}

// condition denies a call by its arguments.
type condition struct {
	name string
	deny []seccomp.ArgumentConditions // one of them, with all its parts
}

// conditional are calls that are allowed, but not with these arguments.
func conditional(gpu bool) []condition {
	compare := func(argument uint32, how seccomp.Operation, value int) seccomp.Condition {
		return seccomp.Condition{Argument: argument, Operation: how, Value: uint64(value)}
	}
	// All 64 bits are compared, the kernel reads 32 of most: what is allowed can be named, what is denied cannot.
	butFor := func(argument uint32, values ...int) seccomp.ArgumentConditions {
		var out seccomp.ArgumentConditions
		for _, value := range values {
			out = append(out, compare(argument, seccomp.NotEqual, value))
		}
		return out
	}
	// Opening for reading, or for nothing, can cut a file, and Landlock tells of that from its third version on.
	// Nor is a file made that runs as its owner or group, with the mode that comes after the flags.
	opening := func(flags uint32) []seccomp.ArgumentConditions {
		is := func(how seccomp.Operation, flag int) seccomp.Condition { return compare(flags, how, flag) }
		return []seccomp.ArgumentConditions{
			{is(seccomp.BitsSet, unix.O_TRUNC), is(seccomp.BitsNotSet, unix.O_ACCMODE)},
			{is(seccomp.BitsSet, unix.O_WRONLY), is(seccomp.BitsSet, unix.O_RDWR)},
			{is(seccomp.BitsSet, unix.O_CREAT), compare(flags+1, seccomp.BitsSet, unix.S_ISUID|unix.S_ISGID)},
		}
	}
	self := os.Getpid()
	out := []condition{
		{"open", opening(1)}, {"openat", opening(2)},
		// No signals by way of a file's owner.
		{"fcntl", []seccomp.ArgumentConditions{butFor(1, unix.F_DUPFD, unix.F_DUPFD_CLOEXEC, unix.F_GETFD, unix.F_SETFD, unix.F_GETFL, unix.F_SETFL,
			unix.F_GETLK, unix.F_SETLK, unix.F_SETLKW, unix.F_OFD_GETLK, unix.F_OFD_SETLK, unix.F_OFD_SETLKW, unix.F_ADD_SEALS, unix.F_GET_SEALS)}},
		// A second name beside the first, where a file system cannot rename without replacing:
		// Landlock denies it in any other folder.
		{"linkat", []seccomp.ArgumentConditions{butFor(4, 0)}},
		{"clone", []seccomp.ArgumentConditions{{compare(0, seccomp.BitsNotSet, unix.CLONE_THREAD)}}},
		{"tgkill", []seccomp.ArgumentConditions{butFor(0, self)}}, // Go interrupts its own threads so
		// To see whether a process is there; abort, and what Go does of a fault.
		{"kill", []seccomp.ArgumentConditions{{compare(1, seccomp.NotEqual, 0), compare(0, seccomp.NotEqual, self)}}},
		{"prctl", []seccomp.ArgumentConditions{butFor(0, unix.PR_SET_NAME, unix.PR_SET_VMA)}},
	}
	if gpu { // its own
		return append(out, condition{"prlimit64", []seccomp.ArgumentConditions{butFor(0, 0)}})
	}
	return append(out,
		condition{"prlimit64", []seccomp.ArgumentConditions{butFor(0, 0), butFor(2, 0)}}, // to read its own
		condition{"mmap", []seccomp.ArgumentConditions{ // memory that no limit counts
			{compare(3, seccomp.BitsSet, unix.MAP_SHARED), compare(3, seccomp.BitsSet, unix.MAP_ANONYMOUS)},
			{compare(3, seccomp.BitsSet, unix.MAP_GROWSDOWN)},
		}},
	)
}

// filter lets the system calls of this package's lists through, for all threads, which
// gave up gaining powers when their files were restricted.
func filter(gpu bool) error {
	info, err := arch.GetInfo("")
	if err != nil {
		return err
	}
	known := func(lists ...[]string) []string {
		seen := map[string]bool{}
		var out []string
		for _, list := range lists {
			for _, name := range list {
				if _, has := info.SyscallNames[name]; has && !seen[name] {
					seen[name] = true
					out = append(out, name)
				}
			}
		}
		return out
	}
	names := [][]string{allowed}
	if gpu {
		names = append(names, allowedGPU)
	}
	// Each condition is a filter of its own, of which the kernel takes the strictest: in one filter
	// the library compares the argument at which a condition ends with the numbers of the calls after
	// it. The filter of names comes last, since it denies loading another.
	load := func(policy seccomp.Policy) error {
		return seccomp.LoadFilter(seccomp.Filter{Flag: seccomp.FilterFlagTSync, Policy: policy})
	}
	for _, c := range conditional(gpu) {
		if len(known([]string{c.name})) == 0 {
			continue // open, on a newer kind of processor
		}
		group := seccomp.SyscallGroup{Action: seccomp.ActionErrno}
		for _, arguments := range c.deny {
			group.NamesWithCondtions = append(group.NamesWithCondtions, seccomp.NameWithConditions{Name: c.name, Conditions: arguments})
		}
		if err := load(seccomp.Policy{DefaultAction: seccomp.ActionAllow, Syscalls: []seccomp.SyscallGroup{group}}); err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		names = append(names, []string{c.name})
	}
	return load(seccomp.Policy{
		DefaultAction: seccomp.ActionErrno, // EPERM
		Syscalls: []seccomp.SyscallGroup{
			{Names: known(names...), Action: seccomp.ActionAllow},
			{Names: known(deadly), Action: seccomp.ActionKillProcess},
			// Its arguments lie in memory, where no filter sees them; without
			// it the C library starts threads with clone.
			{Names: known([]string{"clone3"}), Action: seccomp.ActionErrno | seccomp.Action(unix.ENOSYS)},
		},
	})
}
