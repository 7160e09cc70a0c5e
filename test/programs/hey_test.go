package programs

import (
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
)

// TestHey: a program that mainly calls out.
func TestHey(t *testing.T) {
	image := build(t, "github.com/rakyll/hey@v0.1.5")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var served atomic.Int64
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		served.Add(1)
		w.Write([]byte("hello"))
	})}
	go server.Serve(l)
	defer server.Close()
	_, number, _ := net.SplitHostPort(l.Addr().String())
	out := output(t, image, "--", "-n", "1000", "-c", "10", "http://10.0.2.2:"+number+"/")
	if !strings.Contains(out, "[200]\t1000 responses") || served.Load() != 1000 {
		t.Errorf("the server served %d requests; hey said:\n%s", served.Load(), out)
	}
}
