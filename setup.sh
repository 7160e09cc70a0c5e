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

has_go() {
	command -v go >/dev/null && GOTOOLCHAIN=local go version | grep -Eq 'go1\.(2[6-9]|[3-9][0-9])'
}

# Go comes as a module, from where go commands get modules: even Debian's old one can
# fetch a newer one, and checks its sum.
install_go() {
	release=go1.26.8.linux-amd64
	if ! command -v apt-get >/dev/null || [ "$(uname -m)" != x86_64 ] || [ -e /usr/local/go ]; then
		return 1
	fi
	echo "setup: gets $release, 70 MB, for /usr/local/go"
	command -v go >/dev/null || run env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends golang-go
	modules=$(mktemp -d)
	(cd / && GOTOOLCHAIN=local GOFLAGS=-modcacherw GOMODCACHE=$modules go mod download "golang.org/toolchain@v0.0.1-$release")
	run cp -R "$modules/golang.org/toolchain@v0.0.1-$release" /usr/local/go
	rm -rf "$modules"
	# What a module can't hold: programs, and modules within it.
	run find /usr/local/go/bin /usr/local/go/pkg/tool -type f -exec chmod 755 {} +
	run find /usr/local/go -name _go.mod -execdir mv {} go.mod ';'
	run ln -sf /usr/local/go/bin/go /usr/local/go/bin/gofmt /usr/local/bin/
	hash -r
}

if ! has_go && ! { install_go && has_go; }; then
	echo "setup: Go 1.26 is missing, or is not on the PATH; its own page tells how to install it: go.dev/doc/install" >&2
	[ ! -e /usr/local/go ] || echo "setup: /usr/local/go is left as it is: $(cat /usr/local/go/VERSION 2>/dev/null | head -1)" >&2
	exit 1
fi
echo "setup: builds pith; the first time takes a minute or more"
make pith
./pith doctor || true
