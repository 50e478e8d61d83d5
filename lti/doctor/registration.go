package doctor

import (
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"go.acu.edu.au/runbook/incident"
)

// issuers are those of hosted Canvas, the same for all institutions
// (developerdocs.instructure.com, LTI launch overview).
var issuers = map[string]Environment{ //nolint:gochecknoglobals // constant
	"https://canvas.instructure.com":      Production,
	"https://canvas.beta.instructure.com": Beta,
	"https://canvas.test.instructure.com": Test,
}

// issuerOf returns the issuer of an environment.
func issuerOf(e Environment) string {
	for issuer, environment := range issuers {
		if environment == e {
			return issuer
		}
	}
	return ""
}

// environmentOf returns the environment of hosted Canvas to which an address
// belongs; empty if it is none of hosted Canvas.
func environmentOf(address string) Environment {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	host := strings.ToLower(u.Hostname())
	for _, domain := range []string{"instructure.com", "canvaslms.com"} {
		below, ok := strings.CutSuffix(host, "."+domain)
		if !ok {
			continue
		}
		switch {
		case below == "beta" || strings.HasSuffix(below, ".beta"):
			return Beta
		case below == "test" || strings.HasSuffix(below, ".test"):
			return Test
		}
		return Production
	}
	return ""
}

// canvas reports whether the platform is a hosted Canvas.
func (cfg *Config) canvas() bool {
	return environmentOf(cfg.Registration.Issuer) != "" || environmentOf(cfg.Registration.AuthURL) != ""
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// addresses looks at the form of the tool's own addresses.
func (x *exam) addresses() {
	for _, a := range []struct{ id, name, address string }{
		{"jwks", "JWKSURL", x.cfg.JWKSURL}, {"login", "LoginURL", x.cfg.LoginURL}, {"launch", "LaunchURL", x.cfg.LaunchURL},
		{"deep_link", "DeepLinkURL", x.cfg.DeepLinkURL},
	} {
		if a.address == "" {
			continue
		}
		if _, why := parse(a.address); why != "" {
			x.finding("address_"+a.id, incident.Certain, "The tool's "+a.name+" is not an address that a platform takes",
				"Configure the whole address as browsers see it, https://host/path.", a.name+" "+why)
		}
	}
}

// registration looks at issuer, addresses and algorithm of the registration.
func (x *exam) registration() {
	r := &x.cfg.Registration
	if r.Issuer == "" {
		x.skip("the issuer", "it was not given")
		return
	}
	before := x.since()
	x.issuer()
	x.endpoints()
	if x.cfg.canvas() && len(r.Algorithms) > 0 && !(len(r.Algorithms) == 1 && r.Algorithms[0] == "RS256") {
		l := incident.Possible
		if !slices.Contains(r.Algorithms, "RS256") {
			l = incident.Certain
		}
		x.finding("algorithm", l, "The tool expects another algorithm than RS256, which is what Canvas signs with",
			"Leave the algorithms of the registration empty, or set RS256.", "the registration has "+list(r.Algorithms))
	}
	if r.ClientID == "" || r.AuthURL == "" || r.JWKSURL == "" {
		x.skip("the whole registration", "client id, AuthURL or JWKSURL were not given")
	} else if err := r.Validate(); err != nil && x.since() == before {
		x.finding("registration", incident.Certain, "The registration of the platform is not complete or not valid", "Correct the registration of the tool as the evidence says.", lines(err)...)
	}
	if x.since() == before {
		x.right("registration: issuer %s and its addresses fit together", quote(r.Issuer))
	}
}

// lines returns joined errors, one each.
func lines(err error) []string {
	var out []string
	for line := range strings.Lines(err.Error()) {
		out = append(out, strings.TrimPrefix(strings.TrimSpace(line), "lti: "))
	}
	return out
}

// issuer looks at iss, which is compared letter by letter.
func (x *exam) issuer() {
	r, want := &x.cfg.Registration, x.cfg.Environment
	bare := strings.TrimRight(strings.TrimSpace(r.Issuer), "/")
	of, hosted := issuers[r.Issuer]
	evidence := []string{"the issuer is " + quote(r.Issuer)}
	switch {
	case hosted && want != "" && of != want && issuerOf(want) != "":
		x.finding("issuer_environment", incident.Certain, fmt.Sprintf("The issuer is that of %s, and this is %s", of, want),
			"Set the issuer "+issuerOf(want)+", and the addresses of that environment.", append(evidence, fmt.Sprintf("the issuer of %s is %s", want, issuerOf(want)))...)
	case hosted:
	case issuers[bare] != "":
		x.finding("issuer", incident.Certain, "The issuer is not written as Canvas writes it; it is compared letter by letter",
			"Set the issuer "+bare+", without anything before or behind it.", evidence...)
	case environmentOf(r.Issuer) != "":
		right := issuerOf(environmentOf(r.Issuer))
		if issuerOf(want) != "" {
			right = issuerOf(want)
		}
		x.finding("issuer", incident.Certain, "The issuer is the address of an account, and hosted Canvas has one issuer for all of them",
			"Set the issuer "+right+".", append(evidence, "hosted Canvas says "+right)...)
	}
}

// endpoints finds addresses of another environment than that of the issuer.
func (x *exam) endpoints() {
	r := &x.cfg.Registration
	want := x.cfg.Environment
	if of := environmentOf(r.Issuer); of != "" {
		want = of
	}
	if issuerOf(want) == "" || !x.cfg.canvas() {
		return
	}
	for _, a := range []struct{ name, address string }{{"AuthURL", r.AuthURL}, {"JWKSURL", r.JWKSURL}, {"TokenURL", r.TokenURL}} {
		of := environmentOf(strings.Replace(a.address, "{host}", "host.invalid", 1))
		if of == "" || of == want {
			continue
		}
		x.finding("endpoint_environment", incident.Certain, fmt.Sprintf("The %s is one of %s, and the issuer is that of %s", a.name, of, want),
			"Take issuer and addresses from the same environment.", a.name+" has the host "+quote(hostOf(a.address)), "the issuer is "+quote(r.Issuer))
	}
}

func hostOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return u.Host
}

