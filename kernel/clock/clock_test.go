package clock

import "testing"

// TestConfine runs where the counter has no frequency, so that Now stands still.
func TestConfine(t *testing.T) {
	defer SetWall(0, 0)
	for _, c := range []struct{ wall, earliest, latest, want int64 }{
		{100, 90, 110, 100},
		{100, 105, 110, 105},
		{100, 80, 95, 95},
		{100, 100, 100, 100},
	} {
		SetWall(c.wall, Now())
		if Confine(c.earliest, c.latest); Wall() != c.want {
			t.Errorf("%+v: the clock says %d", c, Wall())
		}
	}
}
