#include "textflag.h"

// entry is the image's entry point in two modes.
//
// As a Linux process (64-bit, the stack holds argc, argv, ...) it jumps to the Go
// runtime. From a PVH loader (Xen, docs/misc/pvh.pandoc: 32-bit protected
// mode, paging off, flat segments, BX = physical address of hvm_start_info,
// interrupts off) it builds page tables for the first 4 GiB, where a loader may put its modules, at their own
// addresses and in the direct map, and goes on in long mode at ·start.
//
// The first instructions read differently in the two modes: what is DEC AX; NOP in
// 32-bit mode is a prefixed NOP in 64-bit mode.
TEXT ·entry(SB),NOSPLIT|NOFRAME|TOPFRAME,$0
	BYTE $0x31; BYTE $0xc0 // XORL AX, AX
	BYTE $0x48; BYTE $0x90 // DECL AX; NOP, or NOP
	BYTE $0x85; BYTE $0xc0 // TESTL AX, AX
	JNE  pvh
	JMP  _rt0_amd64_linux(SB)

// From here to long mode the processor reads 32-bit code. Only instructions are used
// that both modes encode alike. Addresses of symbols are relative to the
// instruction pointer in 64-bit code but absolute in 32-bit code, so that each is made
// from a CALL's return address: ADDRESS(sym, R) leaves the symbol's address in R.
#define ADDRESS(sym, R) \
	BYTE $0xe8; LONG $0; \
	BYTE $0x5d; \
	LEAL sym(SB), R; \
	ADDL BP, R; \
	ADDL $7, R

pvh:
	BYTE $0xfa // CLI
	BYTE $0xfc // CLD
	MOVL BX, SI
	// A stack of three words: in the page of the ELF header, behind the program
	// headers. Low memory won't do: firmware keeps the memory map there.
	MOVL $0x400e00, SP
	ADDRESS(·tables, DI)
	ADDL $4095, DI
	ANDL $~4095, DI
	// DI: level 4, +4096 level 3, +8192 four of level 2.
	MOVL DI, AX
	MOVL $(6*1024), CX
clear:
	MOVL $0, (AX)
	ADDL $4, AX
	SUBL $1, CX
	JNE  clear
	MOVL DI, AX
	ADDL $(4096+3), AX     // present, writable
	MOVL AX, (DI)          // the first 512 GiB
	MOVL AX, 2048(DI)      // entry 256: the direct map
	ADDL $4096, AX
	MOVL AX, 4096(DI)
	ADDL $4096, AX
	MOVL AX, 4104(DI)
	ADDL $4096, AX
	MOVL AX, 4112(DI)
	ADDL $4096, AX
	MOVL AX, 4120(DI)
	MOVL DI, BX
	ADDL $8192, BX
	MOVL $0x83, AX         // present, writable, large
	MOVL $2048, CX
fill:
	MOVL AX, (BX)
	ADDL $0x200000, AX
	ADDL $8, BX
	SUBL $1, CX
	JNE  fill
	// The descriptor table's address is known only now.
	ADDRESS(·gdt, AX)
	ADDRESS(·gdtRegister, BX)
	MOVL AX, 2(BX)
	BYTE $0x0f; BYTE $0x01; BYTE $0x13 // LGDT (BX)
	// Long mode: PAE, the tables, LME and NXE, paging.
	BYTE $0x0f; BYTE $0x20; BYTE $0xe0 // MOVL CR4, AX
	ORL  $0x20, AX
	BYTE $0x0f; BYTE $0x22; BYTE $0xe0 // MOVL AX, CR4
	BYTE $0x0f; BYTE $0x22; BYTE $0xdf // MOVL DI, CR3
	MOVL $0xc0000080, CX
	RDMSR
	ORL  $0x900, AX
	WRMSR
	BYTE $0x0f; BYTE $0x20; BYTE $0xc0 // MOVL CR0, AX
	ORL  $0x80000001, AX
	ANDL $~0x60000000, AX // caches on
	BYTE $0x0f; BYTE $0x22; BYTE $0xc0 // MOVL AX, CR0
	ADDRESS(long<>, AX)
	BYTE $0x6a; BYTE $0x08 // PUSHL $8: the 64-bit code segment
	BYTE $0x50             // PUSHL AX
	BYTE $0xcb             // RETF

