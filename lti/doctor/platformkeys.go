package doctor

import (
	"net/http"

	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/internal/netcheck/httpcheck"
)

// platformKeySet looks at the platform's set: whether there is one at its address.
func (x *exam) platformKeySet() {
	const what = "the platform's key set"
	a := &x.platformKeys
	const remedy = "Compare the address with what the platform publishes. If it is right, the platform may be down, or this machine may not reach it: launches fail as soon as a key is needed that is not known."
	if x.unanswered(a, "platform_jwks", what, remedy) {
		return
	}
	if a.status == http.StatusTooManyRequests || a.status >= 500 {
		x.skip(what, "%s: answered %s", a.asked, httpcheck.Status(a.status))
		return
	}
	bad := ""
	if !a.ok() {
		bad = "answered " + httpcheck.Status(a.status)
	} else if set, err := readKeySet(a.body); err != nil {
		bad = err.Error()
	} else if len(set.usable()) == 0 {
		bad = "it has no RSA key for signatures"
	} else {
		x.right("the platform's key set: %s", plural(len(set.usable()), "key"))
		return
	}
	x.finding("platform_jwks", incident.Certain, "There is no key set at the platform's address for it, so that no launch can be verified",
		"Put the platform's JWKS address into the registration of the tool, from what the platform publishes.", a.asked+": "+bad)
}
