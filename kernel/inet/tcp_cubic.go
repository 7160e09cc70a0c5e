package inet

import "math"

// CUBIC congestion control (RFC 9438), with slow start and the initial window of
// RFC 6928. Windows are in bytes; the cubic's own figures in segments.
const (
	cubicC    = 0.4
	cubicBeta = 0.7
	// cubicAlpha makes CUBIC as aggressive as Reno where Reno would be faster
	// (section 4.3).
	cubicAlpha = 3 * (1 - cubicBeta) / (1 + cubicBeta)
)

type congestion struct {
	cwnd     int
	ssthresh int

	wMax     float64 // segments
	k        float64 // seconds from epoch until wMax is reached again
	epoch    int64   // when growth began after a loss, 0 before that
	wEst     float64 // what Reno would have, in segments
	fraction float64 // growth not yet worth a byte

	limited bool // the window, not the program or the peer, held us back
	sentAt  int64
}

// open sets the initial window.
func (g *congestion) open(mss int) {
	g.cwnd = min(10*mss, max(2*mss, 14600))
	g.ssthresh = math.MaxInt32
}

// grow takes in that acked bytes arrived.
func (g *congestion) grow(acked, mss int, now, srtt int64) {
	if !g.limited {
		return
	}
	if g.cwnd < g.ssthresh {
		g.cwnd = min(g.cwnd+acked, g.ssthresh+mss)
		return
	}
	if g.epoch == 0 {
		g.beginEpoch(mss, now)
	}
	w := float64(g.cwnd) / float64(mss)
	t := float64(now-g.epoch+srtt)/1e9 - g.k
	target := min(max(cubicC*t*t*t+g.wMax, w), 1.5*w)
	alpha := cubicAlpha
	if g.wEst >= g.wMax {
		alpha = 1
	}
	segments := float64(acked) / float64(mss)
	g.wEst += alpha * segments / w
	gain := (target - w) / w * segments
	if g.wEst > w+gain {
		gain = g.wEst - w
	}
	g.fraction += gain * float64(mss)
	whole := int(g.fraction)
	g.cwnd += whole
	g.fraction -= float64(whole)
}

func (g *congestion) beginEpoch(mss int, now int64) {
	w := float64(g.cwnd) / float64(mss)
	g.epoch = now
	g.wEst = w
	g.k = 0
	if w < g.wMax {
		g.k = math.Cbrt((g.wMax - w) / cubicC)
	} else {
		g.wMax = w
	}
}

// shrink takes in that a packet was lost with flight bytes on their way.
func (g *congestion) shrink(flight, mss int) {
	w := float64(g.cwnd) / float64(mss)
	if w < g.wMax {
		g.wMax = w * (1 + cubicBeta) / 2 // fast convergence, section 4.7
	} else {
		g.wMax = w
	}
	g.epoch = 0
	g.fraction = 0
	g.ssthresh = max(int(float64(min(flight, g.cwnd))*cubicBeta), 2*mss)
}

// idle restarts slow start after a pause longer than the retransmission time-out
// (RFC 5681, section 4.1).
func (g *congestion) idle(mss int) {
	g.cwnd = min(g.cwnd, min(10*mss, max(2*mss, 14600)))
	g.epoch = 0
}
