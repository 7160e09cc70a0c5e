// Package deploy keeps the services of a topology as they are wanted: Resolver makes
// machines of them, Plan tells what would change, and a Keeper, a process of the
// deployment's own, starts them in order, asks them for their health, starts them
// again and forwards ports. What is wanted and what is known stand in two JSON files
// (Folder); the machines themselves stand in the store of package machine.
//
// It relies on packages pith and machine. It must not know a machine driver, a
// network or the builder: what it needs of them it is given.
package deploy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"

	"pith"
)

// Dial connects to an instance: from inside its network where the host is not
// in it (network.Lab.Dial).
type Dial func(ctx context.Context, network, address string) (net.Conn, error)

// Probe asks an instance once, for at most h.Timeout, whether it does its work;
// the error says what was wrong. An address of the instance is enough: the port
// is in h.
func Probe(ctx context.Context, h pith.HealthCheck, instance netip.Addr, dial Dial) error {
	ctx, cancel := context.WithTimeout(ctx, h.Timeout)
	defer cancel()
	address := netip.AddrPortFrom(instance, h.Port).String()
	switch h.Kind {
	case pith.ProbeHTTP:
		return probeHTTP(ctx, "http://"+address+h.Path, dial)
	case pith.ProbeTCP:
		return probeTCP(ctx, address, dial)
	case pith.ProbeDNS:
		return probeDNS(ctx, address, h.Query, dial)
	case pith.ProbeUDP:
		return probeUDP(ctx, address, dial)
	}
	panic("BUG: a health check of kind " + string(h.Kind))
}

// probeHTTP takes any answer from 200 to 399; a redirection is an answer.
func probeHTTP(ctx context.Context, url string, dial Dial) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	client := http.Client{
		Transport:     &http.Transport{DialContext: dial, DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	response.Body.Close()
	if response.StatusCode < 200 || response.StatusCode > 399 {
		return fmt.Errorf("GET %s: %s", url, response.Status)
	}
	return nil
}

func probeTCP(ctx context.Context, address string, dial Dial) error {
	c, err := dial(ctx, "tcp", address)
	if err != nil {
		return err
	}
	return c.Close()
}

// probeDNS asks the instance, and nobody else, for a name's addresses.
func probeDNS(ctx context.Context, address, name string, dial Dial) error {
	r := net.Resolver{
		PreferGo: true,
		Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return dial(ctx, network, address)
		},
	}
	_, err := r.LookupHost(ctx, strings.TrimSuffix(name, ".")+".")
	return err
}

// probeUDP sends an empty datagram. No answer is a good one: only a refusal
// (ICMP port unreachable) tells that nobody is there.
func probeUDP(ctx context.Context, address string, dial Dial) error {
	c, err := dial(ctx, "udp", address)
	if err != nil {
		return err
	}
	defer c.Close()
	stop := context.AfterFunc(ctx, func() { c.SetReadDeadline(aLongTimeAgo) })
	defer stop()
	if _, err := c.Write(nil); err != nil {
		return err
	}
	_, err = c.Read(make([]byte, 1))
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return nil
	}
	return err
}
