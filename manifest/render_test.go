package manifest

import (
	"encoding/json"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// TestResolved: what YAML and JSON write is read as the same manifest, and JSON
// is JSON.
func TestResolved(t *testing.T) {
	text := strings.Replace(dmz, "x: &small {memory: 32M, restart: on-failure:3}\n", "", 1)
	text = strings.ReplaceAll(text, "    <<: *small\n", "    override: []\n    memory: 32M\n    files: ['./zone:/packed']\n")
	dir := folder(t, "zone", "key", "firewall/", "router/", "dns/", "web/")
	for _, text := range []string{text, "name: a\nbuild: ./web\nenv: {A: 'x: y', B: \"\"}\nports: ['[::1]:80:80', '53/udp']\n",
		"networks: {x: {}, y: {parent: x, vlan: 5}}\nservices: {a: {build: ./web, forward: true, networks: [x, y]}}\n",
	} {
		m, err := Parse(filepath.Join(dir, FileName), []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		for name, write := range map[string]func() ([]byte, error){"YAML": m.YAML, "JSON": m.JSON} {
			out, err := write()
			if err != nil {
				t.Fatal(err)
			}
			if name == "JSON" && !json.Valid(out) {
				t.Errorf("this is no JSON:\n%s", out)
			}
			again, err := Parse(filepath.Join(dir, FileName), out)
			if err != nil {
				t.Fatalf("%s is refused: %v\n%s", name, err, out)
			}
			if !reflect.DeepEqual(again.Topology, m.Topology) {
				t.Errorf("%s is another manifest:\n%s\ngot  %+v\nwant %+v", name, out, again.Topology, m.Topology)
			}
		}
	}
}
