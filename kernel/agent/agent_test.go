package agent

import (
	"bytes"
	"encoding/base64"
	"strings"
	"testing"

	"pith/abi"
)

// collect asks for a profile and puts its messages together.
func collect(t *testing.T, kind string, seconds int) (data []byte, last string) {
	t.Helper()
	var out bytes.Buffer
	answer(kind, seconds, &out)
	for line := range strings.Lines(out.String()) {
		if len(line) > 1024 {
			t.Fatalf("a line of %d bytes", len(line))
		}
		words := strings.Fields(line)
		if words[0] != abi.ControlProfile {
			t.Fatalf("message %q", line)
		}
		if last = words[1]; last == abi.ProfileEnd {
			continue
		}
		piece, err := base64.StdEncoding.DecodeString(words[2])
		if err != nil {
			t.Fatal(err)
		}
		data = append(data, piece...)
	}
	return data, last
}

func TestProfiles(t *testing.T) {
	for kind, begins := range map[string]string{
		abi.ProfileHeap: "\x1f\x8b", abi.ProfileGoroutine: "\x1f\x8b", abi.ProfileCPU: "\x1f\x8b", abi.ProfileTrace: "go 1.",
	} {
		data, last := collect(t, kind, 0)
		if last != abi.ProfileEnd || !strings.HasPrefix(string(data), begins) {
			t.Errorf("%s: %.20q, %s", kind, data, last)
		}
	}
	if data, last := collect(t, "shoe", 0); last != abi.ProfileError || !strings.Contains(string(data), `"shoe"`) {
		t.Errorf("an unknown kind: %q, %s", data, last)
	}
}
