#include "textflag.h"

// func switchStack(save, load, thread, fs uintptr)
// Saves SP at save, continues on the stack load, with thread as the kernel's g
// and fs as the FS base, both at once: compiled code takes g from there.
// Go's stack-based calling convention; everything but BP, SP and R14 may be
// clobbered, as by any call. It returns when another switchStack loads what was
// saved here.
TEXT ·switchStack(SB),NOSPLIT|NOFRAME,$0-32
	MOVQ 8(SP), AX
	MOVQ 16(SP), BX
	MOVQ 24(SP), CX
	MOVQ 32(SP), DX
	PUSHQ BP
	MOVQ SP, (AX)
	MOVQ BX, SP
	MOVQ CX, R14
	MOVL $0xc0000100, CX // FS base
	MOVQ DX, AX
	SHRQ $32, DX
	WRMSR
	POPQ BP
	RET
