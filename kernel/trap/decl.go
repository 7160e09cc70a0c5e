package trap

// The routines and labels of trap_amd64.s.

// stubs returns the address of the first of 256 entries, 8 bytes apart.
//
//go:noescape
func stubs() uintptr

//go:noescape
func syscallAddress() uintptr

//go:noescape
func startPC() uintptr

// capture loads X0 to X15 from the 256 bytes at x and writes all extended
// registers to area: by XSAVE with mask, or by FXSAVE where mask is 0.
//
//go:noescape
func capture(x, area uintptr, mask uint64)
