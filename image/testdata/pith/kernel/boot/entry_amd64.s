#include "textflag.h"

// The entry point: on to the Go runtime's own.
TEXT ·entry(SB),NOSPLIT|NOFRAME,$0
	JMP	_rt0_amd64_linux(SB)
