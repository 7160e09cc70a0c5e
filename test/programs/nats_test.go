package programs

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
)

const natsServer = "github.com/nats-io/nats-server/v2@v2.15.2"

// TestNATS: a message broker, with messages kept in files.
func TestNATS(t *testing.T) {
	image := build(t, natsServer)
	addr, publish := port(t, "4222")
	s := serve(t, "-p", publish, image, "--", "-js", "-sd", "/data")
	var nc *nats.Conn
	s.eventually("a connection", func() (err error) {
		nc, err = nats.Connect("nats://"+addr, nats.Timeout(5*time.Second))
		return err
	})
	defer nc.Close()
	const messages = 5000
	sub, err := nc.SubscribeSync("news.*")
	if err != nil {
		t.Fatal(err)
	}
	nc.Flush()
	for i := range messages {
		nc.Publish("news.all", fmt.Append(nil, i))
	}
	for i := range messages {
		m, err := sub.NextMsg(patience)
		if err != nil || string(m.Data) != fmt.Sprint(i) {
			t.Fatalf("message %d: %v %v", i, m, err)
		}
	}
	js, err := nc.JetStream(nats.MaxWait(patience))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.AddStream(&nats.StreamConfig{Name: "KEPT", Subjects: []string{"kept.>"}}); err != nil {
		t.Fatal(err)
	}
	for i := range 200 {
		if _, err := js.Publish("kept.x", fmt.Append(nil, i)); err != nil {
			t.Fatal(err)
		}
	}
	if info, err := js.StreamInfo("KEPT"); err != nil || info.State.Msgs != 200 {
		t.Errorf("%+v %v", info, err)
	}
	s.stop()
	if text := s.out.String(); !strings.Contains(text, "Server Exiting") {
		t.Errorf("it was not drained:\n%s", text)
	}
}

// TestNATSLasts: a stream in files on a volume, each message synced before it is
// acknowledged.
func TestNATSLasts(t *testing.T) {
	image := build(t, natsServer)
	config := write(t, t.TempDir(), "nats.conf", "jetstream { store_dir: /data, sync_interval: always }\n")
	l := &lasting{disk: volume(t, "256M"), synced: true}
	l.start = func() (*server, records) {
		addr, publish := port(t, "4222")
		s := serve(t, "-m", "128", "-p", publish, "-v", l.name+":/data", "--file", config+":/etc/nats.conf", image, "--", "-c", "/etc/nats.conf")
		var nc *nats.Conn
		s.eventually("a connection", func() (err error) {
			nc, err = nats.Connect("nats://"+addr, nats.Timeout(5*time.Second), nats.NoReconnect())
			return err
		})
		js, err := nc.JetStream()
		if err != nil {
			t.Fatal(err)
		}
		return s, natsRecords{nc, js}
	}
	l.run()
}

type natsRecords struct {
	nc *nats.Conn
	js nats.JetStreamContext
}

func (r natsRecords) write(ctx context.Context, n int) error {
	_, err := r.js.Publish("lasts.x", []byte(named(n)), nats.Context(ctx))
	return err
}

func (r natsRecords) all(ctx context.Context) (map[int]bool, error) {
	info, err := r.js.StreamInfo("LASTS", nats.Context(ctx))
	if errors.Is(err, nats.ErrStreamNotFound) {
		_, err = r.js.AddStream(&nats.StreamConfig{Name: "LASTS", Subjects: []string{"lasts.>"}}, nats.Context(ctx))
		return nil, err
	}
	if err != nil {
		return nil, err
	}
	all := map[int]bool{}
	for seq := info.State.FirstSeq; seq <= info.State.LastSeq; seq++ {
		m, err := r.js.GetMsg("LASTS", seq, nats.Context(ctx))
		if err != nil {
			return nil, fmt.Errorf("message %d of %d: %w", seq, info.State.LastSeq, err)
		}
		n, err := number(string(m.Data))
		if err != nil {
			return nil, err
		}
		all[n] = true
	}
	return all, nil
}

func (r natsRecords) close() { r.nc.Close() }
