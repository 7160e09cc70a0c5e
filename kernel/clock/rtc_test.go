package clock

import (
	"testing"
	"time"
)

func TestDaysSince1970(t *testing.T) {
	for day := time.Date(1970, 1, 1, 0, 0, 0, 0, time.UTC); day.Year() < 2110; day = day.AddDate(0, 0, 1) {
		got := daysSince1970(int64(day.Year()), int64(day.Month()), int64(day.Day()))
		if want := day.Unix() / 86400; got != want {
			t.Fatalf("%v: %d, want %d", day, got, want)
		}
	}
}
