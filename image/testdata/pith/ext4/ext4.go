// Package ext4 stands for the file system of volumes in the builder's tests.
package ext4
