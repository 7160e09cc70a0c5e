package daemon

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pith/service/packet"
	"pith/service/router"
	"pith/service/router/local"
)

const (
	config = "interfaces:\n  - {name: lan, addresses: [10.0.1.1/24]}\n  - {name: wan, addresses: [10.0.2.1/24]}\nrules: rules.nft\n"
	rules  = "table inet f {\n\tchain c {\n\t\ttype filter hook forward priority 0; policy drop;\n\t\ttcp dport 80 counter accept\n\t}\n}\n"
)

// newDaemon is a firewall that has not read its files.
func newDaemon(t *testing.T) *daemon {
	t.Helper()
	d := &daemon{Program: Program{Name: "firewall", Closed: true}, file: filepath.Join(t.TempDir(), "firewall.yaml"), log: slog.New(slog.DiscardHandler)}
	d.save(t, "firewall.yaml", config)
	ports := []packet.Port{&packet.Memory{Label: "lan", MAC: packet.MAC{2, 1}}, &packet.Memory{Label: "wan", MAC: packet.MAC{2, 2}}}
	d.router = router.New(router.Options{Ports: ports, Closed: true})
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	var err error
	if d.local, err = local.New(ctx, d.router.Send); err != nil {
		t.Fatal(err)
	}
	return d
}

func (d *daemon) save(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(filepath.Dir(d.file), name), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// ask asks the daemon's own server.
func (d *daemon) ask(method, path string) (code int, text string) {
	w := httptest.NewRecorder()
	d.handler().ServeHTTP(w, httptest.NewRequest(method, path, nil))
	body, _ := io.ReadAll(w.Body)
	return w.Code, string(body)
}

// TestReload: files that are right come into force, all at once; those that are wrong
// leave what is there, and at the start that nothing passes.
func TestReload(t *testing.T) {
	d := newDaemon(t)
	d.save(t, "rules.nft", strings.Replace(rules, "accept", "acept", 1))
	code, text := d.ask(http.MethodPost, "/-/reload")
	if code != http.StatusUnprocessableEntity || !strings.Contains(text, "rules.nft:4:") {
		t.Errorf("wrong rules: %d: %s", code, text)
	}
	if code, _ := d.ask(http.MethodGet, "/healthz"); code != http.StatusServiceUnavailable {
		t.Errorf("without rules it is healthy: %d", code)
	}

	d.save(t, "rules.nft", rules)
	if code, text := d.ask(http.MethodPost, "/-/reload"); code != http.StatusOK {
		t.Fatalf("right rules: %d: %s", code, text)
	}
	if code, _ := d.ask(http.MethodGet, "/healthz"); code != http.StatusOK {
		t.Errorf("with rules it is not healthy: %d", code)
	}
	before, beforeConfig := d.router.Rules(), d.router.Config()
	for name, text := range map[string]string{
		"rules.nft":     "table inet f {\n",
		"firewall.yaml": strings.Replace(config, "10.0.2.1/24", "10.0.1.2/24", 1),
	} {
		d.save(t, name, text)
		if code, text := d.ask(http.MethodPost, "/-/reload"); code != http.StatusUnprocessableEntity || text == "" {
			t.Errorf("a wrong %s: %d: %s", name, code, text)
		}
		if d.router.Rules() != before || d.router.Config() != beforeConfig {
			t.Errorf("a wrong %s changes something", name)
		}
		d.save(t, "rules.nft", rules)
		d.save(t, "firewall.yaml", config)
	}
	_, metrics := d.ask(http.MethodGet, "/metrics")
	for _, want := range []string{
		`router_route_info{interface="wan",to="10.0.2.0/24",via=""} 1`,
		`router_interface_packets_total{direction="in",interface="lan"} 0`,
		`router_dropped_total{reason="filter"} 0`,
		`router_rule_packets_total{chain="c",position="` + "rules.nft:4:",
	} {
		if !strings.Contains(metrics, want) {
			t.Errorf("no %s in\n%s", want, metrics)
		}
	}
}
