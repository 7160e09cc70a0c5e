package deploy

import (
	"encoding/xml"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"pith"
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

// TestGraphInBrowser looks whether a browser draws what the picture says: a script
// that only the test adds asks it for the places and colours of what it drew.
func TestGraphInBrowser(t *testing.T) {
	browser, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("there is no chromium to look at the picture with (Debian: apt-get install chromium)")
	}
	x := topology()
	x.Services[0].Links = append(x.Services[0].Links, pith.ServiceLink{Network: "front", Addrs: []netip.Prefix{netip.MustParsePrefix("10.0.0.2/29")}})
	svg := Graph(x, map[string]InstanceState{
		"shop-store-1": {Status: Healthy}, "shop-web-1": {Status: Unhealthy, Restarts: 2}, "shop-web-2": {Status: Starting},
	})
	const look = `<script>
const all = (s) => Array.from(document.querySelectorAll(s)), place = (e) => e.getBoundingClientRect();
const picture = place(document.querySelector("svg")), boxes = all("rect.instance"), networks = all("line.network");
let joined = 0, outside = 0, names = 0, states = [];
for (const edge of all("line.edge")) {
  const e = place(edge), near = (a, b) => Math.abs(a - b) < 3;
  const box = boxes.map(place).some((b) => e.left > b.left && e.right < b.right && (near(e.bottom, b.top) || near(e.top, b.bottom)));
  const network = networks.map(place).some((n) => near(e.top, n.top) || near(e.bottom, n.top));
  if (box && network && e.height > 20 && getComputedStyle(edge).stroke.startsWith("rgb")) joined++;
}
for (const e of all("line, rect, circle, text")) {
  const b = place(e);
  if (b.left < picture.left - 1 || b.right > picture.right + 1 || b.top < picture.top - 1 || b.bottom > picture.bottom + 1) outside++;
}
for (const b of boxes) {
  const inside = all("text").filter((t) => { const p = place(t), q = place(b); return p.left >= q.left && p.right <= q.right && p.top >= q.top && p.bottom <= q.bottom; });
  if (inside.length == 2) names++;
  states.push(inside.map((t) => t.textContent).join(" ") + " " + getComputedStyle(b).fill);
}
document.title = ["networks", networks.filter((n) => place(n).width > 100).length, "joined", joined, "outside", outside, "named", names, states.sort().join(", ")].join(" ");
</script>`
	file := filepath.Join(t.TempDir(), "graph.html")
	if err := os.WriteFile(file, append([]byte("<body>"+string(svg)), look...), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), browser, "--headless", "--no-sandbox", "--disable-gpu", "--window-size=1400,900",
		"--user-data-dir="+t.TempDir(), "--dump-dom", "file://"+file).Output()
	if err != nil {
		t.Fatalf("chromium: %v", err)
	}
	titles := regexp.MustCompile(`<title>(networks [^<]*)</title>`).FindSubmatch(out)
	if titles == nil {
		t.Fatalf("chromium shows no page:\n%.2000s", out)
	}
	want := "networks 2 joined 4 outside 0 named 3 store healthy rgb(227, 246, 229), web starting rgb(255, 245, 214), web unhealthy, 2 restarts rgb(253, 224, 224)"
	if got := string(titles[1]); got != want {
		t.Errorf("the browser drew\n%s, want\n%s", got, want)
	}
}
