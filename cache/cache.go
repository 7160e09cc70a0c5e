// Package cache is the folder where Pith keeps what it can make again: linked
// programs, symbols, prepared toolchains, unpacked modules, guests' kernels. It
// knows whose entries these are, what room they take, and which may go.
//
// An entry is a file or folder DIR/KIND/NAME. Whoever uses one holds it (Hold): a
// shared lock by flock(2), which ends with the process, so that nothing is removed
// under a build, a machine or a debugger, whichever process they are. Its time of
// modification is that of its last use. Prune takes the exclusive lock first, and
// leaves what it can't have at once.
//
// The package relies on flock and on hard links and blocks as stat(2) tells them. It
// must not remove anything that is not named as Pith's entries are: PITH_CACHE may
// name any folder.
package cache

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// The kinds of entries, which are folders of the cache.
const (
	Builds    = "builds"
	Symbols   = "symbols"
	Toolchain = "goroot"
	Modules   = "modules"
	LinuxVM   = "linuxvm"
	Workloads = "workloads"
)

// kind is one kind of entries.
type kind struct {
	name  string
	what  string
	entry *regexp.Regexp // how entries are called
}

var kinds = []kind{
	{Builds, "linked programs, and images that were not named", regexp.MustCompile(`^[0-9a-f]{16}$`)},
	{Symbols, "what debuggers read of an image", regexp.MustCompile(`^[0-9a-f]{16}\.elf$`)},
	{Toolchain, "Go with the kernel in its standard library", regexp.MustCompile(`^.+-[0-9a-f]{16}$`)},
	{Modules, "published programs' sources", regexp.MustCompile(`^[0-9a-f]{16}$`)},
	{LinuxVM, "kernels and RAM disks of Linux machines", regexp.MustCompile(`^(vmlinux|ramdisk|init)-[0-9a-f]{16}$`)},
	{Workloads, "programs of the benchmarks", regexp.MustCompile(`^[a-z]+$`)},
}

// Temporary begins the names of files and folders that will be an entry when they
// are whole, or were one. What a crash leaves of them goes an hour later.
const Temporary = ".new-"

// Dir is the cache's folder: PITH_CACHE of env (KEY=VALUE; the last one counts), or
// pith in the user's cache folder (XDG Base Directory Specification 0.8).
func Dir(env []string) (string, error) {
	if dir := Lookup(env, "PITH_CACHE"); dir != "" {
		return filepath.Abs(dir)
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("no cache folder: %w", err)
	}
	return filepath.Join(dir, "pith"), nil
}

// Lookup returns the value of a variable in env; the last one counts.
func Lookup(env []string, key string) (value string) {
	for _, kv := range env {
		if k, v, _ := strings.Cut(kv, "="); k == key {
			value = v
		}
	}
	return value
}

// Cache is a cache's folder with its bounds.
type Cache struct {
	dir    string
	limits Limits
}

// Open uses the cache that env names, which need not exist. A bound in env that is
// none is a *pith.Error.
func Open(env []string) (*Cache, error) {
	dir, err := Dir(env)
	if err != nil {
		return nil, err
	}
	limits, err := limitsOf(env)
	return &Cache{dir: dir, limits: limits}, err
}

// Path is an entry's path.
func (c *Cache) Path(kind, name string) string { return filepath.Join(c.dir, kind, name) }

// Dir is the cache's folder.
func (c *Cache) Dir() string { return c.dir }

// Limits are the bounds that hold.
func (c *Cache) Limits() Limits { return c.limits }
