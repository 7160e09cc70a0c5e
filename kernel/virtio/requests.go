package virtio

import "sync"

// Request is one chain of buffers that a device works on. A driver embeds it in what
// it knows of its own request.
type Request struct {
	Written uint32 // bytes, once it is done
	done    bool
}

// Requests is a queue whose chains several goroutines post and wait for. Its lock is
// held in all methods but Err; it guards what a driver keeps beside it, too. Finish
// and AwaitChange block; nothing here is for interrupts.
type Requests struct {
	sync.Mutex

	changed sync.Cond // a request was completed, or the wait is up to someone else
	queue   *Queue
	waiting bool       // somebody is in Await
	posted  []*Request // by the id of their chains
}

// NewRequests takes a queue over.
func NewRequests(q *Queue) *Requests {
	r := &Requests{queue: q, posted: make([]*Request, q.Size())}
	r.changed.L = &r.Mutex
	return r
}

// Err says why the queue was shut down; nil as long as it was not. It needs no lock.
func (r *Requests) Err() error { return r.queue.Err() }

// Done tells whether the device has completed a request: Finish does not wait then. The
// caller holds the lock.
func (q *Request) Done() bool { return q.done }

// Fail shuts the queue down, and wakes who waits.
func (r *Requests) Fail(reason string) {
	r.queue.Fail(reason)
	r.Changed()
}

// Post has the device read out and write in. It returns false if the queue has no
// room, or is shut down.
func (r *Requests) Post(q *Request, out, in []Segment) bool {
	ok := r.Add(q, out, in)
	r.Publish()
	return ok
}

// Add is Post without a word to the device, for requests that belong together: Publish
// must follow before the lock is given up.
func (r *Requests) Add(q *Request, out, in []Segment) bool {
	q.done = false
	id, ok := r.queue.Add(out, in)
	if ok {
		r.posted[id] = q
	}
	return ok
}

// Publish tells the device what was added. It does nothing if that is nothing.
func (r *Requests) Publish() { r.queue.Publish() }

// Finish waits for a request that was posted. It returns false if the queue was shut
// down before: then the device may still write to its buffers.
func (r *Requests) Finish(q *Request) bool {
	for !q.done && r.Err() == nil {
		r.wait()
	}
	return q.done
}

// wait returns when something may have changed. One goroutine waits for the device,
// the others for that one.
func (r *Requests) wait() {
	if r.take() {
		return
	}
	if r.waiting {
		r.changed.Wait()
		return
	}
	r.waiting = true
	r.queue.Await(&r.Mutex)
	r.waiting = false
	r.take()
	r.Changed()
}

// AwaitChange returns after a call of Changed, which somebody else must owe: it does not
// watch the device.
func (r *Requests) AwaitChange() { r.changed.Wait() }

// Changed wakes who waits, since what the driver keeps has changed.
func (r *Requests) Changed() { r.changed.Broadcast() }

// take marks what the device has completed; it reports whether there was something.
func (r *Requests) take() (any bool) {
	for {
		id, n, ok := r.queue.Take()
		if !ok {
			break
		}
		q := r.posted[id]
		r.posted[id] = nil
		q.Written, q.done, any = n, true, true
	}
	if any {
		r.Changed()
	}
	return any || r.Err() != nil
}
