# Everything that a contributor does. Machines are emulated (TCG) in all of it:
# set PITH_ACCEL= (empty) to let Pith choose KVM where the host offers it.
export PITH_ACCEL ?= tcg
export CGO_ENABLED ?= 0

# The kernel's lower half refers to symbols of the Go runtime.
LDFLAGS = -ldflags=-checklinkname=0
GOTEST  = go test $(LDFLAGS)
WHAT   ?= ./examples/hello
FUZZTIME ?= 20s

.PHONY: all pith setup setup-test check test race boot conformance programs crash run bench inlining debug fuzz clean

all: pith

# The command, as one static binary.
pith:
	go build -trimpath -o pith ./cmd/pith

# What the host needs, from its own packages.
setup:
	./setup.sh

# What some tests compare with; they skip, and say so, without it.
setup-test:
	./setup.sh test

check:
	@test -z "$$(gofmt -l .)" || { gofmt -l .; exit 1; }
	go vet ./...

test: check race
	$(GOTEST) -timeout 50m ./...
	cd test/programs && $(GOTEST) -timeout 50m ./...

# The race detector is linked with a C compiler's help.
race:
	@if command -v gcc >/dev/null; then \
		CGO_ENABLED=1 go test $(LDFLAGS) -race ./kernel/... ./abi/... ./service/...; \
	else \
		echo "race: skipped, there is no gcc for Go's race detector"; \
	fi

# Only the tests that boot machines.
boot:
	$(GOTEST) -count=1 -timeout 50m ./test/...

# Go's own tests in machines, all of them, on 1 and on 2 CPUs, and those of some
# packages without -short: two to three hours under emulation. What is interrupted goes on, what failed is tried again; after a
# good run, or after rm conformance.json, all of it is run anew.
# Not net: without -short it wants the internet (docs/conformance.md has what failed).
LONG ?= io io/fs os path/filepath sync sync/atomic context os/signal time
conformance: pith
	./pith test std --resume --results conformance.json
	./pith test std --resume --results conformance.json --long --report docs/conformance.md $(LONG)
	mv conformance.json test/conformance/results.json

# All programs that others wrote, those that take minutes to build included.
programs:
	cd test/programs && $(GOTEST) -count=1 -timeout 120m -v . -all

# Kills a machine that writes to a volume, again and again.
KILLS ?= 300
crash:
	go test $(LDFLAGS) -count=1 -timeout 60m -v -run 'TestCrash$$' ./test -kills $(KILLS)
	go test -count=1 -timeout 30m -v -run 'TestPowerCut' ./ext4 -cuts 200000

# The profile by which the compiler inlines what runs at a start.
inlining:
	go run ./image/inlining

run: pith
	./pith run -p 8080:80 $(WHAT)

bench: pith
	go run ./bench/run
	go run ./bench/run -workload coredns
	go run ./bench/run -workload caddy
	go run ./bench/disk/compare ./pith

# gdb on a booted image, stopped at its first instruction.
debug: pith
	./pith debug $(WHAT)

# A worker that is stopped in the middle of an input leaves the input's folder.
fuzz:
	@dir=$$(mktemp -d); trap 'rm -rf "$$dir"' EXIT; export TMPDIR="$$dir"; \
	for p in $$(go list ./...); do \
		for f in $$($(GOTEST) -list '^Fuzz' $$p 2>/dev/null | grep '^Fuzz'); do \
			echo "$$p $$f"; $(GOTEST) -run '^$$' -fuzz "^$$f$$" -fuzztime $(FUZZTIME) $$p || exit 1; \
		done; \
	done

clean:
	rm -f pith
	go clean -testcache
