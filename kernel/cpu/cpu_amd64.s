// Routines that Go has no words for. All use Go's stack-based calling
// convention (ABI0), clobber only AX, BX, CX, DX, SI and DI, and leave R14 (g)
// and X15 alone.

#include "textflag.h"

TEXT ·In8(SB),NOSPLIT,$0-9
	MOVW port+0(FP), DX
	XORL AX, AX
	BYTE $0xec // IN AL, DX
	MOVB AX, ret+8(FP)
	RET

TEXT ·In16(SB),NOSPLIT,$0-10
	MOVW port+0(FP), DX
	XORL AX, AX
	BYTE $0x66; BYTE $0xed // IN AX, DX
	MOVW AX, ret+8(FP)
	RET

TEXT ·In32(SB),NOSPLIT,$0-12
	MOVW port+0(FP), DX
	BYTE $0xed // IN EAX, DX
	MOVL AX, ret+8(FP)
	RET

TEXT ·Out8(SB),NOSPLIT,$0-3
	MOVW port+0(FP), DX
	MOVB v+2(FP), AX
	BYTE $0xee // OUT DX, AL
	RET

TEXT ·Out16(SB),NOSPLIT,$0-4
	MOVW port+0(FP), DX
	MOVW v+2(FP), AX
	BYTE $0x66; BYTE $0xef // OUT DX, AX
	RET

TEXT ·Out32(SB),NOSPLIT,$0-8
	MOVW port+0(FP), DX
	MOVL v+4(FP), AX
	BYTE $0xef // OUT DX, EAX
	RET

TEXT ·OutBytes(SB),NOSPLIT,$0-24
	MOVW port+0(FP), DX
	MOVQ p+8(FP), SI
	MOVQ n+16(FP), CX
	CLD
	REP
	BYTE $0x6e // OUTSB
	RET

TEXT ·CPUID(SB),NOSPLIT,$0-24
	MOVL leaf+0(FP), AX
	MOVL sub+4(FP), CX
	CPUID
	MOVL AX, a+8(FP)
	MOVL BX, b+12(FP)
	MOVL CX, c+16(FP)
	MOVL DX, d+20(FP)
	RET

TEXT ·ReadMSR(SB),NOSPLIT,$0-16
	MOVL msr+0(FP), CX
	RDMSR
	SHLQ $32, DX
	ORQ  DX, AX
	MOVQ AX, ret+8(FP)
	RET

TEXT ·WriteMSR(SB),NOSPLIT,$0-16
	MOVL msr+0(FP), CX
	MOVQ v+8(FP), AX
	MOVQ AX, DX
	SHRQ $32, DX
	WRMSR
	RET

TEXT ·ReadCR0(SB),NOSPLIT,$0-8
	MOVQ CR0, AX
	MOVQ AX, ret+0(FP)
	RET

TEXT ·WriteCR0(SB),NOSPLIT,$0-8
	MOVQ v+0(FP), AX
	MOVQ AX, CR0
	RET

TEXT ·ReadCR2(SB),NOSPLIT,$0-8
	MOVQ CR2, AX
	MOVQ AX, ret+0(FP)
	RET

TEXT ·ReadCR3(SB),NOSPLIT,$0-8
	MOVQ CR3, AX
	MOVQ AX, ret+0(FP)
	RET

TEXT ·WriteCR3(SB),NOSPLIT,$0-8
	MOVQ v+0(FP), AX
	MOVQ AX, CR3
	RET

TEXT ·ReadCR4(SB),NOSPLIT,$0-8
	MOVQ CR4, AX
	MOVQ AX, ret+0(FP)
	RET

TEXT ·WriteCR4(SB),NOSPLIT,$0-8
	MOVQ v+0(FP), AX
	MOVQ AX, CR4
	RET

TEXT ·WriteXCR0(SB),NOSPLIT,$0-8
	MOVQ v+0(FP), AX
	MOVQ AX, DX
	SHRQ $32, DX
	XORL CX, CX
	BYTE $0x0f; BYTE $0x01; BYTE $0xd1 // XSETBV
	RET

TEXT ·Invlpg(SB),NOSPLIT,$0-8
	MOVQ addr+0(FP), AX
	INVLPG (AX)
	RET

TEXT ·TSC(SB),NOSPLIT,$0-8
	LFENCE
	RDTSC
	SHLQ $32, DX
	ORQ  DX, AX
	MOVQ AX, ret+0(FP)
	RET

