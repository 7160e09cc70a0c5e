package nft

import "pith/service/packet"

// typ is a kind of value: how it is written, and what sets may hold it.
type typ uint8

const (
	typNone typ = iota
	typAddr4
	typAddr6
	typName   // of an interface
	typProto  // a transport protocol
	typPort   // a port
	typFlags  // TCP's
	typState  // ct state
	typStatus // ct status
	typDirection
	typICMP
	typICMP6
	typDSCP
	typMark
	typNumber
	typFamily // meta nfproto
)

// setTypes are the names of types in set declarations.
var setTypes = map[string]typ{
	"ipv4_addr": typAddr4, "ipv6_addr": typAddr6, "ifname": typName, "iface_index": typName,
	"inet_proto": typProto, "inet_service": typPort, "tcp_flag": typFlags, "ct_state": typState,
	"icmp_type": typICMP, "icmpv6_type": typICMP6, "dscp": typDSCP, "mark": typMark,
	"nf_proto": typFamily,
}

// String is the type's name in an error.
func (t typ) String() string {
	return [...]string{"nothing", "an IPv4 address", "an IPv6 address", "an interface's name", "a protocol", "a port",
		"TCP flags", "a connection state", "a connection's status", "original or reply", "an ICMP type", "an ICMPv6 type",
		"a DSCP", "a mark", "a number", "ipv4 or ipv6"}[t]
}

// field is what a rule can ask for.
type field struct {
	name string
	typ  typ
	bits int
	id   fieldID
	v    uint8 // 4, 6, or 0: the IP version that it is of
	l4   uint8 // the protocol that it is of; 0: any
}

type fieldID uint8

const (
	fNone fieldID = iota
	fIn
	fOut
	fL4Proto
	fNFProto
	fMark
	fLength
	fState
	fDirection
	fCTMark
	fStatus
	fSrc
	fDst
	fIPProtocol
	fTTL
	fDSCP
	fIPLength
	fIPID
	fHeaderLen
	fSrcPort
	fDstPort
	fFlags
	fUDPLength
	fType
	fCode
	fThSrc
	fThDst
	fICMPID
)

// fields by the words that name them.
var fields = map[string]field{
	"iif":          {typ: typName, bits: 128, id: fIn},
	"oif":          {typ: typName, bits: 128, id: fOut},
	"iifname":      {typ: typName, bits: 128, id: fIn},
	"oifname":      {typ: typName, bits: 128, id: fOut},
	"meta l4proto": {typ: typProto, bits: 8, id: fL4Proto},
	"meta nfproto": {typ: typFamily, bits: 8, id: fNFProto},
	"meta mark":    {typ: typMark, bits: 32, id: fMark},
	"meta length":  {typ: typNumber, bits: 32, id: fLength},
	"ct state":     {typ: typState, bits: 32, id: fState},
	"ct direction": {typ: typDirection, bits: 8, id: fDirection},
	"ct mark":      {typ: typMark, bits: 32, id: fCTMark},
	"ct status":    {typ: typStatus, bits: 32, id: fStatus},
	"ip saddr":     {typ: typAddr4, bits: 32, id: fSrc, v: 4},
	"ip daddr":     {typ: typAddr4, bits: 32, id: fDst, v: 4},
	"ip protocol":  {typ: typProto, bits: 8, id: fIPProtocol, v: 4},
	"ip ttl":       {typ: typNumber, bits: 8, id: fTTL, v: 4},
	"ip dscp":      {typ: typDSCP, bits: 6, id: fDSCP, v: 4},
	"ip length":    {typ: typNumber, bits: 16, id: fIPLength, v: 4},
	"ip id":        {typ: typNumber, bits: 16, id: fIPID, v: 4},
	"ip hdrlength": {typ: typNumber, bits: 4, id: fHeaderLen, v: 4},
	"ip6 saddr":    {typ: typAddr6, bits: 128, id: fSrc, v: 6},
	"ip6 daddr":    {typ: typAddr6, bits: 128, id: fDst, v: 6},
	"ip6 nexthdr":  {typ: typProto, bits: 8, id: fIPProtocol, v: 6},
	"ip6 hoplimit": {typ: typNumber, bits: 8, id: fTTL, v: 6},
	"ip6 dscp":     {typ: typDSCP, bits: 6, id: fDSCP, v: 6},
	"ip6 length":   {typ: typNumber, bits: 16, id: fIPLength, v: 6},
	"tcp sport":    {typ: typPort, bits: 16, id: fSrcPort, l4: packet.TCP},
	"tcp dport":    {typ: typPort, bits: 16, id: fDstPort, l4: packet.TCP},
	"tcp flags":    {typ: typFlags, bits: 8, id: fFlags, l4: packet.TCP},
	"udp sport":    {typ: typPort, bits: 16, id: fSrcPort, l4: packet.UDP},
	"udp dport":    {typ: typPort, bits: 16, id: fDstPort, l4: packet.UDP},
	"udp length":   {typ: typNumber, bits: 16, id: fUDPLength, l4: packet.UDP},
	"th sport":     {typ: typPort, bits: 16, id: fThSrc},
	"th dport":     {typ: typPort, bits: 16, id: fThDst},
	"icmp type":    {typ: typICMP, bits: 8, id: fType, v: 4, l4: packet.ICMP},
	"icmp code":    {typ: typNumber, bits: 8, id: fCode, v: 4, l4: packet.ICMP},
	"icmp id":      {typ: typNumber, bits: 16, id: fICMPID, v: 4, l4: packet.ICMP},
	"icmpv6 type":  {typ: typICMP6, bits: 8, id: fType, v: 6, l4: packet.ICMPv6},
	"icmpv6 code":  {typ: typNumber, bits: 8, id: fCode, v: 6, l4: packet.ICMPv6},
	"icmpv6 id":    {typ: typNumber, bits: 16, id: fICMPID, v: 6, l4: packet.ICMPv6},
	"meta iif":     {typ: typName, bits: 128, id: fIn},
	"meta oif":     {typ: typName, bits: 128, id: fOut},
	"meta iifname": {typ: typName, bits: 128, id: fIn},
	"meta oifname": {typ: typName, bits: 128, id: fOut},
	"mark":         {typ: typMark, bits: 32, id: fMark},
}

