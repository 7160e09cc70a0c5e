package main

import (
	"net"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestWork(t *testing.T) {
	for query, want := range map[string]int{"n=1": 200, "n=3": 200, "": 400, "n=0": 400, "n=x": 400, "n=99999999": 400} {
		w := httptest.NewRecorder()
		work(w, httptest.NewRequest("GET", "/work?"+query, nil))
		if w.Code != want {
			t.Errorf("%q: status %d, want %d", query, w.Code, want)
		}
	}
	// SHA-256 of 4096 zero bytes.
	w := httptest.NewRecorder()
	work(w, httptest.NewRequest("GET", "/work?n=1", nil))
	if got := w.Body.String(); !strings.HasPrefix(got, "ad7facb2586fc6e966c004d7d1d16b024f5805ff7cb47c7a85dabd8b48892ca7") {
		t.Errorf("one round gives %s", got)
	}
}

func TestHello(t *testing.T) {
	w := httptest.NewRecorder()
	hello(w, httptest.NewRequest("GET", "/", nil))
	if w.Body.String() != "Hello, world\n" {
		t.Errorf("%q", w.Body.String())
	}
}

func TestAnswer(t *testing.T) {
	server, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go answer(server) // ends with the test's process
	conn, err := net.Dial("udp", server.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	buf := make([]byte, 16)
	for _, text := range []string{"one", "two"} {
		if _, err := conn.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
		n, err := conn.Read(buf)
		if err != nil || string(buf[:n]) != text {
			t.Errorf("%q comes back as %q, error %v", text, buf[:n], err)
		}
	}
}
