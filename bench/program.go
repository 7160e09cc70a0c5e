package bench

import (
	"context"
	_ "embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// The measured program's source travels with this package, so that it is built
// as a module of its own wherever the comparison runs.
//
//go:embed server/main.go
var programSource []byte

const programModule = "module server\n\ngo 1.25\n"

// WriteProgram makes dir a module that holds the measured program, and nothing
// else.
func WriteProgram(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "main.go"), programSource, 0o644); err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "go.mod"), []byte(programModule), 0o644); err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	return nil
}

// BuildProgram builds the module in dir for Linux, the way that anyone would;
// the flags take away what a server in production doesn't need.
func BuildProgram(ctx context.Context, dir, out string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", out, ".")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64", "GOWORK=off", "GOFLAGS=")
	if text, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("bench: build of the measured program: %w\n%s", err, text)
	}
	return nil
}
