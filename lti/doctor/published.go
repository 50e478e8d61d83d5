package doctor

import (
	"fmt"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/internal/httpx"
	"go.acu.edu.au/runbook/internal/netcheck"
	"go.acu.edu.au/runbook/internal/netcheck/httpcheck"
)

// slowKeySet is how long a key set may take: the platform waits for it while a
// user waits.
const slowKeySet = 2 * time.Second

// ownKeySet looks at what the tool publishes.
func (x *exam) ownKeySet() {
	const what = "the tool's key set"
	a := &x.ownKeys
	x.publicAddress()
	if x.unanswered(a, "jwks_unreachable", what, "Make "+what+" answer from the Internet: start the tool, and look at its address, certificate and firewall. Canvas reads it for every token.") {
		return
	}
	if privatePEM(a.body) {
		x.urgent("private_key_published", "The address of the key set shows a private key", leaked, a.asked+": the answer has a PEM with PRIVATE KEY in it")
		return
	}
	if !x.keySetAnswer(a) {
		return
	}
	set, err := readKeySet(a.body)
	if err != nil || a.tooLarge {
		if a.tooLarge {
			err = fmt.Errorf("it is larger than %d bytes", maxBody)
		}
		x.finding("jwks_invalid", incident.Certain, "What the tool publishes is not a key set",
			`Answer at this address with {"keys": […]} and nothing else; lti.KeyRing.Handler does.`, a.asked+": "+err.Error())
		return
	}
	x.set = set
	before := x.since()
	x.privateMembers()
	x.keyFields()
	x.reusedKids()
	x.ownKey()
	x.previousKeys()
	if x.since() == before {
		x.right("published key set: %s", plural(len(set.keys), "key"))
	}
}

const leaked = "Take the private key off the set now, make a new key, publish it, let the tool sign with it, and remove this one: whoever saw it can act as the tool. Look in the log for who read the address."

// keySetAnswer looks at status, time and type of the answer, and reports whether
// its body is worth reading.
func (x *exam) keySetAnswer(a *answer) bool {
	what := a.asked + ": answered " + httpcheck.Status(a.status)
	switch {
	case a.status == http.StatusUnauthorized || a.status == http.StatusForbidden:
		x.finding("jwks_not_public", incident.Certain, "The tool's key set asks for a credential, and platforms have none",
			"Serve the key set without authentication, and without a check of the caller's address.", what)
		return false
	case a.status >= 300 && a.status <= 399:
		x.finding("jwks_status", incident.Likely, "The tool's key set is not at its address: it redirects",
			"Register the address to which it leads, or serve the key set where it is registered.", what+", "+leads(a))
		return false
	case a.status == http.StatusTooManyRequests || a.status >= 500:
		x.finding("jwks_status", incident.Certain, "The tool does not serve its key set", "Look into the log of the tool, and start it again if it is down.", what)
		return false
	case !a.ok():
		x.finding("jwks_status", incident.Certain, "There is no key set at the tool's address for it",
			"Mount the handler of the key set at this address, or register the address where it is.", what)
		return false
	}
	if a.took() > slowKeySet {
		x.finding("jwks_slow", incident.Possible, "The tool's key set is slow", "Serve it from memory. Canvas reads it while users wait.",
			fmt.Sprintf("%s: took %v", a.asked, netcheck.Round(a.took())))
	}
	media, _, err := mime.ParseMediaType(a.header.Get("Content-Type"))
	if err != nil || media != "application/json" && media != "application/jwk-set+json" {
		x.finding("jwks_content_type", incident.Possible, "The tool's key set has another type than JSON",
			"Send Content-Type: application/json.", a.asked+": Content-Type is "+quote(a.header.Get("Content-Type")))
	}
	return true
}

// leads says where an answer leads, without the query.
func leads(a *answer) string {
	to, err := url.Parse(a.header.Get("Location"))
	if err != nil || a.header.Get("Location") == "" {
		return "with no address that can be parsed"
	}
	if to.Host == "" {
		return "to the path " + netcheck.Clean(to.EscapedPath())
	}
	return "to " + httpcheck.Place(to)
}

// publicAddress finds an address of the key set that the platform cannot reach,
// unless the platform is in the same place.
func (x *exam) publicAddress() {
	u, why := parse(x.cfg.JWKSURL)
	if why != "" {
		return // said elsewhere
	}
	platform, err := url.Parse(x.cfg.Registration.Issuer)
	if err == nil && platform.Host != "" && httpx.PublicHost(platform.Hostname()) != nil {
		return
	}
	if httpx.PublicHost(u.Hostname()) != nil {
		x.finding("jwks_not_public", incident.Certain, "The tool's key set has an address that only this network knows",
			"Publish the key set at an address of the Internet, and register that.", "the host is "+quote(u.Hostname()))
	}
}

// privateMembers finds private numbers in the set: the severest finding there is.
func (x *exam) privateMembers() {
	for _, k := range x.set.keys {
		if len(k.private) > 0 {
			x.urgent("private_key_published", "The tool publishes a private key", leaked,
				fmt.Sprintf("%s: %s has %s, which are private", x.ownKeys.asked, k.name(), strings.Join(k.private, ", ")))
		}
	}
}

