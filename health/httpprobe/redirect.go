package httpprobe

import (
	"net/http"
	"net/url"
	"strings"

	"go.acu.edu.au/runbook/internal/netcheck/httpcheck"
)

// redirect decides whether the redirect to next is followed, and with what. It
// replaces the CheckRedirect of the client.
func (a *attempt) redirect(next *http.Request, via []*http.Request) error {
	a.note(next.Response)
	first, last := via[0].URL, via[len(via)-1].URL
	foreign := !sameSite(first, next.URL)
	for _, req := range via {
		foreign = foreign || !sameSite(first, req.URL)
	}
	switch {
	case len(via) > a.p.cfg.Redirects,
		next.URL.Scheme != "http" && next.URL.Scheme != "https",
		last.Scheme == "https" && next.URL.Scheme == "http",
		foreign && next.Body != nil && next.Body != http.NoBody:
		return http.ErrUseLastResponse
	}
	// net/http names the URL that redirects, whose query may be secret.
	next.Header.Del("Referer")
	if foreign {
		a.strip(next)
	}
	a.last = next.URL
	a.line.Again(next.URL.Hostname())
	return nil
}

// strip leaves nothing on the request that was configured for another host.
// net/http itself keeps credentials for sub-domains and other ports, and all
// headers that it does not know to be credentials.
func (a *attempt) strip(req *http.Request) {
	kept := http.Header{}
	for _, name := range [...]string{"Accept", "User-Agent"} {
		if values := req.Header.Values(name); len(values) > 0 {
			kept[name] = values
		}
	}
	req.Header = kept
	req.URL.User = nil
	req.Host = req.URL.Host
}

// sameSite reports whether what is sent to a may be sent to b: the same host
// and port, or the step from http to https on the same host.
func sameSite(a, b *url.URL) bool {
	if !strings.EqualFold(a.Hostname(), b.Hostname()) {
		return false
	}
	if a.Scheme == b.Scheme {
		return portOf(a) == portOf(b)
	}
	return a.Scheme == "http" && portOf(a) == "80" && portOf(b) == "443"
}

func portOf(u *url.URL) string {
	switch {
	case u.Port() != "":
		return u.Port()
	case u.Scheme == "https":
		return "443"
	}
	return "80"
}

// redirected says where the request went in the end, if not where it began.
func (a *attempt) redirected() string {
	if a.last == nil {
		return ""
	}
	return " (redirected to " + httpcheck.Place(a.last) + ")"
}
