package web

import (
	"errors"
	"slices"
	"strconv"
	"sync"
	"time"
	"unicode/utf8"
)

// Item is the API's resource.
type Item struct {
	ID      string    `json:"id"`
	Name    string    `json:"name"`
	Text    string    `json:"text,omitempty"`
	Tags    []string  `json:"tags,omitempty"`
	Created time.Time `json:"created"`
	Updated time.Time `json:"updated"`
	version uint64
}

// etag names the item's version (RFC 9110, section 8.8.3).
func (i *Item) etag() string { return `"` + i.ID + "-" + strconv.FormatUint(i.version, 10) + `"` }

// draft is what a client says of an item.
type draft struct {
	Name string   `json:"name"`
	Text string   `json:"text"`
	Tags []string `json:"tags"`
}

// Bounds of an item, characters and entries.
const (
	maxName = 100
	maxText = 10000
	maxTags = 20
	maxTag  = 50
)

// check lists the fields that are wrong.
func (d *draft) check() []invalid {
	var wrong []invalid
	if n := utf8.RuneCountInString(d.Name); n < 1 || n > maxName {
		wrong = append(wrong, invalid{"/name", "must have 1 to 100 characters"})
	}
	if utf8.RuneCountInString(d.Text) > maxText {
		wrong = append(wrong, invalid{"/text", "must have at most 10000 characters"})
	}
	if len(d.Tags) > maxTags {
		wrong = append(wrong, invalid{"/tags", "must have at most 20 entries"})
	}
	for i, tag := range d.Tags {
		if n := utf8.RuneCountInString(tag); n < 1 || n > maxTag {
			wrong = append(wrong, invalid{"/tags/" + strconv.Itoa(i), "must have 1 to 50 characters"})
		}
	}
	return wrong
}

// Why the store refuses.
var (
	errFull    = errors.New("no more items can be kept")
	errNone    = errors.New("there is no such item")
	errChanged = errors.New("the item is not the one that If-Match names: fetch it again")
)

// store keeps items in memory, in the order of their numbers.
type store struct {
	mu    sync.RWMutex
	most  int
	last  uint64
	items map[string]*Item // never changed, only replaced
	order []string
	now   func() time.Time
}

func newStore(most int) *store {
	return &store{most: most, items: map[string]*Item{}, now: time.Now}
}

func (s *store) create(d draft) (*Item, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.items) >= s.most {
		return nil, errFull
	}
	s.last++
	now := s.now().UTC()
	item := &Item{strconv.FormatUint(s.last, 10), d.Name, d.Text, d.Tags, now, now, 1}
	s.items[item.ID] = item
	s.order = append(s.order, item.ID)
	return item, nil
}

func (s *store) get(id string) *Item {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.items[id]
}

// update replaces an item that match accepts.
func (s *store) update(id string, d draft, match func(*Item) bool) (*Item, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.items[id]
	if old == nil {
		return nil, errNone
	}
	if !match(old) {
		return nil, errChanged
	}
	item := &Item{id, d.Name, d.Text, d.Tags, old.Created, s.now().UTC(), old.version + 1}
	s.items[id] = item
	return item, nil
}

// remove takes an item away that match accepts.
func (s *store) remove(id string, match func(*Item) bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.items[id]
	if old == nil {
		return errNone
	}
	if !match(old) {
		return errChanged
	}
	delete(s.items, id)
	if i, found := slices.BinarySearchFunc(s.order, id, compareIDs); found {
		s.order = slices.Delete(s.order, i, i+1)
	}
	return nil
}

// list returns up to limit items behind one, and whether there are more.
func (s *store) list(after string, limit int) ([]*Item, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	start, found := slices.BinarySearchFunc(s.order, after, compareIDs)
	if found {
		start++
	}
	end := min(start+limit, len(s.order))
	page := make([]*Item, 0, end-start)
	for _, id := range s.order[start:end] {
		page = append(page, s.items[id])
	}
	return page, end < len(s.order)
}

// compareIDs orders decimal numbers, as text, by their value.
func compareIDs(a, b string) int {
	if len(a) != len(b) {
		return len(a) - len(b)
	}
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}
