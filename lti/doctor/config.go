package doctor

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/internal/httpx"
	"go.acu.edu.au/runbook/internal/netcheck"
	"go.acu.edu.au/runbook/internal/netcheck/httpcheck"
	"go.acu.edu.au/runbook/lti"
)

// Environment names what a tool is for.
type Environment string

// The environments that a school has of Canvas.
const (
	Production Environment = "production"
	Beta       Environment = "beta" // overwritten from production every week
	Test       Environment = "test" // overwritten from production every month
)

// Config is what an operator has. Every field is optional, but there must be
// something to look at.
type Config struct {
	// Environment is what the tool is for, to find an issuer or address of another
	// one; "prod" is Production too. Empty means that it is not known.
	Environment Environment
	// Registration is what the tool is configured with: issuer, client id, and the
	// platform's addresses. Any of it may be missing.
	Registration lti.Registration

	// PrivateKey is the tool's key as it is stored, in whatever form.
	PrivateKey runbook.Secret
	// PreviousKeys are keys that still have to be published.
	PreviousKeys []runbook.Secret
	// KeyID is the kid with which the tool signs. Empty means that it is not known;
	// a lti.KeyRing uses the RFC 7638 thumbprint.
	KeyID string
	// KnownKeys are keys that were published earlier, kid to thumbprint, as
	// [Thumbprints] returns them, to find a kid that names another key now.
	KnownKeys map[string]string

	// JWKSURL, LoginURL and LaunchURL are the tool's own addresses: of its key set,
	// of login initiation, and the redirect URI.
	JWKSURL, LoginURL, LaunchURL string
	// TargetLinkURI is what is launched, for the login. Empty means LaunchURL.
	TargetLinkURI string
	// DeepLinkURL is the target link URI of deep linking.
	DeepLinkURL string
	// Placements are those that the tool should have at the platform. Their
	// Enabled is not looked at.
	Placements []Placement
	// FrameOrigins are the origins of the pages that show the tool:
	// "https://school.instructure.com". None means that of the token endpoint, or
	// else of the issuer.
	FrameOrigins []string

	// NonceLife is how long the tool remembers a nonce, StateLife how long it takes
	// the answer to a login. Zero means that it is not known. A lti.Tool needs
	// neither: it remembers a nonce as long as its token lives, and a login for
	// lti.StateLife.
	NonceLife, StateLife time.Duration
	// TokenLife is how long the tokens of the platform live. Zero means an hour, as
	// in Canvas.
	TokenLife time.Duration
	// Leeway is how far the tool lets clocks differ. Zero means a minute.
	Leeway time.Duration

	// Token is an id_token that was refused, and TokenTime when it came; zero means
	// that it is not known. MessageTypes are those that the tool takes beside the
	// ones that lti knows.
	Token        runbook.Secret
	TokenTime    time.Time
	MessageTypes []string

	// TryToken asks the token endpoint for a token, signed with PrivateKey, which
	// is thrown away. In Canvas each grant costs 200 units of the cost bucket of
	// this machine's address.
	TryToken bool
	// TryScope is the scope of that token. Empty means the first of
	// [PlatformTool].Scopes, or else reading memberships.
	TryScope string

	// Keys tells whether the tool's key is on at the platform: canvasprobe.Keys.
	Keys incident.PlatformKeys
	// PlatformTool reads how the tool is registered at the platform. Its error
	// wraps incident.ErrNotFound if there is no such tool; any other means that it
	// could not be read. It should end with ctx.
	PlatformTool func(ctx context.Context) (PlatformTool, error)
	// LastWorked is when launches are known to have worked. Zero means that it is
	// not known.
	LastWorked time.Time
	// Refresh is when the platform is overwritten from production, by the times
	// that Instructure publishes: beta on Saturdays, test on the third Saturday of
	// a month. What was made only there is lost then. None means never.
	Refresh []health.Window

	// HTTP gives the transport. Its other fields are not used. Nil means one of our
	// own, without a proxy. If Registration.External is set, a copy of it is used
	// for the platform's addresses, which goes to public ones only.
	HTTP *http.Client
	// KeySets are the platform's keys, for Token. Nil means that they are fetched
	// for each diagnosis, with HTTP.
	KeySets *lti.KeySets
	// UserAgent names who asks. Empty means "runbook-lti-doctor/1
	// (+https://go.acu.edu.au/runbook)".
	UserAgent string
	// Timeout bounds each request, and each call of Keys and PlatformTool. Zero
	// means 5 seconds.
	Timeout time.Duration
}

const defaultUserAgent = "runbook-lti-doctor/1 (+https://go.acu.edu.au/runbook)"

// A Doctor makes diagnoses, and has probers. [New] makes one. It is safe for
// concurrent use.
type Doctor struct {
	cfg      Config
	http     *http.Client
	platform *http.Client    // for the platform's addresses, which may come from outside
	own      *http.Transport // nil with Config.HTTP
}

var _ incident.Diagnoser = (*Doctor)(nil)

