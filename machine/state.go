package machine

import "time"

// Status of a machine, as `pith ps` shows it.
const (
	StatusCreated = "created" // made, not yet started
	StatusRunning = "running"
	StatusExited  = "exited"
)

// State is what changes in a machine's life, as it stands on disk.
type State struct {
	Status     string    `json:"status"`
	Supervisor ProcessID `json:"supervisor"` // the pith process that owns it
	Process    ProcessID `json:"process"`    // the machine itself
	Started    time.Time `json:"started,omitzero"`
	Ended      time.Time `json:"ended,omitzero"`
	ExitCode   int       `json:"exitCode"`
	Error      string    `json:"error,omitempty"` // why the machine failed
}

// Now is the state as it is in truth: a machine whose supervisor vanished
// without a word (the host went down, or it was killed) has exited.
func (s State) Now() State {
	if s.Status == StatusExited || s.Supervisor.Alive() {
		return s
	}
	s.Status = StatusExited
	s.ExitCode = ExitKilled
	s.Error = "its supervisor ended without a word"
	return s
}
