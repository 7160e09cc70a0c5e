package process

import (
	seccomp "github.com/elastic/go-seccomp-bpf"
	"golang.org/x/sys/unix"
)

// allowed are the system calls that Go's runtime and standard library make for
// a server: memory, threads, time, descriptors, files, sockets, signals.
var allowed = []string{
	// memory
	"brk", "mmap", "munmap", "mprotect", "madvise", "mincore", "mremap", "mlock", "munlock",
	// threads and scheduling
	"futex", "sched_yield", "sched_getaffinity", "gettid", "getpid", "getppid", "set_tid_address", "set_robust_list",
	"rseq", "arch_prctl", "exit", "exit_group", "getcpu", "wait4", "waitid", "membarrier",
	// time
	"clock_gettime", "clock_getres", "clock_nanosleep", "nanosleep", "gettimeofday", "time",
	"timer_create", "timer_settime", "timer_delete", "setitimer", "getitimer",
	"timerfd_create", "timerfd_settime", "timerfd_gettime",
	// signals; kill reaches no process but this one
	"rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "sigaltstack", "tgkill", "tkill", "kill", "restart_syscall",
	// descriptors
	"read", "write", "pread64", "pwrite64", "readv", "writev", "preadv", "pwritev", "close", "close_range",
	"dup", "dup2", "dup3", "fcntl", "flock", "lseek", "pipe", "pipe2", "eventfd2", "poll", "ppoll", "select", "pselect6",
	"epoll_create1", "epoll_ctl", "epoll_wait", "epoll_pwait", "epoll_pwait2", "sendfile", "splice", "tee", "copy_file_range",
	// files
	"open", "openat", "openat2", "access", "faccessat", "faccessat2", "stat", "lstat", "fstat", "newfstatat", "statx", "statfs", "fstatfs",
	"getdents64", "getcwd", "chdir", "fchdir", "mkdir", "mkdirat", "rmdir", "unlink", "unlinkat", "rename", "renameat", "renameat2",
	"link", "linkat", "symlink", "symlinkat", "readlink", "readlinkat", "chmod", "fchmod", "fchmodat", "umask",
	"truncate", "ftruncate", "fallocate", "fsync", "fdatasync", "syncfs", "sync_file_range", "msync", "utimensat", "fadvise64",
	"chown", "fchown", "lchown", "fchownat", // to itself: it has no right to more
	"inotify_init1", "inotify_add_watch", "inotify_rm_watch",
	// sockets
	"socketpair", "bind", "listen", "accept", "accept4", "connect", "shutdown", "getsockname", "getpeername",
	"setsockopt", "getsockopt", "sendto", "recvfrom", "sendmsg", "recvmsg", "sendmmsg", "recvmmsg",
	// what a program asks about itself
	"getuid", "geteuid", "getgid", "getegid", "getgroups", "getresuid", "getresgid", "getpgrp", "getpgid", "getsid",
	"uname", "sysinfo", "getrandom", "getrusage", "times", "getrlimit", "setrlimit", "prlimit64", "getpriority", "capget",
}

// families of sockets that a program may have.
var families = []uint64{unix.AF_UNIX, unix.AF_INET, unix.AF_INET6, unix.AF_NETLINK}

// policy lets in what is listed, and packet sockets for a program that forwards; all
// else fails with EPERM. There is no second process, and one execution: of the program, by the descriptor that closes with
// it. No file that the program can open afterwards may be executed.
func policy(forward bool) seccomp.Policy {
	only := func(name string, argument uint32, operation seccomp.Operation, value uint64) seccomp.NameWithConditions {
		return seccomp.NameWithConditions{Name: name, Conditions: seccomp.ArgumentConditions{
			{Argument: argument, Operation: operation, Value: value},
		}}
	}
	conditional := []seccomp.NameWithConditions{
		only("clone", 0, seccomp.BitsSet, unix.CLONE_THREAD),
		only("prctl", 0, seccomp.Equal, unix.PR_SET_NAME),
		only("prctl", 0, seccomp.Equal, unix.PR_SET_VMA),
		{Name: "execveat", Conditions: seccomp.ArgumentConditions{
			{Argument: 0, Operation: seccomp.Equal, Value: programFD},
			{Argument: 4, Operation: seccomp.Equal, Value: unix.AT_EMPTY_PATH},
		}},
		{Name: "ioctl", Conditions: seccomp.ArgumentConditions{ // no typing for the user
			{Argument: 1, Operation: seccomp.NotEqual, Value: unix.TIOCSTI},
			{Argument: 1, Operation: seccomp.NotEqual, Value: unix.TIOCLINUX},
		}},
	}
	if forward {
		conditional = append(conditional, only("socket", 0, seccomp.Equal, unix.AF_PACKET))
	}
	for _, f := range families {
		conditional = append(conditional, only("socket", 0, seccomp.Equal, f))
	}
	return seccomp.Policy{
		DefaultAction: seccomp.ActionErrno,
		Syscalls: []seccomp.SyscallGroup{
			{Action: seccomp.ActionAllow, Names: allowed},
			{Action: seccomp.ActionAllow, NamesWithCondtions: conditional},
		},
	}
}

// filterCalls confines the calling thread, and what it becomes.
func filterCalls(forward bool) error {
	return seccomp.LoadFilter(seccomp.Filter{NoNewPrivs: true, Policy: policy(forward)})
}
