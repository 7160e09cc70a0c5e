package programs

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
)

// TestNATS: a message broker, with messages kept in files.
func TestNATS(t *testing.T) {
	image := build(t, "github.com/nats-io/nats-server/v2@v2.15.2")
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
