package doctor

import (
	"net/http"
	"net/url"
	"strings"

	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/internal/netcheck/httpcheck"
)

// frames looks whether a platform may show the tool's pages in a frame.
func (x *exam) frames() {
	const what = "the tool's launch address"
	a := &x.launch
	if x.unanswered(a, "launch_unreachable", what, "Make the launch address answer: start the tool, and look at its address, certificate and firewall.") {
		return
	}
	if a.status >= 500 {
		x.finding("launch_status", incident.Likely, "The tool's launch address fails", "Look into the log of the tool.",
			a.asked+": answered "+httpcheck.Status(a.status)+" to a request without a launch")
		return
	}
	if len(x.platformFrame) == 0 {
		x.skip("whether the tool may be shown in a frame", "it is not known in whose: FrameOrigins, TokenURL and Issuer were not given")
		return
	}
	const remedy = "Send Content-Security-Policy: frame-ancestors with the hosts of the platform (lti.Tool.FrameAncestors has them), and no X-Frame-Options; look at proxies and middleware too."
	for _, parent := range x.platformFrame {
		if why := forbidsFrame(a.header, x.cfg.LaunchURL, parent); why != "" {
			x.finding("frame_forbidden", incident.Likely, "The tool's pages may not be shown in a frame of the platform", remedy, a.asked+": "+why, "the frame is of "+quote(parent))
			return
		}
	}
	for i := range x.logins {
		// Browsers look at the pages, not at a redirect on the way to them, but who
		// says this there says it everywhere.
		if l := &x.logins[i].answer; l.came() {
			if why := forbidsFrame(l.header, x.cfg.LoginURL, x.platformFrame[0]); why != "" {
				x.finding("frame_forbidden", incident.Possible, "The tool's login forbids frames, and its pages may do so too", remedy, l.asked+": "+why, "the frame is of "+quote(x.platformFrame[0]))
				return
			}
		}
	}
	x.right("the tool may be shown in a frame of %s", list(x.platformFrame))
}

// forbidsFrame says why a page must not be shown in a frame of a parent; empty
// if it may (Content Security Policy Level 3, section 6.4.2; RFC 7034).
func forbidsFrame(h http.Header, page, parent string) string {
	policies := 0
	for _, header := range h.Values("Content-Security-Policy") {
		for policy := range strings.SplitSeq(header, ",") {
			sources, ok := frameAncestors(policy)
			if !ok {
				continue
			}
			policies++
			if !allows(sources, page, parent) {
				return "Content-Security-Policy says frame-ancestors " + quote(strings.Join(sources, " "))
			}
		}
	}
	if policies > 0 {
		return "" // X-Frame-Options is then not looked at
	}
	for _, option := range h.Values("X-Frame-Options") {
		for word := range strings.SplitSeq(option, ",") {
			switch strings.ToUpper(strings.TrimSpace(word)) {
			case "DENY":
				return "X-Frame-Options is DENY"
			case "SAMEORIGIN":
				if !sameOrigin(page, parent) {
					return "X-Frame-Options is SAMEORIGIN"
				}
			}
		}
	}
	return ""
}

// frameAncestors returns the sources of the first such directive of a policy.
func frameAncestors(policy string) ([]string, bool) {
	for directive := range strings.SplitSeq(policy, ";") {
		words := strings.Fields(directive)
		if len(words) > 0 && strings.EqualFold(words[0], "frame-ancestors") {
			return words[1:], true
		}
	}
	return nil, false
}

func allows(sources []string, page, parent string) bool {
	p, err := url.Parse(parent)
	if err != nil {
		return false
	}
	for _, s := range sources {
		switch {
		case s == "*", strings.EqualFold(s, p.Scheme+":"):
			return true
		case strings.EqualFold(s, "'self'"):
			if sameOrigin(page, parent) {
				return true
			}
		case matchesSource(s, page, p):
			return true
		}
	}
	return false
}

// matchesSource reports whether an origin matches a host source (section 6.7.2.8).
func matchesSource(source, page string, parent *url.URL) bool {
	scheme, rest, ok := strings.Cut(source, "://")
	if !ok {
		rest = source
		if u, err := url.Parse(page); err == nil {
			scheme = u.Scheme
		}
	}
	if !strings.EqualFold(scheme, parent.Scheme) && !(strings.EqualFold(scheme, "http") && parent.Scheme == "https") {
		return false
	}
	rest, _, _ = strings.Cut(rest, "/")
	host, port := strings.ToLower(rest), ""
	if i := strings.LastIndexByte(rest, ':'); i >= 0 && !strings.HasSuffix(rest, "]") {
		host, port = strings.ToLower(rest[:i]), rest[i+1:]
	}
	if port != "*" && defaultPort(port, parent.Scheme) != defaultPort(parent.Port(), parent.Scheme) {
		return false
	}
	name := strings.ToLower(parent.Hostname())
	if below, ok := strings.CutPrefix(host, "*"); ok {
		return strings.HasPrefix(below, ".") && strings.HasSuffix(name, below)
	}
	return host == name
}

func defaultPort(port, scheme string) string {
	switch {
	case port != "":
		return port
	case scheme == "https":
		return "443"
	}
	return "80"
}

func sameOrigin(a, b string) bool {
	u, err := url.Parse(a)
	v, err2 := url.Parse(b)
	return err == nil && err2 == nil && u.Scheme == v.Scheme && strings.EqualFold(u.Hostname(), v.Hostname()) &&
		defaultPort(u.Port(), u.Scheme) == defaultPort(v.Port(), v.Scheme)
}
