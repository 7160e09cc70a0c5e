package test

import (
	"context"
	"os/exec"
	"strings"
	"testing"
)

// TestStaticAddresses: each kind of machine has the addresses that it is given on a bridge,
// and on a tap where it can join one; it finds the way through a gateway, and ends with its
// program's exit code.
func TestStaticAddresses(t *testing.T) {
	if _, err := exec.LookPath("nsenter"); err != nil {
		t.Skip("util-linux's nsenter is not installed")
	}
	place := queuesPlace(t)
	for _, line := range []string{
		"addr add fd00:8::1/64 dev bridge0 nodad", "addr add 172.20.5.5/32 dev lo",
		"tuntap add single0 mode tap", "addr add 10.9.0.1/24 dev single0", "link set single0 up",
	} {
		runIP(t, append([]string{"-n", place}, strings.Fields(line)...)...)
	}
	inNamespace(t, place, "greet")
	for _, kind := range []string{"unikernel", "process", "container", "linuxvm"} {
		t.Run(kind, func(t *testing.T) {
			canRun(t, kind)
			// `ip netns exec` would hide the control groups, which containers need.
			args := []string{"--net=/run/netns/" + place, command, "run", "--rm", "--machine", kind,
				"--net", "bridge:bridge0,addr=10.8.0.5/24,addr=fd00:8::5/64,gateway=10.8.0.1"}
			want := []string{"10.8.0.1:7 from 10.8.0.5: 10.8.0.5", "[fd00:8::1]:7 from fd00:8::5: fd00:8::5", "172.20.5.5:7 from 10.8.0.5: 10.8.0.5"}
			program := guest
			if kind != "unikernel" {
				program = hostedGuest(t)
			}
			ask := []string{"10.8.0.1:7", "[fd00:8::1]:7", "172.20.5.5:7"}
			if kind == "unikernel" || kind == "linuxvm" {
				args = append(args, "--net", "tap:single0,addr=10.9.0.5/24")
				ask = append(ask, "10.9.0.1:7")
				want = append(want, "10.9.0.1:7 from 10.9.0.5: 10.9.0.5")
			}
			// The last one refuses: the program ends with exit code 98.
			args = append(append(append(args, program, "--", "routes"), ask...), "10.8.0.1:9")
			ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
			defer cancel()
			out, err := exec.CommandContext(ctx, "nsenter", args...).CombinedOutput()
			if exit, ok := err.(*exec.ExitError); !ok || exit.ExitCode() != 98 {
				t.Errorf("it ended with %v, want 98", err)
			}
			for _, line := range append(want, "refused") {
				if !strings.Contains(string(out), line) {
					t.Errorf("no %q in:\n%s", line, out)
				}
			}
		})
	}
}
