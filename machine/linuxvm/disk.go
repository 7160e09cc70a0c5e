package linuxvm

import (
	"bytes"
	"fmt"
	"os"
)

// WriteProgramDisk writes a RAM disk with nothing but a program, /server, and
// empty folders where a kernel mounts what it needs: for kernels other than the
// guest of this package.
func WriteProgramDisk(path, program string) error {
	data, err := os.ReadFile(program)
	if err != nil {
		return fmt.Errorf("linuxvm: program: %w", err)
	}
	list := []entry{{Name: "dev", Mode: modeFolder}, {Name: "etc", Mode: modeFolder}, {Name: "tmp", Mode: modeFolder}, {Name: "server", Mode: modeProg, Data: data}}
	var disk bytes.Buffer
	if err := writeCPIO(&disk, list); err != nil {
		return fmt.Errorf("linuxvm: %w", err)
	}
	if err := os.WriteFile(path, disk.Bytes(), 0o644); err != nil {
		return fmt.Errorf("linuxvm: %w", err)
	}
	return nil
}
