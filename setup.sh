#!/bin/sh
# Installs what Pith needs from the host's own packages, builds pith, and tells
# what the host offers. Run as root, or with sudo at hand.
set -eu
cd "$(dirname "$0")"

run() {
	if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

# ./setup.sh test: programs that tests compare with. They run with their own
# configuration; the service that Debian's package starts is not wanted.
if [ "${1:-}" = test ]; then
	if ! command -v apt-get >/dev/null; then
		echo "setup: install BIND (named) by hand; tests that need it are skipped without it" >&2
		exit 1
	fi
	command -v named >/dev/null || [ -x /usr/sbin/named ] || installed=yes
	run apt-get update -qq
	run env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -y -qq --no-install-recommends bind9 chromium
	if [ "${installed:-}" ] && [ -d /run/systemd/system ]; then
		run systemctl disable --now named
	fi
	exit 0
fi

if command -v apt-get >/dev/null; then
	run apt-get update -qq
	run env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
		ca-certificates make git qemu-system-x86 gdb iproute2 gcc libc6-dev
	# For --machine container; all else works without it.
	run env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends runc || true
elif command -v dnf >/dev/null; then
	run dnf install -y -q make git qemu-system-x86-core gdb
elif command -v pacman >/dev/null; then
	run pacman -Sy --needed --noconfirm make git qemu-system-x86 gdb iproute2
elif command -v brew >/dev/null; then
	brew install qemu go
fi

if ! command -v go >/dev/null; then
	echo "setup: Go 1.26 is missing; its own page tells how to install it: go.dev/doc/install" >&2
	exit 1
fi
make pith
./pith doctor || true
