package kernel

import "testing"

func TestParsePlace(t *testing.T) {
	for text, want := range map[string]mmioPlace{
		"512@0xfeb00e00:12": {512, 0xfeb00e00, 12},
		"4K@0x1000:5":       {4096, 0x1000, 5},
		"0x200@4096:7:3":    {512, 4096, 7},
	} {
		if got, err := parsePlace(text); err != nil || got != want {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "512", "512@1", "x@1:2", "1@x:2", "1@1:x", "1@0xfffffffffffff:1"} {
		if _, err := parsePlace(text); err == nil {
			t.Errorf("%q is accepted", text)
		}
	}
}

func TestParseNet(t *testing.T) {
	c, err := parseNet("mac=52:54:00:12:34:56 addr=10.0.2.15/24 addr=fd00::2/64 gw=10.0.2.2 dns=10.0.2.3 route=10.1.0.0/16,10.0.2.9 slaac")
	if err != nil {
		t.Fatal(err)
	}
	if !c.hasMAC || c.mac != [6]byte{0x52, 0x54, 0, 0x12, 0x34, 0x56} {
		t.Errorf("mac %x", c.mac)
	}
	conf := c.conf
	if len(conf.Addrs) != 2 || len(conf.Gateways) != 1 || len(conf.Nameservers) != 1 || len(conf.Routes) != 1 || !conf.SLAAC || conf.DHCP {
		t.Errorf("got %+v", conf)
	}
	for _, bad := range []string{"mac=1", "addr=1.2.3.4", "gw=x", "dns=", "route=1.2.3.4,5", "what=1"} {
		if _, err := parseNet(bad); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
}

func FuzzParseNet(f *testing.F) {
	f.Add("mac=52:54:00:12:34:56 addr=10.0.2.15/24 route=10.1.0.0/16,10.0.2.9")
	f.Fuzz(func(t *testing.T, s string) { parseNet(s); parsePlace(s) })
}