// launchLife is how long Canvas waits for the authentication request of a login,
// and how old a token of it may therefore be.
const launchLife = 5 * time.Minute

// lives looks at how long the tool remembers.
func (x *exam) lives() {
	cfg := x.cfg
	if cfg.NonceLife == 0 {
		x.skip("how long nonces are remembered", "NonceLife was not given")
	} else {
		x.nonceLife()
	}
	if cfg.StateLife > 0 && cfg.StateLife < launchLife {
		x.finding("state_life", incident.Possible, "The tool forgets a login before the platform has answered it",
			"Take the answer to a login for 10 minutes.", fmt.Sprintf("state lives %v", cfg.StateLife), fmt.Sprintf("Canvas answers for up to %v", launchLife))
	}
}

func (x *exam) nonceLife() {
	cfg := x.cfg
	tokens, where := cfg.TokenLife, "tokens of the platform live"
	if e := x.examined; e != nil && !e.Expires.IsZero() && !e.Issued.IsZero() {
		if life := e.Expires.Sub(e.Issued); life > tokens && life <= 7*24*time.Hour {
			tokens, where = life, "the token lives"
		}
	}
	evidence := []string{fmt.Sprintf("a nonce is remembered for %v", cfg.NonceLife), fmt.Sprintf("%s %v", where, tokens)}
	const remedy = "Remember a nonce until its token has expired, with leeway: a little more than the life of tokens. A lti.Tool does."
	switch need := tokens + cfg.Leeway; {
	case cfg.NonceLife < tokens:
		x.finding("nonce_life", incident.Likely, "Nonces are forgotten before their tokens expire: a launch in flight fails, or a token can be used again",
			remedy, evidence...)
	case cfg.NonceLife < need:
		x.finding("nonce_life", incident.Possible, "Nonces are forgotten while their tokens are still taken because of leeway",
			remedy, append(evidence, fmt.Sprintf("leeway is %v", cfg.Leeway))...)
	default:
		x.right("nonces are remembered for %v, longer than tokens live", cfg.NonceLife)
	}
}

// frameOrigins returns the origins of the pages that show the tool.
func (cfg *Config) frameOrigins() []string {
	if len(cfg.FrameOrigins) > 0 {
		return cfg.FrameOrigins
	}
	address, why := cfg.tokenURL()
	if why != "" {
		address = cfg.Registration.Issuer
	}
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return nil
	}
	return []string{u.Scheme + "://" + u.Host}
}
