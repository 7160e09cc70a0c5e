// Command guest is the program that the whole-system tests boot: its first
// argument says what it does. It is an ordinary Go program.
package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"runtime/pprof"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"
)

var programs = map[string]func(){
	"exit3":    func() { os.Exit(3) },
	"panic":    func() { panic("on purpose") },
	"nil":      func() { var p *int; fmt.Println(*p) },
	"memory":   memory,
	"huge":     func() { b := make([]byte, 1<<30); fmt.Println(len(b)) },
	"spin":     spin,
	"tls":      serveTLS,
	"serve":    serve,
	"loop6":    loopback6,
	"runtime":  exercise,
	"fork":     fork,
	"profile":  profile,
	"dup":      duplicate,
	"print":    printLines,
	"fetch":    fetch,
	"flows":    flows,
	"outbound": outbound,
	"routes":   routes,
	"formed":   formed,
	"show":     show,
	"cat":      func() { _, err := io.Copy(os.Stdout, os.Stdin); check(err) },
	"tty":      terminal,
	"net":      network,
	"code":     writeCode,
	"data":     runData,
	"folder":   useFolder,
	"raw":      raw,
	"sync":     syncVolume,
	"synced":   showSynced,
	"busy": func() {
		for {
			burn()
			time.Sleep(time.Millisecond)
		}
	},
	"terminate": terminate,
	"zero":      func() { fmt.Println(*(*byte)(unsafe.Pointer(uintptr(len(os.Args))))) },
	"packed":    packed,
	"crash":     crash,
	"volume":    useVolume,
	"unsynced":  unsynced,
	"unwilling": unwilling,
	"watch":     watchFolder,
	"fill":      fill,
	"trees":     trees,
	"filled":    filled,
	"frames":    frames,
}

func main() {
	f := programs[os.Args[1]]
	if f == nil {
		fmt.Println("unknown program", os.Args[1])
		os.Exit(99)
	}
	f()
}

func check(err error) {
	if err != nil {
		fmt.Println("guest:", err)
		os.Exit(98)
	}
}

// frames tells whether the program may open a packet socket (packet(7)).
func frames() {
	const packets = 17 // AF_PACKET
	_, err := syscall.Socket(packets, syscall.SOCK_RAW, 0)
	fmt.Println("frames:", err == nil)
}

var kept [][]byte

// memory keeps what it allocates until there is no more.
func memory() {
	for {
		b := make([]byte, 1<<20)
		for i := 0; i < len(b); i += 4096 {
			b[i] = 1
		}
		kept = append(kept, b)
	}
}

// spin keeps all CPUs busy and shows that everything else goes on.
func spin() {
	for range 2 * runtime.NumCPU() {
		go func() {
			for {
			}
		}()
	}
	begin := time.Now()
	for i := range 5 {
		time.Sleep(10 * time.Millisecond)
		fmt.Println("tick", i)
	}
	fmt.Println("alive", time.Since(begin) < 20*time.Second)
}

func serve() {
	http.HandleFunc("/now", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, time.Now().UnixNano()) })
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { fmt.Fprintln(w, "hello from", r.URL.Path) })
	check(http.ListenAndServe(":80", nil))
}

func certificate() tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"guest"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	check(err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func serveTLS() {
	http.HandleFunc("/now", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, time.Now().UnixNano()) })
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { fmt.Fprintln(w, "hello over", r.Proto) })
	server := &http.Server{Addr: ":443", TLSConfig: &tls.Config{Certificates: []tls.Certificate{certificate()}}}
	check(server.ListenAndServeTLS("", ""))
}

// loopback6 talks to itself over IPv6.
func loopback6() {
	l, err := net.Listen("tcp", "[::1]:0")
	check(err)
	go http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.RemoteAddr) }))
	r, err := http.Get("http://" + l.Addr().String())
	check(err)
	fmt.Println("over IPv6:", r.Status)
}

// exercise works the collector, channels, timers and hashing on all CPUs, and
// checks the outcome.
func exercise() {
	var wg sync.WaitGroup
	var sum atomic.Int64
	want := sha256.Sum256(make([]byte, 100_000))
	for i := range 200 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			m := map[int][]byte{}
			for j := range 200 {
				m[j] = make([]byte, 1000+j)
				m[j][j] = byte(i)
			}
			for j := range m {
				if m[j][j] != byte(i) {
					fmt.Println("memory is damaged")
					os.Exit(97)
				}
			}
			if sha256.Sum256(make([]byte, 100_000)) != want {
				fmt.Println("registers are damaged")
				os.Exit(97)
			}
			time.Sleep(time.Duration(i%7) * time.Millisecond)
			sum.Add(int64(len(m)))
		}()
	}
	wg.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Millisecond)
	defer cancel()
	<-ctx.Done()
	runtime.GC()
	fmt.Println("sum", sum.Load(), "cpus", runtime.NumCPU())
}

func fork() {
	err := exec.Command("/bin/true").Run()
	fmt.Println("exec:", err)
	_, err = os.StartProcess("/program", nil, &os.ProcAttr{})
	fmt.Println("start:", errors.Is(err, syscall.EPERM), err)
}

// profile shows that the CPU profile has samples.
func profile() {
	var n count
	check(pprof.StartCPUProfile(&n))
	for begin := time.Now(); time.Since(begin) < 500*time.Millisecond; {
		sha256.Sum256(make([]byte, 10_000))
	}
	pprof.StopCPUProfile()
	fmt.Println("profile", n > 300)
}

type count int

func (c *count) Write(p []byte) (int, error) { *c += count(len(p)); return len(p), nil }

