package programs

import (
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
)

// What node_exporter asks for and a machine of Pith's doesn't tell: counters that
// nobody counts. Each is left out rather than answered with zeros.
var untold = map[string]bool{"arp": true, "softnet": true}

var failed = regexp.MustCompile(`msg="collector failed" name=(\w+).*`)

// TestNodeExporter: a program that reads all of /proc and /sys that it can find.
func TestNodeExporter(t *testing.T) {
	large(t)
	image := build(t, "github.com/prometheus/node_exporter@v1.12.1")
	d := volume(t, "64M")
	addr, publish := port(t, "9100")
	s := serve(t, "-m", "128", "--cpus", "2", "-p", publish, "-v", d.name+":/data", image)
	var text string
	s.eventually("metrics", func() error {
		r, err := http.Get("http://" + addr + "/metrics")
		if err != nil {
			return err
		}
		defer r.Body.Close()
		b, err := io.ReadAll(r.Body)
		text = string(b)
		if err == nil && r.StatusCode != http.StatusOK {
			err = fmt.Errorf("%s", r.Status)
		}
		return err
	})
	for _, m := range failed.FindAllStringSubmatch(s.out.String(), -1) {
		if !untold[m[1]] {
			t.Error(m[0])
		}
	}
	for _, want := range []string{
		`node_cpu_seconds_total{cpu="1",mode="user"}`, `node_scrape_collector_success{collector="cpufreq"} 1`,
		`node_filesystem_size_bytes{device="/dev/vda",device_error="",fstype="ext4",mountpoint="/data"}`,
		"node_memory_MemTotal_bytes 1.", "node_boot_time_seconds 1.", "node_filefd_allocated ", "node_entropy_available_bits 256",
		`node_uname_info{domainname="(none)",machine="x86_64"`, `node_network_up{device="eth0"} 1`, `node_network_receive_bytes_total{device="eth0"} `, `node_network_info{`, "node_sockstat_TCP6_inuse ",
		`node_os_info{build_id="",id="pith"`, "node_timex_sync_status 0",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s in\n%s", want, text)
			break
		}
	}
}
