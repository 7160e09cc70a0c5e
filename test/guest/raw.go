package main

import (
	"bufio"
	"fmt"
	"io"
	"os"

	"golang.org/x/term"
)

// raw sets the terminal raw, edits a line, tells what keys are pressed, byte by byte,
// and ends at a q with the terminal as it was.
func raw() {
	fd := int(os.Stdin.Fd())
	before, err := term.MakeRaw(fd)
	check(err)
	t := term.NewTerminal(struct {
		io.Reader
		io.Writer
	}{os.Stdin, os.Stdout}, "> ")
	line, err := t.ReadLine()
	check(err)
	fmt.Printf("line %q\r\n", line)
	keys := bufio.NewReader(os.Stdin)
	for {
		b, err := keys.ReadByte()
		check(err)
		fmt.Printf("key %d\r\n", b)
		if b == 'q' {
			break
		}
	}
	check(term.Restore(fd, before))
	fmt.Println("cooked")
	text, err := keys.ReadString('\n')
	check(err)
	fmt.Printf("whole %q\n", text)
}
