package deploy

import (
	"errors"
	"testing"
	"time"

	"pith"
)

func TestAgain(t *testing.T) {
	good, bad, never := exit{}, exit{code: 3}, exit{code: 1, err: errors.New("can't be started")}
	for _, c := range []struct {
		policy pith.RestartPolicy
		exit   exit
		row    int
		want   bool
	}{
		{pith.RestartPolicy{When: pith.RestartNo}, bad, 0, false},
		{pith.RestartPolicy{When: pith.RestartAlways}, good, 100, true},
		{pith.RestartPolicy{When: pith.RestartUnlessStopped}, bad, 0, true},
		{pith.RestartPolicy{When: pith.RestartOnFailure}, good, 0, false},
		{pith.RestartPolicy{When: pith.RestartOnFailure}, bad, 100, true},
		{pith.RestartPolicy{When: pith.RestartOnFailure, Max: 2}, never, 1, true},
		{pith.RestartPolicy{When: pith.RestartOnFailure, Max: 2}, bad, 2, false},
	} {
		if got := again(c.policy, c.exit, c.row); got != c.want {
			t.Errorf("%v after %v, %d times in a row: %v", c.policy, c.exit, c.row, got)
		}
	}
}

func TestBackoff(t *testing.T) {
	var b backoff
	last := time.Duration(0)
	for i := range 20 {
		b.lived(time.Second)
		pause := b.next()
		if pause < last || pause > lastPause || i == 0 && pause != firstPause {
			t.Errorf("pause %d is %s after %s", i, pause, last)
		}
		last = pause
	}
	if last != lastPause {
		t.Errorf("the longest pause is %s", last)
	}
	b.lived(longLife)
	if pause := b.next(); pause != firstPause {
		t.Errorf("after a long life the pause is %s", pause)
	}
}

func TestSettled(t *testing.T) {
	w := resolve(t, topology())
	w.Generation = 2
	s := State{Generation: 2, Instances: map[string]InstanceState{}}
	set := func(status Status, restarts int) {
		for _, i := range w.Instances {
			s.Instances[i.Name()] = InstanceState{Status: Healthy}
		}
		s.Instances["shop-store-1"] = InstanceState{Status: status, Restarts: restarts, Error: "why"}
	}
	for _, c := range []struct {
		status   Status
		restarts int
		done     bool
		err      string
	}{
		{Healthy, 9, true, ""},
		{Completed, 0, true, ""},
		{Waiting, 0, false, ""},
		{Starting, 0, false, ""},
		{Restarts, 0, false, ""},
		{Restarts, hopeless, false, "shop-store-1 ended 4 times: why"},
		{Failed, 0, false, "shop-store-1 is failed: why"},
		{Unhealthy, 0, false, "shop-store-1 is unhealthy: why"},
	} {
		set(c.status, c.restarts)
		done, err := s.Settled(w)
		if done != c.done || err == nil != (c.err == "") || err != nil && err.Error() != c.err {
			t.Errorf("%s: %v, %v, want %v, %q", c.status, done, err, c.done, c.err)
		}
	}
	set(Healthy, 0)
	s.Generation = 1
	if done, _ := s.Settled(w); done {
		t.Error("settled before the keeper knows what is wanted")
	}
}
