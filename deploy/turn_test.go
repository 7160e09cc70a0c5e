package deploy

import (
	"context"
	"errors"
	"testing"
)

// TestTurns: one replica of a service at a time, others wait, other services don't.
func TestTurns(t *testing.T) {
	var all turns
	give, err := all.take(t.Context(), "web")
	if err != nil {
		t.Fatal(err)
	}
	other, err := all.take(t.Context(), "store")
	if err != nil {
		t.Fatal(err)
	}
	defer other()
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := all.take(ended, "web"); !errors.Is(err, context.Canceled) {
		t.Errorf("a second turn: %v", err)
	}
	second := make(chan error, 1)
	go func() {
		give, err := all.take(t.Context(), "web")
		if err == nil {
			give()
		}
		second <- err
	}()
	give()
	if err := <-second; err != nil {
		t.Error(err)
	}
}
