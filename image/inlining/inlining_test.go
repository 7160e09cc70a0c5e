package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/pprof/profile"
)

// A program of five functions: main calls outer, at line 12; in outer middle is inlined,
// which calls inner at line 33; twice is called from two places.
var program = symbols{
	bodies: []body{
		{low: 0x1000, high: 0x1100, function: function{"p.main", 10}},
		{low: 0x2000, high: 0x2100, function: function{"p.outer", 20}, inlined: []inlined{
			{ranges: [][2]uint64{{0x2010, 0x2080}}, function: function{"p.middle", 30}},
		}},
		{low: 0x3000, high: 0x3100, function: function{"p.inner", 40}},
		{low: 0x4000, high: 0x4100, function: function{"p.twice", 50}},
	},
	lines: []line{{0x1000, 12}, {0x2000, 21}, {0x2010, 33}, {0x2080, 25}, {0x3000, 41}, {0x4000, 51}},
}

// What QEMU 7.2 logs of it.
const log = `----------------
IN: 
0x00001000:  48 89 e5                 movq     %rsp, %rbp
0x00001003:  e8 f8 0f 00 00           callq    0x2000

Trace 0: 0x7f0000000100 [0000000000000000/0000000000001000/0040c0b3/ff000200] 
----------------
IN: 
0x00002000:  e8 fb 1f 00 00           callq    0x4000

Trace 0: 0x7f0000000200 [0000000000000000/0000000000002000/0040c0b3/ff000200] 
----------------
IN: 
0x00004000:  c3                       retq     

Trace 0: 0x7f0000000300 [0000000000000000/0000000000004000/0040c0b3/ff000200] 
----------------
IN: 
0x00002010:  e8 eb 0f 00 00           callq    0x3000

Trace 0: 0x7f0000000400 [0000000000000000/0000000000002010/0040c0b3/ff000200] 
----------------
IN: 
0x00003000:  e8 fb 0f 00 00           callq    0x4000

Trace 0: 0x7f0000000500 [0000000000000000/0000000000003000/0040c0b3/ff000200] 
Trace 0: 0x7f0000000300 [0000000000000000/0000000000004000/0040c0b3/ff000200] 
Trace 0: 0x7f0000000400 [0000000000000000/0000000000002010/0040c0b3/ff000200] 
Trace 0: 0x7f0000000500 [0000000000000000/0000000000003000/0040c0b3/ff000200] 
----------------
IN: 
0x00003010:  ff d0                    callq    *%rax

Trace 0: 0x7f0000000600 [0000000000000000/0000000000003010/0040c0b3/ff000200] 
Trace 0: 0x7f0000000100 [0000000000000000/0000000000001000/0040c0b3/ff000200] 
`

func TestCalls(t *testing.T) {
	c, err := readLog(strings.NewReader(log), &program)
	if err != nil {
		t.Fatal(err)
	}
	for function, want := range map[uint64][]uint64{
		0x2000: {0x1003}, 0x3000: {0x2010}, 0x4000: {0x2000, 0x3000}, 0x1000: nil,
	} {
		if got := c[function]; !slices.Equal(got, want) {
			t.Errorf("%#x is called at %#x, want %#x", function, got, want)
		}
	}
}

// TestProfile looks for a call under the names of all functions that it may come to stand
// in, and for none of a function that is called from several places.
func TestProfile(t *testing.T) {
	c, err := readLog(strings.NewReader(log), &program)
	if err != nil {
		t.Fatal(err)
	}
	data, err := profileOf(c, &program)
	if err != nil {
		t.Fatal(err)
	}
	p, err := profile.ParseData(data)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range p.Sample {
		callee, caller := s.Location[0].Line[0], s.Location[1].Line[0]
		got = append(got, caller.Function.Name+" "+callee.Function.Name)
		if callee.Function.Name == "p.inner" && caller.Line != 33 {
			t.Errorf("the call of p.inner is at line %d, want 33", caller.Line)
		}
		if callee.Function.StartLine == 0 || caller.Function.StartLine == 0 {
			t.Errorf("%s: a function without its first line", got[len(got)-1])
		}
	}
	want := []string{"p.main p.inner", "p.main p.outer", "p.middle p.inner", "p.outer p.inner"}
	if slices.Sort(got); !slices.Equal(got, want) {
		t.Errorf("edges %q, want %q", got, want)
	}
}
