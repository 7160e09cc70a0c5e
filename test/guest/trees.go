package main

import (
	"fmt"
	"runtime"
)

type tree struct{ left, right *tree }

func grow(depth int) *tree {
	if depth == 0 {
		return &tree{}
	}
	return &tree{grow(depth - 1), grow(depth - 1)}
}

func (t *tree) count() int {
	if t.left == nil {
		return 1
	}
	return 1 + t.left.count() + t.right.count()
}

// trees makes 128 MiB of trees, one after the other, beside one that stays.
func trees() {
	const depth, rounds = 16, 64
	kept := grow(depth)
	sum := 0
	for range rounds {
		sum += grow(depth).count()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	fmt.Println("nodes", sum == rounds*(2<<depth-1), kept.count() == 2<<depth-1, "allocated", m.TotalAlloc>>27 > 0, "collections", m.NumGC > 2)
}
