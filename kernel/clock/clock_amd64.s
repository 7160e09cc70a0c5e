#include "textflag.h"

// vdsoGettime stands for Linux's __vdso_clock_gettime(id, *timespec) int, with C's
// calling convention: DI = id, SI = the result's address, AX = 0. Clobbers
// AX, CX, DX, R8. It runs on the caller's stack and touches none of it.
TEXT vdsoGettime<>(SB),NOSPLIT|NOFRAME,$0
again:
	MOVL ·sequence(SB), R8
	LFENCE
	RDTSC
	SHLQ $32, DX
	ORQ  DX, AX
	SUBQ ·origin(SB), AX
	MULQ ·mult(SB)
	SHRQ $32, AX
	SHLQ $32, DX
	ORQ  DX, AX
	ADDQ ·base(SB), AX // nanoseconds since boot
	TESTL $1, R8       // the conversion was being changed
	JNE  again
	CMPL R8, ·sequence(SB)
	JNE  again
	TESTL DI, DI   // CLOCK_REALTIME is 0
	JEQ  wall
	CMPL DI, $5    // CLOCK_REALTIME_COARSE
	JNE  split
wall:
	ADDQ ·wallOffset(SB), AX
split:
	XORL DX, DX
	MOVQ $1000000000, CX
	DIVQ CX
	MOVQ AX, 0(SI)
	MOVQ DX, 8(SI)
	XORL AX, AX
	RET

TEXT ·vdso(SB),NOSPLIT,$0-8
	LEAQ vdsoGettime<>(SB), AX
	MOVQ AX, ret+0(FP)
	RET
