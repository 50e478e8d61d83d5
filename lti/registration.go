package lti

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// A Registration is what a platform and this tool agreed on. It is identified by
// Issuer and ClientID together: one issuer may have many client ids, and a copy
// of a platform (Canvas beta and test) has another issuer and the same client
// ids (LTI Core 1.3, section 3.1.3).
type Registration struct {
	// Issuer is the platform's iss, letter by letter: a slash at its end counts.
	// Required.
	Issuer string
	// ClientID is the tool's id at the platform. Required.
	ClientID string
	// AuthURL is the platform's OIDC authentication endpoint, to which the browser
	// is sent. It may have a query of its own, which is kept. https. Required.
	AuthURL string
	// JWKSURL is where the platform's keys are. https. Required.
	JWKSURL string
	// TokenURL is the token endpoint for services. "{host}" in place of the host
	// means the host of the service that is called, as Canvas has it: the token
	// endpoint is that of the account, which a launch does not name. https. Empty
	// means that no services are used.
	TokenURL string
	// TokenAudience is the aud of the assertion for TokenURL. Empty means the
	// TokenURL itself.
	TokenAudience string
	// ServiceHosts are the hosts to which access tokens may go, beside that of
	// TokenURL: "school.instructure.com", or "*.instructure.com" for all below. A
	// TokenURL with "{host}" needs them.
	ServiceHosts []string
	// Deployments are the deployment ids that are known. Launches from others are
	// put to [Config].Deployment.
	Deployments []string
	// TrustedAudiences may stand in aud beside ClientID. Others are refused.
	TrustedAudiences []string
	// Algorithms are those that the platform may sign with: RS256, RS384, RS512.
	// Empty means RS256 alone, which is what LTI platforms use.
	Algorithms []string
	// AllowAnonymous accepts launches without sub (LTI Core 1.3, section
	// 5.3.6.1). The certification wants them refused.
	AllowAnonymous bool
	// External says that the addresses came from outside, by dynamic
	// registration, rather than from an operator: nothing is fetched from
	// private addresses then.
	External bool
}

// Canvas environments, by the name in the host of their endpoints.
const (
	CanvasProduction = ""
	CanvasBeta       = "beta"
	CanvasTest       = "test"
)

// CanvasRegistration returns the registration of a tool in Instructure's hosted
// Canvas. environment is one of the constants; account is the host of the
// institution in that environment, "school.beta.instructure.com", whose services
// the tool calls. Issuer and endpoints are those that Instructure publishes
// (developerdocs.instructure.com, LTI launch overview); they are the same for
// all institutions.
func CanvasRegistration(environment, clientID, account string) Registration {
	infix := ""
	if environment != CanvasProduction {
		infix = environment + "."
	}
	sso := "https://sso." + infix + "canvaslms.com/api/lti/"
	return Registration{
		Issuer: "https://canvas." + infix + "instructure.com", ClientID: clientID,
		AuthURL: sso + "authorize_redirect", JWKSURL: sso + "security/jwks",
		TokenURL: "https://" + account + "/login/oauth2/token",
	}
}

// Validate returns everything that is wrong with the registration, or nil.
func (r Registration) Validate() error {
	var problems []error
	add := func(format string, args ...any) {
		problems = append(problems, fmt.Errorf("lti: registration of %s, client %s: "+format, append([]any{quote(r.Issuer), quote(r.ClientID)}, args...)...))
	}
	if r.Issuer == "" || r.ClientID == "" {
		add("Issuer and ClientID are required")
	}
	if len(r.Issuer)+len(r.ClientID) > maxIdentity {
		add("Issuer and ClientID are longer than %d bytes together", maxIdentity)
	}
	if err := checkPage(r.AuthURL); err != nil {
		add("AuthURL: %w", err)
	}
	if err := checkURL(r.JWKSURL); err != nil {
		add("JWKSURL: %w", err)
	}
	if r.TokenURL != "" {
		if err := checkURL(strings.Replace(r.TokenURL, hostPlace, "host.example", 1)); err != nil {
			add("TokenURL: %w", err)
		}
		if strings.Contains(r.TokenURL, hostPlace) && len(r.ServiceHosts) == 0 {
			add("TokenURL has %s, and ServiceHosts is empty", hostPlace)
		}
	}
	for _, a := range r.Algorithms {
		if !slices.Contains(algorithms, a) {
			add("algorithm %s: only %s are allowed", quote(a), strings.Join(algorithms, ", "))
		}
	}
	for _, h := range r.ServiceHosts {
		if bare := strings.TrimPrefix(h, "*."); bare == "" || strings.ContainsAny(bare, "*/:@ ") || !strings.Contains(bare, ".") {
			add("service host %s: must be a host name, or one after \"*.\"", quote(h))
		}
	}
	return errors.Join(problems...)
}

const (
	hostPlace   = "{host}" // in a TokenURL
	maxIdentity = 600      // of issuer and client id, so that the state stays small
)

var algorithms = []string{"RS256", "RS384", "RS512"} //nolint:gochecknoglobals // constant

// checkURL returns what is wrong with an address that must be absolute and
// https. http is allowed on loopback, for tests. The address is not quoted: it may
// come with a secret in its query.
func checkURL(address string) error {
	u, err := url.Parse(address)
	switch {
	case address == "":
		return errors.New("is required")
	case err != nil || u.Host == "" || u.Hostname() == "" || u.Opaque != "":
		return errors.New("must have the form https://host/path")
	case u.User != nil || u.Fragment != "":
		return errors.New("must have neither a user nor a fragment")
	case u.Scheme != "https" && (u.Scheme != "http" || !isLoopback(u.Hostname())):
		return errors.New("must be https")
	}
	return nil
}

// checkPage is checkURL for an address that browsers open: its origin is compared
// with what they say, and stands in headers.
func checkPage(address string) error {
	if err := checkURL(address); err != nil {
		return err
	}
	if u, err := url.Parse(address); err != nil || !plainHost(u) {
		return errors.New("must have a host name of ASCII letters and digits (xn--… for others), and no empty port")
	}
	return nil
}

// plainHost reports whether browsers write a host as it stands here. url.Parse
// also takes characters that end a directive of Content-Security-Policy.
func plainHost(u *url.URL) bool {
	if strings.HasPrefix(u.Host, "[") {
		ip, err := netip.ParseAddr(u.Hostname())
		return err == nil && ip.Zone() == "" && !strings.HasSuffix(u.Host, ":")
	}
	return u.Host != "" && !strings.HasSuffix(u.Host, ":") && !strings.ContainsFunc(u.Hostname(), func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') && r != '.' && r != '-' && r != '_'
	})
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// ServesHost reports whether an access token of this registration may go to a
// host (without port).
func (r Registration) ServesHost(host string) bool {
	host = strings.ToLower(host)
	if u, err := url.Parse(r.TokenURL); err == nil && u.Hostname() != "" && u.Hostname() != hostPlace && strings.EqualFold(u.Hostname(), host) {
		return true
	}
	for _, h := range r.ServiceHosts {
		h = strings.ToLower(h)
		if below, ok := strings.CutPrefix(h, "*"); ok && strings.HasSuffix(host, below) || h == host {
			return true
		}
	}
	return false
}
