package poll

import "unsafe"

// SAFETY: only the number is used, as the name of what waiters wait for.
func (p *Poller) waitKey() uintptr { return uintptr(unsafe.Pointer(&p.key)) }
