// Command forward compares a Pith firewall with a Linux guest that forwards with
// nftables: packets a second through each, at 64 and 1,500 bytes, by the same rules.
//
// Both machines run at the same time in one network namespace of the program's own, and
// are measured in turn, so that what else the host does meets both. A few packets are
// under way at any time (a window), so that neither is overloaded. Only the ratio
// means anything.
//
//	go run ./bench/forward [-rounds 5] [-seconds 2] [-window 256]
//
// It relies on package lab, linuxvm, QEMU, and nft and ip of the host, whose files the
// Linux guest gets. It must not measure across a network.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"pith"
	"pith/bench/lab"
	"pith/machine/linuxvm"
)

// rules are those of both. Interfaces have the same names.
const rules = `table inet filter {
	chain forward {
		type filter hook forward priority filter; policy drop;
		ct state established,related accept
		ct state invalid drop
		iifname "eth0" udp dport 9 accept
	}
}
`

const config = `interfaces:
  - {name: eth0, addresses: [10.1.0.1/24]}
  - {name: eth1, addresses: [10.2.0.1/24]}
rules: rules.nft
`

var (
	rounds  = flag.Int("rounds", 5, "rounds; each measures both machines at each size")
	seconds = flag.Float64("seconds", 2, "length of one measurement")
	window  = flag.Int("window", 256, "packets under way")
)

func main() {
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if !lab.Inside() {
		code, err := lab.Enter(ctx, os.Args[1:]...)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		os.Exit(code)
	}
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "forward:", err)
		os.Exit(1)
	}
}

// machine is one of the two, between tap devices left and right.
type machine struct {
	name        string
	left, right string
	subnet      int // 10.<subnet>.0.0/24 on the left, the next on the right
	send        *sender
}

func run(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "pith-forward-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	machines := []*machine{{name: "pith", left: "pl", right: "pr", subnet: 1}, {name: "linux", left: "ll", right: "lr", subnet: 3}}
	var stops []func()
	defer func() {
		for _, s := range slices.Backward(stops) {
			s()
		}
	}()
	for _, m := range machines {
		if err := m.taps(); err != nil {
			return err
		}
		start := startPith
		if m.name == "linux" {
			start = startLinux
		}
		stop, err := start(ctx, dir, m)
		if err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
		stops = append(stops, stop)
		if m.send, err = newSender(ctx, m); err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
	}
	return measure(ctx, machines)
}

// measure prints a line for each measurement, and the medians of the ratios.
func measure(ctx context.Context, machines []*machine) error {
	sizes := []int{64, 1500}
	ratios := map[int][]float64{}
	for round := range *rounds {
		for _, size := range sizes {
			rate := map[string]float64{}
			order := slices.Clone(machines)
			if round%2 == 1 {
				slices.Reverse(order)
			}
			for _, m := range order {
				r, err := m.send.rate(ctx, size, *window, time.Duration(*seconds*float64(time.Second)))
				if err != nil {
					return fmt.Errorf("%s: %w", m.name, err)
				}
				rate[m.name] = r
			}
			ratio := rate["pith"] / rate["linux"]
			ratios[size] = append(ratios[size], ratio)
			fmt.Printf("round %d, %4d bytes: pith %7.0f/s, linux %7.0f/s, ratio %.2f\n", round+1, size, rate["pith"], rate["linux"], ratio)
		}
	}
	for _, size := range sizes {
		slices.Sort(ratios[size])
		r := ratios[size]
		fmt.Printf("%4d bytes: pith forwards %.2f times as many packets as Linux (median of %d; %.2f to %.2f)\n", size, r[len(r)/2], len(r), r[0], r[len(r)-1])
	}
	return nil
}

