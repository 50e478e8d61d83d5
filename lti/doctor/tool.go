package doctor

import (
	"errors"
	"net/url"
	"slices"
	"strings"
	"time"

	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/internal/netcheck"
)

// key looks at the state of the tool's key at the platform.
func (x *exam) key() {
	const what = "the tool's key at the platform"
	id := x.cfg.Registration.ClientID
	switch k := x.platformKey; {
	case x.cfg.Keys == nil:
		x.skip(what, "there is no access to the platform's keys")
	case id == "":
		x.skip(what, "the client id was not given")
	case errors.Is(x.keyErr, incident.ErrNotFound):
		x.gone("key_gone", "The platform has no key with the tool's client id", "client id "+quote(id))
	case k == nil:
		x.skip(what, "%s", why(x.keyErr))
	case !k.On && k.Reason != "":
		x.finding("key_off", incident.Certain, "The tool's key does not work at the platform", "Put right at the platform what the evidence says, or make another key.",
			"key "+quote(k.ID)+" "+netcheck.Clean(k.Reason))
	case !k.On:
		x.finding("key_off", incident.Certain, "The tool's key is switched off at the platform", "Switch it on: in Canvas, Admin, Developer Keys, LTI. Find out first who switched it off, and why.",
			"key "+quote(k.ID)+" is off")
	default:
		x.right("the tool's key is on at the platform")
	}
}

