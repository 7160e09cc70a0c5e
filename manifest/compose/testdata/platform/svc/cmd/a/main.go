// Package main is it.
package main

func main() {}