// taps makes the machine's tap devices, with the host's addresses on them.
func (m *machine) taps() error {
	for i, name := range []string{m.left, m.right} {
		for _, args := range []string{
			"tuntap add " + name + " mode tap",
			fmt.Sprintf("addr add 10.%d.0.2/24 dev %s", m.subnet+i, name),
			"link set " + name + " txqueuelen 1000 up",
		} {
			if out, err := exec.Command("ip", strings.Fields(args)...).CombinedOutput(); err != nil {
				return fmt.Errorf("ip %s: %w: %s", args, err, out)
			}
		}
		// The host must not take part: no IPv6 of its own.
		if err := os.WriteFile("/proc/sys/net/ipv6/conf/"+name+"/disable_ipv6", []byte("1"), 0o644); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}

// startPith boots the firewall.
func startPith(ctx context.Context, dir string, m *machine) (stop func(), err error) {
	command, image := filepath.Join(dir, "pith"), filepath.Join(dir, "firewall.img")
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", command, "pith/cmd/pith").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%w\n%s", err, out)
	}
	if out, err := exec.CommandContext(ctx, command, "build", "-o", image, "./service/firewall/cmd/firewall").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%w\n%s", err, out)
	}
	for name, text := range map[string]string{"firewall.yaml": config, "rules.nft": rules} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return nil, err
		}
	}
	said := &console{}
	cmd := exec.Command(command, "run", "--rm", "--cpus", "1", "-m", "256", "--net", "tap:"+m.left, "--net", "tap:"+m.right,
		"--file", dir+"/firewall.yaml:/etc/firewall.yaml", "--file", dir+"/rules.nft:/etc/rules.nft", image, "--", "-config", "/etc/firewall.yaml")
	cmd.Stdout, cmd.Stderr = said, said
	cmd.Env = append(os.Environ(), "PITH_STATE="+filepath.Join(dir, "state"))
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	stop = func() {
		cmd.Process.Signal(syscall.SIGTERM)
		cmd.Wait()
	}
	return stop, said.wait(ctx, "forwarding")
}

// startLinux boots the Linux guest.
func startLinux(ctx context.Context, dir string, m *machine) (stop func(), err error) {
	program, rulesFile := filepath.Join(dir, "guest"), filepath.Join(dir, "rules.nft")
	build := exec.CommandContext(ctx, "go", "build", "-o", program, "pith/bench/forward/guest")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%w\n%s", err, out)
	}
	files := []pith.File{{Source: rulesFile, Target: "/rules.nft"}}
	for _, tool := range []string{"/usr/sbin/nft", "/sbin/ip"} {
		list, err := withLibraries(tool)
		if err != nil {
			return nil, err
		}
		for _, f := range list {
			if !slices.Contains(files, f) {
				files = append(files, f)
			}
		}
	}
	guest, err := linuxvm.Prepare(ctx, linuxvm.Build{Program: program, Files: files,
		Needs: []string{"crc32c_generic", "nf_tables", "nf_conntrack", "nf_defrag_ipv4", "nf_defrag_ipv6", "nft_ct", "nfnetlink"}})
	if err != nil {
		return nil, err
	}
	said := &console{}
	vm, err := guest.Start(ctx, linuxvm.Options{Console: said, Tap: m.left, MAC: "52:54:00:12:34:77", Taps: []string{m.right},
		Addr: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(m.subnet), 0, 1}), 24),
		Env:  []string{fmt.Sprintf("SECOND=10.%d.0.1/24", m.subnet+1)}})
	if err != nil {
		return nil, err
	}
	return func() { vm.Stop() }, said.wait(ctx, "forwarding")
}

// withLibraries are a program and the libraries that ldd finds.
func withLibraries(program string) ([]pith.File, error) {
	out, err := exec.Command("ldd", program).Output()
	if err != nil {
		return nil, fmt.Errorf("ldd %s: %w", program, err)
	}
	files := []pith.File{{Source: program, Target: program}}
	for _, w := range strings.Fields(string(out)) {
		if !strings.HasPrefix(w, "/") {
			continue
		}
		real, err := filepath.EvalSymlinks(w)
		if err != nil {
			return nil, err
		}
		files = append(files, pith.File{Source: real, Target: w})
	}
	return files, nil
}

// console keeps what a machine prints.
type console struct {
	mu   sync.Mutex
	text bytes.Buffer
}

var _ io.Writer = (*console)(nil)

func (c *console) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.text.Write(b)
}

// wait waits for a word.
func (c *console) wait(ctx context.Context, word string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		c.mu.Lock()
		text := c.text.String()
		c.mu.Unlock()
		if strings.Contains(text, word) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("it does not say %q:\n%s", word, text)
		case <-time.After(20 * time.Millisecond):
		}
	}
}
