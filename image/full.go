package image

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"pith/cache"
)

// isFull tells whether something failed because a disk, or what the user may have of
// it, is full. Compiler and linker tell it in words only.
func isFull(err error) bool {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return true
	}
	var f *failure
	return errors.As(err, &f) &&
		(strings.Contains(f.stderr, syscall.ENOSPC.Error()) || strings.Contains(f.stderr, syscall.EDQUOT.Error()))
}

// explainFull says of a full disk which one it is, and what frees it, in place of
// what compiler and linker say of it.
func (b *builder) explainFull(err error) error {
	if err == nil || !isFull(err) {
		return err
	}
	place, free := fullest(b.places())
	return fmt.Errorf("%w: the disk of %s has %s free (`pith cache prune --all` and `go clean -cache` free what can be made again)",
		syscall.ENOSPC, place, cache.FormatSize(free))
}

// places are the folders that a build writes to.
func (b *builder) places() []string {
	list := []string{b.cache.Dir(), os.TempDir()}
	out, err := b.command("go", b.dir).output(context.Background(), "env", "-json", "GOCACHE", "GOTMPDIR", "GOMODCACHE")
	if err == nil {
		var dirs map[string]string
		json.Unmarshal(out, &dirs) // without them the others are left
		for _, dir := range dirs {
			list = append(list, dir)
		}
	}
	if b.options.Output != "" {
		list = append(list, filepath.Dir(b.output("", "")))
	}
	return list
}

// fullest is the folder on whose disk the least is free, and how much, in bytes.
func fullest(dirs []string) (place string, free int64) {
	for _, dir := range dirs {
		n, err := cache.Free(dir)
		if dir != "" && err == nil && (place == "" || n < free) {
			place, free = dir, n
		}
	}
	return place, free
}