// New returns a Doctor, or everything that is wrong with how cfg is made. What is
// wrong with the tool is the business of [Doctor.Diagnose]. It sends nothing.
func New(cfg Config) (*Doctor, error) {
	p := netcheck.Problems{Package: "doctor"}
	if cfg.empty() {
		p.Add("there is nothing to look at: set what is known of the tool, at least one of Registration, PrivateKey, JWKSURL, LoginURL, LaunchURL, Token, Keys and PlatformTool")
	}
	for _, d := range []struct {
		name string
		time time.Duration
	}{{"NonceLife", cfg.NonceLife}, {"StateLife", cfg.StateLife}, {"TokenLife", cfg.TokenLife}, {"Leeway", cfg.Leeway}, {"Timeout", cfg.Timeout}} {
		if d.time < 0 {
			p.Add("%s must not be negative", d.name)
		}
	}
	if cfg.UserAgent == "" {
		cfg.UserAgent = defaultUserAgent
	}
	if !httpcheck.IsValue(cfg.UserAgent) || strings.TrimSpace(cfg.UserAgent) == "" {
		p.Add("UserAgent must be visible text")
	}
	for _, w := range cfg.Refresh {
		p.In("Refresh", w.Validate())
	}
	setDefaults(&cfg)
	if err := p.Err(); err != nil {
		return nil, err
	}
	d := &Doctor{cfg: cfg}
	d.connect()
	return d, nil
}

func (cfg *Config) empty() bool {
	return cfg.Registration.Issuer+cfg.Registration.ClientID+cfg.Registration.AuthURL+cfg.Registration.JWKSURL+cfg.Registration.TokenURL == "" &&
		cfg.JWKSURL+cfg.LoginURL+cfg.LaunchURL == "" && cfg.PrivateKey.IsZero() && cfg.Token.IsZero() &&
		cfg.Keys == nil && cfg.PlatformTool == nil && cfg.NonceLife == 0
}

func setDefaults(cfg *Config) {
	if cfg.Environment == "prod" {
		cfg.Environment = Production
	}
	if cfg.TokenLife == 0 {
		cfg.TokenLife = time.Hour
	}
	if cfg.Leeway == 0 {
		cfg.Leeway = time.Minute
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = 5 * time.Second
	}
	cfg.KnownKeys = maps.Clone(cfg.KnownKeys)
	cfg.PreviousKeys, cfg.Placements = slices.Clone(cfg.PreviousKeys), slices.Clone(cfg.Placements)
	cfg.FrameOrigins, cfg.Refresh = slices.Clone(cfg.FrameOrigins), slices.Clone(cfg.Refresh)
	cfg.MessageTypes = slices.Clone(cfg.MessageTypes)
	r := &cfg.Registration
	r.ServiceHosts, r.Deployments = slices.Clone(r.ServiceHosts), slices.Clone(r.Deployments)
	r.Algorithms, r.TrustedAudiences = slices.Clone(r.Algorithms), slices.Clone(r.TrustedAudiences)
}

// connect makes the clients. No redirect is followed: where an answer leads is a
// finding, not a way.
func (d *Doctor) connect() {
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	d.http = &http.Client{CheckRedirect: stay}
	if d.cfg.HTTP != nil && d.cfg.HTTP.Transport != nil {
		d.http.Transport = d.cfg.HTTP.Transport
	} else {
		d.own = httpcheck.NewTransport()
		d.http.Transport = d.own
	}
	d.platform = d.http
	if d.cfg.Registration.External {
		d.platform = httpx.PublicOnly(d.http)
	}
}

// subject says what is looked at.
func (d *Doctor) subject() string {
	text := "LTI"
	if d.cfg.Environment != "" {
		text += " in " + netcheck.Clean(string(d.cfg.Environment))
	}
	if r := d.cfg.Registration; r.ClientID != "" {
		text += ", client " + netcheck.Clean(r.ClientID)
	}
	return text
}

// Diagnose implements incident.Diagnoser. Where nothing could be looked at, the
// diagnosis comes with the error, and says why for each thing.
func (d *Doctor) Diagnose(ctx context.Context) (incident.Diagnosis, error) {
	if err := ctx.Err(); err != nil {
		return incident.Diagnosis{}, fmt.Errorf("doctor: nothing was looked at: %w", err)
	}
	x := &exam{cfg: &d.cfg, facts: d.gather(ctx, everything)}
	x.d.Time, x.d.Subject = x.began, d.subject()
	for _, look := range []func(*exam){
		(*exam).privateKey, (*exam).ownKeySet, (*exam).addresses, (*exam).registration, (*exam).clocks, (*exam).lives,
		(*exam).platformKeySet, (*exam).login, (*exam).frames, (*exam).key, (*exam).platformTool, (*exam).deepLinking,
		(*exam).grant, (*exam).token,
	} {
		look(x)
	}
	x.d.Sort()
	if len(x.d.Findings)+len(x.d.Checked) == 0 {
		err := errors.New("doctor: nothing could be looked at")
		if len(x.d.NotChecked) > 0 {
			err = fmt.Errorf("%w: %s: %s", err, x.d.NotChecked[0].What, x.d.NotChecked[0].Why)
		}
		if end := ctx.Err(); end != nil {
			err = fmt.Errorf("%w: %w", err, end)
		}
		return x.d, err
	}
	return x.d, nil
}