// gone says that something is not at the platform, perhaps because a copy was
// overwritten from production.
func (x *exam) gone(id, title string, evidence ...string) {
	remedy := "Look for the tool in the platform's administration. Compare the client id and the environment; if it was deleted, make it again, and configure the new client id."
	refreshed := x.cfg.lastRefresh(x.began)
	const again = "Make it again there, and configure the new client id; or make it in production, for test and beta only, where the next refresh brings it from."
	switch {
	case !refreshed.IsZero() && !x.cfg.LastWorked.IsZero() && refreshed.After(x.cfg.LastWorked):
		title += ": it is lost since the platform was overwritten from production"
		evidence = append(evidence, "launches worked at "+stamp(x.cfg.LastWorked), "the platform was overwritten from production at "+stamp(refreshed))
		remedy = again
	case !refreshed.IsZero():
		evidence = append(evidence, "the platform was overwritten from production at "+stamp(refreshed)+"; what is made only there is lost then")
		remedy = again
	case x.cfg.Environment == Beta || x.cfg.Environment == Test:
		evidence = append(evidence, "Canvas "+string(x.cfg.Environment)+" is overwritten from production regularly; what is made only there is lost then")
	}
	x.finding(id, incident.Certain, title, remedy, evidence...)
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 MST") }

// lastRefresh returns when the platform was last due to be overwritten.
func (cfg *Config) lastRefresh(now time.Time) time.Time {
	var last time.Time
	for _, w := range cfg.Refresh {
		for in := range w.Between(now.AddDate(0, 0, -62), now) {
			if in.Start.After(last) {
				last = in.Start
			}
		}
	}
	return last
}

// platformTool compares what the platform has of the tool with what the tool has.
func (x *exam) platformTool() {
	const what = "the tool's registration at the platform"
	switch {
	case x.cfg.PlatformTool == nil:
		x.skip(what, "there is no access to the platform")
		return
	case errors.Is(x.toolErr, incident.ErrNotFound):
		x.gone("tool_gone", "The tool is not registered at the platform", "the platform answered, and has no such tool")
		return
	case x.tool == nil:
		x.skip(what, "%s", why(x.toolErr))
		return
	}
	before, t := x.since(), x.tool
	if t.Off {
		x.finding("tool_off", incident.Certain, "The tool is switched off at the platform", "Switch it on: in Canvas, Admin, Developer Keys, LTI, or Apps. Find out first who switched it off, and why.", "its binding is off")
	}
	if id := x.cfg.Registration.ClientID; t.ClientID != "" && id != "" && t.ClientID != id {
		x.finding("client_id", incident.Certain, "The client id of the tool is not the one that the platform has for it", "Set the platform's client id in the configuration of the tool.",
			"the platform has "+quote(t.ClientID), "the tool has "+quote(id))
	}
	if len(t.RedirectURIs) > 0 && x.cfg.LaunchURL != "" && !registered(t.RedirectURIs, x.cfg.LaunchURL) {
		x.finding("redirect_uri", incident.Certain, "The launch address is not a redirect URI at the platform", "Add it to the redirect URIs of the tool's key in Canvas, letter by letter.",
			"the launch address is "+place(x.cfg.LaunchURL), "registered: "+places(t.RedirectURIs))
	}
	x.differs("platform_login_url", "login address", x.cfg.LoginURL, t.LoginURL)
	x.differs("platform_jwks_url", "address of the key set", x.cfg.JWKSURL, t.JWKSURL)
	x.staticKey(t.PublicJWK)
	x.deployments(t.Deployments)
	if x.since() == before {
		x.right("the tool's registration at the platform fits")
	}
}

// registered reports whether an address is one of the redirect URIs. Of one that
// has a query its parameters must be there (canvas-lms, app/controllers/lti/ims/
// authentication_controller.rb).
func registered(uris []string, address string) bool {
	a, err := url.Parse(address)
	if err != nil {
		return false
	}
	return slices.ContainsFunc(uris, func(uri string) bool {
		if uri == address {
			return true
		}
		u, err := url.Parse(uri)
		if err != nil || u.RawQuery == "" || u.Scheme != a.Scheme || u.Host != a.Host || u.EscapedPath() != a.EscapedPath() {
			return false
		}
		have := a.Query()
		for name, values := range u.Query() {
			if !slices.Equal(have[name], values) {
				return false
			}
		}
		return true
	})
}

// differs compares an address of the tool with what the platform has for it.
func (x *exam) differs(id, what, own, theirs string) {
	if own == "" || theirs == "" || own == theirs {
		return
	}
	evidence := []string{"the platform has " + place(theirs), "the tool has " + place(own)}
	if place(theirs) == place(own) {
		evidence = append(evidence, "they differ behind the path")
	}
	x.finding(id, incident.Certain, "The platform has another "+what+" for the tool", "Correct the "+what+" in the tool's key at the platform; after a refresh it may be that of production.", evidence...)
}

// staticKey compares the key that the platform keeps with the one that signs.
func (x *exam) staticKey(jwk []byte) {
	if len(jwk) == 0 || string(jwk) == "null" || x.tool.JWKSURL != "" {
		return
	}
	k := readJWK(1, jwk)
	if len(k.private) > 0 {
		x.urgent("private_key_published", "The platform has the private key of the tool", leaked, "the public JWK of the tool at the platform has "+strings.Join(k.private, ", ")+", which are private")
	}
	switch {
	case k.thumbprint == "":
		x.finding("platform_key", incident.Certain, "The key that the platform keeps for the tool cannot be used", "Give the platform the address of the key set, in place of a key.", k.problem)
	case x.signer == nil:
		x.skip("whether the private key is the one that the platform has", "the private key is not known, or cannot be read")
	case k.thumbprint != x.signer.thumbprint:
		x.finding("platform_key", incident.Certain, "The platform keeps another key for the tool than the one that signs",
			"Give the platform the address of the key set, in place of a key: then a new key is known at once.",
			"the platform has thumbprint "+k.thumbprint, "the private key has thumbprint "+x.signer.thumbprint)
	}
}

// deployments looks for those that the tool knows, and that of the token.
func (x *exam) deployments(have []string) {
	if have == nil {
		return
	}
	known := x.cfg.Registration.Deployments
	if x.examined != nil && x.examined.DeploymentID != "" && !slices.Contains(known, x.examined.DeploymentID) {
		known = append(slices.Clone(known), x.examined.DeploymentID)
	}
	var missing []string
	for _, id := range known {
		if !slices.Contains(have, id) {
			missing = append(missing, id)
		}
	}
	if len(missing) > 0 {
		x.gone("deployment_gone", "The platform does not have a deployment that the tool knows", "not there: "+list(missing), "there: "+list(have))
	}
}
