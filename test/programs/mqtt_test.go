package programs

import (
	"fmt"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
)

// TestMQTT: a broker with many connections, by TCP and by WebSocket: what one sends all
// get, in order, and the broker tells of a client that is gone.
func TestMQTT(t *testing.T) {
	image := build(t, "github.com/mochi-mqtt/server/v2/cmd@v2.7.9")
	tcp, publishTCP := port(t, "1883")
	web, publishWeb := port(t, "1882")
	s := serve(t, "-m", "128", "--cpus", "2", "-p", publishTCP, "-p", publishWeb, image)

	const listeners, messages = 60, 50
	connect := func(name, broker string) mqtt.Client {
		c := mqtt.NewClient(mqtt.NewClientOptions().AddBroker(broker).SetClientID(name).SetAutoReconnect(false))
		s.eventually(name, func() error { return finished(c.Connect()) })
		t.Cleanup(func() { c.Disconnect(0) })
		return c
	}
	got := make([]chan string, listeners)
	for i := range listeners {
		broker := "tcp://" + tcp
		if i%2 == 1 {
			broker = "ws://" + web
		}
		got[i] = make(chan string, messages)
		c := connect(fmt.Sprint("listener-", i), broker)
		take := func(_ mqtt.Client, m mqtt.Message) { got[i] <- string(m.Payload()) }
		if err := finished(c.Subscribe("news/+", byte(i%3), take)); err != nil {
			t.Fatal(err)
		}
	}
	sender := connect("sender", "tcp://"+tcp)
	for n := range messages {
		if err := finished(sender.Publish("news/all", 2, false, fmt.Sprint(n))); err != nil {
			t.Fatal(err)
		}
	}
	for i, c := range got {
		for n := range messages {
			if m, ok := soon(c); !ok || m != fmt.Sprint(n) {
				t.Fatalf("listener %d: message %d is %q", i, n, m)
			}
		}
	}
	will(t, s, tcp, sender)
	s.stop()
	if text := s.out.String(); !strings.Contains(text, "shutdown complete") {
		t.Errorf("it was not ended in order:\n%s", text)
	}
}

// will sees a client's last will when its connection is torn down.
func will(t *testing.T, s *server, addr string, watcher mqtt.Client) {
	t.Helper()
	words := make(chan string, 1)
	err := finished(watcher.Subscribe("wills", 1, func(_ mqtt.Client, m mqtt.Message) { words <- string(m.Payload()) }))
	if err != nil {
		t.Fatal(err)
	}
	wire, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	o := mqtt.NewClientOptions().AddBroker("tcp://"+addr).SetClientID("frail").SetAutoReconnect(false).SetWill("wills", "gone", 1, false)
	o.SetCustomOpenConnectionFn(func(*url.URL, mqtt.ClientOptions) (net.Conn, error) { return wire, nil })
	if err := finished(mqtt.NewClient(o).Connect()); err != nil {
		t.Fatal(err)
	}
	wire.Close()
	if m, ok := soon(words); !ok || m != "gone" {
		t.Errorf("the last will is %q", m)
	}
}

// finished waits for the broker's answer.
func finished(t mqtt.Token) error {
	if !t.WaitTimeout(patience) {
		return fmt.Errorf("no answer within %v", patience)
	}
	return t.Error()
}

// soon is the next message.
func soon(c <-chan string) (string, bool) {
	select {
	case m := <-c:
		return m, true
	case <-time.After(patience):
		return "", false
	}
}
