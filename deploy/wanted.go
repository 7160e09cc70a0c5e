package deploy

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"os"
	"time"

	"pith"
	"pith/machine"
)

// Wanted is a deployment as it is to be.
type Wanted struct {
	Name       string
	File       string         // the pith.yaml, absolute
	Generation int            // of this file: counts what `pith up` changed
	Networks   []pith.Network // with the host's own addresses
	Volumes    []pith.Disk    // by their names on this host
	Instances  []Instance     // each behind those that it needs
}

// Instance is one machine of a service.
type Instance struct {
	Service string
	Spec    machine.Spec
	Address netip.Addr         // where it is asked for its health; zero: nowhere
	Ports   []pith.Port        // of the host, forwarded to Address
	Health  *pith.HealthCheck  // nil: it is healthy as soon as it runs
	Needs   []pith.Dependency  // in the same deployment
	Restart pith.RestartPolicy // when it has ended
}

// Name is the machine's name.
func (i Instance) Name() string { return i.Spec.Name }

// Lab tells whether the machine has a card in one of the deployment's own networks.
func (i Instance) Lab() bool { return InLab(i.Spec) }

// Instance returns one by its name, nil where there is none.
func (w *Wanted) Instance(name string) *Instance {
	if w == nil {
		return nil
	}
	for i := range w.Instances {
		if w.Instances[i].Name() == name {
			return &w.Instances[i]
		}
	}
	return nil
}

// revise notes in an instance what its machine is made of: as long as that stays
// the same, the machine does.
func revise(i *Instance) error {
	h := sha256.New()
	if err := hashFile(h, i.Spec.Image.Path); err != nil {
		return fmt.Errorf("read the image of %s: %w", i.Service, err)
	}
	err := machine.WalkFiles(i.Spec.Files, func(name string, mode uint32, data []byte) {
		fmt.Fprintf(h, "%q %o %d\n", name, mode, len(data))
		h.Write(data)
	})
	if err != nil {
		return err
	}
	spec := i.Spec
	spec.Created, spec.Revision, spec.Image, spec.Files = time.Time{}, "", nil, nil
	text, err := json.Marshal(spec)
	if err != nil {
		return err
	}
	h.Write(text)
	i.Spec.Revision = hex.EncodeToString(h.Sum(nil)[:12])
	return nil
}

func hashFile(to io.Writer, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(to, f)
	return err
}
