package ext4

import (
	"errors"
	"math/bits"
	"strconv"
	"strings"
)

// superOffset and superSize are where the superblock is, in bytes.
const (
	superOffset = 1024
	superSize   = 1024
	superMagic  = 0xef53
)

// Features: compatible, incompatible, and such with which one may only read.
const (
	compatJournal    = 0x4
	compatDirIndex   = 0x20
	compatSparse2    = 0x200
	compatOrphanFile = 0x1000

	incompatFiletype  = 0x2
	incompatRecover   = 0x4
	incompatMetaBG    = 0x10
	incompatExtents   = 0x40
	incompat64        = 0x80
	incompatFlexBG    = 0x200
	incompatCsumSeed  = 0x2000
	incompatsKnown    = incompatFiletype | incompatRecover | incompatMetaBG | incompatExtents | incompat64 | incompatFlexBG | incompatCsumSeed
	incompatsRequired = incompatFiletype | incompatExtents

	roSparse        = 0x1
	roLargeFile     = 0x2
	roHugeFile      = 0x8
	roGroupCsum     = 0x10
	roDirNlink      = 0x20
	roExtraIsize    = 0x40
	roMetadataCsum  = 0x400
	roOrphanPresent = 0x10000
	rosKnown        = roSparse | roLargeFile | 0x4 | roHugeFile | roGroupCsum | roDirNlink | roExtraIsize | roMetadataCsum | roOrphanPresent
)

var incompatNames = [32]string{
	0: "compression", 3: "journal_dev", 8: "mmp", 10: "ea_inode", 12: "dirdata", 14: "large_dir",
	15: "inline_data", 16: "encrypt", 17: "casefold",
}

var roNames = [32]string{
	8: "quota", 9: "bigalloc", 11: "replica", 12: "read-only", 13: "project", 14: "shared_blocks", 15: "verity",
}

// State bits of the superblock.
const (
	stateValid  = 1
	stateErrors = 2
)

// super is what the superblock says, checked.
type super struct {
	blockSize      uint32
	blocks         uint64
	firstBlock     uint32 // of group 0
	perGroup       uint32 // blocks
	inodes         uint32
	inodesPerGroup uint32
	inodeSize      uint32
	firstInode     uint32
	descSize       uint32
	groups         uint32
	reservedGDT    uint32
	firstMetaBG    uint32
	wantExtra      uint32
	backups        [2]uint32 // groups, with sparse_super2
	journal        uint32    // inode
	orphans        uint32    // the orphan file's inode
	state          uint16
	compat         uint32
	incompat       uint32
	ro             uint32
	seed           uint32
	uuid           [16]byte
}

// parseSuper reads the superblock of a device of size bytes. The error is a
// sentence for the person who wants the volume.
func parseSuper(b []byte, size int64) (*super, error) {
	if le16(b[0x38:]) != superMagic {
		return nil, errors.New("it holds no ext4 file system")
	}
	s := &super{
		firstBlock: le32(b[0x14:]), perGroup: le32(b[0x20:]), inodes: le32(b[0:]), inodesPerGroup: le32(b[0x28:]),
		state: le16(b[0x3a:]), firstInode: 11, inodeSize: 128, descSize: 32,
		compat: le32(b[0x5c:]), incompat: le32(b[0x60:]), ro: le32(b[0x64:]),
		reservedGDT: uint32(le16(b[0xce:])), firstMetaBG: le32(b[0x104:]), wantExtra: uint32(le16(b[0x15e:])),
		journal: le32(b[0xe0:]), orphans: le32(b[0x280:]), backups: [2]uint32{le32(b[0x24c:]), le32(b[0x250:])},
	}
	copy(s.uuid[:], b[0x68:])
	if s.ro&roMetadataCsum != 0 {
		if got := crc32c(^uint32(0), b[:0x3fc]); got != le32(b[0x3fc:]) {
			return nil, errors.New("its superblock is damaged (checksum): run e2fsck on it")
		}
	}
	if err := s.checkFeatures(); err != nil {
		return nil, err
	}
	if le32(b[0x4c:]) > 0 {
		s.firstInode, s.inodeSize = le32(b[0x54:]), uint32(le16(b[0x58:]))
	}
	if s.incompat&incompat64 != 0 {
		s.descSize = uint32(le16(b[0xfe:]))
	}
	s.blocks = uint64(le32(b[4:]))
	if s.incompat&incompat64 != 0 {
		s.blocks = split32(b[4:], b[0x150:])
	}
	s.seed = crc32c(^uint32(0), s.uuid[:])
	if s.incompat&incompatCsumSeed != 0 {
		s.seed = le32(b[0x270:])
	}
	return s, s.checkGeometry(le32(b[0x18:]), le32(b[0x24:]), size)
}

func (s *super) checkFeatures() error {
	if unknown := s.incompat &^ incompatsKnown; unknown != 0 {
		return errors.New("it uses features of ext4 that Pith does not know (" + featureNames(unknown, incompatNames) + "): make it without them")
	}
	if s.incompat&incompatsRequired != incompatsRequired {
		return errors.New("it is ext2 or ext3: make it with mkfs.ext4 or `pith volume create`")
	}
	return nil
}

