package inet

// Counters tells of the stack's counters by the names of Linux's /proc/net/snmp and
// netstat, as far as they mean the same.
func (s *Stack) Counters(add func(group, name string, value uint64)) {
	c := &s.stats
	add("Ip", "InHdrErrors", c.Malformed.Load())
	add("Tcp", "RetransSegs", c.Retransmits.Load())
	add("TcpExt", "SyncookiesSent", c.Cookies.Load())
	add("TcpExt", "ListenOverflows", c.AcceptFull.Load())
	add("TcpExt", "TCPTimeouts", c.Timeouts.Load())
	add("TcpExt", "TCPLossProbes", c.Probes.Load())
	add("TcpExt", "TCPSpuriousRTOs", c.SpuriousRepairs.Load())
	add("IpExt", "InCsumErrors", c.BadChecksum.Load())
}
