package forward

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"pith"
	"pith/image"
	"pith/machine"
	"pith/machine/host"
	"pith/machine/qemu"
	"pith/network"
)

// Unikernel is the image of Pith's router or firewall in QEMU.
type Unikernel struct {
	Service string
	Image   string // a file

	image *pith.Image
}

// Prepare opens the image.
func (u *Unikernel) Prepare(context.Context) (err error) {
	u.image, err = image.Open(u.Image)
	return err
}

// Start boots it between two tap devices.
func (u *Unikernel) Start(ctx context.Context, s Shape) (_ *Path, err error) {
	dir, err := os.MkdirTemp("", "pith-forward-")
	if err != nil {
		return nil, fmt.Errorf("forward: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(dir), removeLinks(context.WithoutCancel(ctx)))
		}
	}()
	files, err := u.files(dir)
	if err != nil {
		return nil, err
	}
	if err := addTaps(ctx); err != nil {
		return nil, err
	}
	var cards []machine.Card
	for _, side := range []side{left, right} {
		wire, err := network.Attach(network.Mode{Kind: network.Tap, Name: side.link})
		if err != nil {
			return nil, err
		}
		defer wire.Close()
		cards = append(cards, machine.Card{Link: pith.Link{Network: side.link, MAC: side.mac}, Wire: machine.Wire{Tap: wire.Tap}})
	}
	p := &Path{console: &console{}}
	running, err := qemu.New(host.This()).Start(machine.Launch{
		Spec: machine.Spec{
			Machine: pith.Machine{
				Name: "forward", Image: u.image, CPUs: s.CPUs, Memory: s.Memory,
				Args: []string{"-config", "/etc/forward.yaml"}, Files: files,
			},
			Type: machine.TypeMicroVM, Created: time.Now(),
		},
		Cards: cards, Dir: dir, Console: p.console, Notify: func(machine.Message) {},
	})
	if err != nil {
		return nil, err
	}
	done := make(chan struct{})
	go func() {
		running.Wait() // how it ended is of no interest: it is killed
		close(done)
	}()
	p.done = done
	p.stop = func() error {
		err := running.Kill()
		<-done
		return errors.Join(err, os.RemoveAll(dir))
	}
	p.CPU = "Pith's choice"
	if q, ok := running.(interface{ Accelerator() (string, error) }); ok {
		if p.Accelerator, err = q.Accelerator(); err != nil {
			return nil, errors.Join(err, p.stop())
		}
	}
	return p, nil
}

// files writes the configuration.
func (u *Unikernel) files(dir string) ([]pith.File, error) {
	var files []pith.File
	for name, text := range map[string]string{"forward.yaml": withRules(u.Service), "rules.nft": rules} {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			return nil, err
		}
		files = append(files, pith.File{Source: file, Target: "/etc/" + name})
	}
	return files, nil
}
