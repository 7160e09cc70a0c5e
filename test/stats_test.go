package test

import (
	"encoding/json"
	"net"
	"net/http"
	"testing"
)

// TestStats: the figures move as the machine works.
func TestStats(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	detached(t, "stats", "-p", addr+":80", "-m", "64", guest, "--", "serve")
	get(t, http.DefaultClient, "http://"+addr+"/")
	before := stats(t, "stats")
	for range 50 {
		get(t, http.DefaultClient, "http://"+addr+"/")
	}
	after := stats(t, "stats")
	if before.Goroutines < 2 || before.Heap == 0 || before.HeapGoal == 0 || before.MemoryUsed == 0 || before.MemoryUsed > before.MemoryGiven {
		t.Errorf("no sense: %+v", before)
	}
	const mib = 1 << 20
	if before.MemoryGiven > 64*mib || before.MemoryGiven < 48*mib {
		t.Errorf("64 MiB were given, it says %d", before.MemoryGiven)
	}
	// Each request is a packet in and one out at least.
	if after.RxPackets < before.RxPackets+50 || after.TxPackets < before.TxPackets+50 || after.RxBytes < before.RxBytes+50*60 {
		t.Errorf("50 requests later: %+v, before: %+v", after, before)
	}
}

type figures struct {
	Goroutines, Heap, HeapGoal, MemoryUsed, MemoryGiven, RxPackets, TxPackets, RxBytes, Drops uint64
	Queues                                                                                    []struct{ Rx, Tx, Full uint64 }
}

func stats(t *testing.T, name string) figures {
	t.Helper()
	var list []struct {
		Name, Error string
		HostMemory  int64
		Guest       *figures
	}
	if err := json.Unmarshal([]byte(pith(t, "stats", "--json", name)), &list); err != nil {
		t.Fatal(err)
	}
	if len(list) != 1 || list[0].Name != name || list[0].Guest == nil || list[0].HostMemory == 0 {
		t.Fatalf("stats: %+v", list)
	}
	return *list[0].Guest
}
