package kernel

import (
	"strconv"
	"strings"

	"pith/abi"
	"pith/kernel/boot"
	"pith/kernel/console"
	"pith/kernel/fs"
	"pith/kernel/link"
	"pith/kernel/virtio"
	vconsole "pith/kernel/virtio/console"
)

// machine is what the upper half found of the machine that it runs on.
type machine struct {
	args, env []string
	hostname  string
	networks  []string // RecordNet texts
	files     []fs.Packed
	dir       string // the working directory

	hasInput      bool // the driver passes standard input on
	rows, columns int  // of the terminal; 0 if the console is none

	transports    []virtio.Transport
	entropy       entropy
	console       *console.Console
	consoleDevice *vconsole.Device
	network       link.Network
}

// readBlock reads the instance block's records that matter up here.
func (m *machine) readBlock() {
	m.hostname = "pith"
	rest := boot.Here.Block.Records()
	for {
		typ, payload, next, ok := abi.Next(rest)
		if !ok {
			return
		}
		switch typ {
		case abi.RecordArg:
			m.args = append(m.args, string(payload))
		case abi.RecordEnv:
			m.setenv(string(payload))
		case abi.RecordNet:
			m.networks = append(m.networks, string(payload))
		case abi.RecordFile:
			m.addFile(payload)
		case abi.RecordDir:
			m.dir = string(payload)
		case abi.RecordFlag:
			m.setFlag(string(payload))
		}
		rest = next
	}
}

func (m *machine) setenv(pair string) {
	m.env = append(m.env, pair)
	if name, ok := strings.CutPrefix(pair, "HOSTNAME="); ok && name != "" {
		m.hostname = name
	}
}

func (m *machine) setFlag(word string) {
	if word == abi.FlagInput {
		m.hasInput = true
	}
	size, ok := strings.CutPrefix(word, abi.FlagWindow)
	if !ok {
		return
	}
	rows, columns, _ := strings.Cut(size, "x")
	r, err1 := strconv.ParseUint(rows, 10, 16)
	c, err2 := strconv.ParseUint(columns, 10, 16)
	if err1 == nil && err2 == nil {
		m.rows, m.columns = int(r), int(c)
	}
}

// addFile takes one packed file: mode, length of the name, name, contents.
func (m *machine) addFile(b []byte) {
	if len(b) < 8 {
		return
	}
	mode, n := virtio.Load32(b), virtio.Load32(b[4:])
	if uint64(n) > uint64(len(b)-8) {
		return
	}
	m.files = append(m.files, fs.Packed{Path: string(b[8 : 8+n]), Mode: mode, Data: b[8+n:]})
}
