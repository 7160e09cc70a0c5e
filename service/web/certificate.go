package web

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net"
	"os"
	"sync/atomic"
	"time"
)

// selfMadeLife is how long a self-made certificate is valid; a new one is made
// after two thirds of it.
const selfMadeLife = 90 * 24 * time.Hour

// certificate is the one that is shown now. It may be replaced at any time.
type certificate struct {
	config  *Config
	current atomic.Pointer[tls.Certificate]
	renew   atomic.Int64 // Unix seconds; 0: it comes from files
}

// load reads the files, or makes a certificate. On failure the old one stays.
func (c *certificate) load(now time.Time) error {
	if c.config.Certificate == "" {
		return c.make(now)
	}
	pair, err := tls.LoadX509KeyPair(c.config.Certificate, c.config.Key)
	if err != nil {
		return fmt.Errorf("certificate %s, key %s: %w", c.config.Certificate, c.config.Key, err)
	}
	c.current.Store(&pair)
	return nil
}

// make makes a certificate for the configured hosts.
func (c *certificate) make(now time.Time) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: c.config.Hosts[0]},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(selfMadeLife),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
	}
	for _, host := range c.config.Hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return err
	}
	c.current.Store(&tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key})
	c.renew.Store(now.Add(selfMadeLife * 2 / 3).Unix())
	return nil
}

// get is tls.Config.GetCertificate.
func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	return c.current.Load(), nil
}

// signature changes when the files do.
func (c *certificate) signature() string {
	s := ""
	for _, name := range []string{c.config.Certificate, c.config.Key} {
		if info, err := os.Stat(name); err == nil {
			s += fmt.Sprint(info.Size(), info.ModTime().UnixNano(), " ")
		}
	}
	return s
}

// due tells whether a self-made certificate is to be made anew.
func (c *certificate) due(now time.Time) bool {
	at := c.renew.Load()
	return at != 0 && now.Unix() >= at
}
