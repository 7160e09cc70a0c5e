package suite

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"pith/bench/stats"
)

// summaryFile is the report without plots, for a repository.
const summaryFile = "summary.md"

// WriteSummary writes summary.md: what was measured with, what failed, and all
// medians and ratios.
func (b *Book) WriteSummary() error {
	var text strings.Builder
	fmt.Fprintf(&text, "# pith bench, %s\n\n    %s\n", b.About.Begun.Format("2006-01-02"), shell(b.About.Config.Command))
	if n := b.unfinished(); n > 0 {
		fmt.Fprintf(&text, "\n**Not finished: %d parts are missing.**\n", n)
	}
	if warning := b.emulated(); warning != "" {
		fmt.Fprintf(&text, "\n**%s**\n", warning)
	}
	section := func(title string, lines []string) {
		if len(lines) == 0 {
			return
		}
		fmt.Fprintf(&text, "\n## %s\n\n", title)
		for _, line := range lines {
			fmt.Fprintf(&text, "- %s\n", strings.ReplaceAll(line, "\n", "\n      "))
		}
	}
	section("What failed, or ended early", b.failures())
	section("What the host runs out of first", b.scarce())
	b.ratioTable(&text)
	section("Host and method", append(append(append([]string{}, b.About.Host...), append(b.About.Programs, b.facts()...)...), b.settings()...))
	return os.WriteFile(filepath.Join(b.Dir, summaryFile), []byte(text.String()), 0o644)
}

func (b *Book) ratioTable(text *strings.Builder) {
	rows, machines := b.ratios(), b.machines()
	if len(rows) == 0 {
		return
	}
	fmt.Fprintf(text, "\n## Medians, and their ratios to %s\n\n", b.reference())
	fmt.Fprintf(text, "A ratio is the median of those within a repeat, with its 95 %% confidence interval. With fewer\nthan %d repeats there is none: then it is the least and the greatest ratio, \"in\" so many\nrepeats. Only ratios of what ran beside one another on this host mean anything.\n\n", stats.Sure)
	fmt.Fprintf(text, "| quantity | %s |\n|---%s|\n", strings.Join(machines, " | "), strings.Repeat("|---", len(machines)))
	for _, row := range rows {
		fmt.Fprintf(text, "| %s |", row.Quantity)
		for _, c := range row.Cells {
			fmt.Fprintf(text, " %s |", c)
		}
		text.WriteString("\n")
	}
}

func (c ratioCell) String() string {
	if c.Ratio == "" {
		return c.Value
	}
	return fmt.Sprintf("%s **%s** (%s)", c.Value, c.Ratio, c.Detail)
}
