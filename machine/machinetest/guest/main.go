// Command guest is the program that the contract suite runs in a machine: its
// first argument says how it behaves. It is an ordinary Go program.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"time"
)

var behaviours = map[string]func(args []string){
	"exit":  exit,
	"say":   say,
	"print": printLines,
	"panic": func([]string) { panic("on purpose") },
	"nil":   func([]string) { var p *int; *p = 1 },
	"serve": serve,
	"echo":  echo,
	"deaf":  deaf,
	"eat":   eat,
	"read":  read,
	"cat":   cat,
	"keep":  keep,
	"spoil": spoil,
}

func main() {
	if len(os.Args) < 2 || behaviours[os.Args[1]] == nil {
		fmt.Println("guest: unknown behaviour", os.Args)
		os.Exit(99)
	}
	behaviours[os.Args[1]](os.Args[2:])
}

func exit(args []string) {
	code, err := strconv.Atoi(args[0])
	check(err)
	os.Exit(code)
}

// say tells what the program was given.
func say(args []string) {
	fmt.Printf("args %q\nenv %s\ncpus %d\ntime %d\n", args, os.Getenv("CONTRACT"), runtime.NumCPU(), time.Now().Unix())
}

// printLines prints as many numbered lines as it is told, as fast as it can.
func printLines(args []string) {
	n, err := strconv.Atoi(args[0])
	check(err)
	for i := range n {
		fmt.Println("line", i)
	}
}

// serve answers on port 80 and ends at SIGTERM when all requests are done.
func serve([]string) {
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { fmt.Fprintf(w, "hello %s\n", r.URL.Path) })
	http.HandleFunc("/slow", func(w http.ResponseWriter, r *http.Request) {
		fmt.Println("slow request begins")
		time.Sleep(time.Second)
		fmt.Fprintln(w, "slow but whole")
	})
	server := &http.Server{Addr: ":80"}
	terminate := make(chan os.Signal, 1)
	signal.Notify(terminate, syscall.SIGTERM)
	drained := make(chan struct{})
	go func() {
		<-terminate
		check(server.Shutdown(context.Background()))
		fmt.Println("drained")
		close(drained)
	}()
	if err := server.ListenAndServe(); err != http.ErrServerClosed {
		check(err)
	}
	<-drained
}

// echo sends datagrams and streams back on port 7.
func echo([]string) {
	packets, err := net.ListenPacket("udp", ":7")
	check(err)
	streams, err := net.Listen("tcp", ":7")
	check(err)
	go func() {
		buf := make([]byte, 2048)
		for {
			n, from, err := packets.ReadFrom(buf)
			check(err)
			packets.WriteTo(buf[:n], from)
		}
	}()
	for {
		c, err := streams.Accept()
		check(err)
		go func() {
			defer c.Close()
			io.Copy(c, c)
		}()
	}
}

// deaf ignores SIGTERM and keeps a CPU busy.
func deaf([]string) {
	signal.Ignore(syscall.SIGTERM)
	fmt.Println("deaf")
	for {
	}
}

// eat touches four times the memory that the suite gives a machine.
func eat([]string) {
	const step, all = 16 << 20, 1 << 30
	var kept [][]byte
	for range all / step {
		block := make([]byte, step)
		for i := 0; i < step; i += 4096 {
			block[i] = 1
		}
		kept = append(kept, block)
	}
	fmt.Println("full", len(kept))
}

// cat prints a file and where it stands.
func cat(args []string) {
	dir, err := os.Getwd()
	check(err)
	text, err := os.ReadFile(args[0])
	check(err)
	fmt.Printf("in %s: %s\n", dir, text)
}

// keep reads a file, adds a line to it by way of another one, and is deaf after it.
func keep(args []string) {
	name, line := args[0], args[1]
	text, err := os.ReadFile(name)
	if !os.IsNotExist(err) {
		check(err)
	}
	fmt.Printf("kept %q\n", text)
	f, err := os.Create(name + ".new")
	check(err)
	_, err = f.Write(append(text, line...))
	check(err)
	check(f.Sync())
	check(f.Close())
	check(os.Rename(f.Name(), name))
	dir, err := os.Open(filepath.Dir(name))
	check(err)
	check(dir.Sync())
	info, err := os.Stat(name)
	check(err)
	fmt.Printf("own: %t\n", info.Sys().(*syscall.Stat_t).Uid == uint32(os.Getuid()))
	deaf(nil)
}

// spoil tries to change a folder that is to be read only, and reads a file there.
func spoil(args []string) {
	text, err := os.ReadFile(args[0])
	check(err)
	err = os.WriteFile(args[0]+".spoilt", nil, 0o644)
	fmt.Printf("found %q, spoiling: %v\n", text, errors.Is(err, syscall.EROFS))
}

// read counts the bytes of the standard input.
func read([]string) {
	n, err := io.Copy(io.Discard, os.Stdin)
	check(err)
	fmt.Println("read", n, "bytes")
}

func check(err error) {
	if err != nil {
		fmt.Println("guest:", err)
		os.Exit(98)
	}
}
