// Package abi is all that the inside of an image (kernel/) and the outside
// (image/, machine/, cmd/) share: the instance block that a machine is started
// with, the ports of the emulated debug devices, and the control messages.
//
// It relies on nothing but the language, because kernel packages below the Go
// runtime's own initialisation use it. It must not allocate at package
// initialisation, nor import anything.
package abi

// Version is the revision of everything in this package. The builder stamps it
// into an image and a machine driver refuses an image of another one.
const Version = 1

// I/O ports that machine drivers attach to QEMU's debug devices.
const (
	// PortConsole takes console bytes as they come (isa-debugcon).
	PortConsole = 0xe9
	// PortControl takes the lines of control messages (isa-debugcon).
	PortControl = 0xea
	// PortExit ends the machine (isa-debug-exit, 4 bytes wide): QEMU exits
	// with value<<1|1. The exact code precedes it as a control message.
	PortExit = 0xf4
)

// Control messages from the guest: one line each on PortControl.
const (
	// ControlExit is followed by a space and the exit code in decimal.
	ControlExit = "exit"
	// ControlStamp is followed by a stamp's name, its number and the
	// nanoseconds since the machine's TSC began to count.
	ControlStamp = "stamp"
	// ControlOutOfMemory is followed by the bytes asked for, used and given.
	ControlOutOfMemory = "oom"
	// ControlInput says that the program wants to read its standard input: the
	// driver begins to send it to InputPort.
	ControlInput = "input"
	// ControlTime asks for the host's wall clock; the driver answers at once with
	// a message of the same name.
	ControlTime = "time"
	// ControlTerminal is followed by how the program wants its terminal, in decimal:
	// the input, output and local modes and the control characters VMIN and VTIME of
	// Linux's struct termios (termios(3)). With nothing behind it: as it was before.
	ControlTerminal = "terminal"
	// ControlListen is followed by "tcp" or "udp" and a port in decimal: a
	// socket of the program's that is not bound to loopback listens there (or
	// is bound there, for UDP) from now on. It may be repeated.
	ControlListen = "listen"
)

// Names of the machine's virtio-serial ports. The console is a port of the
// generic kind, because QEMU drops what a port of the console kind can't write at
// once.
const (
	ConsolePort = "pith.console" // what the program prints
	InputPort   = "pith.input"   // what it reads, see ControlInput
	ControlPort = "pith.control" // control messages to the guest
	FilesPort   = "pith.files"   // what the program leaves, see FlagSend: records of type RecordFile
)

// Control messages to the guest: one line each on ControlPort. A ControlTime
// there is followed by the host's wall clock in nanoseconds since 1970, read when
// the guest's own ControlTime arrived.
const (
	// ControlSignal is followed by a space and the signal's number.
	ControlSignal = "signal"
	// ControlWindow is followed by rows and columns: the terminal's size.
	ControlWindow = "window"
	// ControlStats asks for the machine's figures. The answer is one line on the
	// same port: the word again, then KEY=NUMBER words, see the Stats constants.
	ControlStats = "stats"
	// ControlProfile is followed by a kind (see ProfileCPU) and seconds. The answer
	// are lines on the same port: the word again, ProfileData, ProfileEnd or
	// ProfileError, and bytes in base64 (RFC 4648, section 4). An image without
	// the agent answers with an error.
	ControlProfile = "profile"
	// ControlEnd is followed by how many bytes of input there were in all, those
	// that are still under way included: no more will come.
	ControlEnd = "end"
)

// Kinds of profiles, and what a line of the answer brings.
const (
	ProfileCPU       = "cpu"       // pprof, over the seconds
	ProfileHeap      = "heap"      // pprof
	ProfileGoroutine = "goroutine" // pprof
	ProfileTrace     = "trace"     // an execution trace, over the seconds

	ProfileData  = "data"  // the next bytes
	ProfileEnd   = "end"   // all is sent
	ProfileError = "error" // why not, as text; "bm8gYWdlbnQ=" is NoAgent
	NoAgent      = "no agent"
)

// Keys of the answer to ControlStats: numbers in decimal, not negative. A reader
// leaves unknown ones alone.
const (
	StatsMemoryUsed  = "memory.used"  // bytes
	StatsMemoryGiven = "memory.given" // bytes
	StatsGoroutines  = "goroutines"   // the kernel's own included
	StatsHeap        = "heap"         // bytes of objects, live and not yet swept
	StatsHeapGoal    = "heap.goal"    // bytes at which the next collection begins
	StatsGCs         = "gcs"          // collections that have ended
	StatsGCPause     = "gc.pause"     // an upper bound of the longest pause, nanoseconds
	StatsRxPackets   = "rx.packets"
	StatsRxBytes     = "rx.bytes"
	StatsTxPackets   = "tx.packets"
	StatsTxBytes     = "tx.bytes"
	StatsDrops       = "drops" // packets that were lost in the machine, both ways

	// StatsQueue begins the keys of one queue pair of the network cards, all cards
	// together: its number follows, then one of the words below. They are there
	// where a card has several.
	StatsQueue     = "queue."
	StatsQueueRx   = ".rx"   // packets
	StatsQueueTx   = ".tx"   // packets
	StatsQueueFull = ".full" // packets that the transmit ring had no room for; who sent them tries again
)