// keyFields finds keys that a platform passes over, or cannot use.
func (x *exam) keyFields() {
	if len(x.set.usable()) == 0 {
		var evidence []string
		for _, k := range x.set.keys {
			if k.problem != "" && len(evidence) < 5 {
				evidence = append(evidence, k.name()+": "+k.problem)
			}
		}
		if evidence == nil {
			evidence = []string{fmt.Sprintf("%s: %s, none for signatures by RSA", x.ownKeys.asked, plural(len(x.set.keys), "key"))}
		}
		x.finding("jwks_no_key", incident.Certain, "The published set has no key that a platform can use",
			"Publish the tool's RSA key of 2048 bits or more, with kid, kty, n, e, alg and use.", evidence...)
	}
	for _, k := range x.set.keys {
		signs := x.signer != nil && k.thumbprint == x.signer.thumbprint
		l := incident.Possible
		if signs || x.signer == nil && len(x.set.keys) == 1 {
			l = incident.Certain
		}
		if len(k.missing) > 0 && k.kty != "oct" {
			x.finding("jwk_fields", l, "A published key lacks what Canvas demands", "Publish kid, kty, n, e, alg and use with every key.",
				k.name()+" lacks "+strings.Join(k.missing, ", "))
		}
		if k.alg != "" && k.alg != "RS256" && k.kty == "RSA" {
			x.finding("jwk_algorithm", l, "A published key is for another algorithm than RS256", `Publish the key with "alg": "RS256", and sign with that.`,
				k.name()+" says alg "+quote(k.alg))
		}
		if k.use != "" && k.use != "sig" {
			x.finding("jwk_use", l, "A published key is not for signatures", `Publish the key with "use": "sig".`, k.name()+" says use "+quote(k.use))
		}
		if k.bits > 0 && k.bits < 2048 {
			x.finding("jwk_small", l, "A published key is too small", "Make a new key of 2048 bits or more, publish it, and sign with it.", fmt.Sprintf("%s has %d bits", k.name(), k.bits))
		}
	}
}

// reusedKids finds one kid for two keys, in the set or since an earlier one
// (Security Framework 1.0, section 6.3).
func (x *exam) reusedKids() {
	const remedy = "Give every key a kid of its own, its RFC 7638 thumbprint for one, and never use a kid again for another key."
	first := make(map[string]publishedKey)
	for _, k := range x.set.keys {
		if k.kid == "" || k.thumbprint == "" {
			continue
		}
		if f, ok := first[k.kid]; ok && f.thumbprint != k.thumbprint {
			x.finding("kid_reused", incident.Certain, "Two published keys have one kid, so that platforms may take the wrong one", remedy,
				fmt.Sprintf("key %d and key %d differ, and both have kid %s", f.place, k.place, quote(k.kid)))
			continue
		}
		first[k.kid] = k
		if known := x.cfg.KnownKeys[k.kid]; known != "" && known != k.thumbprint {
			x.finding("kid_reused", incident.Likely, "A kid names another key than before, and platforms may still have the old one", remedy,
				fmt.Sprintf("kid %s had thumbprint %s, and has %s", quote(k.kid), quote(known), k.thumbprint))
		}
	}
}

// ownKey looks for the private key's other half in the set.
func (x *exam) ownKey() {
	if x.signer == nil {
		x.skip("whether the private key is the one that is published", "the private key is not known, or cannot be read")
		return
	}
	i := slices.IndexFunc(x.set.keys, func(k publishedKey) bool { return k.thumbprint == x.signer.thumbprint })
	if i < 0 {
		x.finding("key_not_published", incident.Certain, "The key with which the tool signs is not in its published set",
			"Publish the public half of the stored private key, or store the private key that belongs to the published one; then start the tool again, if it reads the key at its start only.",
			"the private key has thumbprint "+x.signer.thumbprint, "published: "+x.thumbprints())
		return
	}
	k := x.set.keys[i]
	if x.cfg.KeyID != "" && k.kid != x.cfg.KeyID {
		x.finding("key_id", incident.Certain, "The tool signs with another kid than it publishes", "Sign with the kid that is published for this key.",
			"the tool signs with kid "+quote(x.cfg.KeyID), "the key is published with kid "+quote(k.kid))
		return
	}
	x.right("the private key is published, as %s", k.name())
}

func (x *exam) thumbprints() string {
	var all []string
	for _, k := range x.set.keys {
		if k.thumbprint != "" {
			all = append(all, k.thumbprint)
		}
	}
	return list(all)
}

// previousKeys looks for keys that are to stay published.
func (x *exam) previousKeys() {
	have := make(map[string]bool)
	for _, k := range x.set.keys {
		have[k.thumbprint] = true
	}
	for i, t := range x.cfg.previousThumbprints() {
		if t != "" && !have[t] {
			x.finding("previous_key_not_published", incident.Possible, "A previous key is not published any more",
				"Keep a key published for a day after the next one has begun to sign: what it signed cannot be verified otherwise.",
				fmt.Sprintf("previous key %d has thumbprint %s", i+1, t), "published: "+list(slices.Sorted(maps.Keys(have))))
		}
	}
}
