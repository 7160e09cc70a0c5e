package deploy

import (
	"encoding/xml"
	"io"
	"strings"
	"testing"
)

// TestGraph: the picture is XML that shows each network, address and state, whatever
// the names.
func TestGraph(t *testing.T) {
	x := topology()
	x.Networks[0].Name, x.Services[1].Links[0].Network = "a<b", "a<b"
	svg := string(Graph(x, map[string]InstanceState{"shop-web-1": {Status: Healthy}, "shop-web-2": {Status: Failed, Restarts: 3}}))
	d, boxes, text := xml.NewDecoder(strings.NewReader(svg)), 0, ""
	for {
		token, err := d.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatalf("%v in:\n%s", err, svg)
		}
		switch token := token.(type) {
		case xml.StartElement:
			if token.Name.Local == "rect" {
				boxes++
			}
		case xml.CharData:
			text += string(token)
		}
	}
	if boxes != 1+3 { // with the background
		t.Errorf("%d boxes", boxes)
	}
	for _, words := range []string{"a<b", "10.0.0.0/29", "10.0.1.9", "10.0.0.5", "10.0.0.6", "healthy", "failed, 3 restarts", "not up"} {
		if !strings.Contains(text, words) {
			t.Errorf("no %q in:\n%s", words, text)
		}
	}
}
