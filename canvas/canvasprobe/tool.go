package canvasprobe

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"go.acu.edu.au/runbook/canvas"
	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/internal/netcheck"
)

// A Tool is how an LTI tool should be set up in an instance. What is empty or nil
// is not checked; an empty list that is not nil means none.
type Tool struct {
	// Account is the root account. Empty means canvas.Self.
	Account canvas.Ref
	// ClientID is the tool's developer key in this environment. Required.
	ClientID canvas.ID
	// Title is what people see.
	Title string
	// TargetLinkURI is where launches lead, OIDCInitiationURL where they begin,
	// PublicJWKURL where the tool's keys are.
	TargetLinkURI, OIDCInitiationURL, PublicJWKURL string
	// PrivacyLevel is what the tool is told of users: "public", "name_only",
	// "email_only" or "anonymous".
	PrivacyLevel string
	// Scopes are the services that it may use, in any order.
	Scopes []string
	// Placements are where it appears, with the message that each sends; an empty
	// message type is not checked. Further placements are drift.
	Placements map[string]canvas.MessageType
	// CustomFields are what is sent with each launch, compared as text.
	CustomFields map[string]string
	// Production is the same tool in production. In another environment, an
	// address that belongs there is worse than a wrong one: people and tests would
	// change production. Nil means that this is not looked for.
	Production *Tool
}

// A Drift is one field that is not as it should be.
type Drift struct {
	// Field is its name in Canvas's registration: "target_link_uri",
	// "placements.course_navigation.message_type", "custom_fields.env",
	// "account_binding".
	Field string
	// Want is the expected value, Got the one that was found. A list says what is
	// missing, and what is there without being wanted.
	Want, Got string
	// Production says that Got is, or is on the host of, what production has.
	Production bool

	status health.Status
	cause  health.Cause
}

// String returns the drift for people.
func (d Drift) String() string {
	s := fmt.Sprintf("%s is %s, want %s", d.Field, quote(d.Got), quote(d.Want))
	if d.Production {
		s += " (it belongs to production)"
	}
	return s
}

func quote(s string) string {
	if s == "" {
		return "missing"
	}
	return netcheck.Quote(s)
}

// Tool returns a prober of the tool: that it is on, and set up as expected, with
// what administrators changed. Every field that differs is named. It is Unhealthy
// where launches or services fail because of it (the switch, addresses, scopes,
// placements and their messages), and Degraded otherwise. It makes two requests.
func (i *Instance) Tool(want Tool) (health.Prober, error) {
	if want.ClientID == 0 {
		return nil, errors.New("canvasprobe: tool: ClientID is required")
	}
	var known time.Time
	return i.probe(func(ctx context.Context, _ *trial) (health.Result, error) {
		r, err := i.registration(ctx, want)
		if errors.Is(err, canvas.ErrNotFound) {
			i.mu.Lock()
			seen := known
			i.mu.Unlock()
			cause, why := i.lost("registration", cmpTime(seen, i.cfg.LastWorked), time.Now())
			return down(cause, fmt.Sprintf("client id %v: Canvas is up and has no such registration: %s", want.ClientID, why)), nil
		}
		if err != nil {
			return health.Result{}, err
		}
		i.mu.Lock()
		known = time.Now()
		i.mu.Unlock()
		return drifted(i.compare(want, r)), nil
	}), nil
}

func cmpTime(a, b time.Time) time.Time {
	if a.IsZero() {
		return b
	}
	return a
}

// Drift returns the fields of the tool that are not as expected, or the error of
// canvas if they could not be read.
func (i *Instance) Drift(ctx context.Context, want Tool) ([]Drift, error) {
	r, err := i.registration(ctx, want)
	if err != nil {
		return nil, err
	}
	return i.compare(want, r), nil
}

// ReadTool returns the tool as the instance has it, as an expectation for another
// environment.
func (i *Instance) ReadTool(ctx context.Context, account canvas.Ref, clientID canvas.ID) (Tool, error) {
	r, err := i.registration(ctx, Tool{Account: account, ClientID: clientID})
	if err != nil {
		return Tool{}, err
	}
	c := inForce(r)
	t := Tool{
		Account: account, ClientID: clientID, Title: c.Title, TargetLinkURI: c.TargetLinkURI, OIDCInitiationURL: c.OIDCInitiationURL,
		PublicJWKURL: c.PublicJWKURL, PrivacyLevel: c.PrivacyLevel, Scopes: slices.Concat([]string{}, c.Scopes),
		Placements: make(map[string]canvas.MessageType), CustomFields: texts(c.CustomFields),
	}
	for _, p := range c.Placements {
		if p.Enabled.Or(true) {
			t.Placements[p.Name] = p.MessageType
		}
	}
	return t, nil
}

func (i *Instance) registration(ctx context.Context, want Tool) (canvas.Registration, error) {
	account := want.Account
	if account == "" {
		account = canvas.Self
	}
	r, err := i.client.GetRegistrationByClientID(ctx, account, want.ClientID)
	if err != nil {
		return r, err
	}
	return i.client.GetRegistration(ctx, account, r.ID, "overlaid_configuration")
}

