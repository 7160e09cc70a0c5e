// Package stdio joins the standard input and output of a machine that is a
// process of the host to its supervisor.
//
// It relies on pipes, never on the user's terminal itself: what is confined
// must not hold it.
package stdio

import (
	"errors"
	"io"
	"os"
	"sync"
)

// Pipes are a machine's standard input and its one output.
type Pipes struct {
	// Input and Output are the machine's ends, for its process.
	Input, Output *os.File

	in, out *os.File // this process's ends; in is nil where the input is empty
	outputs sync.WaitGroup
}

// Open makes the pipes; hasInput says whether there is any.
func Open(hasInput bool) (*Pipes, error) {
	p := &Pipes{}
	var err error
	if hasInput {
		p.Input, p.in, err = os.Pipe()
	} else {
		p.Input, err = os.Open(os.DevNull)
	}
	if err != nil {
		return nil, err
	}
	if p.out, p.Output, err = os.Pipe(); err != nil {
		p.Close()
		return nil, err
	}
	return p, nil
}

// Begin copies from input and to console, once the process has its ends.
func (p *Pipes) Begin(input io.Reader, console io.Writer) {
	p.Input.Close()
	p.Output.Close()
	if p.in != nil {
		go func() {
			io.Copy(p.in, input) // input that fails has ended
			p.in.Close()
		}()
	}
	p.outputs.Go(func() {
		buf := make([]byte, 64<<10)
		for {
			n, err := p.out.Read(buf)
			if n > 0 {
				// An output that can't be written any more must not
				// stop the machine.
				console.Write(buf[:n])
			}
			if err != nil {
				return
			}
		}
	})
}

// Wait returns when all that the machine printed was delivered: call it when
// the process has ended.
func (p *Pipes) Wait() {
	p.outputs.Wait()
	p.Close()
}

// Close gives up all ends.
func (p *Pipes) Close() error {
	var errs []error
	for _, f := range []*os.File{p.Input, p.Output, p.in, p.out} {
		if f == nil {
			continue
		}
		if err := f.Close(); !errors.Is(err, os.ErrClosed) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
