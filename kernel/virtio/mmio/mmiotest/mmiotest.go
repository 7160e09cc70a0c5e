// Package mmiotest reaches a model device by way of package mmio. It is for tests only.
package mmiotest

import (
	"testing"

	"pith/kernel/virtio"
	"pith/kernel/virtio/mmio"
	"pith/kernel/virtio/virtiotest"
)

// Open puts a device behind memory-mapped registers, until the test ends.
func Open(t testing.TB, d *virtiotest.Device) virtio.Transport {
	t.Helper()
	m := virtiotest.NewMMIO(d)
	t.Cleanup(m.Line.Close)
	tr, err := mmio.New(m, m.Line)
	if err != nil {
		t.Fatal(err)
	}
	return tr
}
