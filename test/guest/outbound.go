package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
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
