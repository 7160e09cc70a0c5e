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
	"pith/kernel/virtio/net"
)

// machine is what the upper half found of the machine that it runs on.
type machine struct {
	args, env []string
	hostname  string
	networks  []string // RecordNet texts
	files     []fs.Packed
	dir       string   // the working directory
	send      []string // what the driver wants when the program ends
	changed   []string // and folders of which it wants what the program has written
	mounts    []string // RecordMount texts

	hasInput      bool // the driver passes standard input on
	rows, columns int  // of the terminal; 0 if the console is none

	transports    []virtio.Transport
	entropy       entropy
	console       *console.Console
	consoleDevice *vconsole.Device
	network       link.Network
	cards         []*net.Device
	wallTime      wallTime
}

// readPack lists the files that were packed into the image.
func (m *machine) readPack() {
	rest := boot.Here.Pack.Records()
	for {
		typ, payload, next, ok := abi.Next(rest)
		if !ok {
			break
		}
		if typ == abi.RecordFile {
			m.addFile(payload)
		}
		rest = next
	}
	for i := range m.files {
		m.files[i].ReadOnly = true
	}
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
		case abi.RecordMount:
			m.mounts = append(m.mounts, string(payload))
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
	if path, ok := strings.CutPrefix(word, abi.FlagSend); ok {
		m.send = append(m.send, path)
	}
	if path, ok := strings.CutPrefix(word, abi.FlagChanged); ok {
		m.changed = append(m.changed, path)
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

// addFile takes one packed file.
func (m *machine) addFile(payload []byte) {
	if mode, name, contents, ok := abi.SplitFile(payload); ok {
		m.files = append(m.files, fs.Packed{Path: name, Mode: mode, Data: contents})
	}
}
