package mm

// region is a run of addresses with the same protection.
type region struct {
	start, end uintptr
	prot       Prot
	// source is the address of the memory that start shows, where a region is
	// an alias of other memory; else 0.
	source uintptr
	// limit is from where on a region may not be shown by aliases: the end of a
	// file's last page. 0 is no limit.
	limit uintptr
}

// shown returns the address of the memory that an alias shows at va.
func (r region) shown(va uintptr) uintptr { return r.source + va - r.start }

// maxRegions bounds the table. Go keeps neighbours alike, so that a program
// with gigabytes of heap needs some dozens; each mapped file needs two.
const maxRegions = 4096

// regions is a sorted table of what is reserved; neighbours that are alike
// are one.
type regions struct {
	list [maxRegions]region
	n    int
}

// search returns the index of the first region that ends behind va.
func (r *regions) search(va uintptr) int {
	low, high := 0, r.n
	for low < high {
		mid := (low + high) / 2
		if r.list[mid].end <= va {
			low = mid + 1
		} else {
			high = mid
		}
	}
	return low
}

// find returns the region that holds va.
func (r *regions) find(va uintptr) (region, bool) {
	i := r.search(va)
	if i == r.n || r.list[i].start > va {
		return region{}, false
	}
	return r.list[i], true
}

// overlaps tells whether anything is reserved within [start, end).
func (r *regions) overlaps(start, end uintptr) bool {
	i := r.search(start)
	return i < r.n && r.list[i].start < end
}

// covered tells whether all of [start, end) is reserved.
func (r *regions) covered(start, end uintptr) bool {
	for i := r.search(start); start < end; i++ {
		if i == r.n || r.list[i].start > start {
			return false
		}
		start = r.list[i].end
	}
	return true
}

// within counts the regions that lie in [start, end), whole or in part.
func (r *regions) within(start, end uintptr) (n int) {
	for i := r.search(start); i < r.n && r.list[i].start < end; i++ {
		n++
	}
	return n
}

// split makes va a border of what holds it. The table must have room for one
// more region.
func (r *regions) split(va uintptr) {
	i := r.search(va)
	if i == r.n || r.list[i].start >= va {
		return
	}
	tail := r.list[i].from(va)
	r.list[i].end = va
	r.insert(i+1, tail)
}

// from returns the part of a region from va on.
func (r region) from(va uintptr) region {
	if r.source != 0 {
		r.source = r.shown(va)
	}
	r.start = va
	return r
}

// insert makes room for one region at index i.
func (r *regions) insert(i int, reg region) {
	for j := r.n; j > i; j-- {
		r.list[j] = r.list[j-1]
	}
	r.list[i] = reg
	r.n++
}

func (r *regions) drop(i int) {
	r.n--
	for j := i; j < r.n; j++ {
		r.list[j] = r.list[j+1]
	}
}

// clear forgets [start, end). false means that the table is full.
func (r *regions) clear(start, end uintptr) bool {
	for i := r.search(start); i < r.n && r.list[i].start < end; {
		reg := &r.list[i]
		switch {
		case reg.start < start && reg.end > end:
			if r.n == maxRegions {
				return false
			}
			tail := reg.from(end)
			reg.end = start
			r.insert(i+1, tail)
			return true
		case reg.start < start:
			reg.end = start
			i++
		case reg.end > end:
			*reg = reg.from(end)
			return true
		default:
			r.drop(i)
		}
	}
	return true
}

// set gives [start, end) a protection, replacing what was there. false means
// that the table is full.
func (r *regions) set(start, end uintptr, prot Prot) bool {
	return r.put(region{start: start, end: end, prot: prot})
}

// put is set for a region of any kind.
func (r *regions) put(reg region) bool {
	if r.n+2 > maxRegions {
		return false
	}
	if !r.clear(reg.start, reg.end) {
		return false
	}
	i := r.search(reg.start)
	r.insert(i, reg)
	r.join(i + 1)
	r.join(i)
	return true
}

// protect changes the protection of what is reserved in [start, end), and
// leaves alone what it shows. false means that the table is full.
func (r *regions) protect(start, end uintptr, prot Prot) bool {
	if r.n+2 > maxRegions {
		return false
	}
	r.split(start)
	r.split(end)
	i := r.search(start)
	for ; i < r.n && r.list[i].start < end; i++ {
		r.list[i].prot = prot | r.list[i].prot&Frozen
	}
	for ; i >= 0 && (i == r.n || r.list[i].end >= start); i-- {
		r.join(i)
	}
	return true
}

// frozen tells whether memory in [start, end) must not become writable.
func (r *regions) frozen(start, end uintptr) bool {
	for i := r.search(start); i < r.n && r.list[i].start < end; i++ {
		if r.list[i].prot&Frozen != 0 {
			return true
		}
	}
	return false
}

// join merges the region at i with the one before it if they are alike.
func (r *regions) join(i int) {
	if i <= 0 || i >= r.n {
		return
	}
	before, reg := &r.list[i-1], r.list[i]
	if before.end == reg.start && before.alike(reg) {
		before.end = reg.end
		r.drop(i)
	}
}

// alike tells whether the next region goes on as this one ends.
func (r region) alike(next region) bool {
	if r.prot != next.prot || r.limit != 0 || next.limit != 0 {
		return false
	}
	return r.source == 0 && next.source == 0 || r.source != 0 && r.shown(r.end) == next.source
}

// gap finds size free bytes at or above low and below high; 0 if there are none.
func (r *regions) gap(low, high, size uintptr) uintptr {
	at := low
	for i := r.search(low); i < r.n && r.list[i].start < at+size; i++ {
		at = r.list[i].end
	}
	if at+size > high || at+size < at {
		return 0
	}
	return at
}