// groups are the words that begin a field of two words.
var groups = map[string]bool{"meta": true, "ct": true, "ip": true, "ip6": true, "tcp": true, "udp": true, "th": true, "icmp": true, "icmpv6": true}

// names of values, by type.
var names = map[typ]map[string]uint64{
	typProto:     {"hopopt": 0, "icmp": 1, "igmp": 2, "ipv4": 4, "tcp": 6, "udp": 17, "dccp": 33, "ipv6": 41, "ipv6-route": 43, "ipv6-frag": 44, "gre": 47, "esp": 50, "ah": 51, "icmpv6": 58, "ipv6-icmp": 58, "ipv6-nonxt": 59, "ipv6-opts": 60, "ospf": 89, "sctp": 132, "udplite": 136},
	typFlags:     {"fin": 1, "syn": 2, "rst": 4, "psh": 8, "ack": 16, "urg": 32, "ecn": 64, "cwr": 128},
	typState:     {"invalid": StateInvalid, "established": StateEstablished, "related": StateRelated, "new": StateNew, "untracked": StateUntracked},
	typStatus:    {"expected": 1, "seen-reply": 2, "assured": 4, "confirmed": 8, "snat": StatusSNAT, "dnat": StatusDNAT, "dying": 512},
	typDirection: {"original": 0, "reply": 1},
	typFamily:    {"ipv4": 2, "ipv6": 10},
	typICMP: {"echo-reply": 0, "destination-unreachable": 3, "source-quench": 4, "redirect": 5, "echo-request": 8, "router-advertisement": 9,
		"router-solicitation": 10, "time-exceeded": 11, "parameter-problem": 12, "timestamp-request": 13, "timestamp-reply": 14,
		"info-request": 15, "info-reply": 16, "address-mask-request": 17, "address-mask-reply": 18},
	typICMP6: {"destination-unreachable": 1, "packet-too-big": 2, "time-exceeded": 3, "parameter-problem": 4, "echo-request": 128, "echo-reply": 129,
		"mld-listener-query": 130, "mld-listener-report": 131, "mld-listener-done": 132, "mld-listener-reduction": 132, "nd-router-solicit": 133,
		"nd-router-advert": 134, "nd-neighbor-solicit": 135, "nd-neighbor-advert": 136, "nd-redirect": 137, "router-renumbering": 138,
		"ind-neighbor-solicit": 141, "ind-neighbor-advert": 142, "mld2-listener-report": 143},
	typDSCP: {"cs0": 0, "cs1": 8, "cs2": 16, "cs3": 24, "cs4": 32, "cs5": 40, "cs6": 48, "cs7": 56, "df": 0, "be": 0, "lephb": 1,
		"af11": 10, "af12": 12, "af13": 14, "af21": 18, "af22": 20, "af23": 22, "af31": 26, "af32": 28, "af33": 30,
		"af41": 34, "af42": 36, "af43": 38, "va": 44, "ef": 46},
	typPort: {"ftp-data": 20, "ftp": 21, "ssh": 22, "telnet": 23, "smtp": 25, "domain": 53, "bootps": 67, "bootpc": 68, "tftp": 69,
		"http": 80, "kerberos": 88, "pop3": 110, "sunrpc": 111, "ntp": 123, "imap2": 143, "snmp": 161, "bgp": 179, "ldap": 389, "https": 443,
		"submission": 587, "ldaps": 636, "domain-s": 853, "imaps": 993, "pop3s": 995, "openvpn": 1194, "isakmp": 500, "ipsec-nat-t": 4500,
		"syslog": 514, "mysql": 3306, "postgresql": 5432, "sip": 5060, "mdns": 5353, "redis": 6379, "http-alt": 8080, "dhcpv6-client": 546, "dhcpv6-server": 547},
}

