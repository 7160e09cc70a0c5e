package inet

// rtt measures round trips and computes the retransmission time-out (RFC 6298). One
// segment in each round trip is timed; a retransmission in between spoils the
// measurement (Karn's algorithm).
type rtt struct {
	srtt, rttvar int64 // nanoseconds; srtt is 0 before the first sample
	rto          int64
	backoff      uint

	sampling  bool
	sampleSeq uint32 // acknowledged, it ends the measurement
	sampleAt  int64
	minRTT    int64
}

// startSample begins to time the segment at seq unless one is being timed.
func (r *rtt) startSample(seq uint32, now int64) {
	if !r.sampling {
		r.sampling = true
		r.sampleSeq = seq
		r.sampleAt = now
	}
}

// cancelSample gives up a measurement that seq's retransmission spoils.
func (r *rtt) cancelSample(seq uint32) {
	if r.sampling && !before(r.sampleSeq, seq) {
		r.sampling = false
	}
}

// endSample takes in that everything before ack has arrived.
func (r *rtt) endSample(ack uint32, now int64) {
	if r.sampling && before(r.sampleSeq, ack) {
		r.sampling = false
		r.sample(now - r.sampleAt)
	}
}

// sample takes in one round trip's duration.
func (r *rtt) sample(d int64) {
	d = max(d, 1)
	if r.minRTT == 0 || d < r.minRTT {
		r.minRTT = d
	}
	if r.srtt == 0 {
		r.srtt, r.rttvar = d, d/2
	} else {
		diff := r.srtt - d
		if diff < 0 {
			diff = -diff
		}
		r.rttvar += (diff - r.rttvar) / 4
		r.srtt += (d - r.srtt) / 8
	}
	r.rto = min(max(r.srtt+4*r.rttvar, minRTO), maxRTO)
}

// timeout is the current time-out, backed off.
func (r *rtt) timeout() int64 { return min(r.rto<<min(r.backoff, 16), maxRTO) }
