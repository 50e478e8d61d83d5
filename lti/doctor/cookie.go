package doctor

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"go.acu.edu.au/runbook/incident"
)

// A cookieLook is what is known of a cookie of the login.
type cookieLook struct {
	name string
	// dropped is why browsers do not take it, or do not send it from a frame.
	dropped []string
	// blocked says that browsers which block cookies of third parties do not send
	// it, since it is not partitioned (CHIPS).
	blocked bool
	// exposed is what others could do with it.
	exposed []string
}

// inspectCookie looks at one Set-Cookie header. ok is false for one that removes a
// cookie, or is of a load balancer.
func inspectCookie(line string) (c cookieLook, ok bool) {
	cookie, err := http.ParseSetCookie(line)
	if err != nil {
		return cookieLook{name: "a cookie", dropped: []string{"browsers cannot read it"}}, true
	}
	c.name = "cookie " + quote(cookie.Name)
	if cookie.MaxAge < 0 || infrastructure(cookie.Name) {
		return c, false
	}
	drop := func(format string, args ...any) { c.dropped = append(c.dropped, fmt.Sprintf(format, args...)) }
	switch cookie.SameSite {
	case http.SameSiteNoneMode:
	case http.SameSiteLaxMode:
		drop("SameSite is Lax, so it is not sent when the platform posts the launch")
	case http.SameSiteStrictMode:
		drop("SameSite is Strict, so it is not sent when the platform posts the launch")
	default:
		drop("it has no SameSite=None, which browsers take for Lax")
	}
	if !cookie.Secure {
		drop("it has no Secure, without which browsers drop SameSite=None")
	}
	host := strings.HasPrefix(cookie.Name, "__Host-")
	if host && (cookie.Domain != "" || cookie.Path != "/") {
		drop("its name begins with __Host-, and it has a Domain, or not Path=/")
	}
	if cookie.MaxAge > 0 && cookie.MaxAge < int(launchLife.Seconds()) {
		drop("it lives %d s, and a launch may take %v", cookie.MaxAge, launchLife)
	}
	c.blocked = !cookie.Partitioned
	if !cookie.HttpOnly {
		c.exposed = append(c.exposed, "scripts can read it (no HttpOnly)")
	}
	if !host {
		c.exposed = append(c.exposed, "other hosts of the domain can set it (no __Host-)")
	}
	return c, true
}

// infrastructure reports whether a cookie is one of a load balancer or firewall.
func infrastructure(name string) bool {
	return slices.ContainsFunc([]string{"AWSALB", "AWSELB", "__cf", "_cf", "cf_", "GCLB", "ARRAffinity", "incap_ses", "visid_incap", "BIGip", "TS01", "railway"},
		func(prefix string) bool { return strings.HasPrefix(name, prefix) })
}

func (c cookieLook) weight() int {
	w := 10*len(c.dropped) + len(c.exposed)
	if c.blocked {
		w += 5
	}
	return w
}

// stateCookie looks whether a cookie of the login reaches the launch when the tool
// is in a frame.
func (x *exam) stateCookie() {
	var best *cookieLook
	answered := false
	for i := range x.logins {
		a := &x.logins[i].answer
		if !a.came() || a.status >= 400 {
			continue
		}
		answered = true
		for _, line := range a.header.Values("Set-Cookie") {
			if c, ok := inspectCookie(line); ok && (best == nil || c.weight() < best.weight()) {
				best = &c
			}
		}
	}
	const remedy = "Set the cookie of the login as __Host-name; Path=/; Max-Age=600; HttpOnly; Secure; SameSite=None; Partitioned. A lti.Tool does."
	switch {
	case !answered:
		x.skip("the cookie of the login", "no login was answered")
	case best == nil:
		x.finding("state_cookie_missing", incident.Possible, "The login sets no cookie, so that its state may not be bound to the browser", remedy,
			"no answer to a login without lti_storage_target has a Set-Cookie", "without such a binding anybody can make others log in as himself")
	case len(best.dropped) > 0:
		x.finding("state_cookie", incident.Certain, "The cookie of the login does not reach the launch in a frame of the platform", remedy, named(best.name, best.dropped)...)
	case best.blocked:
		x.finding("state_cookie_partitioned", incident.Likely, "Browsers that block cookies of third parties do not keep the cookie of the login", remedy, best.name+" has no Partitioned")
	case len(best.exposed) > 0:
		x.finding("state_cookie_exposed", incident.Possible, "The cookie of the login is not as well protected as it could be", remedy, named(best.name, best.exposed)...)
	default:
		x.right("the cookie of the login is usable in a frame")
	}
}

func named(name string, facts []string) []string {
	out := make([]string, len(facts))
	for i, f := range facts {
		out[i] = name + ": " + f
	}
	return out
}
