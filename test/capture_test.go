package test

import (
	"bytes"
	"encoding/binary"
	"net/http"
	"os"
	"path/filepath"
	"testing"
)

// TestCapture: the packets' file holds the request and its answer.
func TestCapture(t *testing.T) {
	file := filepath.Join(t.TempDir(), "a, b.pcap")
	addr := serving(t, "80", "--pcap", file, guest, "--", "serve")
	get(t, http.DefaultClient, "http://"+addr+"/captured")
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var request, answer bool
	for _, packet := range packets(t, data) {
		request = request || bytes.Contains(packet, []byte("GET /captured HTTP/1.1"))
		answer = answer || bytes.Contains(packet, []byte("hello from /captured"))
	}
	if !request || !answer {
		t.Errorf("request: %v, answer: %v, in %d bytes", request, answer, len(data))
	}
}

// packets takes a pcap file apart (draft-ietf-opsawg-pcap, sections 4 and 5).
func packets(t *testing.T, data []byte) (list [][]byte) {
	t.Helper()
	const fileHeader, packetHeader, magic = 24, 16, 0xa1b2c3d4
	if len(data) < fileHeader || binary.LittleEndian.Uint32(data) != magic {
		t.Fatalf("no pcap file: %.32x", data)
	}
	for data = data[fileHeader:]; len(data) >= packetHeader; {
		n := int(binary.LittleEndian.Uint32(data[8:]))
		if n > len(data)-packetHeader {
			break // still being written
		}
		list = append(list, data[packetHeader:packetHeader+n])
		data = data[packetHeader+n:]
	}
	return list
}
