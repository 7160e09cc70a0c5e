package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// outbound resolves a URL's host, fetches the URL by one connection and by many new ones
// at once, has a datagram echoed at the same host and port, and says how that went. Then it
// serves flows.
func outbound() {
	page, err := url.Parse(os.Args[2])
	check(err)
	many, err := strconv.Atoi(os.Args[3])
	check(err)
	addrs, err := net.LookupHost(page.Hostname())
	check(err)
	_, err = net.LookupHost("missing." + page.Hostname())
	unknown, _ := err.(*net.DNSError)
	text, err := fetchPage(page.String())
	check(err)
	var good atomic.Int64
	var all sync.WaitGroup
	for range many {
		all.Go(func() {
			again, err := fetchPage(page.String())
			if err == nil && again == text {
				good.Add(1)
			} else if err != nil {
				fmt.Println("guest:", err)
			}
		})
	}
	all.Wait()
	fmt.Printf("outside: %v %q %d of %d, datagram %v, unknown %v\n", addrs, text, good.Load(), many, echoed(page.Host), unknown != nil && unknown.IsNotFound)
	flows()
}

func fetchPage(page string) (string, error) {
	client := http.Client{Timeout: 50 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	r, err := client.Get(page)
	if err != nil {
		return "", err
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	return string(text), err
}

func echoed(addr string) bool {
	c, err := net.Dial("udp", addr)
	check(err)
	defer c.Close()
	fmt.Fprint(c, "echo")
	c.SetDeadline(time.Now().Add(50 * time.Second))
	buf := make([]byte, 100)
	n, err := c.Read(buf)
	check(err)
	return string(buf[:n]) == "echo"
}

// formed waits until its card has formed addresses in the prefixes that it is given, each
// before a server, and asks that server by it.
func formed() {
	for args := os.Args[2:]; len(args) > 1; args = args[2:] {
		prefix, err := netip.ParsePrefix(args[0])
		check(err)
		awaitAddress(prefix)
		c, err := net.DialTimeout("tcp", args[1], 50*time.Second)
		check(err)
		text, err := io.ReadAll(c)
		check(err)
		fmt.Printf("%v: %v, %s\n", prefix, prefix.Contains(c.LocalAddr().(*net.TCPAddr).AddrPort().Addr()), text)
	}
}

func awaitAddress(prefix netip.Prefix) {
	for end := time.Now().Add(50 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		addrs, err := net.InterfaceAddrs()
		check(err)
		if slices.ContainsFunc(addrs, func(a net.Addr) bool {
			p, err := netip.ParsePrefix(a.String())
			return err == nil && prefix.Contains(p.Addr())
		}) {
			return
		}
		if time.Now().After(end) {
			fmt.Println("no address of", prefix, "in", addrs)
			os.Exit(98)
		}
	}
}
