package dynreg

import (
	"errors"
	"net/url"
	"slices"
	"strings"

	"go.acu.edu.au/runbook/internal/httpx"
)

// checkHosts compares the hosts of a platform with where its configuration came
// from, and with what is trusted.
func (r *Registrar) checkHosts(p *Platform, from string, in *invitation) *Error {
	source, err := parseAddress(from)
	issuer, err2 := parseAddress(p.Issuer)
	endpoint, err3 := parseAddress(p.RegistrationURL)
	if err != nil || err2 != nil || err3 != nil {
		return fail(ReasonConfiguration, "an address cannot be read") // cannot be: they were checked
	}
	trust, known := r.trusted[p.Issuer]
	if host := hostOf(source); host != hostOf(issuer) && !isOneOf(host, trust.ConfigurationHosts) {
		return fail(ReasonIssuer, "the configuration came from %s and says that its issuer is %s", quote(host), quote(p.Issuer))
	}
	e := &Error{Reason: ReasonPlatform, Issuer: p.Issuer}
	switch {
	case in.Issuer != "" && in.Issuer != p.Issuer:
		e.Detail = "the invitation is for issuer " + quote(in.Issuer)
		return e
	case r.cfg.OnlyTrusted && !known:
		e.Detail = "the issuer is not in Config.Trusted"
		return e
	}
	hosts := slices.Concat([]string{hostOf(issuer)}, trust.Hosts, canvasHosts(p.Issuer))
	if in.Issuer == p.Issuer {
		hosts = append(hosts, in.Hosts...)
	}
	e.Reason = ReasonIssuer
	if host := hostOf(endpoint); !isOneOf(host, hosts) {
		e.Detail = "registration_endpoint is at " + quote(host) + ", which is not the issuer's host: " + ifItBelongs
		return e
	}
	token, err := parseAddress(p.TokenURL)
	p.ownTokens = err == nil && isOneOf(hostOf(token), hosts)
	if host := p.audienceHost(); host != "" && (err != nil || host != hostOf(token)) && !isOneOf(host, hosts) {
		// An assertion is worth an access token to whoever it is for. A platform that
		// could have one for another's server would get it, and use it there.
		e.Detail = "authorization_server is " + quote(p.AuthorizationServer) + ", which is neither at the token endpoint's host nor at the issuer's: " + ifItBelongs
		return e
	}
	if err := p.registration("client", "").Validate(); err != nil { // before anything is sent
		e.Reason, e.Detail = ReasonConfiguration, printable(err.Error(), 300)
		return e
	}
	return nil
}

const ifItBelongs = "if it belongs to the platform, name its host in the Invitation or in Config.Trusted"

// audienceHost is the host of the aud that the platform wants; empty means that
// nothing is wanted, or that it does not count.
func (p *Platform) audienceHost() string {
	// Canvas names its host there, and wants the token endpoint as aud.
	if p.AuthorizationServer == "" || p.isCanvas() {
		return ""
	}
	if u, err := parseAddress(p.AuthorizationServer); err == nil {
		return hostOf(u)
	}
	return strings.ToLower(p.AuthorizationServer) // a bare host, or nothing that is trusted
}

// trust adds what is trusted of one platform.
func (r *Registrar) trust(t Trust, p *problems) {
	if err := checkAddress(t.Issuer); err != nil {
		p.add("dynreg: trusted issuer %s: %w", quote(t.Issuer), err)
	}
	for _, host := range slices.Concat(t.ConfigurationHosts, t.Hosts) {
		if !isHostPattern(host) {
			p.add("dynreg: trusted issuer %s: host %s: must be a host name, or one after \"*.\"", quote(t.Issuer), quote(host))
		}
	}
	if _, twice := r.trusted[t.Issuer]; twice {
		p.add("dynreg: trusted issuer %s comes twice", quote(t.Issuer))
	}
	r.trusted[t.Issuer] = Trust{t.Issuer, slices.Clone(t.ConfigurationHosts), slices.Clone(t.Hosts)}
}

// canvasHosts are those of hosted Canvas in the environment of the issuer: the
// registration endpoint is at the institution's host.
func canvasHosts(issuer string) []string {
	for _, infix := range [...]string{"", "beta.", "test."} {
		if issuer == "https://canvas."+infix+"instructure.com" {
			return []string{"*." + infix + "instructure.com", "sso." + infix + "canvaslms.com"}
		}
	}
	return nil
}

// checkAddress returns what is wrong with an address that has to be https and
// public. It is not quoted: it may come with a secret.
func checkAddress(address string) error {
	_, err := parseAddress(address)
	return err
}

func parseAddress(address string) (*url.URL, error) {
	const most = 4096
	if address == "" {
		return nil, errors.New("is required")
	}
	u, err := url.Parse(address)
	switch {
	case len(address) > most:
		return nil, errors.New("is too long")
	case err != nil || u.Opaque != "" || u.Host == "" || u.Hostname() == "":
		return nil, errors.New("must have the form https://host/path")
	case u.Scheme != "https":
		return nil, errors.New("must be https")
	case u.User != nil || u.Fragment != "":
		return nil, errors.New("must have neither a user nor a fragment")
	}
	return u, httpx.PublicHost(u.Hostname())
}

// hostOf returns host and port of an address in one spelling: in lower case, and
// without the port that https has anyway.
func hostOf(u *url.URL) string { return strings.TrimSuffix(strings.ToLower(u.Host), ":443") }

// originOf returns the origin of an address that was checked.
func originOf(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || strings.ContainsAny(u.Host, " ;,'\"") {
		return ""
	}
	return "https://" + hostOf(u)
}

func isHostPattern(host string) bool {
	bare := strings.TrimPrefix(host, "*.")
	u, err := url.Parse("https://" + bare)
	return err == nil && u.Host == bare && strings.Contains(bare, ".") && !strings.ContainsAny(bare, "*@/?#[] ")
}

// isOneOf reports whether host is one of the hosts or patterns.
func isOneOf(host string, patterns []string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		pattern = strings.TrimSuffix(strings.ToLower(pattern), ":443")
		below, ok := strings.CutPrefix(pattern, "*")
		return ok && strings.HasSuffix(host, below) && len(host) > len(below) || pattern == host
	})
}
