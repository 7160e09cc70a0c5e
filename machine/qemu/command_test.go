package qemu

import (
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pith"
	"pith/machine"
)

func port(t *testing.T, s string) pith.Port {
	t.Helper()
	p, err := machine.ParsePort(s)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func testCommand(board string, cards ...machine.Card) command {
	return command{
		launch: machine.Launch{
			Spec: machine.Spec{
				Machine: pith.Machine{Name: "web", CPUs: 2, Memory: 64 * machine.MiB, Image: &pith.Image{Path: "/images/a,b.img"}},
				Type:    board,
			},
			Cards: cards,
		},
		accel: TCG, cpu: leanCPU, block: "/state/instance",
		fds: descriptors{console: 3, events: 4, control: 5, qmp: 6, wires: [][]int{nil, {7}}},
	}
}

// after is what follows a flag, each time.
func after(args []string, flag string) []string {
	var values []string
	for i, a := range args[:len(args)-1] {
		if a == flag {
			values = append(values, args[i+1])
		}
	}
	return values
}

func TestCommandLine(t *testing.T) {
	user := machine.Card{
		Link: UserLink("52:54:00:00:00:01"),
		Wire: machine.Wire{User: true, Ports: []pith.Port{port(t, "8080:80"), port(t, "0.0.0.0:5353:53/udp")}},
	}
	tap := machine.Card{Link: pith.Link{MAC: "52:54:00:00:00:02"}, Wire: machine.Wire{Tap: os.Stdin}}

	args := testCommand(machine.TypeMicroVM, user, tap).args()
	for flag, want := range map[string][]string{
		"-kernel": {"/images/a,b.img"},
		"-initrd": {"/state/instance"},
		"-smp":    {"2"},
		"-m":      {"65536k"},
		"-accel":  {"tcg,thread=multi"},
		"-cpu":    {leanCPU},
		"-global": {"virtio-mmio.force-legacy=false"},
		"-netdev": {
			"user,id=net0,hostfwd=tcp:127.0.0.1:8080-10.0.2.15:80,hostfwd=udp:0.0.0.0:5353-10.0.2.15:53",
			"tap,id=net1,fd=7,vhost=off",
		},
		"-device": {
			"isa-debugcon,iobase=0xe9,chardev=console",
			"isa-debugcon,iobase=0xea,chardev=events",
			"isa-debug-exit,iobase=0xf4,iosize=4",
			"virtio-net-device,netdev=net0,mac=52:54:00:00:00:01",
			"virtio-net-device,netdev=net1,mac=52:54:00:00:00:02",
			"virtio-rng-device",
			"virtio-serial-device",
			"virtserialport,nr=1,chardev=console,name=pith.console",
			"virtserialport,nr=2,chardev=control,name=pith.control", "virtserialport,nr=3,chardev=input,name=pith.input",
		},
	} {
		if got := after(args, flag); !slices.Equal(got, want) {
			t.Errorf("%s = %q, want %q", flag, got, want)
		}
	}
	for _, flag := range []string{"-nodefaults", "-no-user-config", "-no-reboot"} {
		if !slices.Contains(args, flag) {
			t.Errorf("%s is missing", flag)
		}
	}
	if slices.Contains(args, "-S") || slices.Contains(args, "-sandbox") {
		t.Errorf("%q", args)
	}
}

func TestCommandLineQ35(t *testing.T) {
	card := machine.Card{Link: UserLink("52:54:00:00:00:01"), Wire: machine.Wire{Stream: os.Stdin}}
	c := testCommand(machine.TypeQ35, card)
	c.fds.wires = [][]int{{7}}
	c.accel, c.sandbox, c.launch.Spec.Paused = KVM, true, true
	args := c.args()
	if got := after(args, "-accel"); !slices.Equal(got, []string{"kvm"}) {
		t.Errorf("-accel = %q", got)
	}
	if got := after(args, "-netdev"); !slices.Equal(got, []string{"socket,id=net0,fd=7"}) {
		t.Errorf("-netdev = %q", got)
	}
	if got := after(args, "-device")[3]; got != "virtio-net-pci,disable-legacy=on,netdev=net0,mac=52:54:00:00:00:01,romfile=" {
		t.Errorf("the network card is %q", got)
	}
	if !slices.Contains(args, "-S") || !strings.HasPrefix(after(args, "-sandbox")[0], "on,") {
		t.Errorf("%q", args)
	}
}

func TestCPUModel(t *testing.T) {
	h := emulated()
	own := ""
	h.Getenv = func(string) string { return own }
	if got := cpuModel(h, TCG); got != leanCPU {
		t.Errorf("emulated: %s", got)
	}
	if got := cpuModel(h, KVM); !strings.HasPrefix(got, "host") {
		t.Errorf("KVM: %s", got)
	}
	own = "max"
	if got := cpuModel(h, TCG); got != "max" {
		t.Errorf("PITH_CPU: %s", got)
	}
}

func TestEnding(t *testing.T) {
	three := 3
	for _, c := range []struct {
		what string
		ending
		code int
		says string
	}{
		{"its own word", ending{status: 1, code: &three}, 3, ""},
		{"its own word before a kill", ending{status: -1, code: &three, killed: true}, 3, ""},
		{"the debug exit", ending{status: 7}, 3, ""},
		{"killed", ending{status: -1, killed: true}, 137, ""},
		{"quit", ending{status: 0, killed: true, reason: "host-qmp-quit"}, 137, ""},
		{"powered off", ending{status: 0, reason: "guest-shutdown"}, 0, ""},
		{"reset", ending{status: 0, reason: "guest-reset"}, 1, "triple fault"},
		{"from outside", ending{status: -1}, 1, "from outside"},
		{"a failure", ending{status: 1, stderr: "qemu-system-x86_64: -foo: bad\nqemu-system-x86_64: worse\n"}, 1, "QEMU failed: worse"},
		{"silence", ending{status: 1}, 1, "said nothing"},
		{"no note", ending{status: 1, stderr: "Error loading uncompressed kernel without PVH ELF Note\n"}, 1, "build it again"},
		{"no memory", ending{status: 1, stderr: "qemu-system-x86_64: cannot set up guest memory 'ram': Cannot allocate memory\n"}, 1, "smaller -m"},
		{"a port", ending{status: 1, stderr: "qemu-system-x86_64: -netdev user,id=n: Could not set up host forwarding rule 'tcp:127.0.0.1:80-10.0.2.15:80'\n"}, 1, "127.0.0.1:80/tcp can't be published"},
	} {
		got := c.exit()
		if got.Code != c.code || (got.Err == nil) != (c.says == "") || got.Err != nil && !strings.Contains(got.Err.Error(), c.says) {
			t.Errorf("%s: %+v, want %d %q", c.what, got, c.code, c.says)
		}
	}
}

func TestTail(t *testing.T) {
	var s tail
	s.Write([]byte("begin"))
	s.Write([]byte(strings.Repeat("x", tailSize-3) + "end"))
	if got := s.String(); len(got) != tailSize || !strings.HasSuffix(got, "xend") {
		t.Errorf("%d bytes, ending in %q", len(got), got[len(got)-5:])
	}
}

func FuzzExplain(f *testing.F) {
	f.Add("qemu-system-x86_64: x\n")
	f.Add("Could not set up host forwarding rule 'udp:1.2.3.4:5-")
	f.Fuzz(func(t *testing.T, s string) {
		if text := explain(s).Error(); text == "" || strings.Contains(text, "\n") {
			t.Errorf("%q is explained as %q", s, text)
		}
	})
}

// TestFences: an emulated machine with one CPU is one that could have two, or
// QEMU leaves out what virtio needs; see command.cpus.
func TestFences(t *testing.T) {
	for _, test := range []struct {
		accel, want string
		cpus        int
	}{{TCG, "1,maxcpus=2", 1}, {KVM, "1", 1}, {TCG, "3", 3}} {
		c := command{accel: test.accel}
		c.launch.Spec.CPUs = test.cpus
		if got := CPUs(c.accel, c.launch.Spec.CPUs); got != test.want {
			t.Errorf("%d CPUs by %s: -smp %s, want %s", test.cpus, test.accel, got, test.want)
		}
	}
}

// TestFolders: QEMU refuses what is read-only as well, and follows a comma.
func TestFolders(t *testing.T) {
	for board, device := range map[string]string{machine.TypeMicroVM: "virtio-9p-device", machine.TypeQ35: "virtio-9p-pci,disable-legacy=on"} {
		c := testCommand(board)
		c.launch.Disks = []machine.Disk{{Path: "/v/x.img", Serial: "pith-0"}, {Path: "/a, b", Serial: "pith-1", Folder: true, ReadOnly: true}}
		args := c.args()
		want := []string{"local,id=disk1,security_model=none,multidevs=remap,path=/a,, b,readonly=on"}
		if got := after(args, "-fsdev"); !slices.Equal(got, want) {
			t.Errorf("%s: folders %q", board, got)
		}
		if got := after(args, "-device"); !slices.Contains(got, device+",fsdev=disk1,mount_tag=pith-1") {
			t.Errorf("%s: devices %q", board, got)
		}
		if got := after(args, "-drive"); len(got) != 1 {
			t.Errorf("%s: drives %q", board, got)
		}
	}
}

// TestDisks: flushes reach the host's disk, and nothing else waits for it.
func TestDisks(t *testing.T) {
	for board, device := range map[string]string{machine.TypeMicroVM: "virtio-blk-device", machine.TypeQ35: "virtio-blk-pci,disable-legacy=on"} {
		c := testCommand(board)
		c.launch.Disks = []machine.Disk{{Path: "/v/a,b.img", Serial: "pith-0"}, {Path: "/v/c.img", Serial: "pith-1", ReadOnly: true}}
		args := c.args()
		want := []string{
			"if=none,id=disk0,format=raw,cache=writeback,discard=unmap,werror=report,rerror=report,file=/v/a,,b.img",
			"if=none,id=disk1,format=raw,cache=writeback,discard=unmap,werror=report,rerror=report,file=/v/c.img,read-only=on",
		}
		if got := after(args, "-drive"); !slices.Equal(got, want) {
			t.Errorf("%s: drives %q", board, got)
		}
		if got := after(args, "-device"); !slices.Contains(got, device+",drive=disk1,serial=pith-1") {
			t.Errorf("%s: devices %q", board, got)
		}
	}
}

// TestQueuePairs: a tap with several queues makes a card with as many queue pairs.
func TestQueuePairs(t *testing.T) {
	cards := []machine.Card{
		{Link: pith.Link{MAC: "52:54:00:00:00:01"}, Wire: machine.Wire{Tap: os.Stdin, Queues: []*os.File{os.Stdout, os.Stderr}}},
		{Link: UserLink("52:54:00:00:00:02"), Wire: machine.Wire{User: true}},
		{Link: pith.Link{MAC: "52:54:00:00:00:03"}, Wire: machine.Wire{Tap: os.Stdin}},
	}
	fds, files := wires(cards, []*os.File{os.Stdin})
	if want := [][]int{{4, 5, 6}, nil, {7}}; !reflect.DeepEqual(fds, want) {
		t.Errorf("the descriptors are %v, want %v", fds, want)
	}
	if want := []*os.File{os.Stdin, os.Stdin, os.Stdout, os.Stderr, os.Stdin}; !slices.Equal(files, want) {
		t.Errorf("the files are %v, want %v", files, want)
	}
	for board, device := range map[string]string{
		machine.TypeMicroVM: "virtio-net-device,netdev=net0,mac=52:54:00:00:00:01,mq=on",
		machine.TypeQ35:     "virtio-net-pci,disable-legacy=on,netdev=net0,mac=52:54:00:00:00:01,mq=on,vectors=8,romfile=",
	} {
		c := testCommand(board, cards...)
		c.fds.wires = fds
		args := c.args()
		if got := after(args, "-netdev"); got[0] != "tap,id=net0,fds=4:5:6,vhost=off" || got[2] != "tap,id=net2,fd=7,vhost=off" {
			t.Errorf("%s: -netdev = %q", board, got)
		}
		if devices := after(args, "-device"); devices[3] != device || strings.Contains(strings.Join(devices[4:], " "), "mq=on") {
			t.Errorf("%s: -device = %q, want %q", board, devices, device)
		}
	}
}
