package machine

import (
	"reflect"
	"testing"
)

func TestStatsMessage(t *testing.T) {
	want := Stats{MemoryUsed: 12, GCs: 3, Queues: []QueueStats{{Full: 9}, {Rx: 7, Tx: 8}}}
	m, _ := ParseMessage("stats memory.used=12 heap=x gcs=3 drops=-1 newer=5 alone queue.1.rx=7 queue.1.tx=8 queue.0.full=9 queue.65.rx=1 queue.x.rx=1 queue.=1 queue.0.new=4")
	if s, ok := m.Stats(); !ok || !reflect.DeepEqual(s, want) {
		t.Errorf("%+v, %v", s, ok)
	}
	m, _ = ParseMessage("listen tcp 80")
	if s, ok := m.Stats(); ok {
		t.Errorf("another message gives %+v", s)
	}
}