// The instance block travels as the machine's initial RAM disk (the first PVH
// module): Magic, then records until one of type RecordEnd. A record is its
// type and its payload's length, both little-endian uint32, then the payload,
// padded with zeros to the next multiple of eight bytes.
const Magic = "PITHINS1"

// Record types of the instance block.
const (
	RecordEnd  = 0
	RecordArg  = 1 // one program argument; argv[0] first
	RecordEnv  = 2 // one KEY=VALUE
	RecordTime = 3 // host's wall clock at start, nanoseconds since 1970, 8 bytes little-endian
	RecordNet  = 4 // one interface's configuration, see below
	RecordCPUs = 5 // count of CPUs, 4 bytes little-endian
	RecordFlag = 6 // one of the words below
	RecordFile = 7 // one file: mode (4 bytes), length of the name (4 bytes), name, contents
	RecordDir  = 8 // the program's working directory, "/" without it; made if it is missing
	// RecordMount is one volume, see below.
	RecordMount = 9
)

// Words of RecordFlag.
const (
	FlagTrace   = "trace"    // print stamps and the memory map
	FlagInput   = "input"    // the driver has an InputPort; without it input is at its end
	FlagWindow  = "window="  // the console is a terminal of ROWSxCOLUMNS, as in window=24x80
	FlagSend    = "send="    // when the program ends, its file or folder of this path goes to FilesPort; repeatable
	FlagChanged = "changed=" // so do the regular files below this folder that it has written; repeatable
)

// A RecordNet's payload is text: words separated by single spaces, in any order:
//
//	mac=52:54:00:12:34:56   which card it is for (default: the next one)
//	addr=10.0.2.15/24       repeatable, IPv4 or IPv6
//	gw=10.0.2.2             repeatable, at most one a family
//	route=10.1.0.0/16,10.0.2.9   repeatable: destination, gateway
//	dns=10.0.2.3            repeatable
//	dhcp  slaac             flags
//
// Without a RecordNet a card is configured by "dhcp slaac".

// A RecordMount's payload is text: words separated by single spaces, and at=, which
// takes the rest, last:
//
//	serial=0123abcd   the virtio block device's serial number, at most 20 bytes;
//	                  of a folder of the host's, the virtio 9P device's name
//	type=ext4         the file system on it; 9p is a folder of the host's
//	ro                flag: read-only
//	at=/data          where the volume is mounted; the folder is made
//
// A machine that can't mount one says why and ends with the code ExitVolume.

// ExitVolume is the exit code of a machine that can't use one of its volumes.
const ExitVolume = 1

// NotePVH is the ELF note that names the 32-bit physical entry point
// (XEN_ELFNOTE_PHYS32_ENTRY, owner "Xen").
const NotePVH = 18

// The image's own note: owner NoteOwner, type NoteImage, payload the image's
// manifest: JSON, see package image.
const (
	NoteOwner = "Pith"
	NoteImage = 1
)

// SegmentLazy is the type of the program header for zeroed variables that a
// loader need not make: the bytes [p_vaddr, p_vaddr+p_memsz) belong to the
// program, lie behind its last PT_LOAD segment and get their memory, zeroed,
// on the first use. An image has one at most; its program headers are mapped
// behind the ELF header, where the first PT_LOAD segment begins.
const SegmentLazy = 0x60697468

// FlagPacked marks the program header (p_flags, among the bits that are free
// for a system's own use) of the PT_LOAD segment that holds the files of the
// image: records of type RecordFile, a directory behind its entries, then
// RecordEnd. It is loaded at its physical address, behind the program, and is
// mapped nowhere; its virtual address, behind all others, is for hosts that run
// an image as a process.
const FlagPacked = 0x00100000

// Record appends one record to an instance block.
func Record(block []byte, typ uint32, payload []byte) []byte {
	block = append32(block, typ)
	block = append32(block, uint32(len(payload)))
	block = append(block, payload...)
	for len(block)%8 != 0 {
		block = append(block, 0)
	}
	return block
}

// File is the payload of a RecordFile.
func File(mode uint32, name string, contents []byte) []byte {
	b := make([]byte, 0, 8+len(name)+len(contents))
	b = append32(append32(b, mode), uint32(len(name)))
	return append(append(b, name...), contents...)
}

// SplitFile is what File has joined; ok is false where payload is cut short.
// It does not allocate, but for the name.
func SplitFile(payload []byte) (mode uint32, name string, contents []byte, ok bool) {
	if len(payload) < 8 || uint64(load32(payload[4:])) > uint64(len(payload)-8) {
		return 0, "", nil, false
	}
	end := 8 + int(load32(payload[4:]))
	return load32(payload), string(payload[8:end]), payload[end:], true
}

func append32(b []byte, v uint32) []byte {
	return append(b, byte(v), byte(v>>8), byte(v>>16), byte(v>>24))
}

// Next splits the first record off block, which begins behind Magic. ok is
// false at RecordEnd and where the block is cut short. It does not allocate.
func Next(block []byte) (typ uint32, payload, rest []byte, ok bool) {
	if len(block) < 8 {
		return 0, nil, nil, false
	}
	typ = load32(block)
	n := uint64(load32(block[4:]))
	padded := (n + 7) &^ 7
	if typ == RecordEnd || padded > uint64(len(block)-8) {
		return 0, nil, nil, false
	}
	return typ, block[8 : 8+n], block[8+padded:], true
}

func load32(b []byte) uint32 {
	return uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16 | uint32(b[3])<<24
}