func inForce(r canvas.Registration) canvas.ToolConfiguration {
	if c, ok := r.OverlaidConfiguration.Get(); ok {
		return c
	}
	return r.Configuration.Or(canvas.ToolConfiguration{})
}

// drifted makes a result of the differences.
func drifted(all []Drift) health.Result {
	const most = 5
	r := health.Result{Status: health.Healthy}
	// The worst first: they decide, and the rest may be cut off.
	slices.SortStableFunc(all, func(a, b Drift) int { return rank(b) - rank(a) })
	for n, d := range all {
		if n == most {
			r.Message += fmt.Sprintf("; and %d more", len(all)-most)
			break
		}
		r = r.Worsen(d.status, d.cause, d.String())
	}
	return netcheck.With(r, health.Measurement{Name: "drift", Value: float64(len(all))})
}

func rank(d Drift) int {
	switch {
	case d.Production:
		return 3
	case d.cause == CauseOff:
		return 2
	case d.status == health.Unhealthy:
		return 1
	}
	return 0
}

// A comparison gathers what differs.
type comparison struct {
	found      []Drift
	production bool // the instance is not production, and what that has is known
}

func (c *comparison) add(status health.Status, field, want, got string) {
	c.found = append(c.found, Drift{Field: field, Want: want, Got: got, status: status, cause: CauseDrift})
}

// text compares a text, address an address.
func (c *comparison) text(field, want, got string) {
	if want != "" && want != got {
		c.add(health.Degraded, field, want, got)
	}
}

func (c *comparison) address(field, want, got, production string) {
	if c.production && got != "" && got != want && (got == production || sameHost(got, production)) {
		c.found = append(c.found, Drift{Field: field, Want: want, Got: got, Production: true, status: health.Unhealthy, cause: CauseWrongTarget})
		return
	}
	if want != "" && want != got {
		c.add(health.Unhealthy, field, want, got)
	}
}

func sameHost(a, b string) bool {
	u, err := url.Parse(a)
	v, err2 := url.Parse(b)
	return err == nil && err2 == nil && u.Host != "" && strings.EqualFold(u.Host, v.Host)
}

// set compares lists in any order.
func (c *comparison) set(status health.Status, field string, want, got []string) {
	if want == nil {
		return
	}
	missing := without(want, got)
	extra := without(got, want)
	for _, s := range missing {
		c.add(status, field, s, "")
	}
	for _, s := range extra {
		c.add(status, field, "", s)
	}
}

func without(a, b []string) []string {
	var out []string
	for _, s := range a {
		if !slices.Contains(b, s) && !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	slices.Sort(out)
	return out
}

func (i *Instance) compare(want Tool, r canvas.Registration) []Drift {
	got := inForce(r)
	production := Tool{}
	if want.Production != nil {
		production = *want.Production
	}
	c := &comparison{production: want.Production != nil && i.cfg.Environment != Production}
	off := func(field, want, got string) {
		c.found = append(c.found, Drift{Field: field, Want: want, Got: got, status: health.Unhealthy, cause: CauseOff})
	}
	if r.State != "active" {
		off("workflow_state", "active", r.State)
	}
	if b, ok := r.Binding.Get(); ok && b.State != canvas.BindingOn {
		off("account_binding", string(canvas.BindingOn), string(b.State))
	}
	c.address("target_link_uri", want.TargetLinkURI, got.TargetLinkURI, production.TargetLinkURI)
	c.address("oidc_initiation_url", want.OIDCInitiationURL, got.OIDCInitiationURL, production.OIDCInitiationURL)
	c.address("public_jwk_url", want.PublicJWKURL, got.PublicJWKURL, production.PublicJWKURL)
	c.set(health.Unhealthy, "scopes", want.Scopes, got.Scopes)
	c.placements(want.Placements, got.Placements)
	c.text("title", want.Title, got.Title)
	c.text("privacy_level", want.PrivacyLevel, got.PrivacyLevel)
	c.custom(want.CustomFields, texts(got.CustomFields))
	return c.found
}

func (c *comparison) placements(want map[string]canvas.MessageType, got []canvas.Placement) {
	if want == nil {
		return
	}
	var shown []string
	for _, p := range got {
		if !p.Enabled.Or(true) {
			continue
		}
		shown = append(shown, p.Name)
		if message, ok := want[p.Name]; ok && message != "" && message != p.MessageType {
			c.add(health.Unhealthy, "placements."+p.Name+".message_type", string(message), string(p.MessageType))
		}
	}
	c.set(health.Unhealthy, "placements", slices.Sorted(maps.Keys(want)), shown)
	if len(want) == 0 {
		c.set(health.Unhealthy, "placements", []string{}, shown)
	}
}

func (c *comparison) custom(want, got map[string]string) {
	if want == nil {
		return
	}
	all := maps.Clone(got)
	maps.Copy(all, want)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if want[name] != got[name] {
			c.add(health.Degraded, "custom_fields."+name, want[name], got[name])
		}
	}
}

// texts returns the custom fields as text, as a launch has them.
func texts(fields map[string]any) map[string]string {
	out := make(map[string]string, len(fields))
	for name, v := range fields {
		out[name] = fmt.Sprint(v)
	}
	return out
}
