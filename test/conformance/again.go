package conformance

import (
	"context"
	"fmt"
	"slices"
)

// again is a test that starts its own program again, with something in the
// environment, and wants a test to pass there. Here a second machine has that in
// its environment from the start.
type again struct {
	test    string // that starts itself
	env     string // NAME=VALUE
	started string // the test that runs there, "" for the same
}

var agains = map[string][]again{
	"crypto/cipher": {
		{test: "TestGCMNoncesFIPSV1", env: "GODEBUG=fips140=on"},
		{test: "TestGCMNoncesFIPSV126", env: "GODEBUG=fips140=on"},
	},
	"crypto/fips140": {{test: "TestWithoutEnforcement", env: "GODEBUG=fips140=only"}},
	"crypto/tls": {
		{test: "TestFIPSServerCipherSuites", env: "GODEBUG=fips140=only"},
		{test: "TestFIPSServerCurves", env: "GODEBUG=fips140=only"},
		{test: "TestFIPSServerProtocolVersion", env: "GODEBUG=fips140=only"},
		{test: "TestFIPSServerSignatureAndHash", env: "GODEBUG=fips140=only"},
	},
	"internal/cpu": {
		{test: "TestDisableAllCapabilities", env: "GODEBUG=cpu.all=off", started: "TestAllCapabilitiesDisabled"},
		{test: "TestDisableSSE3", env: "GODEBUG=cpu.sse3=off", started: "TestSSE3DebugOption"},
	},
}

// runs is the test that runs in the second machine.
func (a again) runs() string {
	if a.started != "" {
		return a.started
	}
	return a.test
}

// runAgain runs the tests that start themselves again, in one machine for each
// environment.
func (r *Runner) runAgain(ctx context.Context, pkg, binary string, cpus int, result *Result) {
	left := slices.Clone(agains[pkg])
	for len(left) > 0 && ctx.Err() == nil {
		env := left[0].env
		var tests []Exclusion
		for _, a := range left {
			if a.env == env {
				tests = append(tests, Exclusion{Test: a.runs()})
			}
		}
		seen, problem := r.machine(ctx, pkg, binary, cpus, env, []string{"-test.run=" + pattern(tests)})
		before := len(result.Failed)
		for _, a := range left {
			if a.env != env {
				continue
			}
			if seen.state[a.runs()] == "PASS" {
				result.Passed++
			} else {
				result.Failed = append(result.Failed, a.test)
			}
		}
		if len(result.Failed) > before {
			fmt.Fprintf(r.Log, "==== %s on %d CPUs with %s\n%s%s", pkg, cpus, env, seen.failures(), problem)
		}
		left = slices.DeleteFunc(left, func(a again) bool { return a.env == env })
	}
}
