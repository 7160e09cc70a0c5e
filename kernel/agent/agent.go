// Package agent takes profiles and execution traces of the program that it is
// linked into, when the machine's driver asks: a CPU profile, the heap, the
// goroutines, a trace. The builder adds it on request only.
//
// It relies on runtime/pprof and runtime/trace, and so on package os: it is the
// one part of the kernel that stands above it besides gVisor's stack. It must not
// serve a network.
package agent

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"runtime"
	"runtime/pprof"
	"runtime/trace"
	"time"

	"pith/abi"
	"pith/kernel/profile"
)

func init() { profile.Register(answer) }

// answer takes a profile and sends it as messages.
func answer(kind string, seconds int, out io.Writer) {
	lines := &messages{out: out}
	buffered := bufio.NewWriterSize(lines, chunk)
	err := take(kind, time.Duration(seconds)*time.Second, buffered)
	if err == nil {
		err = buffered.Flush()
	}
	if err != nil {
		lines.send(abi.ProfileError, []byte(err.Error()))
		return
	}
	lines.send(abi.ProfileEnd, nil)
}

func take(kind string, span time.Duration, to io.Writer) error {
	switch kind {
	case abi.ProfileCPU:
		// Its writer is used while the profile's signals arrive, which the
		// way to the host must not be part of.
		var b bytes.Buffer
		if err := pprof.StartCPUProfile(&b); err != nil {
			return err
		}
		time.Sleep(span)
		pprof.StopCPUProfile()
		_, err := to.Write(b.Bytes())
		return err
	case abi.ProfileTrace:
		if err := trace.Start(to); err != nil {
			return err
		}
		time.Sleep(span)
		trace.Stop()
		return nil
	case abi.ProfileHeap:
		runtime.GC() // so that it shows what lives now
		return pprof.Lookup("heap").WriteTo(to, 0)
	case abi.ProfileGoroutine:
		return pprof.Lookup("goroutine").WriteTo(to, 0)
	}
	return fmt.Errorf("there is no profile of the kind %q in this image", kind)
}

// chunk is how many bytes a message carries: a line of them stays below 1024.
const chunk = 720

// messages makes lines of what is written.
type messages struct{ out io.Writer }

func (m *messages) Write(p []byte) (n int, err error) {
	for len(p) > 0 {
		k := min(len(p), chunk)
		if err := m.send(abi.ProfileData, p[:k]); err != nil {
			return n, err
		}
		n, p = n+k, p[k:]
	}
	return n, nil
}

func (m *messages) send(word string, payload []byte) error {
	_, err := fmt.Fprintf(m.out, "%s %s %s\n", abi.ControlProfile, word, base64.StdEncoding.EncodeToString(payload))
	return err
}
