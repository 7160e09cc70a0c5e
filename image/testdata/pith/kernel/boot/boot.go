// Package boot has the entry point of an image.
package boot
