package pith

import "embed"

// Source holds the sources of the library OS (folders kernel, abi and ext4) and the
// module's go.mod and go.sum, which pin the modules that a network stack needs.
// Package image builds images from it; it leaves tests and documents aside.
//
//go:embed all:kernel abi ext4 go.mod go.sum
var Source embed.FS
