// Package log takes the place of gvisor.dev/gvisor/pkg/log in an image: the same
// names, as far as the network stack uses them, and no output.
//
// gVisor's own package compiles regular expressions when it initialises and
// brings in packages regexp and encoding/json: 0.2 MB of an image, for messages that
// nobody would read. The builder puts this file where that package's would
// be. It relies on the standard library alone and must not print.
package log

import (
	"runtime/debug"
	"time"
)

// Level is a message's importance.
type Level uint32

// The levels, the most important first.
const (
	Warning Level = iota
	Info
	Debug
)

// Logger is what messages are given to.
type Logger interface {
	Debugf(format string, v ...any)
	Infof(format string, v ...any)
	Warningf(format string, v ...any)
	IsLogging(level Level) bool
}

type silent struct{}

func (silent) Debugf(string, ...any)   {}
func (silent) Infof(string, ...any)    {}
func (silent) Warningf(string, ...any) {}
func (silent) IsLogging(Level) bool    { return false }

// Log returns a Logger that drops everything.
func Log() Logger { return silent{} }

// BasicRateLimitedLogger returns the same.
func BasicRateLimitedLogger(time.Duration) Logger { return silent{} }

// Debugf drops a message.
func Debugf(string, ...any) {}

// Infof drops a message.
func Infof(string, ...any) {}

// Warningf drops a message.
func Warningf(string, ...any) {}

// IsLogging tells that no message of any level is kept.
func IsLogging(Level) bool { return false }

// LocalStack returns the calling goroutine's stack, for messages of panics.
func LocalStack(int) []byte { return debug.Stack() }
