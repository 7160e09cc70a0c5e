package dns

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/binary"
	"net/netip"
	"time"

	"github.com/dchest/siphash"
)

// cookies makes and checks server cookies as RFC 9018, section 4 lays them out, so
// that servers of one address may share a secret.
type cookies struct {
	k0, k1 uint64
	now    func() time.Time
}

// Bounds of a server cookie's age (RFC 9018, section 4.3).
const (
	cookieAge    = time.Hour
	cookieFuture = 5 * time.Minute
)

// newCookies takes a secret of 16 octets, or makes one up.
func newCookies(secret []byte) *cookies {
	if len(secret) != 16 {
		secret = make([]byte, 16)
		rand.Read(secret)
	}
	return &cookies{binary.LittleEndian.Uint64(secret), binary.LittleEndian.Uint64(secret[8:]), time.Now}
}

// answer writes the whole cookie for a client's first eight octets into buf.
func (c *cookies) answer(buf *[24]byte, client []byte, from netip.Addr) []byte {
	copy(buf[:8], client)
	buf[8], buf[9], buf[10], buf[11] = 1, 0, 0, 0
	binary.BigEndian.PutUint32(buf[12:], uint32(c.now().Unix()))
	c.sign(buf, from)
	return buf[:]
}

// sign fills in the hash of what stands before it and the client's address.
func (c *cookies) sign(buf *[24]byte, from netip.Addr) {
	var in [32]byte
	copy(in[:], buf[:16])
	n := 16
	if from = from.Unmap(); from.Is4() {
		a := from.As4()
		n += copy(in[16:], a[:])
	} else {
		a := from.As16()
		n += copy(in[16:], a[:])
	}
	binary.LittleEndian.PutUint64(buf[16:], siphash.Hash(c.k0, c.k1, in[:n]))
}

// valid tells whether a client sent a cookie that this server gave it.
func (c *cookies) valid(cookie []byte, from netip.Addr) bool {
	if len(cookie) != 24 || cookie[8] != 1 {
		return false
	}
	age := time.Duration(int32(uint32(c.now().Unix())-binary.BigEndian.Uint32(cookie[12:]))) * time.Second
	if age > cookieAge || age < -cookieFuture {
		return false
	}
	var want [24]byte
	copy(want[:], cookie[:16])
	c.sign(&want, from)
	return subtle.ConstantTimeCompare(want[16:], cookie[16:]) == 1
}
