package netcheck

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"go.acu.edu.au/runbook/health"
)

// defaultWarn leaves three weeks to renew a certificate. Certificates that
// renew themselves do so with a third of their time left: 30 days of 90.
const defaultWarn = 21 * 24 * time.Hour

// Certificates says how much time the certificates of a server must have left.
type Certificates struct {
	// Warn degrades from this time left on. Zero means 21 days, negative never.
	Warn time.Duration
	// Fail fails from this time left on. Zero or negative: when expired.
	Fail time.Duration
}

// Validate returns what is wrong with CertificateWarn, or nil.
func (c Certificates) Validate() error {
	if c.Warn > 0 && c.Fail > 0 && c.Warn <= c.Fail {
		return fmt.Errorf("%v must be more than CertificateFail (%v)", c.Warn, c.Fail)
	}
	return nil
}

// An Expiry is the end of the validity of what a server showed.
type Expiry struct {
	// At is when it ends.
	At time.Time
	// Certificate is the one that ends first.
	Certificate *x509.Certificate
	// Issuer is set when that is not the server's own certificate but one of
	// those that vouch for it.
	Issuer bool
}

// ExpiryOf returns when the certificates of a connection expire. Where they
// were verified, that is when the last of the verified chains ends, and a chain
// ends with its first certificate. Where they were not, the server's own
// certificate counts: what else it sent may be superfluous.
func ExpiryOf(state *tls.ConnectionState) (Expiry, bool) {
	if state == nil || len(state.PeerCertificates) == 0 {
		return Expiry{}, false
	}
	if len(state.VerifiedChains) == 0 {
		leaf := state.PeerCertificates[0]
		return Expiry{At: leaf.NotAfter, Certificate: leaf}, true
	}
	var best Expiry
	for _, chain := range state.VerifiedChains {
		var first Expiry
		for i, c := range chain {
			if i == 0 || c.NotAfter.Before(first.At) {
				first = Expiry{At: c.NotAfter, Certificate: c, Issuer: i > 0}
			}
		}
		if first.At.After(best.At) {
			best = first
		}
	}
	return best, best.Certificate != nil
}

// ExpiryOfRefused returns when the server's certificate that failed the
// verification of err expires or has expired.
func ExpiryOfRefused(err error) (Expiry, bool) {
	e, ok := errors.AsType[*tls.CertificateVerificationError](err)
	if !ok || len(e.UnverifiedCertificates) == 0 {
		return Expiry{}, false
	}
	leaf := e.UnverifiedCertificates[0]
	return Expiry{At: leaf.NotAfter, Certificate: leaf}, true
}

// Measurement returns the days left as certificate_expiry. They are negative
// after the expiry.
func (e Expiry) Measurement() health.Measurement {
	return health.Measurement{Name: "certificate_expiry", Value: Days(time.Until(e.At)), Unit: health.Days}
}

// Apply returns r with the days left as a measurement, and worse if they are
// too few.
func (c Certificates) Apply(r health.Result, e Expiry) health.Result {
	warn := c.Warn
	if warn == 0 {
		warn = defaultWarn
	}
	r = With(r, e.Measurement())
	whose := "the certificate of " + names(e.Certificate)
	if e.Issuer {
		whose = "the authority certificate " + Quote(e.Certificate.Subject.String())
	}
	left := time.Until(e.At)
	switch {
	case left <= 0:
		return r.Worsen(health.Unhealthy, health.CauseCertificate, fmt.Sprintf("%s expired on %s", whose, day(e.At)))
	case c.Fail > 0 && left <= c.Fail:
		return r.Worsen(health.Unhealthy, health.CauseCertificate, expiresSoon(whose, e.At, left, c.Fail))
	case left <= warn:
		return r.Worsen(health.Degraded, health.CauseCertificate, expiresSoon(whose, e.At, left, warn))
	}
	return r
}

func expiresSoon(whose string, at time.Time, left, want time.Duration) string {
	return fmt.Sprintf("%s expires on %s, in %.1f days, want more than %.4g", whose, day(at), left.Hours()/24, want.Hours()/24)
}
