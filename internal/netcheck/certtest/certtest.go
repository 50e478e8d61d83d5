// Package certtest makes certificates for tests of TLS connections: valid ones,
// and ones with a fault.
package certtest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"testing"
	"time"
)

// Day is a day as the probers count them.
const Day = 24 * time.Hour

// An Authority signs certificates.
type Authority struct {
	cert  *x509.Certificate
	key   *ecdsa.PrivateKey
	chain [][]byte // up to but without the root
}

// NewAuthority returns a root authority that is valid for a time from now.
func NewAuthority(t testing.TB, name string, valid time.Duration) *Authority {
	t.Helper()
	return sign(t, nil, template(name, time.Now().Add(-400*Day), time.Now().Add(valid), true))
}

// Intermediate returns an authority that a vouches for.
func (a *Authority) Intermediate(t testing.TB, name string, valid time.Duration) *Authority {
	t.Helper()
	return sign(t, a, template(name, time.Now().Add(-400*Day), time.Now().Add(valid), true))
}

// Pool returns a pool that trusts the authority.
func (a *Authority) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return pool
}

// Leaf returns a server's certificate for host names or addresses that is valid
// between two times from now.
func (a *Authority) Leaf(t testing.TB, from, to time.Duration, hosts ...string) tls.Certificate {
	t.Helper()
	tmpl := template("leaf", time.Now().Add(from), time.Now().Add(to), false)
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			tmpl.IPAddresses = append(tmpl.IPAddresses, ip)
		} else {
			tmpl.DNSNames = append(tmpl.DNSNames, host)
		}
	}
	leaf := sign(t, a, tmpl)
	return tls.Certificate{Certificate: leaf.chain, PrivateKey: leaf.key, Leaf: leaf.cert}
}

func template(name string, from, to time.Time, authority bool) *x509.Certificate {
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()),
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    from,
		NotAfter:     to,
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if authority {
		tmpl.IsCA, tmpl.BasicConstraintsValid = true, true
		tmpl.KeyUsage, tmpl.ExtKeyUsage = x509.KeyUsageCertSign, nil
	}
	return tmpl
}

// sign makes a certificate that by vouches for, or nil for itself.
func sign(t testing.TB, by *Authority, tmpl *x509.Certificate) *Authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	a := &Authority{key: key}
	parent, parentKey := tmpl, key
	if by != nil {
		parent, parentKey = by.cert, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, parent, key.Public(), parentKey)
	if err != nil {
		t.Fatal(err)
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	if by != nil {
		a.chain = append([][]byte{der}, by.chain...)
	}
	return a
}
