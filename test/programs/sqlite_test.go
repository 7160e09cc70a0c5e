package programs

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
)

// TestSQLiteLasts: with both of SQLite's journals, what was acknowledged is there
// after power cuts, and SQLite finds its file whole.
func TestSQLiteLasts(t *testing.T) {
	image := build(t, "./sqlite")
	for _, mode := range []string{"WAL", "DELETE"} {
		t.Run(mode, func(t *testing.T) {
			l := &lasting{disk: volume(t, "64M"), synced: true}
			l.start = func() (*server, records) {
				addr, publish := port(t, "80")
				s := serve(t, "-p", publish, "-v", l.name+":/data", image, "--", "/data/records.db", mode)
				return s, rows{"http://" + addr + "/"}
			}
			l.run()
		})
	}
}

// rows are records of program sqlite's.
type rows struct{ url string }

func (r rows) write(ctx context.Context, n int) error {
	_, err := r.do(ctx, http.MethodPut, fmt.Sprint(n))
	return err
}

func (r rows) all(ctx context.Context) (map[int]bool, error) {
	verdict, err := r.do(ctx, http.MethodGet, "check")
	if err == nil && verdict != "ok\n" {
		err = fmt.Errorf("integrity_check: %s", verdict)
	}
	if err != nil {
		return nil, err
	}
	text, err := r.do(ctx, http.MethodGet, "")
	all := map[int]bool{}
	for line := range strings.Lines(text) {
		n, err := strconv.Atoi(strings.TrimSpace(line))
		if err != nil {
			return nil, err
		}
		all[n] = true
	}
	return all, err
}

func (r rows) do(ctx context.Context, method, path string) (string, error) {
	q, err := http.NewRequestWithContext(ctx, method, r.url+path, nil)
	if err != nil {
		return "", err
	}
	answer, err := http.DefaultClient.Do(q)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", answer.Status, text)
	}
	return string(text), err
}

func (r rows) close() {}
