package manifest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestDocs: each example in docs/manifest.md is read without a mistake.
func TestDocs(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "docs", "manifest.md"))
	if err != nil {
		t.Fatal(err)
	}
	dir := folder(t, "Corefile", "app.conf", "key.pem", "zones/", "web/", "store/", "router/")
	blocks := strings.Split(string(text), "```yaml\n")[1:]
	if len(blocks) < 3 {
		t.Fatalf("%d examples", len(blocks))
	}
	for _, block := range blocks {
		example, _, _ := strings.Cut(block, "```")
		if _, err := Parse(filepath.Join(dir, FileName), []byte(example)); err != nil {
			t.Errorf("%v\nin\n%s", err, example)
		}
	}
}
