package main

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"syscall"

	"pith/network"
)

// background is a process of this program that goes on when its parent has
// ended. It tells on reportFD how its start went.
type background struct {
	name string // what it is, in messages
	args []string
	home string       // the folder of machines
	log  *os.File     // what it prints; nil is nowhere
	lab  *network.Lab // where it runs; nil is this process's own network
}

// start returns when the process has reported.
func (b background) start() error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	ours, theirs, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("start %s: %w", b.name, err)
	}
	defer ours.Close()
	c := exec.Command(self, b.args...)
	c.ExtraFiles = []*os.File{theirs}
	if b.log != nil {
		c.Stdout, c.Stderr = b.log, b.log
	}
	c.Dir = "/" // holds no folder of the user's
	c.Env = append(os.Environ(), "PITH_STATE="+b.home)
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if b.lab == nil {
		err = c.Start()
	} else {
		err = b.lab.Do(c.Start) // a child has the network of the thread that made it
	}
	theirs.Close()
	if err != nil {
		return fmt.Errorf("start %s: %w", b.name, err)
	}
	line, err := bufio.NewReader(ours).ReadString('\n')
	if err != nil {
		c.Wait()
		return fmt.Errorf("%s ended without a word", b.name)
	}
	if err := parseReport(line); err != nil {
		c.Wait()
		return err
	}
	go c.Wait() // whoever stays, such as a keeper, leaves no zombie
	return nil
}