// long runs in long mode; SI is still the start information's address.
TEXT long<>(SB),NOSPLIT|NOFRAME|TOPFRAME,$0
	MOVL $0x10, AX
	MOVW AX, DS
	MOVW AX, ES
	MOVW AX, SS
	XORL AX, AX
	MOVW AX, FS
	MOVW AX, GS
	// SSE on, before any Go code.
	MOVQ CR0, AX
	ANDQ $~4, AX
	ORQ  $2, AX
	MOVQ AX, CR0
	MOVQ CR4, AX
	ORQ  $0x600, AX
	MOVQ AX, CR4
	XORPS X15, X15
	// A stack in the direct map, where kernel stacks belong, and a g for it.
	MOVQ $0xffff800000000000, DX
	LEAQ ·bootStack(SB), AX
	ADDQ DX, AX
	LEAQ ·bootG(SB), R14
	MOVQ AX, 0(R14)
	ADDQ $928, AX
	MOVQ AX, 16(R14)
	MOVQ AX, 24(R14)
	ADDQ $(32768-928), AX
	MOVQ AX, 8(R14)
	ANDQ $~15, AX
	MOVQ AX, SP
	MOVQ R14, (63*8)(R14) // thread-local storage: FS points behind the word that holds g
	LEAQ (64*8)(R14), AX
	XORL DX, DX
	MOVL $0xc0000100, CX
	WRMSR
	BYTE $0x31; BYTE $0xed // XORL BP, BP
	MOVQ SI, AX
	MOVQ ·startFunc(SB), DX
	MOVQ (DX), CX
	SUBQ $16, SP // room for the callee to spill its argument
	CALL CX
	BYTE $0xf4 // HLT
	JMP  -1(PC)

// func textStart() uintptr
// The first byte of the text segment's page is the ELF header that the
// loader put in memory with it.
TEXT ·textStart(SB),NOSPLIT,$0-8
	LEAQ runtime·text(SB), AX
	MOVQ AX, ret+0(FP)
	RET

// secondary is where the trampoline sends another CPU in long mode, on its idle
// thread's stack: R14 is that thread, which is a g.
TEXT secondary<>(SB),NOSPLIT|NOFRAME|TOPFRAME,$0
	MOVQ CR0, AX
	ANDQ $~4, AX
	ORQ  $2, AX
	MOVQ AX, CR0
	MOVQ CR4, AX
	ORQ  $0x600, AX
	MOVQ AX, CR4
	XORPS X15, X15
	LEAQ (64*8)(R14), AX // its thread-local storage
	MOVQ AX, DX
	SHRQ $32, DX
	MOVL $0xc0000100, CX
	WRMSR
	BYTE $0x31; BYTE $0xed // XORL BP, BP
	MOVQ DI, AX // Local
	MOVQ ·secondaryFunc(SB), DX
	MOVQ (DX), CX
	SUBQ $16, SP // room for the callee to spill its argument
	CALL CX
	BYTE $0xf4
	JMP  -1(PC)

TEXT ·secondaryPC(SB),NOSPLIT,$0-8
	LEAQ secondary<>(SB), AX
	MOVQ AX, ret+0(FP)
	RET

TEXT ·runtimeEntry(SB),NOSPLIT,$0-8
	LEAQ _rt0_amd64_linux(SB), AX
	MOVQ AX, ret+0(FP)
	RET

// func idleOn(thread, top, f uintptr)
// Continues at f on the stack that ends at top, with thread as g. It does not
// return.
TEXT ·idleOn(SB),NOSPLIT|NOFRAME,$0-24
	MOVQ 8(SP), R14
	MOVQ 16(SP), SI
	MOVQ 24(SP), DI
	LEAQ (64*8)(R14), AX
	MOVQ AX, DX
	SHRQ $32, DX
	MOVL $0xc0000100, CX
	WRMSR
	MOVQ DI, CX
	MOVQ SI, SP
	BYTE $0x31; BYTE $0xed // XORL BP, BP
	XORPS X15, X15
	CALL CX
	BYTE $0xf4
	JMP  -1(PC)
