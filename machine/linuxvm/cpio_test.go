package linuxvm

import (
	"bytes"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"testing"
)

// readCPIO reads a newc archive as the kernel does.
func readCPIO(b []byte) ([]entry, error) {
	var entries []entry
	at := 0
	for {
		if len(b)-at < 110 || string(b[at:at+6]) != "070701" {
			return nil, fmt.Errorf("no header at %d", at)
		}
		var fields [13]uint32
		for i := range fields {
			v, err := strconv.ParseUint(string(b[at+6+8*i:at+14+8*i]), 16, 32)
			if err != nil {
				return nil, err
			}
			fields[i] = uint32(v)
		}
		name := string(b[at+110 : at+110+int(fields[11])-1])
		at = (at + 110 + int(fields[11]) + 3) &^ 3
		data := b[at : at+int(fields[6])]
		at = (at + int(fields[6]) + 3) &^ 3
		if name == cpioTrailer {
			return entries, nil
		}
		entries = append(entries, entry{name, fields[1], fields[9], fields[10], data})
	}
}

func TestCPIO(t *testing.T) {
	var want []entry
	for n := range 9 { // every padding of names and of data
		name := "f" + strings.Repeat("x", n)
		want = append(want, entry{Name: name, Mode: modeProg, Data: []byte(strings.Repeat("d", n))})
	}
	want = append(want, entry{Name: "dev", Mode: modeFolder}, entry{Name: "dev/console", Mode: modeChar, Major: 5, Minor: 1})
	var out bytes.Buffer
	if err := writeCPIO(&out, want); err != nil {
		t.Fatal(err)
	}
	got, err := readCPIO(out.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != len(want) {
		t.Fatalf("%d entries, want %d", len(got), len(want))
	}
	for i := range want {
		if got[i].Name != want[i].Name || got[i].Mode != want[i].Mode || got[i].Major != want[i].Major ||
			got[i].Minor != want[i].Minor || !bytes.Equal(got[i].Data, want[i].Data) {
			t.Errorf("entry %d is %+v, want %+v", i, got[i], want[i])
		}
	}
}

func TestCPIORefusesNames(t *testing.T) {
	for _, name := range []string{"", "/init", "a\x00b"} {
		if err := writeCPIO(&bytes.Buffer{}, []entry{{Name: name}}); err == nil {
			t.Errorf("name %q is no error", name)
		}
	}
}

// The cpio command is a second opinion on the format.
func TestCPIOCommandReadsIt(t *testing.T) {
	cpio, err := exec.LookPath("cpio")
	if err != nil {
		t.Skip("cpio is not installed")
	}
	var archive bytes.Buffer
	if err := writeCPIO(&archive, entries([]byte("init"), []byte("app"), []module{{"virtio", []byte("code")}})); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(cpio, "-t", "--quiet")
	cmd.Stdin = &archive
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	const want = "dev\ndev/console\nproc\nsys\ntmp\ndata\nmodules\ninit\napp\nmodules/00-virtio.ko\n"
	if string(out) != want {
		t.Errorf("cpio lists %q, want %q", out, want)
	}
}
