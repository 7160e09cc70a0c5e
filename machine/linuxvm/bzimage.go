package linuxvm

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
)

// Offsets in the setup header of a bzImage (The Linux/x86 Boot Protocol).
const (
	setupSectors  = 0x1f1 // 1 byte: 512-byte sectors of real-mode code, 0 means 4
	setupMagic    = 0x202 // "HdrS"
	setupVersion  = 0x206 // 2 bytes
	setupRelease  = 0x20e // 2 bytes: where the version text is, minus 0x200
	payloadOffset = 0x248 // 4 bytes, from the start of the protected-mode code
	payloadLength = 0x24c // 4 bytes
	setupEnd      = 0x250
)

// errNotKernel is wrapped by all errors about a file that is no bzImage.
var errNotKernel = errors.New("not a Linux bzImage")

// unpackKernel returns the vmlinux inside a bzImage, or image itself if it is
// one already. The result has a PVH entry.
func unpackKernel(image []byte) ([]byte, error) {
	vmlinux := image
	if !bytes.HasPrefix(image, []byte(elf.ELFMAG)) {
		payload, err := kernelPayload(image)
		if err != nil {
			return nil, err
		}
		if vmlinux, err = decompress(payload); err != nil {
			return nil, fmt.Errorf("kernel payload: %w", err)
		}
	}
	if err := checkPVH(vmlinux); err != nil {
		return nil, err
	}
	return vmlinux, nil
}

// kernelPayload is the compressed vmlinux in a bzImage.
func kernelPayload(image []byte) ([]byte, error) {
	if err := checkSetup(image); err != nil {
		return nil, err
	}
	sectors := uint64(image[setupSectors])
	if sectors == 0 {
		sectors = 4
	}
	start := (sectors+1)*512 + uint64(binary.LittleEndian.Uint32(image[payloadOffset:]))
	end := start + uint64(binary.LittleEndian.Uint32(image[payloadLength:]))
	if end > uint64(len(image)) || start == end {
		return nil, fmt.Errorf("%w: payload at %d to %d of %d bytes", errNotKernel, start, end, len(image))
	}
	return image[start:end], nil
}

func checkSetup(image []byte) error {
	if len(image) < setupEnd || string(image[setupMagic:setupMagic+4]) != "HdrS" {
		return errNotKernel
	}
	version := binary.LittleEndian.Uint16(image[setupVersion:])
	if version < 0x208 {
		return fmt.Errorf("%w with a payload: boot protocol %d.%02d is older than 2.08", errNotKernel, version>>8, version&0xff)
	}
	return nil
}

// kernelRelease is the release that a bzImage says it is, such as
// "6.1.0-18-amd64": the name of its folder of modules.
func kernelRelease(image []byte) (string, error) {
	if err := checkSetup(image); err != nil {
		return "", err
	}
	at := int(binary.LittleEndian.Uint16(image[setupRelease:])) + 0x200
	if at >= len(image) {
		return "", fmt.Errorf("%w: version text at %d of %d bytes", errNotKernel, at, len(image))
	}
	text := image[at:min(at+256, len(image))]
	release, _, _ := strings.Cut(string(text), " ")
	if release == "" || strings.ContainsAny(release, "/\x00") {
		return "", fmt.Errorf("%w: no release in its version text", errNotKernel)
	}
	return release, nil
}

// checkPVH makes sure that vmlinux is an ELF with a PVH entry: a note of owner
// "Xen" and type 18 (XEN_ELFNOTE_PHYS32_ENTRY).
func checkPVH(vmlinux []byte) error {
	f, err := elf.NewFile(bytes.NewReader(vmlinux))
	if err != nil {
		return fmt.Errorf("vmlinux: %w", err)
	}
	for _, p := range f.Progs {
		if p.Type != elf.PT_NOTE {
			continue
		}
		notes := make([]byte, min(p.Filesz, 1<<20))
		if _, err := p.ReadAt(notes, 0); err != nil {
			return fmt.Errorf("vmlinux: notes: %w", err)
		}
		if hasNote(notes, "Xen\x00", 18) {
			return nil
		}
	}
	return errors.New("vmlinux has no PVH entry: the kernel was built without CONFIG_PVH")
}

func hasNote(notes []byte, owner string, typ uint32) bool {
	for len(notes) >= 12 {
		name := uint64(binary.LittleEndian.Uint32(notes))
		desc := uint64(binary.LittleEndian.Uint32(notes[4:]))
		nameEnd := 12 + name
		next := 12 + (name+3)&^3 + (desc+3)&^3
		if nameEnd > uint64(len(notes)) {
			return false
		}
		if binary.LittleEndian.Uint32(notes[8:]) == typ && string(notes[12:nameEnd]) == owner {
			return true
		}
		if next > uint64(len(notes)) {
			return false
		}
		notes = notes[next:]
	}
	return false
}
