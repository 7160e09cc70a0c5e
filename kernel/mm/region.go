package mm

// region is a run of addresses with the same protection.
type region struct {
	start, end uintptr
	prot       Prot
}

// maxRegions bounds the table. Go keeps neighbours alike, so that a program
// with gigabytes of heap needs some dozens.
const maxRegions = 1024

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
			tail := region{end, reg.end, reg.prot}
			reg.end = start
			r.insert(i+1, tail)
			return true
		case reg.start < start:
			reg.end = start
			i++
		case reg.end > end:
			reg.start = end
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
	if r.n+2 > maxRegions {
		return false
	}
	if !r.clear(start, end) {
		return false
	}
	i := r.search(start)
	r.insert(i, region{start, end, prot})
	r.join(i + 1)
	r.join(i)
	return true
}

// join merges the region at i with the one before it if they are alike.
func (r *regions) join(i int) {
	if i <= 0 || i >= r.n {
		return
	}
	before, reg := &r.list[i-1], r.list[i]
	if before.end == reg.start && before.prot == reg.prot {
		before.end = reg.end
		r.drop(i)
	}
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
