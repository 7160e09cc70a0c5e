package machine

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"pith/abi"
)

// MaxProfile is the longest that a profile may take.
const MaxProfile = time.Hour

// Profiled is what a Running can be asked for that passes profiles of its program
// on.
type Profiled interface {
	// Profile writes a profile of a kind (abi.ProfileCPU, ...) over a span of
	// whole seconds to a writer, and returns when it is complete.
	Profile(kind string, span time.Duration, to io.Writer) error
}

// Profile is what one line of an answer to abi.ControlProfile brings: its second
// word and the bytes. ok is false for another message.
func (m Message) Profile() (word string, payload []byte, ok bool) {
	if m.Kind != abi.ControlProfile || len(m.Words) == 0 || len(m.Words) > 2 {
		return "", nil, false
	}
	if len(m.Words) == 1 {
		return m.Words[0], nil, true
	}
	payload, err := base64.StdEncoding.DecodeString(m.Words[1])
	return m.Words[0], payload, err == nil
}

// profile takes the request "profile KIND SECONDS PATH": the file there exists.
func (s *Supervisor) profile(words string) error {
	kind, rest, _ := strings.Cut(words, " ")
	seconds, path, _ := strings.Cut(rest, " ")
	n, err := strconv.ParseUint(seconds, 10, 16)
	if err != nil {
		return fmt.Errorf("%q is no number of seconds", seconds)
	}
	p, ok := s.running.(Profiled)
	if !ok {
		return fmt.Errorf("driver %s passes no profiles on", s.Driver.Name())
	}
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	return errors.Join(p.Profile(kind, time.Duration(n)*time.Second, f), f.Close())
}

// Profile takes a profile of the program inside and writes it to the file at path,
// which exists.
func (r Remote) Profile(ctx context.Context, kind string, span time.Duration, path string) error {
	_, err := r.ask(ctx, fmt.Sprintf("profile %s %d %s", kind, int(span.Seconds()), path))
	return err
}

// Printable is a guest's text without what a terminal would obey.
func Printable(text []byte) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return '?'
		}
		return r
	}, strings.ToValidUTF8(string(text), "?"))
}
