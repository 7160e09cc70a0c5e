package cache

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// TestUsersAndPruners: what one holds is whole until it lets go, while others remove
// all that they can.
func TestUsersAndPruners(t *testing.T) {
	c := testCache(t, Limits{})
	path := c.Path(Modules, "0123456789abcdef")
	stop := make(chan struct{})
	var pruners, users sync.WaitGroup
	for range 2 {
		pruners.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if _, err := c.Prune(Everything); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range 3 {
		users.Go(func() {
			for range 100 {
				if err := useOnce(path); err != nil {
					t.Error(err)
				}
			}
		})
	}
	users.Wait()
	close(stop)
	pruners.Wait()
}

// useOnce makes the entry where it isn't there, as builds do, and reads it.
func useOnce(path string) error {
	var h Hold
	defer h.Release()
	for {
		there, err := h.Use(path)
		if err != nil {
			return err
		}
		if there {
			break
		}
		if err := makeEntry(path); err != nil {
			return err
		}
	}
	for _, name := range []string{"a", "b"} {
		if _, err := os.ReadFile(filepath.Join(path, name)); err != nil {
			return err
		}
	}
	return nil
}

func makeEntry(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	tmp, err := os.MkdirTemp(filepath.Dir(path), Temporary)
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	for _, name := range []string{"a", "b"} {
		if err := os.WriteFile(filepath.Join(tmp, name), []byte("x"), 0o644); err != nil {
			return err
		}
	}
	if err := os.Rename(tmp, path); err != nil && !errors.Is(err, fs.ErrExist) { // another was faster
		return err
	}
	return nil
}
