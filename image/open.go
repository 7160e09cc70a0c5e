package image

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"pith"
	"pith/abi"
	"pith/cache"
)

// Open reads and checks an image file. A file that is no image, is cut short,
// or was built by another version of Pith is a *pith.Error. It never panics,
// whatever the file holds.
func Open(path string) (*Image, error) {
	c, err := cache.Open(os.Environ())
	if err != nil {
		return nil, err
	}
	return open(path, c)
}

// open is Open with the cache that symbols are looked for in.
func open(path string, c *cache.Cache) (*Image, error) {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, pith.Errorf("there is no image %s", path)
	}
	if err != nil {
		return nil, fmt.Errorf("open image: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("open image: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, pith.Errorf("%s is no image but a %s", path, kind(info))
	}
	m, id, err := read(f, info.Size())
	if err != nil {
		return nil, pith.Errorf("%s %w", path, err)
	}
	img := &Image{Path: path, Size: info.Size(), Manifest: m}
	if twin := symbolFile(c, id); id != "" && isFile(twin) {
		img.Symbols = twin
	}
	return img, nil
}

func kind(info os.FileInfo) string {
	if info.IsDir() {
		return "directory"
	}
	return "special file"
}

// read returns the manifest and the Go build ID of the image that r holds. Its
// errors complete "FILE ...".
func read(r io.ReaderAt, size int64) (m pith.Manifest, id string, err error) {
	l, err := parse(r, size)
	if errors.Is(err, errNoELF) && isCompressed(r) {
		return m, "", errors.New("is compressed for transport: unpack it with xz -d")
	}
	if err != nil {
		return m, "", err
	}
	var text []byte
	var entry bool
	err = l.notes(r, func(owner string, typ uint32, desc []byte) bool {
		if owner == abi.NoteOwner && typ == abi.NoteImage {
			text = bytes.Clone(desc)
		}
		entry = entry || owner == "Xen" && typ == abi.NotePVH
		return true
	})
	if err != nil {
		return m, "", err
	}
	if text == nil {
		return m, "", errors.New("is an executable, but no image: build one with pith build")
	}
	m, err = readManifest(text)
	if err == nil && !entry {
		err = errMalformed
	}
	return m, l.buildID(r), err
}

// readManifest decodes a manifest of this version.
func readManifest(text []byte) (m pith.Manifest, err error) {
	var version struct {
		ABI int `json:"abi"`
	}
	if json.Unmarshal(text, &version) != nil {
		return m, errMalformed
	}
	if version.ABI != abi.Version {
		return m, fmt.Errorf("was built by another version of Pith (its ABI is %d, this one's %d): build it again", version.ABI, abi.Version)
	}
	if json.Unmarshal(text, &m) != nil {
		return m, errMalformed
	}
	return m, nil
}

// isCompressed looks for the magic number of the xz format.
func isCompressed(r io.ReaderAt) bool {
	magic := make([]byte, 6)
	r.ReadAt(magic, 0) // a shorter file has another magic
	return string(magic) == "\xfd7zXZ\x00"
}
