package linux

import "syscall"

// refusals is the calls that are not there on purpose, with what they return.
// docs/syscalls.md lists them.
var refusals = [...]refusal{
	{syscall.ENOSYS, "a unikernel runs one program, which can't fork or exec", false, []uintptr{
		syscall.SYS_FORK, syscall.SYS_VFORK, syscall.SYS_CLONE, sysNumClone3, sysNumExecveat,
	}},
	{syscall.EPERM, "there is no second process to look into", false, []uintptr{
		syscall.SYS_PTRACE, sysNumProcessVMReadv, sysNumProcessVMWritev, sysNumKcmp, sysNumProcessMadvise, sysNumProcessMrelease,
	}},
	{syscall.EPERM, "a unikernel has one file tree and no namespaces", false, []uintptr{
		syscall.SYS_MOUNT, syscall.SYS_UMOUNT2, syscall.SYS_PIVOT_ROOT, syscall.SYS_CHROOT, syscall.SYS_UNSHARE, sysNumSetns,
		sysNumOpenTree, sysNumMoveMount, sysNumFsopen, sysNumFsconfig, sysNumFsmount, sysNumFspick, sysNumMountSetattr,
		sysNumOpenTreeAttr,
	}},
	{syscall.ENOSYS, "nothing is mounted while the program runs", false, []uintptr{
		sysNumStatmount, sysNumListmount, sysNumListns,
	}},
	{syscall.EPERM, "the kernel is part of the image and is not changed while it runs", false, []uintptr{
		syscall.SYS_INIT_MODULE, syscall.SYS_DELETE_MODULE, sysNumFinitModule, syscall.SYS_KEXEC_LOAD, sysNumKexecFileLoad,
		syscall.SYS_IOPL, syscall.SYS_IOPERM, syscall.SYS_MODIFY_LDT,
	}},
	{syscall.EPERM, "the clock is set by the host", false, []uintptr{
		syscall.SYS_CLOCK_SETTIME, syscall.SYS_SETTIMEOFDAY,
	}},
	{syscall.EPERM, "there is no swap, accounting, quota or terminal to hang up", false, []uintptr{
		syscall.SYS_SWAPON, syscall.SYS_SWAPOFF, syscall.SYS_ACCT, syscall.SYS_QUOTACTL, sysNumQuotactlFd, syscall.SYS_VHANGUP,
		syscall.SYS_SYSLOG,
	}},
	{syscall.ENOSYS, "there is no second process to share it with: goroutines have channels", false, []uintptr{
		syscall.SYS_SHMGET, syscall.SYS_SHMAT, syscall.SYS_SHMCTL, syscall.SYS_SHMDT,
		syscall.SYS_SEMGET, syscall.SYS_SEMOP, syscall.SYS_SEMCTL, syscall.SYS_SEMTIMEDOP,
		syscall.SYS_MSGGET, syscall.SYS_MSGSND, syscall.SYS_MSGRCV, syscall.SYS_MSGCTL,
		syscall.SYS_MQ_OPEN, syscall.SYS_MQ_UNLINK, syscall.SYS_MQ_TIMEDSEND, syscall.SYS_MQ_TIMEDRECEIVE,
		syscall.SYS_MQ_NOTIFY, syscall.SYS_MQ_GETSETATTR,
	}},
	{syscall.ENOSYS, "a system call is a function call here, so that rings of them save nothing", true, []uintptr{
		sysNumIOUringSetup, sysNumIOUringEnter, sysNumIOUringRegister,
		syscall.SYS_IO_SETUP, syscall.SYS_IO_DESTROY, syscall.SYS_IO_GETEVENTS, syscall.SYS_IO_SUBMIT, syscall.SYS_IO_CANCEL,
		sysNumIOPgetevents,
	}},
	{syscall.ENOSYS, "the kernel runs no programs of its user's, and has no sandbox for the one program that there is", false, []uintptr{
		sysNumBPF, sysNumSeccomp, sysNumLandlockCreate, sysNumLandlockAdd, sysNumLandlockRestrict,
		sysNumLsmGet, sysNumLsmSet, sysNumLsmList,
	}},
	{syscall.ENOSYS, "pith profile and pith stats take their place", false, []uintptr{
		sysNumPerfEventOpen, sysNumUretprobe, sysNumUprobe,
	}},
	{syscall.ENOSYS, "package os has no use for it, and inotify is there", false, []uintptr{
		sysNumFanotifyInit, sysNumFanotifyMark, sysNumNameToHandle, sysNumOpenByHandle,
		syscall.SYS_LOOKUP_DCOOKIE, syscall.SYS_USTAT, syscall.SYS_SYSFS, syscall.SYS_USELIB,
	}},
	{syscall.ENOSYS, "the kernel keeps no keys", true, []uintptr{
		syscall.SYS_ADD_KEY, syscall.SYS_REQUEST_KEY, syscall.SYS_KEYCTL,
	}},
	{syscall.ENOSYS, "a machine has one memory node, and memory is never paged out", true, []uintptr{
		syscall.SYS_MBIND, syscall.SYS_SET_MEMPOLICY, syscall.SYS_GET_MEMPOLICY, syscall.SYS_MIGRATE_PAGES,
		syscall.SYS_MOVE_PAGES, sysNumHomeNode, sysNumCachestat,
	}},
	{syscall.ENOSYS, "the Go runtime manages memory: it has no use for protection keys, secret or shadow memory", true, []uintptr{
		syscall.SYS_BRK, sysNumPkeyMprotect, sysNumPkeyAlloc, sysNumPkeyFree, sysNumMemfdSecret, sysNumUserfaultfd,
		sysNumMapShadowStack, sysNumMseal, syscall.SYS_REMAP_FILE_PAGES,
	}},
	{syscall.ENOSYS, "the Go runtime has timers: time.AfterFunc takes the place of signals from the kernel", true, []uintptr{
		syscall.SYS_ALARM, syscall.SYS_TIMER_CREATE, syscall.SYS_TIMER_SETTIME, syscall.SYS_TIMER_GETTIME,
		syscall.SYS_TIMER_GETOVERRUN, syscall.SYS_TIMER_DELETE,
	}},
	{syscall.ENOSYS, "the Go runtime sends signals to its threads itself, and they carry no data", true, []uintptr{
		syscall.SYS_RT_SIGQUEUEINFO, syscall.SYS_RT_TGSIGQUEUEINFO, syscall.SYS_RT_SIGSUSPEND, syscall.SYS_RESTART_SYSCALL,
	}},
	{syscall.ENOSYS, "threads are the Go runtime's, which doesn't ask for it", true, []uintptr{
		syscall.SYS_SET_ROBUST_LIST, syscall.SYS_GET_ROBUST_LIST, sysNumRseq, sysNumRseqSliceYield,
		syscall.SYS_SET_THREAD_AREA, syscall.SYS_GET_THREAD_AREA,
		sysNumSchedSetattr, sysNumSchedGetattr, sysNumFutexWaitv, sysNumFutexWake, sysNumFutexWait, sysNumFutexRequeue,
		syscall.SYS_IOPRIO_SET,
	}},
	{syscall.ENOSYS, "newer than the Linux that is followed; every program has the older way, too", true, []uintptr{
		sysNumSetxattrat, sysNumGetxattrat, sysNumListxattrat, sysNumRemovexattrat, sysNumFileGetattr, sysNumFileSetattr,
	}},
	{syscall.ENOSYS, "Linux has dropped it, or never had it", false, []uintptr{
		syscall.SYS_GETDENTS, syscall.SYS__SYSCTL, syscall.SYS_CREATE_MODULE, syscall.SYS_GET_KERNEL_SYMS, syscall.SYS_QUERY_MODULE,
		syscall.SYS_NFSSERVCTL, syscall.SYS_GETPMSG, syscall.SYS_PUTPMSG, syscall.SYS_AFS_SYSCALL, syscall.SYS_TUXCALL,
		syscall.SYS_SECURITY, syscall.SYS_EPOLL_CTL_OLD, syscall.SYS_EPOLL_WAIT_OLD, syscall.SYS_VSERVER,
	}},
}