// checkGeometry refuses sizes that are not ext4's or lead outside of the device.
func (s *super) checkGeometry(logBlock, clusters uint32, size int64) error {
	damaged := func(what string) error {
		return errors.New("its superblock is damaged (" + what + "): run e2fsck on it")
	}
	if logBlock > 2 {
		return errors.New("its blocks are larger than 4096 bytes, which Linux on this processor can't mount either")
	}
	s.blockSize = 1024 << logBlock
	bs := s.blockSize
	first := uint32(0)
	if bs == 1024 {
		first = 1
	}
	switch {
	case s.firstBlock != first:
		return damaged("first block")
	case s.perGroup == 0 || s.perGroup > 8*bs || s.perGroup%8 != 0 || clusters != s.perGroup:
		return damaged("blocks a group")
	case s.inodeSize < 128 || s.inodeSize > bs || bits.OnesCount32(s.inodeSize) != 1:
		return damaged("size of an inode")
	case s.descSize < 32 || s.descSize > bs || bits.OnesCount32(s.descSize) != 1 || s.incompat&incompat64 != 0 && s.descSize < 64:
		return damaged("size of a group descriptor")
	case s.inodesPerGroup == 0 || s.inodesPerGroup > 8*bs || s.inodesPerGroup%(bs/s.inodeSize) != 0:
		return damaged("inodes a group")
	case s.blocks <= uint64(s.firstBlock) || s.blocks > 1<<47:
		return damaged("count of blocks")
	case s.firstInode < 11 || s.firstInode > s.inodesPerGroup:
		return damaged("first inode")
	}
	if need := s.blocks * uint64(bs); need > uint64(size) {
		return errors.New("it is cut short: its file system has " + strconv.FormatUint(need, 10) + " bytes, the device " + strconv.FormatInt(size, 10))
	}
	groups := (s.blocks - uint64(s.firstBlock) + uint64(s.perGroup) - 1) / uint64(s.perGroup)
	if groups > 1<<24 || groups*uint64(s.inodesPerGroup) != uint64(s.inodes) {
		return damaged("count of inodes")
	}
	s.groups = uint32(groups)
	return nil
}

func featureNames(mask uint32, names [32]string) string {
	var list []string
	for i := range 32 {
		if mask&(1<<i) == 0 {
			continue
		}
		name := names[i]
		if name == "" {
			name = "0x" + strconv.FormatUint(1<<i, 16)
		}
		list = append(list, name)
	}
	return strings.Join(list, ", ")
}

func (s *super) csum() bool { return s.ro&roMetadataCsum != 0 }

// hasSuper tells whether a group begins with a copy of the superblock.
func (s *super) hasSuper(group uint32) bool {
	switch {
	case group == 0:
		return true
	case s.compat&compatSparse2 != 0:
		return group == s.backups[0] || group == s.backups[1]
	case s.ro&roSparse == 0 || group == 1:
		return true
	}
	for _, base := range []uint32{3, 5, 7} {
		n := base
		for n < group && n < 1<<28 {
			n *= base
		}
		if n == group {
			return true
		}
	}
	return false
}

// groupStart is a group's first block; groupBlocks how many it has.
func (s *super) groupStart(group uint32) uint64 {
	return uint64(s.firstBlock) + uint64(group)*uint64(s.perGroup)
}

func (s *super) groupBlocks(group uint32) uint32 {
	return uint32(min(uint64(s.perGroup), s.blocks-s.groupStart(group)))
}

// descsPerBlock is how many group descriptors a block holds.
func (s *super) descsPerBlock() uint32 { return s.blockSize / s.descSize }

func (s *super) descBlocks() uint32 {
	return (s.groups + s.descsPerBlock() - 1) / s.descsPerBlock()
}

// descBlock is where block i of the group descriptors is.
func (s *super) descBlock(i uint32) uint64 {
	if s.incompat&incompatMetaBG == 0 || i < s.firstMetaBG {
		return uint64(s.firstBlock) + 1 + uint64(i)
	}
	group := i * s.descsPerBlock()
	at := s.groupStart(group)
	if s.hasSuper(group) {
		at++
	}
	return at
}

// baseBlocks is how many blocks at a group's start hold copies of the
// superblock and of group descriptors.
func (s *super) baseBlocks(group uint32) uint32 {
	n := uint32(0)
	if s.hasSuper(group) {
		n = 1
	}
	meta := group / s.descsPerBlock()
	if s.incompat&incompatMetaBG == 0 || meta < s.firstMetaBG {
		if n == 0 {
			return 0
		}
		descs := s.descBlocks()
		if s.incompat&incompatMetaBG != 0 {
			descs = min(descs, s.firstMetaBG)
		}
		return n + descs + s.reservedGDT
	}
	switch group % s.descsPerBlock() {
	case 0, 1, s.descsPerBlock() - 1:
		n++
	}
	return n
}

// tableBlocks is how many blocks a group's inode table has.
func (s *super) tableBlocks() uint32 { return s.inodesPerGroup * s.inodeSize / s.blockSize }

// inRange tells whether n blocks from block on may belong to a file.
func (s *super) inRange(block, n uint64) bool {
	return block > uint64(s.firstBlock) && block < s.blocks && n <= s.blocks-block
}
