// Command compare runs bench/disk on one volume in turn in a machine of Pith's and
// in the Linux guest, and prints what both say. Usage: compare PITH IMAGE PROGRAM, the
// command, an image and a static executable of bench/disk; it makes and removes the volume "disk-bench".
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"pith/machine/linuxvm"
)

func main() {
	if len(os.Args) != 4 {
		fmt.Fprintln(os.Stderr, "usage: compare PITH IMAGE PROGRAM")
		os.Exit(2)
	}
	if err := compare(os.Args[1], os.Args[2], os.Args[3]); err != nil {
		fmt.Fprintln(os.Stderr, "compare:", err)
		os.Exit(1)
	}
}

const (
	volume = "disk-bench"
	rounds = 3
)

func compare(pith, image, program string) error {
	if out, err := exec.Command(pith, "volume", "create", volume, "--size", "1G").CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	defer exec.Command(pith, "volume", "rm", volume).Run()
	out, err := exec.Command(pith, "volume", "inspect", volume).Output()
	if err != nil {
		return err
	}
	var info struct{ Path string }
	if err := json.Unmarshal(out, &info); err != nil {
		return err
	}
	path, err := filepath.Abs(program)
	if err != nil {
		return err
	}
	guest, err := linuxvm.Prepare(context.Background(), linuxvm.Build{Program: path, Disk: true})
	if err != nil {
		return err
	}
	for range rounds {
		fmt.Println("pith:")
		c := exec.Command(pith, "run", "--rm", "-m", "512", "-v", volume+":/data", image, "--", "/data")
		c.Stdout, c.Stderr = os.Stdout, os.Stderr
		if err := c.Run(); err != nil {
			return err
		}
		fmt.Println("linux:")
		m, err := guest.Start(context.Background(), linuxvm.Options{Args: []string{"/data"}, Memory: 512 << 20, Disk: info.Path, Console: os.Stdout})
		if err != nil {
			return err
		}
		<-m.Done()
	}
	return nil
}
