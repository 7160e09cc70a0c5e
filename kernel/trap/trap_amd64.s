// Ways into the kernel and out of it. None of these is called: the processor
// enters them, with the conventions that each names. Offsets of Local and
// Frame come from the compiler; R14 holds the kernel's g, which is the current
// thread; X15 is zero for Go's code.

#include "textflag.h"

// Offsets in cpu.Local, which GS points to.
#define localStack 8
#define localUser 16
#define localThread 24

// Offsets in cpu.Frame.
#define frameTLS 0
#define frameR15 16
#define frameR14 24
#define frameR13 32
#define frameR12 40
#define frameR11 48
#define frameR10 56
#define frameR9 64
#define frameR8 72
#define frameDI 80
#define frameSI 88
#define frameBP 96
#define frameDX 104
#define frameCX 112
#define frameBX 120
#define frameAX 128
#define frameVector 136
#define frameError 144
#define frameIP 152
#define frameCS 160
#define frameFlags 168
#define frameSP 176
#define frameSS 184
#define frameSize 192

// Go's register-based convention wants room above the return address where the
// callee may spill its arguments.
#define spill 16

#define SAVE(F) \
	MOVQ R15, frameR15(F); \
	MOVQ R14, frameR14(F); \
	MOVQ R13, frameR13(F); \
	MOVQ R12, frameR12(F); \
	MOVQ R11, frameR11(F); \
	MOVQ R10, frameR10(F); \
	MOVQ R9, frameR9(F); \
	MOVQ R8, frameR8(F); \
	MOVQ DI, frameDI(F); \
	MOVQ SI, frameSI(F); \
	MOVQ BP, frameBP(F)

#define LOAD \
	MOVQ frameTLS(SP), AX; \
	MOVQ AX, -8(FS); \
	MOVQ frameR15(SP), R15; \
	MOVQ frameR14(SP), R14; \
	MOVQ frameR13(SP), R13; \
	MOVQ frameR12(SP), R12; \
	MOVQ frameR11(SP), R11; \
	MOVQ frameR10(SP), R10; \
	MOVQ frameR9(SP), R9; \
	MOVQ frameR8(SP), R8; \
	MOVQ frameDI(SP), DI; \
	MOVQ frameSI(SP), SI; \
	MOVQ frameBP(SP), BP; \
	MOVQ frameDX(SP), DX; \
	MOVQ frameCX(SP), CX; \
	MOVQ frameBX(SP), BX; \
	MOVQ frameAX(SP), AX; \
	ADDQ $frameIP, SP; \
	IRETQ

// EXTENDED loads the registers that the thread's RestoreFPU names, if any.
// It clobbers AX, BX, CX and DX. offset 544 is sched.RestoreFPUOffset.
#define EXTENDED \
	MOVQ localThread(GS), CX; \
	MOVQ 544(CX), BX; \
	TESTQ BX, BX; \
	JEQ  none; \
	MOVQ $0, 544(CX); \
	MOVQ ·extendedMask(SB), AX; \
	TESTQ AX, AX; \
	JEQ  legacy; \
	MOVQ AX, DX; \
	SHRQ $32, DX; \
	BYTE $0x48; BYTE $0x0f; BYTE $0xae; BYTE $0x2b; \
	JMP  none; \
legacy: \
	BYTE $0x48; BYTE $0x0f; BYTE $0xae; BYTE $0x0b; \
none:

// syscallEntry is entered by SYSCALL: CX holds the return address, R11 the
// flags, SP is still the program's; AX is the number, DI SI DX R10 R8 R9 the
// arguments. Interrupts are off (FMASK). All registers but AX, CX and R11
// are kept, as Linux does; X registers are free to be clobbered, since Go's
// callers of assembly expect nothing else.
TEXT syscallEntry<>(SB),NOSPLIT|NOFRAME|TOPFRAME,$0
	MOVQ SP, localUser(GS)
	MOVQ localStack(GS), SP
	SUBQ $frameSize, SP
	SAVE(SP)
	MOVQ DX, frameDX(SP)
	MOVQ CX, frameCX(SP)
	MOVQ BX, frameBX(SP)
	MOVQ AX, frameAX(SP)
	MOVQ $256, frameVector(SP)
	MOVQ $0, frameError(SP)
	MOVQ CX, frameIP(SP)
	MOVQ $0x08, frameCS(SP)
	MOVQ R11, frameFlags(SP)
	MOVQ localUser(GS), AX
	MOVQ AX, frameSP(SP)
	MOVQ $0x10, frameSS(SP)
	MOVQ localThread(GS), R14
	MOVQ -8(FS), AX
	MOVQ AX, frameTLS(SP)
	MOVQ R14, -8(FS)
	XORPS X15, X15
	MOVQ SP, AX
	MOVQ ·syscallPC(SB), CX
	SUBQ $spill, SP
	CALL CX
	ADDQ $spill, SP
	JMP leave<>(SB)

