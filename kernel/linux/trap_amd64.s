#include "textflag.h"

// func rawTrap(trap, a1, a2, a3, a4, a5, a6 uintptr) (r1, r2, errno uintptr)
//
// Linux's calling convention for x86-64 (syscall(2)): number in RAX, arguments
// in RDI, RSI, RDX, R10, R8, R9; -4095..-1 in RAX is an error.
TEXT ·rawTrap(SB),NOSPLIT,$0-80
	MOVQ	trap+0(FP), AX
	MOVQ	a1+8(FP), DI
	MOVQ	a2+16(FP), SI
	MOVQ	a3+24(FP), DX
	MOVQ	a4+32(FP), R10
	MOVQ	a5+40(FP), R8
	MOVQ	a6+48(FP), R9
	SYSCALL
	CMPQ	AX, $0xfffffffffffff001
	JLS	ok
	NEGQ	AX
	MOVQ	$-1, r1+56(FP)
	MOVQ	$0, r2+64(FP)
	MOVQ	AX, errno+72(FP)
	RET
ok:
	MOVQ	AX, r1+56(FP)
	MOVQ	DX, r2+64(FP)
	MOVQ	$0, errno+72(FP)
	RET

// func stackBounds() (lo, hi uintptr)
//
// The current goroutine's stack: the first two words of runtime.g are
// stack.lo and stack.hi (runtime2.go), and thread-local storage holds g.
TEXT ·stackBounds(SB),NOSPLIT,$0-16
	MOVQ	(TLS), AX
	MOVQ	0(AX), CX
	MOVQ	8(AX), DX
	MOVQ	CX, lo+0(FP)
	MOVQ	DX, hi+8(FP)
	RET
