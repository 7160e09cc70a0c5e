package virtio

// Window is the part of r that begins at offset and has size bytes.
func Window(r Registers, offset, size uint32) Registers {
	return &window{r, offset, size}
}

type window struct {
	under        Registers
	offset, size uint32
}

// holds tells whether width bytes at offset are inside a space of size bytes.
func holds(size, offset, width uint32) bool {
	return offset < size && width <= size-offset
}

func (w *window) Read8(offset uint32) uint8 {
	if !holds(w.size, offset, 1) {
		return ^uint8(0)
	}
	return w.under.Read8(w.offset + offset)
}

func (w *window) Read16(offset uint32) uint16 {
	if !holds(w.size, offset, 2) {
		return ^uint16(0)
	}
	return w.under.Read16(w.offset + offset)
}

func (w *window) Read32(offset uint32) uint32 {
	if !holds(w.size, offset, 4) {
		return ^uint32(0)
	}
	return w.under.Read32(w.offset + offset)
}

func (w *window) Write8(offset uint32, v uint8) {
	if holds(w.size, offset, 1) {
		w.under.Write8(w.offset+offset, v)
	}
}

func (w *window) Write16(offset uint32, v uint16) {
	if holds(w.size, offset, 2) {
		w.under.Write16(w.offset+offset, v)
	}
}

func (w *window) Write32(offset uint32, v uint32) {
	if holds(w.size, offset, 4) {
		w.under.Write32(w.offset+offset, v)
	}
}