TEXT ·Pause(SB),NOSPLIT,$0-0
	PAUSE
	RET

TEXT ·WaitForInterrupt(SB),NOSPLIT,$0-0
	STI
	HLT
	CLI
	RET

TEXT ·Halt(SB),NOSPLIT,$0-0
	CLI
	HLT
	JMP -1(PC)

TEXT ·This(SB),NOSPLIT,$0-8
	MOVQ 0(GS), AX
	MOVQ AX, ret+0(FP)
	RET

TEXT ·Zero(SB),NOSPLIT,$0-16
	MOVQ p+0(FP), DI
	MOVQ n+8(FP), CX
	XORPS X0, X0
	JMP  blocks
block:
	// An emulator repeats a string instruction word by word, at several times
	// the cost of these stores.
	MOVUPS X0, 0(DI)
	MOVUPS X0, 16(DI)
	MOVUPS X0, 32(DI)
	MOVUPS X0, 48(DI)
	MOVUPS X0, 64(DI)
	MOVUPS X0, 80(DI)
	MOVUPS X0, 96(DI)
	MOVUPS X0, 112(DI)
	ADDQ $128, DI
blocks:
	SUBQ $128, CX
	JGE  block
	ADDQ $128, CX
	SHRQ $3, CX
	XORL AX, AX
	CLD
	REP
	STOSQ
	RET

TEXT ·Copy(SB),NOSPLIT,$0-24
	MOVQ dst+0(FP), DI
	MOVQ src+8(FP), SI
	MOVQ n+16(FP), CX
	CLD
	REP
	MOVSB
	RET

TEXT ·LoadTables(SB),NOSPLIT,$0-18
	MOVQ gdtr+0(FP), AX
	BYTE $0x0f; BYTE $0x01; BYTE $0x10 // LGDT (AX)
	MOVQ idtr+8(FP), AX
	BYTE $0x0f; BYTE $0x01; BYTE $0x18 // LIDT (AX)
	// Reload CS by a far return.
	LEAQ reloaded<>(SB), AX
	SUBQ $16, SP
	MOVQ AX, 0(SP)
	MOVQ $0x08, 8(SP)
	BYTE $0x48; BYTE $0xcb // RETFQ
	RET

// Continues LoadTables behind the far return, with the same frame.
TEXT reloaded<>(SB),NOSPLIT|NOFRAME,$0-0
	MOVL $0x10, AX
	MOVW AX, DS
	MOVW AX, ES
	MOVW AX, SS
	MOVW 24(SP), AX // task+16(FP): no frame here
	BYTE $0x0f; BYTE $0x00; BYTE $0xd8 // LTR AX
	RET

TEXT ·xsave(SB),NOSPLIT,$0-16
	MOVQ area+0(FP), BX
	MOVQ mask+8(FP), AX
	MOVQ AX, DX
	SHRQ $32, DX
	BYTE $0x48; BYTE $0x0f; BYTE $0xae; BYTE $0x23 // XSAVE64 (BX)
	RET

TEXT ·xrstor(SB),NOSPLIT,$0-16
	MOVQ area+0(FP), BX
	MOVQ mask+8(FP), AX
	MOVQ AX, DX
	SHRQ $32, DX
	BYTE $0x48; BYTE $0x0f; BYTE $0xae; BYTE $0x2b // XRSTOR64 (BX)
	RET

TEXT ·fxsave(SB),NOSPLIT,$0-8
	MOVQ area+0(FP), BX
	BYTE $0x48; BYTE $0x0f; BYTE $0xae; BYTE $0x03 // FXSAVE64 (BX)
	RET

TEXT ·fxrstor(SB),NOSPLIT,$0-8
	MOVQ area+0(FP), BX
	BYTE $0x48; BYTE $0x0f; BYTE $0xae; BYTE $0x0b // FXRSTOR64 (BX)
	RET

TEXT ·rdrand(SB),NOSPLIT,$0-9
	BYTE $0x48; BYTE $0x0f; BYTE $0xc7; BYTE $0xf0 // RDRAND RAX
	SETCS ok+8(FP)
	MOVQ AX, v+0(FP)
	RET

TEXT ·rdseed(SB),NOSPLIT,$0-9
	BYTE $0x48; BYTE $0x0f; BYTE $0xc7; BYTE $0xf8 // RDSEED RAX
	SETCS ok+8(FP)
	MOVQ AX, v+0(FP)
	RET
