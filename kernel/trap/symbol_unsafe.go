package trap

import "unsafe"

// funcInfo is runtime.funcInfo.
type funcInfo struct{ f, module unsafe.Pointer }

//go:linkname findfunc runtime.findfunc
func findfunc(pc uintptr) funcInfo

//go:linkname funcname runtime.funcname
func funcname(f funcInfo) string

// functionName returns the name of the function that pc lies in, "" if there
// is none. It reads the program's own tables and neither allocates nor locks.
func functionName(pc uintptr) string {
	f := findfunc(pc)
	if f.f == nil {
		return ""
	}
	return funcname(f)
}
