package dns

import (
	"container/list"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// Bounds of how long an answer is kept (RFC 2308, sections 5 and 7).
const (
	maxTTL         = 24 * 3600
	maxNegativeTTL = 3600
)

// maxCached is the largest answer that is kept, octets.
const maxCached = 8 << 10

// cache keeps answers; the one that wasn't used for longest goes first.
type cache struct {
	mu      sync.Mutex
	most    int
	entries map[string]*list.Element
	order   list.List // of *cached, the last used in front
}

type cached struct {
	key            string
	msg            *dns.Msg // never changed
	stored, expire time.Time
}

func newCache(most int) *cache { return &cache{most: most, entries: map[string]*list.Element{}} }

// cacheKey is all of a query that an answer depends on.
func cacheKey(q *query) string {
	key := append([]byte(nil), q.name...)
	flags := byte(0)
	if q.do {
		flags |= 1
	}
	if q.flags&flagCD != 0 {
		flags |= 2
	}
	return string(append(key, byte(q.kind>>8), byte(q.kind), byte(q.class>>8), byte(q.class), flags))
}

// get returns an answer with what is left of its TTLs, or nil.
func (c *cache) get(key string, now time.Time) *dns.Msg {
	c.mu.Lock()
	e := c.entries[key]
	if e == nil {
		c.mu.Unlock()
		return nil
	}
	item := e.Value.(*cached)
	if !now.Before(item.expire) {
		c.remove(e)
		c.mu.Unlock()
		return nil
	}
	c.order.MoveToFront(e)
	c.mu.Unlock()
	return aged(item.msg, uint32(now.Sub(item.stored)/time.Second))
}

// aged copies an answer with lower TTLs.
func aged(msg *dns.Msg, age uint32) *dns.Msg {
	out := msg.Copy()
	for _, section := range [][]dns.RR{out.Answer, out.Ns} {
		for _, rr := range section {
			h := rr.Header()
			h.Ttl -= min(h.Ttl, age)
		}
	}
	return out
}

// put keeps an answer, if it may be.
func (c *cache) put(key string, msg *dns.Msg, now time.Time) {
	ttl := keep(msg)
	if ttl == 0 || msg.Len() > maxCached {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.entries[key]; e != nil {
		c.remove(e)
	}
	item := &cached{key: key, msg: msg, stored: now, expire: now.Add(time.Duration(ttl) * time.Second)}
	c.entries[key] = c.order.PushFront(item)
	for len(c.entries) > c.most {
		c.remove(c.order.Back())
	}
}

func (c *cache) remove(e *list.Element) {
	c.order.Remove(e)
	delete(c.entries, e.Value.(*cached).key)
}

func (c *cache) size() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.entries)
}

// keep is how many seconds an answer may be kept; one without records only by
// its SOA.
func keep(msg *dns.Msg) uint32 {
	if len(msg.Answer) > 0 && msg.Rcode == dns.RcodeSuccess {
		ttl := uint32(maxTTL)
		for _, rr := range msg.Answer {
			ttl = min(ttl, rr.Header().Ttl)
		}
		return ttl
	}
	for _, rr := range msg.Ns {
		if soa, ok := rr.(*dns.SOA); ok {
			return min(soa.Hdr.Ttl, soa.Minttl, maxNegativeTTL)
		}
	}
	return 0
}
