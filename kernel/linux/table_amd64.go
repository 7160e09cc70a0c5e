package linux

import "syscall"

// tableSize is one more than the highest number that anything answers to.
const tableSize = 480

// lower is the calls that belong to the lower half and are done there with
// the program's own arguments.
var lower = set{
	syscall.SYS_MPROTECT:     true,
	syscall.SYS_RT_SIGACTION: true, syscall.SYS_RT_SIGPROCMASK: true, syscall.SYS_RT_SIGRETURN: true, syscall.SYS_RT_SIGPENDING: true,
	syscall.SYS_SIGALTSTACK: true, syscall.SYS_KILL: true, syscall.SYS_TKILL: true, syscall.SYS_TGKILL: true,
	syscall.SYS_GETPID: true, syscall.SYS_GETTID: true,
	syscall.SYS_GETITIMER: true, syscall.SYS_SETITIMER: true,
	syscall.SYS_CLOCK_GETTIME: true, syscall.SYS_CLOCK_GETRES: true, syscall.SYS_GETTIMEOFDAY: true, syscall.SYS_TIME: true,
	syscall.SYS_SCHED_YIELD: true, syscall.SYS_SCHED_GETAFFINITY: true, syscall.SYS_SCHED_SETAFFINITY: true, sysNumGetcpu: true,
	syscall.SYS_ARCH_PRCTL: true, syscall.SYS_GETRUSAGE: true, syscall.SYS_SET_TID_ADDRESS: true, sysNumMembarrier: true,
	syscall.SYS_EXIT: true, syscall.SYS_EXIT_GROUP: true,
}

// lowerBlocking is those that may block the thread.
var lowerBlocking = set{
	syscall.SYS_FUTEX: true, syscall.SYS_RT_SIGTIMEDWAIT: true,
}

