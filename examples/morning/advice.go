package main

import (
	"cmp"
	"net/url"

	"go.acu.edu.au/runbook/canvas/canvasprobe"
	"go.acu.edu.au/runbook/health"
)

// advice says what to do about a result that is not healthy: what the
// configuration says about the measurement past its limit or about the cause,
// else what is true of the cause anywhere, else what the configuration says of
// all others.
func advice(l line, r health.Result) string {
	for _, f := range l.check.Extract {
		if m, ok := r.Measurement(f.measurement()); ok && f.Limit.past(m) && l.next[m.Name] != "" {
			return l.next[m.Name]
		}
	}
	if text := l.next[string(r.Cause)]; text != "" {
		return text
	}
	if text := general(r.Cause, l); text != "" {
		return text
	}
	return l.next[otherwise]
}

// past reports whether m is past one of the limits.
func (l limit) past(m health.Measurement) bool {
	r := health.Limit(l).Apply(health.Result{Status: health.Healthy}, m)
	return r.Status != health.Healthy
}

// general is the advice for what can happen to any request.
func general(c health.Cause, l line) string {
	host, port := hostOf(l.target), "443"
	if u, err := url.Parse(l.target); err == nil {
		host, port = u.Hostname(), cmp.Or(u.Port(), port)
	}
	switch c {
	case health.CauseDNS:
		return "Ask here and from another network. If it fails everywhere, the record or the domain is gone: ask who runs the DNS. If only here, it is this machine's resolver.\n$ getent hosts " + host
	case health.CauseUnreachable:
		return "There is no way from here to " + host + ". Try from another network before you call it an outage."
	case health.CauseRefused:
		return "Nothing listens at " + host + ", or a firewall refuses. Look whether the service runs and whether its domain points at it."
	case health.CauseTLS, health.CauseCertificate:
		return "Renew the certificate, or set the clock of this machine right. Look at what the server shows:\n$ openssl s_client -connect " + host + ":" + port + " -servername " + host + " </dev/null"
	case health.CauseTimeout:
		return "The service takes the request and does not answer in time: overloaded, stuck, or waiting for its database. Read its logs; restart it if they stand still."
	case health.CauseConnection:
		return "The connection breaks before the answer is complete. Run this again; if it stays, the service or the proxy before it crashes on this request: read its logs."
	case health.CauseUnauthorized:
		return "The monitoring credential is not accepted; users need not be affected. Make a new one and set the variable or file that the configuration names."
	case canvasprobe.CausePermission:
		return "The monitoring token is accepted, but its user or its scopes do not allow this; users need not be affected. Ask a Canvas administrator for what is named above."
	case canvasprobe.CauseKeyGone:
		return "Canvas is up: it was overwritten from production, and the token that was made only here is lost. Make a new one and set the variable or file that the configuration names."
	case health.CauseNotJSON, health.CauseProtocol, health.CauseTooLarge, health.CauseMissing:
		return "Either something else answers at this address, or a release changed the answer and the configuration has to follow. Look at it:\n$ curl -i " + l.target
	case health.CauseThrottled:
		return "Ask less often, or wait: the quota refills by itself."
	case health.CauseMaintenance:
		return "Wait for its end, or ask who maintains it."
	case health.CausePending:
		return "Run this again and let it finish."
	case health.CauseNotAsked, health.CauseHung, health.CausePanic:
		return "This program could not ask. Look at its configuration and at this machine, and check " + host + " by hand."
	}
	return ""
}
