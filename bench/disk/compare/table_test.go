package main

import (
	"strings"
	"testing"
)

func TestTable(t *testing.T) {
	var table table
	for i, output := range []string{"read 100.0 MB/s\nstat 2000 ns\ndone\nKernel panic - 1\n", "boot words\nread 200.0 MB/s\nstat 500 ns\ndone\n"} {
		if err := table.add([]string{"linux", "pith"}[i], output); err != nil {
			t.Fatal(err)
		}
	}
	got := table.text()
	for _, want := range []string{"100 (100 to 100)     200 (200 to 200)", "2.00 (2.00 to 2.00)", "4.00 (4.00 to 4.00)"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is missing in\n%s", want, got)
		}
	}
	if err := table.add("pith", "read 1 MB/s\nkernel panic"); err == nil || !strings.Contains(err.Error(), "did not come to its end") {
		t.Error(err)
	}
}
