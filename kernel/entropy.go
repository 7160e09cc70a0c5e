package kernel

import (
	"sync"

	"pith/kernel/cpu"
	"pith/kernel/virtio"
	"pith/kernel/virtio/rng"
)

// entropy is where random bytes come from: the processor's own generator where
// it has one, else the host's, by virtio-rng. Without either, whoever wants
// some waits for good rather than get weak ones.
type entropy struct {
	host *rng.Device
	warn sync.Once
}

func (m *machine) openEntropy() {
	m.eachOf(virtio.TypeEntropy, func(t virtio.Transport) error {
		if m.entropy.host != nil {
			return nil
		}
		d, err := rng.New(t, memory{}, report)
		if err == nil {
			m.entropy.host = d
		}
		return err
	})
}

// fill fills p. It may wait for the host.
func (e *entropy) fill(p []byte) {
	p = fromProcessor(p)
	for len(p) > 0 {
		if e.host == nil {
			e.warn.Do(func() { complain("no source of random bytes: give the machine a virtio-rng device") })
			select {}
		}
		n, err := e.host.Read(p)
		if err != nil {
			e.warn.Do(func() { complain("no random bytes from the host: " + err.Error()) })
			select {}
		}
		p = p[n:]
	}
}

// fromProcessor fills what it can and returns the rest.
func fromProcessor(p []byte) []byte {
	for len(p) > 0 {
		v, ok := cpu.Random()
		if !ok {
			return p
		}
		var word [8]byte
		virtio.Store64(word[:], v)
		p = p[copy(p, word[:]):]
	}
	return p
}
