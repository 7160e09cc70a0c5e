package linuxvm

import (
	"bufio"
	"fmt"
	"io"
	"math"
	"strings"
)

// Modes of the entries in a RAM disk (cpio's, which are Unix's).
const (
	modeFolder = 0o040755
	modeFile   = 0o100644
	modeProg   = 0o100755
	modeChar   = 0o020600
)

// cpioTrailer is the name of the entry that ends an archive.
const cpioTrailer = "TRAILER!!!"

// entry is one entry of a RAM disk.
type entry struct {
	Name         string // relative, without a leading slash
	Mode         uint32
	Major, Minor uint32 // of a device
	Data         []byte // of a file, less than 4 GiB
}

// writeCPIO writes an archive of the "newc" format that the kernel unpacks as
// its first file system. A folder must come before what is in it. Source:
// "initramfs buffer format" in the kernel's documentation.
func writeCPIO(w io.Writer, entries []entry) error {
	out := bufio.NewWriterSize(w, 1<<20)
	inode := 0
	for _, e := range append(entries, entry{Name: cpioTrailer}) {
		inode++
		if err := writeEntry(out, inode, e); err != nil {
			return fmt.Errorf("RAM disk entry %q: %w", e.Name, err)
		}
	}
	return out.Flush()
}

func writeEntry(w *bufio.Writer, inode int, e entry) error {
	if e.Name == "" || strings.HasPrefix(e.Name, "/") || strings.Contains(e.Name, "\x00") {
		return fmt.Errorf("the name must be relative and not empty")
	}
	if len(e.Data) > math.MaxUint32 {
		return fmt.Errorf("%d bytes are too many", len(e.Data))
	}
	// Owner, group, time and the device it lies on are zero.
	fmt.Fprintf(w, "070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X",
		inode, e.Mode, 0, 0, 1, 0, len(e.Data), 0, 0, e.Major, e.Minor, len(e.Name)+1, 0)
	w.WriteString(e.Name)
	w.WriteByte(0)
	pad(w, 110+len(e.Name)+1)
	_, err := w.Write(e.Data)
	pad(w, len(e.Data))
	return err
}

// pad fills up what has n bytes to a multiple of four.
func pad(w *bufio.Writer, n int) {
	for ; n%4 != 0; n++ {
		w.WriteByte(0) // bufio keeps the first error for Flush
	}
}
