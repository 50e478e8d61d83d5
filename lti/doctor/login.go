package doctor

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/internal/netcheck/httpcheck"
)

// login looks at how the tool answers login initiations.
func (x *exam) login() {
	const what = "the tool's login"
	first := &x.logins[0]
	if x.unanswered(&first.answer, "login_unreachable", what, "Make the login address answer: start the tool, and look at its address, certificate and firewall.") {
		return
	}
	before := x.since()
	var seen []*authRequest
	for i := range x.logins {
		if r := x.loginAnswer(&x.logins[i], i); r != nil {
			seen = append(seen, r)
		}
	}
	if len(seen) > 0 {
		x.authRequest(seen)
	}
	x.stateCookie()
	if len(seen) > 0 && x.since() == before {
		x.right("login: %s sent to the platform as they should be", plural(len(seen), "login"))
	}
}

// loginAnswer looks at the answer to one login, and returns the authentication
// request to which it leads.
func (x *exam) loginAnswer(t *loginTry, number int) *authRequest {
	a := &t.answer
	if a.skip != "" || a.failure != nil {
		if number > 0 {
			x.unanswered(a, "login_unreachable", "the tool's login by "+t.method, "Look why the login address answers one request and not the next.")
		}
		return nil
	}
	what := fmt.Sprintf("%s: answered %s to a login of issuer %s, client %s", a.asked, httpcheck.Status(a.status), quote(x.cfg.Registration.Issuer), quote(x.cfg.Registration.ClientID))
	others := number > 0 && slices.ContainsFunc(x.logins[:number], func(o loginTry) bool { return o.answer.status >= 300 && o.answer.status <= 399 })
	switch s := a.status; {
	case s >= 300 && s <= 399:
		return x.readRedirect(t)
	case s == http.StatusMethodNotAllowed, s == http.StatusNotFound && others && t.method == http.MethodGet:
		x.finding("login_method", incident.Certain, "The tool's login does not take "+t.method, "Take login initiations by GET and by POST; Canvas uses POST.", what)
	case s == http.StatusNotFound:
		x.finding("login_status", incident.Certain, "There is no login at the tool's address for it", "Mount the login handler at this address, or register the address where it is.", what)
	case s == http.StatusForbidden && !others:
		x.finding("login_status", incident.Certain, "The tool refuses logins, perhaps by a check against forged forms (CSRF)",
			"Take the login out of the tool's CSRF protection and out of what needs a session: it comes from another site.", what)
	case s >= 400 && s <= 499 && t.target == x.cfg.DeepLinkURL && others:
		x.finding("deep_link_url", incident.Likely, "The tool refuses a login for its deep linking address",
			"Add the origin of the deep linking address to the targets of the tool, or correct the address.", what, "the target link URI was the deep linking address, "+place(t.target))
	case s >= 400 && s <= 499:
		x.finding("login_status", incident.Certain, "The tool refuses a login of this platform",
			"Look into the log of the tool for the refusal; it may not know this issuer and client id, or not the target link URI.", what, "the target link URI was "+place(t.target))
	case s >= 500:
		x.finding("login_status", incident.Certain, "The tool's login fails", "Look into the log of the tool.", what)
	default:
		x.skip(fmt.Sprintf("the authentication request of a login by %s", t.method), "it was answered with a page, %s, that only a browser can run", httpcheck.Status(s))
	}
	return nil
}

func place(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return "an address that cannot be parsed"
	}
	return httpcheck.Place(u)
}

// An authRequest is the authentication request to which a login leads.
type authRequest struct {
	try    *loginTry
	to     *url.URL
	params url.Values
}

// readRedirect reads the address to which a login leads.
func (x *exam) readRedirect(t *loginTry) *authRequest {
	r := parseRedirect(t.answer.header.Get("Location"))
	if r == nil {
		x.finding("login_redirect", incident.Certain, "The tool's login leads nowhere", "Answer a login with a redirect to the platform's authentication address.",
			fmt.Sprintf("%s: answered %s, and its Location is no absolute address", t.answer.asked, httpcheck.Status(t.answer.status)))
		return nil
	}
	r.try = t
	return r
}

// parseRedirect takes a Location apart; nil if it is not an absolute address.
func parseRedirect(location string) *authRequest {
	u, err := url.Parse(location)
	if err != nil || u.Host == "" || u.Scheme == "" {
		return nil
	}
	params, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return nil
	}
	return &authRequest{to: u, params: params}
}

// fixed are the parameters of every authentication request (Security Framework
// 1.0, section 5.1.1.2). Canvas demands prompt too.
var fixed = [...]struct{ name, value string }{ //nolint:gochecknoglobals // constant
	{"scope", "openid"}, {"response_type", "id_token"}, {"response_mode", "form_post"}, {"prompt", "none"},
}

// authRequest looks at where logins lead, and with what.
func (x *exam) authRequest(seen []*authRequest) {
	r := seen[0]
	if !x.authAddress(r) {
		return
	}
	x.parameters(r)
	x.redirectURI(r)
	for _, r := range seen {
		if x.hints(r) {
			break
		}
	}
	x.fresh(seen, "nonce", "login_nonce", "Make a new nonce of 128 random bits or more for each login.")
	x.fresh(seen, "state", "login_state", "Make a new state for each login, and bind it to the browser.")
}

