package linux

// Values in memory are little-endian on all machines that Pith runs on;
// addresses and ports on the network are big-endian.

func store16(p []byte, v uint16) { p[0], p[1] = byte(v), byte(v>>8) }

func store32(p []byte, v uint32) {
	p[0], p[1], p[2], p[3] = byte(v), byte(v>>8), byte(v>>16), byte(v>>24)
}

func store64(p []byte, v uint64) {
	store32(p, uint32(v))
	store32(p[4:], uint32(v>>32))
}

func load16(p []byte) uint16 { return uint16(p[0]) | uint16(p[1])<<8 }

func load32(p []byte) uint32 {
	return uint32(p[0]) | uint32(p[1])<<8 | uint32(p[2])<<16 | uint32(p[3])<<24
}

func load64(p []byte) uint64 { return uint64(load32(p)) | uint64(load32(p[4:]))<<32 }

func storePort(p []byte, v uint16) { p[0], p[1] = byte(v>>8), byte(v) }

func loadPort(p []byte) uint16 { return uint16(p[0])<<8 | uint16(p[1]) }
