package machine

import "testing"

func TestStatsMessage(t *testing.T) {
	m, _ := ParseMessage("stats memory.used=12 heap=x gcs=3 drops=-1 newer=5 alone")
	if s, ok := m.Stats(); !ok || s != (Stats{MemoryUsed: 12, GCs: 3}) {
		t.Errorf("%+v, %v", s, ok)
	}
	m, _ = ParseMessage("listen tcp 80")
	if s, ok := m.Stats(); ok {
		t.Errorf("another message gives %+v", s)
	}
}