// leave ends a system call: SP points to the frame.
TEXT leave<>(SB),NOSPLIT|NOFRAME|TOPFRAME,$0
	MOVQ SP, AX
	MOVQ ·leavingPC(SB), CX
	SUBQ $spill, SP
	CALL CX
	ADDQ $spill, SP
	EXTENDED
	LOAD

// start is where a new thread begins, from sched's switchStack: SP points to
// its frame, R14 is set, the scheduler's lock is held.
TEXT start<>(SB),NOSPLIT|NOFRAME|TOPFRAME,$0
	XORPS X15, X15
	MOVQ ·begunPC(SB), CX
	CALL CX
	JMP leave<>(SB)

// trapEntry is reached from a stub's CALL, on the CPU's own exception stack:
// the stub's return address, an error code for some vectors, then IP, CS,
// flags, SP, SS.
TEXT trapEntry<>(SB),NOSPLIT|NOFRAME|TOPFRAME,$0
	SUBQ $48, SP
	MOVQ AX, 0(SP)
	MOVQ BX, 8(SP)
	MOVQ CX, 16(SP)
	MOVQ DX, 24(SP)
	MOVQ R8, 32(SP)
	MOVQ 48(SP), AX         // behind the stub's CALL
	LEAQ stubTable<>(SB), BX
	SUBQ BX, AX
	SHRQ $3, AX             // the vector
	LEAQ 56(SP), BX         // error code or IP
	XORL CX, CX
	CMPQ AX, $32
	JCC  noError
	MOVQ $0x60227d00, DX    // vectors 8, 10 to 14, 17, 21, 29, 30
	BTQ  AX, DX
	JCC  noError
	MOVQ 0(BX), CX
	ADDQ $8, BX
noError:
	MOVQ 24(BX), DX         // interrupted SP
	TESTQ DX, DX
	JMI  fromKernel
	MOVQ localStack(GS), DX
fromKernel:
	ANDQ $~15, DX
	SUBQ $frameSize, DX
	MOVQ AX, frameVector(DX)
	MOVQ CX, frameError(DX)
	MOVQ 0(BX), R8
	MOVQ R8, frameIP(DX)
	MOVQ 8(BX), R8
	MOVQ R8, frameCS(DX)
	MOVQ 16(BX), R8
	MOVQ R8, frameFlags(DX)
	MOVQ 24(BX), R8
	MOVQ R8, frameSP(DX)
	MOVQ 32(BX), R8
	MOVQ R8, frameSS(DX)
	MOVQ 0(SP), R8
	MOVQ R8, frameAX(DX)
	MOVQ 8(SP), R8
	MOVQ R8, frameBX(DX)
	MOVQ 16(SP), R8
	MOVQ R8, frameCX(DX)
	MOVQ 24(SP), R8
	MOVQ R8, frameDX(DX)
	MOVQ 32(SP), R8
	SAVE(DX)
	MOVQ DX, SP
	MOVQ DX, AX
	CLD
	// The CPU left SS empty, SYSCALL does not: an emulator translates all that both
	// call twice if the two differ.
	MOVL $0x10, CX
	MOVW CX, SS
	SUBQ $256, SP
	MOVUPS X0, 0(SP)
	MOVUPS X1, 16(SP)
	MOVUPS X2, 32(SP)
	MOVUPS X3, 48(SP)
	MOVUPS X4, 64(SP)
	MOVUPS X5, 80(SP)
	MOVUPS X6, 96(SP)
	MOVUPS X7, 112(SP)
	MOVUPS X8, 128(SP)
	MOVUPS X9, 144(SP)
	MOVUPS X10, 160(SP)
	MOVUPS X11, 176(SP)
	MOVUPS X12, 192(SP)
	MOVUPS X13, 208(SP)
	MOVUPS X14, 224(SP)
	MOVUPS X15, 240(SP)
	// Kernel code keeps the g that it runs with: while booting that is no thread.
	MOVQ -8(FS), R14
	MOVQ R14, frameTLS(DX)
	MOVQ frameSP(DX), BX
	TESTQ BX, BX
	JMI  sameG
	MOVQ localThread(GS), R14
	MOVQ R14, -8(FS)
