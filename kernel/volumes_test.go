package kernel

import "testing"

func TestParseMount(t *testing.T) {
	for text, want := range map[string]mount{
		"serial=pith-0 type=ext4 at=/data":          {"pith-0", "ext4", "/data", false},
		"serial=x type=ext4 ro at=/a folder at=/ro": {"x", "ext4", "/a folder at=/ro", true},
		"": {},
	} {
		if got := parseMount(text); got != want {
			t.Errorf("%q: %+v", text, got)
		}
	}
}
