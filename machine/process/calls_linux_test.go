package process

import (
	"encoding/binary"
	"slices"
	"testing"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// verdict runs the filter as the kernel would for one system call on amd64.
// Source: the kernel's include/uapi/linux/seccomp.h, struct seccomp_data.
func verdict(t *testing.T, forward bool, number uint32, args ...uint64) uint32 {
	t.Helper()
	p := policy(forward)
	program, err := p.Assemble()
	if err != nil {
		t.Fatal(err)
	}
	// The kernel loads words of the machine's order, this machine of BPF big-endian
	// ones: so each word is put down big-endian.
	data := make([]byte, 64)
	binary.BigEndian.PutUint32(data, number)
	binary.BigEndian.PutUint32(data[4:], 0xc000003e) // AUDIT_ARCH_X86_64
	for i, a := range args {
		binary.BigEndian.PutUint32(data[16+8*i:], uint32(a))
		binary.BigEndian.PutUint32(data[20+8*i:], uint32(a>>32))
	}
	vm, err := bpf.NewVM(program)
	if err != nil {
		t.Fatal(err)
	}
	action, err := vm.Run(data)
	if err != nil {
		t.Fatal(err)
	}
	return uint32(action)
}

const (
	allow = 0x7fff0000 // SECCOMP_RET_ALLOW
	deny  = 0x00050001 // SECCOMP_RET_ERRNO, EPERM
)

func TestFilter(t *testing.T) {
	const goThread = unix.CLONE_VM | unix.CLONE_FS | unix.CLONE_FILES | unix.CLONE_SIGHAND | unix.CLONE_SYSVSEM | unix.CLONE_THREAD
	for _, c := range []struct {
		what   string
		number uint32
		args   []uint64
		want   uint32
	}{
		{"read", unix.SYS_READ, nil, allow},
		{"accept4", unix.SYS_ACCEPT4, nil, allow},
		{"msync", unix.SYS_MSYNC, nil, allow},
		{"a thread", unix.SYS_CLONE, []uint64{goThread}, allow},
		{"a process", unix.SYS_CLONE, []uint64{uint64(unix.SIGCHLD)}, deny},
		{"a namespace", unix.SYS_CLONE, []uint64{unix.CLONE_NEWUSER}, deny},
		{"clone3", unix.SYS_CLONE3, nil, deny},
		{"fork", unix.SYS_FORK, nil, deny},
		{"vfork", unix.SYS_VFORK, nil, deny},
		{"execve", unix.SYS_EXECVE, nil, deny},
		{"the program", unix.SYS_EXECVEAT, []uint64{programFD, 0, 0, 0, unix.AT_EMPTY_PATH}, allow},
		{"another program", unix.SYS_EXECVEAT, []uint64{programFD + 1, 0, 0, 0, unix.AT_EMPTY_PATH}, deny},
		{"a program by path", unix.SYS_EXECVEAT, []uint64{programFD, 0, 0, 0, 0}, deny},
		{"ptrace", unix.SYS_PTRACE, nil, deny},
		{"mount", unix.SYS_MOUNT, nil, deny},
		{"unshare", unix.SYS_UNSHARE, nil, deny},
		{"setns", unix.SYS_SETNS, nil, deny},
		{"bpf", unix.SYS_BPF, nil, deny},
		{"io_uring", unix.SYS_IO_URING_SETUP, nil, deny},
		{"memfd_create", unix.SYS_MEMFD_CREATE, nil, deny},
		{"keyctl", unix.SYS_KEYCTL, nil, deny},
		{"a TCP socket", unix.SYS_SOCKET, []uint64{unix.AF_INET6}, allow},
		{"a raw frame socket", unix.SYS_SOCKET, []uint64{unix.AF_PACKET}, deny},
		{"a vsock", unix.SYS_SOCKET, []uint64{unix.AF_VSOCK}, deny},
		{"window size", unix.SYS_IOCTL, []uint64{1, unix.TIOCGWINSZ}, allow},
		{"typing for the user", unix.SYS_IOCTL, []uint64{1, unix.TIOCSTI}, deny},
	} {
		if got := verdict(t, false, c.number, c.args...); got != c.want {
			t.Errorf("%s: %#x, want %#x", c.what, got, c.want)
		}
	}
	if got := verdict(t, true, unix.SYS_SOCKET, unix.AF_PACKET); got != allow {
		t.Errorf("a raw frame socket of a router: %#x, want %#x", got, allow)
	}
}

func TestReceivedNothing(t *testing.T) {
	if files := received([]byte("no control message")); len(files) != 0 {
		t.Errorf("files = %v", files)
	}
}

func TestChooseCPUs(t *testing.T) {
	one, err := chooseCPUs(1)
	if err != nil || len(one) != 1 {
		t.Errorf("one CPU: %v, %v", one, err)
	}
	all, err := chooseCPUs(1 << 10)
	slices.Sort(all)
	if err != nil || len(slices.Compact(all)) != len(all) || !slices.Contains(all, one[0]) {
		t.Errorf("all CPUs: %v, %v", all, err)
	}
}
