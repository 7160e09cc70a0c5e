package pith

import (
	"errors"
	"fmt"
)

// Error is a user's mistake: something that the person at the keyboard can put
// right (a missing package, a compile error, an image of another version). Its
// text is one clear sentence, or the words of the tool that refused.
type Error struct {
	err error
}

// Errorf makes an Error; the format is fmt.Errorf's, %w included.
func Errorf(format string, args ...any) error {
	return &Error{fmt.Errorf(format, args...)}
}

// Error returns the message.
func (e *Error) Error() string { return e.err.Error() }

// Unwrap returns the error that the message was made of.
func (e *Error) Unwrap() error { return e.err }

// ExitCode is the exit code of a command that ended with err: 0 for nil, 2 for
// a user's mistake, 1 for everything else.
func ExitCode(err error) int {
	var mistake *Error
	switch {
	case err == nil:
		return 0
	case errors.As(err, &mistake):
		return 2
	default:
		return 1
	}
}
