//go:build race

package linux

const raceEnabled = true
