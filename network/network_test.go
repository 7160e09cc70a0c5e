package network

import "testing"

func TestParseMode(t *testing.T) {
	for s, want := range map[string]Mode{
		"user":           {Kind: User},
		"tap:tap0":       {Tap, "tap0"},
		"bridge:br-lan":  {Bridge, "br-lan"},
		"bridge:br0.100": {Bridge, "br0.100"},
	} {
		got, err := ParseMode(s)
		if err != nil || got != want || got.String() != s {
			t.Errorf("ParseMode(%q) = %v, %v; want %v", s, got, err, want)
		}
	}
	for _, s := range []string{"", "user:x", "tap", "tap:", "bridge:", "nat", "tap:a b", "tap:a,b", "tap:longer-than-fifteen", "tap:../x", "tap:-x"} {
		if m, err := ParseMode(s); err == nil {
			t.Errorf("ParseMode(%q) = %v, want an error", s, m)
		}
	}
}
