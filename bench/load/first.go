package load

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"time"
)

const (
	// firstPoll is how often a connection is tried.
	firstPoll = time.Millisecond
	// refusedPoll is how often it is tried once the machine has refused one:
	// then every try costs a machine work that is still starting its program.
	refusedPoll = 3 * time.Millisecond
	// firstLife is how long one try may take to connect. It is far below the
	// second after which TCP would repeat a lost first packet: a new try finds
	// the machine first.
	firstLife = 100 * time.Millisecond
)

// FirstAnswer waits until the web server at to answers its first request for
// path, and returns when that was. A machine that comes up is found within a
// millisecond or, if it refused connections before, within three: a new one is
// tried that often, however long those before it wait.
func FirstAnswer(ctx context.Context, to netip.AddrPort, path string) (time.Time, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	answered, refused := make(chan time.Time, 1), make(chan struct{}, 1)
	tick := time.NewTicker(firstPoll)
	defer tick.Stop()
	for {
		go func() {
			at, err := firstTry(ctx, to, path)
			switch {
			case err == nil:
				offer(answered, at)
			case errors.Is(err, syscall.ECONNREFUSED):
				offer(refused, struct{}{})
			}
		}()
		select {
		case at := <-answered:
			return at, nil
		case <-refused:
			tick.Reset(refusedPoll)
			<-tick.C
		case <-ctx.Done():
			return time.Time{}, fmt.Errorf("no answer from http://%v%s: %w", to, path, ctx.Err())
		case <-tick.C:
		}
	}
}

// offer puts v into c unless one is waiting there.
func offer[T any](c chan<- T, v T) {
	select {
	case c <- v:
	default:
	}
}

func firstTry(ctx context.Context, to netip.AddrPort, path string) (time.Time, error) {
	d := net.Dialer{Timeout: firstLife}
	conn, err := d.DialContext(ctx, "tcp", to.String())
	if err != nil {
		return time.Time{}, err
	}
	defer conn.Close()
	err = newClient(conn, path).get(time.Now().Add(patience))
	return time.Now(), err
}
