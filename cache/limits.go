package cache

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"

	"pith"
)

// Limits say when entries go.
type Limits struct {
	Unused time.Duration // what nobody used for so long goes
	Size   int64         // bytes; above them what was used least recently goes
}

// What holds where nobody says anything else.
const (
	DefaultUnused = 7 * 24 * time.Hour
	DefaultSize   = 5e9
)

// Everything is the limit above which is all that nobody uses.
var Everything = Limits{Unused: math.MinInt64}

// sizeVariable changes DefaultSize.
const sizeVariable = "PITH_CACHE_SIZE"

func limitsOf(env []string) (Limits, error) {
	l := Limits{Unused: DefaultUnused, Size: DefaultSize}
	text := Lookup(env, sizeVariable)
	if text == "" {
		return l, nil
	}
	var err error
	if l.Size, err = ParseSize(text); err != nil {
		return l, pith.Errorf("%s=%s is no size: write it as in 500M, 5G or off", sizeVariable, text)
	}
	return l, nil
}

var sizePattern = regexp.MustCompile(`^([0-9]{1,9})([MmGgTt])[Bb]?$`)

// ParseSize reads a size with its unit, a power of 1,000, as in 500M or 5G; "off" is
// no bound.
func ParseSize(text string) (int64, error) {
	if text == "off" {
		return math.MaxInt64, nil
	}
	m := sizePattern.FindStringSubmatch(text)
	if m == nil {
		return 0, pith.Errorf("%q is no size: write it as in 500M, 5G or off", text)
	}
	n, err := strconv.ParseInt(m[1], 10, 64)
	unit := map[string]int64{"m": 1e6, "g": 1e9, "t": 1e12}[strings.ToLower(m[2])]
	if err != nil || n > math.MaxInt64/unit {
		return 0, pith.Errorf("%q is more than a disk can have", text)
	}
	return n * unit, nil
}

// FormatSize writes bytes as people do: "1.2 GB", powers of 1,000 as ParseSize's.
func FormatSize(n int64) string {
	switch {
	case n >= 1e9:
		return fmt.Sprintf("%.1f GB", float64(n)/1e9)
	case n >= 1e6:
		return fmt.Sprintf("%.1f MB", float64(n)/1e6)
	default:
		return fmt.Sprintf("%.0f kB", float64(n)/1e3)
	}
}
