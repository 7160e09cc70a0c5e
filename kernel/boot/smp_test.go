package boot

import "testing"

// The jump to long mode names its target as an offset into the bytes.
func TestTrampolineJumpsToItsLongPart(t *testing.T) {
	firstLong := [4]byte{0x48, 0x8b, 0x24, 0x25} // MOV RSP, [...]
	if got := [4]byte(trampoline[longStart : longStart+4]); got != firstLong {
		t.Errorf("at %#x: % x, want % x", longStart, got, firstLong)
	}
	if len(trampoline) > mailbox {
		t.Errorf("%d bytes run into the mailbox at %d", len(trampoline), mailbox)
	}
}