// nameOf is the name of a value, "" if it has none.
func (t typ) nameOf(v uint64) string {
	best := ""
	for name, value := range names[t] {
		if value == v && (best == "" || name < best) {
			best = name
		}
	}
	return best
}

// Connection states, as bits.
const (
	StateInvalid     = 1
	StateEstablished = 2
	StateRelated     = 4
	StateNew         = 8
	StateUntracked   = 64
)

// Bits of Context.Status.
const (
	StatusSNAT = 16
	StatusDNAT = 32
)

// Context is a packet with what is known of it.
type Context struct {
	Packet  *packet.Packet
	In, Out Value // of NameValue; zero: none
	State   uint8 // one bit
	Tracked bool  // there is a connection: the fields below count
	Reply   bool
	Status  uint32
	CTMark  uint32
	Mark    uint32
	Now     int64 // nanoseconds of any steady clock, for limits

	// Trace, if not nil, is told what was looked at.
	Trace *Trace
}

// load reads a field; false if the packet hasn't got it.
func (c *Context) load(id fieldID) (Value, bool) {
	p := c.Packet
	switch id {
	case fIn:
		return c.In, true
	case fOut:
		return c.Out, true
	case fSrc:
		return AddrValue(p.Src), true
	case fDst:
		return AddrValue(p.Dst), true
	case fState:
		return Value{0, uint64(c.State)}, true
	case fL4Proto:
		return Value{0, uint64(p.Protocol)}, true
	case fSrcPort:
		return Value{0, uint64(p.SrcPort)}, p.L4 != 0
	case fDstPort:
		return Value{0, uint64(p.DstPort)}, p.L4 != 0
	}
	n, ok := c.number(id)
	return Value{0, n}, ok
}

func (c *Context) number(id fieldID) (uint64, bool) {
	p := c.Packet
	switch id {
	case fNFProto:
		if p.Version == 6 {
			return 10, true
		}
		return 2, true
	case fMark:
		return uint64(c.Mark), true
	case fLength:
		return uint64(p.Length), true
	case fDirection:
		if c.Reply {
			return 1, c.Tracked
		}
		return 0, c.Tracked
	case fCTMark:
		return uint64(c.CTMark), c.Tracked
	case fStatus:
		return uint64(c.Status), c.Tracked
	case fTTL:
		return uint64(p.TTL), true
	case fDSCP:
		return uint64(p.TOS >> 2), true
	case fFlags:
		return uint64(p.Flags), p.L4 != 0
	case fType:
		return uint64(p.Type), p.L4 != 0
	case fCode:
		return uint64(p.Code), p.L4 != 0
	}
	return c.header(id)
}

// header reads what Parse has left in the packet.
func (c *Context) header(id fieldID) (uint64, bool) {
	p := c.Packet
	h, t := p.Bytes(), p.Transport()
	word := func(b []byte, at int) (uint64, bool) {
		if len(b) < at+2 {
			return 0, false
		}
		return uint64(b[at])<<8 | uint64(b[at+1]), true
	}
	switch id {
	case fIPProtocol:
		if p.Version == 6 {
			return uint64(h[6]), true
		}
		return uint64(h[9]), true
	case fIPLength:
		if p.Version == 6 {
			return word(h, 4)
		}
		return word(h, 2)
	case fIPID:
		return word(h, 4)
	case fHeaderLen:
		return uint64(h[0] & 15), true
	case fThSrc:
		return word(t, 0)
	case fThDst:
		return word(t, 2)
	case fUDPLength, fICMPID:
		return word(t, 4)
	}
	return 0, false
}
