package bench

// ZoneName is the zone of Zone.
const ZoneName = "example.org"

// Zone is a small zone file, and questions about it as dnsperf takes them.
func Zone() (zone, questions []byte, err error) {
	if zone, err = workloadFiles.ReadFile("workloads/example.org.zone"); err != nil {
		return nil, nil, err
	}
	questions, err = workloadFiles.ReadFile("workloads/questions.txt")
	return zone, questions, err
}