sameG:
	XORPS X15, X15
	MOVQ ·handlePC(SB), CX
	SUBQ $spill, SP
	CALL CX
	ADDQ $spill, SP
	// Back to a thread, not into the kernel: a preempted one's registers come
	// back whole, and then the low halves that this entry saved.
	MOVQ (256+frameSP)(SP), AX
	TESTQ AX, AX
	JMI  none
	EXTENDED
	MOVUPS 0(SP), X0
	MOVUPS 16(SP), X1
	MOVUPS 32(SP), X2
	MOVUPS 48(SP), X3
	MOVUPS 64(SP), X4
	MOVUPS 80(SP), X5
	MOVUPS 96(SP), X6
	MOVUPS 112(SP), X7
	MOVUPS 128(SP), X8
	MOVUPS 144(SP), X9
	MOVUPS 160(SP), X10
	MOVUPS 176(SP), X11
	MOVUPS 192(SP), X12
	MOVUPS 208(SP), X13
	MOVUPS 224(SP), X14
	MOVUPS 240(SP), X15
	ADDQ $256, SP
	LOAD

TEXT ·capture(SB),NOSPLIT,$0-24
	MOVQ x+0(FP), CX
	MOVQ area+8(FP), BX
	MOVQ mask+16(FP), AX
	MOVUPS 0(CX), X0
	MOVUPS 16(CX), X1
	MOVUPS 32(CX), X2
	MOVUPS 48(CX), X3
	MOVUPS 64(CX), X4
	MOVUPS 80(CX), X5
	MOVUPS 96(CX), X6
	MOVUPS 112(CX), X7
	MOVUPS 128(CX), X8
	MOVUPS 144(CX), X9
	MOVUPS 160(CX), X10
	MOVUPS 176(CX), X11
	MOVUPS 192(CX), X12
	MOVUPS 208(CX), X13
	MOVUPS 224(CX), X14
	MOVUPS 240(CX), X15
	TESTQ AX, AX
	JEQ  legacy
	MOVQ AX, DX
	SHRQ $32, DX
	BYTE $0x48; BYTE $0x0f; BYTE $0xae; BYTE $0x23 // XSAVE64 (BX)
	RET
legacy:
	BYTE $0x48; BYTE $0x0f; BYTE $0xae; BYTE $0x03 // FXSAVE64 (BX)
	RET

TEXT ·stubs(SB),NOSPLIT,$0-8
	LEAQ stubTable<>(SB), AX
	MOVQ AX, ret+0(FP)
	RET

TEXT ·syscallAddress(SB),NOSPLIT,$0-8
	LEAQ syscallEntry<>(SB), AX
	MOVQ AX, ret+0(FP)
	RET

TEXT ·startPC(SB),NOSPLIT,$0-8
	LEAQ start<>(SB), AX
	MOVQ AX, ret+0(FP)
	RET

// One stub a vector: a CALL that leaves its own address on the stack, padded
// to 8 bytes.
#define STUB CALL trapEntry<>(SB); BYTE $0x0f; BYTE $0x1f; BYTE $0x00
#define STUB8 STUB; STUB; STUB; STUB; STUB; STUB; STUB; STUB
#define STUB64 STUB8; STUB8; STUB8; STUB8; STUB8; STUB8; STUB8; STUB8

TEXT stubTable<>(SB),NOSPLIT|NOFRAME|TOPFRAME,$0
	STUB64
	STUB64
	STUB64
	STUB64
