// Package virtio is the driver side of virtio 1.2 (OASIS committee
// specification 01, July 2022): feature negotiation, split virtqueues, and the
// interfaces between devices, transports and the platform. The transports are
// in mmio and pci, the devices in net, blk, rng, console and p9.
//
// Where to find what in the specification:
//
//	2.1, 3.1       device status, initialisation     negotiate.go
//	2.5            configuration space               negotiate.go
//	2.7            split virtqueues                  queue.go
//	2.7.5.3        indirect descriptors              queue.go
//	2.7.7, 2.7.10  notification suppression          queue.go
//	4.1            PCI                               pci/
//	4.2            MMIO                              mmio/
//	5.1            network device                    net/
//	5.2            block device                      blk/
//	5.3            console device                    console/
//	5.4            entropy device                    rng/
//
// It relies on the platform for three things, all given by the caller: memory
// that the device can reach (Memory), a way to wait for an interrupt (Waiter)
// and access to registers (Registers). It belongs to the kernel's upper half:
// everything may allocate when a device starts, and parks goroutines, never
// threads. After the start nothing allocates.
//
// The device is not trusted. Whatever it writes (indices, descriptor ids, lengths,
// configuration) is read once, checked against what the driver posted, and only
// then used. A device that breaks the rules loses the queue that it broke them
// on: the queue stops for good with one QueueError that says what was wrong. The
// memory that was posted on it is never used again, since the device may still
// write there.
//
// It must not know a protocol inside a frame, a file descriptor, or how the
// platform takes an interrupt. Legacy devices (before virtio 1.0), packed
// virtqueues and devices behind an IOMMU are refused.
package virtio

// Device types (section 5).
const (
	TypeNet     = 1
	TypeBlock   = 2
	TypeConsole = 3
	TypeEntropy = 4
	Type9P      = 9
)

// Feature bits of every device (section 6), as masks.
const (
	FeatureIndirect = uint64(1) << 28 // VIRTIO_F_INDIRECT_DESC
	FeatureEventIdx = uint64(1) << 29 // VIRTIO_F_EVENT_IDX
	FeatureVersion1 = uint64(1) << 32 // VIRTIO_F_VERSION_1
)

// Bits of the device status (section 2.1).
const (
	StatusAcknowledge = 1
	StatusDriver      = 2
	StatusDriverOK    = 4
	StatusFeaturesOK  = 8
	StatusNeedsReset  = 64
	StatusFailed      = 128
)

// Memory gives out memory that devices can read and write.
type Memory interface {
	// Alloc returns size bytes of zeroed, page-aligned, physically contiguous
	// memory, and the device's address of the first byte; nil if there is
	// none. The memory is not in the Go heap and never given back.
	Alloc(size int) (virt []byte, phys uint64)
}

// Waiter waits for one interrupt source.
type Waiter interface {
	// Wait parks the goroutine until the interrupt has fired since the last
	// Wait returned. It may return early. Only one goroutine may be in Wait;
	// see Fanout where several share an interrupt.
	Wait()
}

// Registers is access to a device's registers or configuration space, little
// endian, by byte offset. Out of range reads give all ones and writes go
// nowhere, as on a bus.
type Registers interface {
	Read8(offset uint32) uint8
	Read16(offset uint32) uint16
	Read32(offset uint32) uint32
	Write8(offset uint32, v uint8)
	Write16(offset uint32, v uint16)
	Write32(offset uint32, v uint32)
}

// Transport is one device as its bus shows it. It is used by one goroutine
// only, while the device starts; afterwards only Config, ConfigGeneration and
// Status are.
type Transport interface {
	// Type is the device's type (section 5).
	Type() uint32
	// Status and SetStatus access the device status. Status 0 resets.
	Status() uint8
	SetStatus(status uint8)
	// Features are those offered; SetFeatures accepts a subset of them.
	Features() uint64
	SetFeatures(features uint64)
	// Config is the device-specific configuration space.
	Config() Registers
	ConfigGeneration() uint32
	// ConfigWaiter waits for changes of the configuration space.
	ConfigWaiter() (Waiter, error)
	// QueueLimit is the largest size of a queue, 0 if there is no such queue.
	QueueLimit(index int) int
	// StartQueue tells the device where a queue is and enables it. The Waiter is
	// nil if s.Interrupts is false.
	StartQueue(s QueueSetup) (Doorbell, Waiter, error)
}

// QueueSetup is what a device is told about a queue.
type QueueSetup struct {
	Index       int
	Size        int    // descriptors, a power of two
	Descriptors uint64 // the device's address of the descriptor table,
	Available   uint64 // of the available ring,
	Used        uint64 // and of the used ring
	Interrupts  bool   // a Waiter is wanted
}

// Doorbell is the register that tells a device of new buffers on one queue.
type Doorbell struct {
	Registers Registers
	Offset    uint32
	Index     uint16 // the queue's, which is what is written
	Wide      bool   // write 32 bits (MMIO) instead of 16 (PCI)
}

// Ring notifies the device. It costs an exit from the guest: microseconds.
func (d *Doorbell) Ring() {
	if d.Wide {
		d.Registers.Write32(d.Offset, uint32(d.Index))
		return
	}
	d.Registers.Write16(d.Offset, d.Index)
}