// network checks deadlines, half-close, refusal, cancelled contexts and the
// list of interfaces against what Linux does.
func network() {
	interfaces, err := net.Interfaces()
	check(err)
	fmt.Println("interfaces", len(interfaces))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	go func() {
		c, err := l.Accept()
		check(err)
		buf := make([]byte, 100)
		total := 0
		for {
			n, err := c.Read(buf)
			total += n
			if err != nil {
				break
			}
		}
		fmt.Fprintf(c, "got %d", total)
		c.Close()
	}()
	c, err := net.Dial("tcp", l.Addr().String())
	check(err)
	c.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
	_, err = c.Read(make([]byte, 1))
	fmt.Println("deadline", errors.Is(err, os.ErrDeadlineExceeded))
	c.SetReadDeadline(time.Time{})
	c.Write(make([]byte, 1000))
	c.(*net.TCPConn).CloseWrite()
	buf := make([]byte, 100)
	n, err := c.Read(buf)
	check(err)
	fmt.Println(string(buf[:n]))
	l.Close()
	_, err = net.Dial("tcp", l.Addr().String())
	fmt.Println("refused", errors.Is(err, syscall.ECONNREFUSED))
	late, ok := dialFor(context.WithTimeout(context.Background(), 50*time.Millisecond)).(net.Error)
	fmt.Println("late", ok && late.Timeout())
	fmt.Println("cancelled", errors.Is(dialFor(cancelledSoon()), context.Canceled))
}

// cancelledSoon is a context that is cancelled while it is dialled.
func cancelledSoon() (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.Background())
	time.AfterFunc(50*time.Millisecond, cancel)
	return ctx, cancel
}

// dialFor dials an address that nobody has until ctx ends.
func dialFor(ctx context.Context, cancel context.CancelFunc) error {
	defer cancel()
	var d net.Dialer
	_, err := d.DialContext(ctx, "tcp", "10.0.2.99:9")
	return err
}

// fetch sends a server a million bytes and wants them back.
func fetch() {
	sent := bytes.Repeat([]byte("0123456789"), 100_000)
	r, err := http.Post(os.Args[2], "text/plain", bytes.NewReader(sent))
	check(err)
	got, err := io.ReadAll(r.Body)
	check(err)
	fmt.Println(r.Status, len(got), bytes.Equal(got, sent))
}

// show prints a file.
func show() {
	dir, err := os.Getwd()
	check(err)
	text, err := os.ReadFile(os.Args[2])
	check(err)
	fmt.Printf("%s: %s\n", dir, text)
}

// routes asks what is behind each of the addresses given, and says from which
// of its own it did.
func routes() {
	for _, addr := range os.Args[2:] {
		c, err := net.DialTimeout("tcp", addr, 30*time.Second)
		check(err)
		host, _, _ := net.SplitHostPort(c.LocalAddr().String())
		text, err := io.ReadAll(c)
		check(err)
		fmt.Printf("%s from %s: %s\n", addr, host, text)
	}
}

// printLines prints a great deal, and panics in the middle of a line.
func printLines() {
	for i := range 200_000 {
		fmt.Println("line", i)
	}
	fmt.Print("the last words, ")
	panic("on purpose")
}

// terminal says what it knows of its terminal, now and when that changes.
func terminal() {
	var size struct{ rows, columns, x, y uint16 }
	ask := func() syscall.Errno {
		_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, 1, syscall.TIOCGWINSZ, uintptr(unsafe.Pointer(&size)))
		return errno
	}
	changed := make(chan os.Signal, 1)
	signal.Notify(changed, syscall.SIGWINCH)
	if errno := ask(); errno != 0 {
		fmt.Println("no terminal:", errno)
		return
	}
	fmt.Println("terminal", os.Getenv("TERM"), size.rows, size.columns)
	<-changed
	ask()
	fmt.Println("now", size.rows, size.columns)
	var line string
	fmt.Scanln(&line)
	fmt.Println("you said", line)
}

// duplicate moves a connection through a file and back, as programs do that hand
// theirs on.
func duplicate() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	file, err := l.(*net.TCPListener).File()
	check(err)
	l.Close()
	l, err = net.FileListener(file)
	check(err)
	go func() {
		c, err := l.Accept()
		check(err)
		f, err := c.(*net.TCPConn).File()
		check(err)
		c.Close()
		c, err = net.FileConn(f)
		check(err)
		f.Close()
		c.SetDeadline(time.Now().Add(time.Minute))
		fmt.Fprint(c, "through a file")
		c.Close()
	}()
	c, err := net.Dial("tcp", l.Addr().String())
	check(err)
	got, err := io.ReadAll(c)
	check(err)
	fmt.Println(string(got))
	_, _, errno := syscall.AllThreadsSyscall(syscall.SYS_GETPID, 0, 0, 0)
	fmt.Println("all threads", errno == 0)
}

// writeCode tries to change the program's own code.
func writeCode() {
	code := **(**uintptr)(unsafe.Pointer(&[]func(){writeCode}[0]))
	*(*byte)(unsafe.Pointer(code)) = 0xcc
	fmt.Println("code was written")
}

// runData tries to run what is not code, and to make memory that is both.
func runData() {
	_, err := syscall.Mmap(-1, 0, 4096, syscall.PROT_READ|syscall.PROT_WRITE|syscall.PROT_EXEC, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	fmt.Println("writable code:", err)
	data := []byte{0xc3, 0xc3}
	g := uintptr(unsafe.Pointer(&data[0]))
	h := &g
	(*(*func())(unsafe.Pointer(&h)))()
	fmt.Println("data was run")
}
