package qemu

import (
	"encoding/json"
	"fmt"
)

// Accelerator asks QEMU what runs the guest's code: KVM or TCG.
func (p *process) Accelerator() (string, error) {
	answer, err := p.qmp.run("query-kvm", nil)
	if err != nil {
		return "", err
	}
	var kvm struct{ Enabled bool }
	if err := json.Unmarshal(answer, &kvm); err != nil {
		return "", fmt.Errorf("QMP query-kvm: %w", err)
	}
	if kvm.Enabled {
		return KVM, nil
	}
	// Only the translator has something to say to this.
	_, err = p.qmp.run("human-monitor-command", map[string]any{"command-line": "info jit"})
	return TCG, err
}

// Threads asks QEMU for the thread ids of the guest's CPUs.
func (p *process) Threads() ([]int, error) {
	answer, err := p.qmp.run("query-cpus-fast", nil)
	if err != nil {
		return nil, err
	}
	var cpus []struct {
		Thread int `json:"thread-id"`
	}
	if err := json.Unmarshal(answer, &cpus); err != nil {
		return nil, fmt.Errorf("QMP query-cpus-fast: %w", err)
	}
	var ids []int
	for _, c := range cpus {
		ids = append(ids, c.Thread)
	}
	return ids, nil
}