// table is the handlers of all other calls.
var table = [tableSize]handler{
	// Reading and writing: readwrite.go
	syscall.SYS_READ: sysRead, syscall.SYS_WRITE: sysWrite,
	syscall.SYS_READV: sysReadv, syscall.SYS_WRITEV: sysWritev,
	syscall.SYS_PREAD64: sysPread64, syscall.SYS_PWRITE64: sysPwrite64,
	syscall.SYS_PREADV: sysPreadv, syscall.SYS_PWRITEV: sysPwritev,
	sysNumPreadv2: sysPreadv2, sysNumPwritev2: sysPwritev2,
	syscall.SYS_LSEEK: sysLseek, syscall.SYS_FSYNC: sysFsync, syscall.SYS_FDATASYNC: sysFdatasync,
	syscall.SYS_SYNC: sysSync, syscall.SYS_SYNC_FILE_RANGE: sysFsync, sysNumSyncfs: sysSyncfs,
	syscall.SYS_FADVISE64: sysFadvise64, syscall.SYS_READAHEAD: sysReadahead,

	// Descriptors: control.go, locks.go
	syscall.SYS_CLOSE: sysClose, sysNumCloseRange: sysCloseRange,
	syscall.SYS_DUP: sysDup, syscall.SYS_DUP2: sysDup2, syscall.SYS_DUP3: sysDup3,
	syscall.SYS_FCNTL: sysFcntl, syscall.SYS_IOCTL: sysIoctl, syscall.SYS_FLOCK: sysFlock,

	// Names: paths.go
	syscall.SYS_OPEN: sysOpen, syscall.SYS_OPENAT: sysOpenat, syscall.SYS_CREAT: sysCreat, sysNumOpenat2: sysOpenat2,
	syscall.SYS_MKDIR: sysMkdir, syscall.SYS_MKDIRAT: sysMkdirat,
	syscall.SYS_MKNOD: sysMknod, syscall.SYS_MKNODAT: sysMknodat,
	syscall.SYS_RMDIR: sysRmdir, syscall.SYS_UNLINK: sysUnlink, syscall.SYS_UNLINKAT: sysUnlinkat,
	syscall.SYS_RENAME: sysRename, syscall.SYS_RENAMEAT: sysRenameat, sysNumRenameat2: sysRenameat2,
	syscall.SYS_LINK: sysLink, syscall.SYS_LINKAT: sysLinkat,
	syscall.SYS_SYMLINK: sysSymlink, syscall.SYS_SYMLINKAT: sysSymlinkat,
	syscall.SYS_READLINK: sysReadlink, syscall.SYS_READLINKAT: sysReadlinkat,
	syscall.SYS_CHDIR: sysChdir, syscall.SYS_FCHDIR: sysFchdir, syscall.SYS_GETCWD: sysGetcwd,
	syscall.SYS_GETDENTS64: sysGetdents64,

	// Attributes: attributes.go, stat.go
	syscall.SYS_UMASK: sysUmask,
	syscall.SYS_CHMOD: sysChmod, syscall.SYS_FCHMOD: sysFchmod, syscall.SYS_FCHMODAT: sysFchmodat,
	sysNumFchmodat2:   sysFchmodat2,
	syscall.SYS_CHOWN: sysChown, syscall.SYS_LCHOWN: sysLchown, syscall.SYS_FCHOWN: sysFchown,
	syscall.SYS_FCHOWNAT: sysFchownat,
	syscall.SYS_ACCESS:   sysAccess, syscall.SYS_FACCESSAT: sysFaccessat, sysNumFaccessat2: sysFaccessat2,
	syscall.SYS_TRUNCATE: sysTruncate, syscall.SYS_FTRUNCATE: sysFtruncate, syscall.SYS_FALLOCATE: sysFallocate,
	syscall.SYS_UTIMENSAT: sysUtimensat, syscall.SYS_UTIMES: sysUtimes, syscall.SYS_FUTIMESAT: sysFutimesat,
	syscall.SYS_UTIME: sysUtime,
	syscall.SYS_STAT:  sysStat, syscall.SYS_LSTAT: sysLstat, syscall.SYS_FSTAT: sysFstat,
	syscall.SYS_NEWFSTATAT: sysNewfstatat, sysNumStatx: sysStatx,
	syscall.SYS_STATFS: sysStatfs, syscall.SYS_FSTATFS: sysFstatfs,
	syscall.SYS_GETXATTR: sysGetxattr, syscall.SYS_LGETXATTR: sysLgetxattr, syscall.SYS_FGETXATTR: sysFgetxattr,
	syscall.SYS_SETXATTR: sysSetxattr, syscall.SYS_LSETXATTR: sysLsetxattr, syscall.SYS_FSETXATTR: sysFsetxattr,
	syscall.SYS_LISTXATTR: sysListxattr, syscall.SYS_LLISTXATTR: sysLlistxattr, syscall.SYS_FLISTXATTR: sysFlistxattr,
	syscall.SYS_REMOVEXATTR: sysRemovexattr, syscall.SYS_LREMOVEXATTR: sysLremovexattr, syscall.SYS_FREMOVEXATTR: sysFremovexattr,

	// Pipes and transfers: pipe.go, transfer.go
	syscall.SYS_PIPE: sysPipe, syscall.SYS_PIPE2: sysPipe2,
	syscall.SYS_SENDFILE: sysSendfile, syscall.SYS_SPLICE: sysSplice, syscall.SYS_TEE: sysTee, syscall.SYS_VMSPLICE: sysVmsplice, sysNumCopyFileRange: sysCopyFileRange,
	sysNumMemfdCreate: sysMemfdCreate,

	// Sockets: sock.go, sockmsg.go, sockopt.go
	syscall.SYS_SOCKET: sysSocket, syscall.SYS_SOCKETPAIR: sysSocketpair, syscall.SYS_BIND: sysBind,
	syscall.SYS_CONNECT: sysConnect, syscall.SYS_LISTEN: sysListen,
	syscall.SYS_ACCEPT: sysAccept, syscall.SYS_ACCEPT4: sysAccept4,
	syscall.SYS_GETSOCKNAME: sysGetsockname, syscall.SYS_GETPEERNAME: sysGetpeername,
	syscall.SYS_SENDTO: sysSendto, syscall.SYS_RECVFROM: sysRecvfrom,
	syscall.SYS_SENDMSG: sysSendmsg, syscall.SYS_RECVMSG: sysRecvmsg,
	sysNumSendmmsg: sysSendmmsg, syscall.SYS_RECVMMSG: sysRecvmmsg,
	syscall.SYS_SHUTDOWN:   sysShutdown,
	syscall.SYS_SETSOCKOPT: sysSetsockopt, syscall.SYS_GETSOCKOPT: sysGetsockopt,

	// Events: eventfd.go, timerfd.go, epoll.go, poll.go, inotify.go
	syscall.SYS_EVENTFD: sysEventfd, syscall.SYS_EVENTFD2: sysEventfd2,
	syscall.SYS_TIMERFD_CREATE: sysTimerfdCreate, syscall.SYS_TIMERFD_SETTIME: sysTimerfdSettime,
	syscall.SYS_TIMERFD_GETTIME: sysTimerfdGettime,
	syscall.SYS_EPOLL_CREATE:    sysEpollCreate, syscall.SYS_EPOLL_CREATE1: sysEpollCreate1,
	syscall.SYS_EPOLL_CTL: sysEpollCtl, syscall.SYS_EPOLL_WAIT: sysEpollWait, syscall.SYS_EPOLL_PWAIT: sysEpollWait,
	sysNumEpollPwait2: sysEpollPwait2,
	syscall.SYS_POLL:  sysPoll, syscall.SYS_PPOLL: sysPpoll,
	syscall.SYS_SELECT: sysSelect, syscall.SYS_PSELECT6: sysPselect6,
	syscall.SYS_INOTIFY_INIT: sysInotifyInit, syscall.SYS_INOTIFY_INIT1: sysInotifyInit1,
	syscall.SYS_INOTIFY_ADD_WATCH: sysInotifyAddWatch, syscall.SYS_INOTIFY_RM_WATCH: sysInotifyRmWatch,

	// Memory: memory.go
	syscall.SYS_MMAP: sysMmap, syscall.SYS_MUNMAP: sysMunmap, syscall.SYS_MREMAP: sysMremap,
	syscall.SYS_MADVISE: sysMadvise,
	syscall.SYS_MSYNC:   sysMsync, syscall.SYS_MINCORE: sysMincore,
	syscall.SYS_MLOCK: sysMlock, syscall.SYS_MUNLOCK: sysMlock, sysNumMlock2: sysMlock2,
	syscall.SYS_MLOCKALL: sysMlockall, syscall.SYS_MUNLOCKALL: zero,

	// The process and the machine: process.go, limits.go
	syscall.SYS_GETUID: zero, syscall.SYS_GETEUID: zero, syscall.SYS_GETGID: zero, syscall.SYS_GETEGID: zero,
	syscall.SYS_GETPPID: zero, syscall.SYS_GETGROUPS: zero, syscall.SYS_SETFSUID: zero, syscall.SYS_SETFSGID: zero,
	syscall.SYS_GETRESUID: sysGetresuid, syscall.SYS_GETRESGID: sysGetresuid,
	syscall.SYS_SETUID: identity1, syscall.SYS_SETGID: identity1,
	syscall.SYS_SETREUID: identity2, syscall.SYS_SETREGID: identity2,
	syscall.SYS_SETRESUID: identity, syscall.SYS_SETRESGID: identity, syscall.SYS_SETGROUPS: sysSetgroups,
	syscall.SYS_CAPGET: sysCapget, syscall.SYS_CAPSET: zero,
	syscall.SYS_GETPGID: itself, syscall.SYS_GETSID: itself, syscall.SYS_GETPGRP: sysGetpgrp,
	syscall.SYS_PRCTL:  sysPrctl,
	syscall.SYS_SETSID: sysSetsid, syscall.SYS_SETPGID: denied,
	syscall.SYS_GETPRIORITY: sysGetpriority, syscall.SYS_SETPRIORITY: sysSetpriority,
	syscall.SYS_WAIT4: sysNoChild, syscall.SYS_WAITID: sysNoChild,
	sysNumGetrandom:   sysGetrandom,
	syscall.SYS_UNAME: sysUname, syscall.SYS_SETHOSTNAME: sysSethostname, syscall.SYS_SETDOMAINNAME: sysSetdomainname,
	syscall.SYS_SYSINFO: sysSysinfo, syscall.SYS_TIMES: sysTimes,
	syscall.SYS_GETRLIMIT: sysGetrlimit, syscall.SYS_SETRLIMIT: sysSetrlimit, syscall.SYS_PRLIMIT64: sysPrlimit64,
	syscall.SYS_NANOSLEEP: sysNanosleep, syscall.SYS_CLOCK_NANOSLEEP: sysClockNanosleep,
	syscall.SYS_PAUSE: sysPause, syscall.SYS_REBOOT: sysReboot,

	syscall.SYS_EXECVE: sysExecve,

	// Signals, processes and scheduling: signalfd.go, pidfd.go, scheduling.go
	syscall.SYS_SIGNALFD: sysSignalfd, syscall.SYS_SIGNALFD4: sysSignalfd4,
	sysNumPidfdOpen: sysPidfdOpen, sysNumPidfdSend: sysPidfdSendSignal, sysNumPidfdGetfd: sysPidfdGetfd,
	syscall.SYS_SCHED_GETPARAM: sysSchedGetparam, syscall.SYS_SCHED_SETPARAM: sysSchedSetparam,
	syscall.SYS_SCHED_GETSCHEDULER: zero, syscall.SYS_SCHED_SETSCHEDULER: sysSchedSetscheduler,
	syscall.SYS_SCHED_GET_PRIORITY_MAX: sysSchedPriorityMax, syscall.SYS_SCHED_GET_PRIORITY_MIN: sysSchedPriorityMin,
	syscall.SYS_SCHED_RR_GET_INTERVAL: sysSchedInterval,
	syscall.SYS_ADJTIMEX:              sysAdjtimex, sysNumClockAdjtime: sysClockAdjtime,
	syscall.SYS_IOPRIO_GET: sysIoprioGet, syscall.SYS_PERSONALITY: sysPersonality,
}