// authAddress compares the address with that of the registration, and reports
// whether it is the platform's.
func (x *exam) authAddress(r *authRequest) bool {
	want, why := parse(x.cfg.Registration.AuthURL)
	if why != "" {
		x.skip("where the login leads", "the AuthURL of the registration %s", why)
		return true
	}
	const remedy = "Set the platform's authentication address in the registration that the tool uses for this issuer and client id."
	same := r.to.Scheme == want.Scheme && strings.EqualFold(r.to.Host, want.Host) && r.to.EscapedPath() == want.EscapedPath()
	if !same {
		evidence := []string{"it leads to " + httpcheck.Place(r.to), "the registration has " + httpcheck.Place(want)}
		if is, should := environmentOf(r.to.String()), environmentOf(x.cfg.Registration.AuthURL); is != "" && should != "" && is != should {
			evidence = append(evidence, fmt.Sprintf("that is %s, and not %s", is, should))
		}
		x.finding("login_redirect", incident.Certain, "The tool's login leads to another address than the platform's", remedy, evidence...)
		return false
	}
	for name, values := range want.Query() {
		if _, ours := r.params[name]; !ours {
			x.finding("login_redirect", incident.Likely, "The tool's login loses the query of the platform's authentication address",
				"Add parameters to the query that the address has, and do not replace it.", fmt.Sprintf("parameter %s of %s is missing", quote(name), plural(len(values), "value")))
		}
	}
	return true
}

func (x *exam) parameters(r *authRequest) {
	var bad []string
	for _, p := range fixed {
		switch got := r.params[p.name]; {
		case len(got) == 0:
			bad = append(bad, fmt.Sprintf("%s is missing; it must be %s", p.name, p.value))
		case len(got) > 1:
			bad = append(bad, fmt.Sprintf("%s comes %d times", p.name, len(got)))
		case got[0] != p.value:
			bad = append(bad, fmt.Sprintf("%s is %s; it must be %s", p.name, quote(got[0]), p.value))
		}
	}
	if len(bad) > 0 {
		x.finding("login_parameters", incident.Certain, "The tool's authentication request is not as LTI wants it",
			"Send scope=openid, response_type=id_token, response_mode=form_post and prompt=none, once each.", bad...)
	}
	if id := x.cfg.Registration.ClientID; id != "" && !slices.Equal(r.params["client_id"], []string{id}) {
		x.finding("login_client_id", incident.Certain, "The tool's login names another client id", "Set the client id of the platform's key in the tool's registration.",
			"it sends "+list(r.params["client_id"]), "the registration has "+quote(id))
	}
}

// redirectURI compares the redirect URI with the launch address and with what the
// platform has.
func (x *exam) redirectURI(r *authRequest) {
	got := r.params["redirect_uri"]
	if len(got) != 1 || x.cfg.LaunchURL != "" && got[0] != x.cfg.LaunchURL {
		x.finding("login_redirect_uri", incident.Certain, "The tool asks the platform to post launches to another address than its own",
			"Set the launch address of the tool as browsers see it; behind a proxy it is not the one that the tool sees.",
			"redirect_uri is "+places(got), "the launch address is "+place(x.cfg.LaunchURL))
		return
	}
	if x.tool != nil && len(x.tool.RedirectURIs) > 0 && got[0] != x.cfg.LaunchURL && !registered(x.tool.RedirectURIs, got[0]) {
		x.finding("redirect_uri", incident.Certain, "The redirect URI is not registered at the platform", "Add it to the redirect URIs of the tool's key in Canvas, letter by letter.",
			"redirect_uri is "+places(got), "registered: "+places(x.tool.RedirectURIs))
	}
}

func places(addresses []string) string {
	var out []string
	for i, a := range addresses {
		if i == 5 {
			out = append(out, fmt.Sprintf("%d more", len(addresses)-5))
			break
		}
		out = append(out, place(a))
	}
	if len(out) == 0 {
		return "missing"
	}
	return strings.Join(out, ", ")
}

// hints looks whether both hints came back letter by letter.
func (x *exam) hints(r *authRequest) (found bool) {
	for _, h := range []struct{ name, sent string }{{"login_hint", r.try.hint}, {"lti_message_hint", r.try.messageHint}} {
		got := r.params[h.name]
		if slices.Equal(got, []string{h.sent}) {
			continue
		}
		evidence := fmt.Sprintf("%s came back %d times by %s", h.name, len(got), r.try.method)
		if len(got) == 1 {
			evidence = fmt.Sprintf("%s came back changed by %s: %d bytes were sent, and %d came", h.name, r.try.method, len(h.sent), len(got[0]))
		}
		x.finding("login_hint", incident.Certain, "The tool does not give the platform's hints back as they came",
			"Send login_hint and lti_message_hint back letter by letter, escaped once.", evidence)
		found = true
	}
	return found
}

// fresh looks whether a value is there, and is another one each time.
func (x *exam) fresh(seen []*authRequest, name, id, remedy string) {
	values := make(map[string]bool)
	for _, r := range seen {
		got := r.params[name]
		if len(got) != 1 || got[0] == "" {
			x.finding(id, incident.Certain, "The tool's authentication request has no "+name, remedy, fmt.Sprintf("%s came %d times by %s", name, len(got), r.try.method))
			return
		}
		if len(got[0]) < 16 {
			x.finding(id, incident.Possible, "The "+name+" of a login can be guessed", remedy, fmt.Sprintf("it has %s", plural(len(got[0]), "character")))
			return
		}
		if values[got[0]] {
			x.finding(id, incident.Certain, "Two logins have the same "+name, remedy, fmt.Sprintf("of %s, two have one %s", plural(len(seen), "login"), name))
			return
		}
		values[got[0]] = true
	}
}
