package machine

import (
	"encoding/binary"
	"fmt"
	"strings"
	"time"

	"pith"
	"pith/abi"
)

// Block is the instance block: what a booted image is told about itself. now
// is the host's clock, read as late as possible.
// It fails where a file of the machine's can't be read.
func Block(l Launch, now time.Time) ([]byte, error) {
	b := []byte(abi.Magic)
	for _, arg := range l.Spec.Argv() {
		b = abi.Record(b, abi.RecordArg, []byte(arg))
	}
	for _, env := range l.Spec.Environ() {
		b = abi.Record(b, abi.RecordEnv, []byte(env))
	}
	for _, card := range l.Cards {
		b = abi.Record(b, abi.RecordNet, []byte(netWords(card.Link)))
	}
	b = abi.Record(b, abi.RecordCPUs, binary.LittleEndian.AppendUint32(nil, uint32(l.Spec.CPUs)))
	for _, flag := range flags(l) {
		b = abi.Record(b, abi.RecordFlag, []byte(flag))
	}
	if dir := l.Spec.Dir; dir != "" {
		b = abi.Record(b, abi.RecordDir, []byte(dir))
	}
	for i, disk := range l.Disks {
		b = abi.Record(b, abi.RecordMount, []byte(mountWords(disk, l.Spec.Mounts[i].Target)))
	}
	b, err := appendFiles(b, l.Spec.Files)
	if err != nil {
		return nil, err
	}
	for _, path := range l.Spec.Send {
		b = appendPlace(b, path)
	}
	b = abi.Record(b, abi.RecordTime, binary.LittleEndian.AppendUint64(nil, uint64(now.UnixNano())))
	return abi.Record(b, abi.RecordEnd, nil), nil
}

func flags(l Launch) []string {
	var words []string
	if l.Spec.Trace {
		words = append(words, abi.FlagTrace)
	}
	if l.Input != nil {
		words = append(words, abi.FlagInput)
	}
	for _, path := range l.Spec.Send {
		words = append(words, abi.FlagSend+path)
	}
	for _, path := range l.Spec.Changed {
		words = append(words, abi.FlagChanged+path)
	}
	if w := l.Window; w != (Window{}) {
		words = append(words, fmt.Sprintf("%s%dx%d", abi.FlagWindow, w.Rows, w.Columns))
	}
	return words
}

// mountWords writes a volume as abi.RecordMount describes it.
func mountWords(d Disk, target string) string {
	words := "serial=" + d.Serial + " type=ext4"
	if d.Folder {
		words = "serial=" + d.Serial + " type=9p"
	}
	if d.ReadOnly {
		words += " ro"
	}
	return words + " at=" + target
}

// netWords writes a card's configuration as abi.RecordNet describes it.
func netWords(l pith.Link) string {
	words := []string{"mac=" + l.MAC}
	for _, a := range l.Addrs {
		words = append(words, "addr="+a.String())
	}
	for _, g := range l.Gateway {
		words = append(words, "gw="+g.String())
	}
	for _, d := range l.DNS {
		words = append(words, "dns="+d.String())
	}
	for _, r := range l.Routes {
		words = append(words, fmt.Sprintf("route=%s,%s", r.To, r.Via))
	}
	if len(l.Addrs) == 0 {
		words = append(words, "dhcp", "slaac")
	}
	return strings.Join(words, " ")
}
