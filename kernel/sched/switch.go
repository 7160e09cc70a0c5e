package sched

//go:noescape
func switchStack(save, load, thread, fs uintptr)
