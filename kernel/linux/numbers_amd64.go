package linux

// machineName is what uname reports as machine.
const machineName = "x86_64"

// Numbers of system calls that package syscall doesn't have.
const (
	sysNumSyncfs        = 306
	sysNumSendmmsg      = 307
	sysNumSetns         = 308
	sysNumGetcpu        = 309
	sysNumRenameat2     = 316
	sysNumGetrandom     = 318
	sysNumMemfdCreate   = 319
	sysNumMembarrier    = 324
	sysNumMlock2        = 325
	sysNumCopyFileRange = 326
	sysNumPreadv2       = 327
	sysNumPwritev2      = 328
	sysNumStatx         = 332
	sysNumRseq          = 334
	sysNumPidfdSend     = 424
	sysNumPidfdOpen     = 434
	sysNumClone3        = 435
	sysNumCloseRange    = 436
	sysNumOpenat2       = 437
	sysNumFaccessat2    = 439
	sysNumEpollPwait2   = 441
	sysNumFchmodat2     = 452
)
