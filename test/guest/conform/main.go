// Command conform does hundreds of operations on files, sockets and the system
// and prints what came of each. Linux and a machine of Pith's must print the
// same. Its first argument is an empty folder on a tmpfs, where it works; more
// name the groups to be done, else all are.
package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// groups is what there is, in order.
var groups = []struct {
	name string
	do   func()
}{
	{"open", opens}, {"data", data}, {"names", names}, {"rename", renames}, {"attributes", attributes},
	{"directory", directories}, {"proc", procs}, {"descriptors", descriptors}, {"locks", locks},
	{"mappings", mappings}, {"reserved", reservedMappings}, {"pipes", pipes}, {"transfer", transfers}, {"events", events}, {"inotify", watches},
	{"unix", unixSockets}, {"inet", inetSockets}, {"net", goNet}, {"process", processes}, {"memory", badMemory},
	{"xattr", xattrs}, {"devices", devices}, {"dump", dumps},
	{"sharing", sharedMappings}, {"anonymous", anonymousMemory},
	{"signals", signals}, {"pidfd", pidfds}, {"epoll", epolls}, {"timers", timers}, {"calls", machineCalls}, {"files", files2}, {"passing", passing},
}

func main() {
	unix.Umask(0o022)
	if err := os.MkdirAll(os.Args[1], 0o755); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	for _, g := range groups {
		if len(os.Args) > 2 && !slices.Contains(os.Args[2:], g.name) {
			continue
		}
		dir := os.Args[1] + "/" + g.name
		os.Mkdir(dir, 0o755)
		if err := os.Chdir(dir); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		group = g.name
		within(func() {
			defer func() {
				if r := recover(); r != nil {
					say("panic", r)
				}
			}()
			g.do()
		})
	}
	fmt.Println("done")
}

var group string

// say prints an operation's outcome: values, and errors by their numbers'
// names.
func say(what string, values ...any) {
	var b strings.Builder
	for _, v := range values {
		b.WriteByte(' ')
		if err, ok := v.(error); ok {
			b.WriteString(number(err))
			continue
		}
		if v == nil {
			b.WriteString("ok")
			continue
		}
		fmt.Fprint(&b, v)
	}
	fmt.Printf("%s: %s:%s\n", group, what, b.String())
}

// number names an error.
func number(err error) string {
	var e syscall.Errno
	if errors.As(err, &e) {
		return unix.ErrnoName(e)
	}
	return err.Error()
}

// must ends the program where the ground for what follows can't be laid.
func must[T any](v T, err error) T {
	if err != nil {
		fmt.Printf("%s: cannot go on: %v\n", group, err)
		os.Exit(1)
	}
	return v
}

// open opens a file for one group's use.
func open(path string, flags int) int { return must(unix.Open(path, flags|unix.O_CLOEXEC, 0o644)) }

// make makes a file with contents.
func file(path, text string) {
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		say("make "+path, err)
	}
}

// text is a file's contents.
func text(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return number(err)
	}
	return fmt.Sprintf("%q", b)
}

// shape is what stat tells and doesn't depend on time or place.
func shape(path string) string {
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return number(err)
	}
	return shapeOf(&st)
}

func shapeOf(st *unix.Stat_t) string {
	size := st.Size
	if st.Mode&unix.S_IFMT == unix.S_IFDIR {
		size = 0
	}
	return fmt.Sprintf("%o links %d size %d uid %d gid %d", st.Mode, st.Nlink, size, st.Uid, st.Gid)
}

// within runs f and says "late" if it takes far too long.
func within(f func()) {
	done := make(chan struct{})
	go func() { f(); close(done) }()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		say("late")
	}
}

// listing is a folder's names, sorted.
func listing(path string) string {
	entries, err := os.ReadDir(path)
	if err != nil {
		return number(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name()+kind(e.Type()))
	}
	return strings.Join(names, " ")
}

func kind(m fs.FileMode) string {
	switch {
	case m.IsDir():
		return "/"
	case m&fs.ModeSymlink != 0:
		return "@"
	case m&fs.ModeNamedPipe != 0:
		return "|"
	case m&fs.ModeSocket != 0:
		return "="
	}
	return ""
}
