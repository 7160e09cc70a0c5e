package main

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"

	"pith"
)

// sourceFolder is the module that WHAT belongs to.
func sourceFolder(what string) (string, error) {
	dir := "."
	if info, err := os.Stat(what); err == nil {
		dir = what
		if !info.IsDir() {
			dir = filepath.Dir(what)
		}
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	for at := dir; ; at = filepath.Dir(at) {
		if _, err := os.Stat(filepath.Join(at, "go.mod")); err == nil {
			return at, nil
		}
		if at == filepath.Dir(at) {
			return "", pith.Errorf("%s is in no Go module: pith dev watches the sources of one", dir)
		}
	}
}

// savePause is how long nothing must be saved for a build to begin: editors write
// several files, and one in steps.
const savePause = 150 * time.Millisecond

// watch tells when something below dir was saved, until ctx is done. Hidden files
// and editors' own are left out.
func watch(ctx context.Context, dir string) (saved chan struct{}, err error) {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, fmt.Errorf("watch %s: %w", dir, err)
	}
	if err := addFolders(w, dir); err != nil {
		w.Close()
		return nil, fmt.Errorf("watch %s: %w", dir, err)
	}
	saved = make(chan struct{}, 1)
	go func() {
		defer close(saved)
		defer w.Close()
		quiet := time.NewTimer(0)
		<-quiet.C
		for {
			select {
			case <-ctx.Done():
				return
			case e := <-w.Events:
				if isSource(e) {
					addFolders(w, e.Name) // it may be a new folder
					quiet.Reset(savePause)
				}
			case <-w.Errors: // events were lost
				quiet.Reset(savePause)
			case <-quiet.C:
				select {
				case saved <- struct{}{}:
				default: // one is waiting already
				}
			}
		}
	}()
	return saved, nil
}

func isSource(e fsnotify.Event) bool {
	name := filepath.Base(e.Name)
	return e.Op != fsnotify.Chmod && !strings.HasPrefix(name, ".") && !strings.HasPrefix(name, "#") &&
		!strings.HasSuffix(name, "~")
}

// addFolders watches a folder and those below it, but for hidden ones. A file is
// none.
func addFolders(w *fsnotify.Watcher, root string) error {
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return nil // it may be gone again
		}
		if path != root && strings.HasPrefix(d.Name(), ".") {
			return fs.SkipDir
		}
		return w.Add(path)
	})
}
