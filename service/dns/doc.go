// Package dns is a name server: authoritative for zones in RFC 1035 master
// files, for the names of the services of its own deployment, and, for clients
// that are allowed to, a caching forwarder.
//
// It relies on github.com/miekg/dns for the presentation and wire format of
// records, and on RFC 1034, 1035, 2181, 2308, 4592 (wildcards), 6672 (DNAME),
// 6891 (EDNS), 7766 (TCP), 7873 and 9018 (cookies), 8482 (ANY), 5936 (AXFR).
// The path of a query over UDP is our own, because it must not allocate.
//
// It must not write anything for a query but the answer and counters, must not
// sign zones (DNSSEC) and must not recurse from the root.
package dns
