package lti

import (
	"cmp"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// A cookie for each launch in flight ties its state to the browser: several tabs
// and frames can launch at the same time. Each is bound to the tool's own host
// (__Host-), out of reach of scripts, and partitioned, so that browsers which
// block cookies of third parties keep it per platform.
const (
	cookiePrefix = "__Host-lti_"
	// Max-Age is StateLife, in seconds.
	cookieRules = "; Path=/; Max-Age=600; HttpOnly; Secure; SameSite=None; Partitioned"
	cookieGone  = "=; Path=/; Max-Age=0; HttpOnly; Secure; SameSite=None; Partitioned"

	// maxInFlight is how many launches of one browser can be in flight: more
	// would make the Cookie header too large for servers.
	maxInFlight = 8
	// maxGone is how many an answer takes away at once: its header should not be
	// too large either.
	maxGone = 16
)

// setCookie gives the browser the secret of a login, and takes the oldest ones
// away where there are too many.
func (t *Tool) setCookie(w http.ResponseWriter, r *http.Request, s *state, secret binding) {
	h := w.Header()
	h.Add("Set-Cookie", cookiePrefix+s.id()+"="+secret.String()+"."+strconv.FormatInt(s.expires, 36)+cookieRules)
	if len(r.Header["Cookie"]) == 0 {
		return
	}
	type flight struct {
		name    string
		expires int64
	}
	var flights []flight
	for _, c := range r.Cookies() {
		if strings.HasPrefix(c.Name, cookiePrefix) {
			_, expires, _ := parseCookie(c.Value)
			flights = append(flights, flight{c.Name, expires})
		}
	}
	if surplus := len(flights) + 1 - maxInFlight; surplus > 0 {
		slices.SortFunc(flights, func(a, b flight) int { return cmp.Compare(a.expires, b.expires) })
		for _, f := range flights[:min(surplus, maxGone)] {
			h.Add("Set-Cookie", f.name+cookieGone)
		}
	}
}

func parseCookie(value string) (secret binding, expires int64, ok bool) {
	text, end, _ := strings.Cut(value, ".")
	secret, ok = parseBinding(text)
	if expires, err := strconv.ParseInt(end, 36, 64); err == nil {
		return secret, expires, ok
	}
	return secret, 0, ok
}

// bindingOf returns the secret that the browser has for a state, in a cookie.
// The cookie stays: it tells a token that is posted again from one that another
// browser posts.
func bindingOf(r *http.Request, s *state) (binding, bool) {
	name := cookiePrefix + s.id()
	for _, header := range r.Header["Cookie"] {
		for pair := range strings.SplitSeq(header, ";") {
			n, value, _ := strings.Cut(strings.TrimSpace(pair), "=")
			if n != name {
				continue
			}
			if secret, _, ok := parseCookie(value); ok && s.boundTo(secret) {
				return secret, true
			}
		}
	}
	return binding{}, false
}
