package doctor

import (
	"errors"
	"fmt"
	"slices"

	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/lti"
)

// advice says what a refusal of a token means, and what to do.
var advice = map[lti.Reason]struct{ title, remedy string }{ //nolint:gochecknoglobals // constant
	lti.ReasonToken:       {"what was given is not a signed token that can be read", "Take the value of the form field id_token, whole and without quotes."},
	lti.ReasonAlgorithm:   {"it is signed by an algorithm that was not agreed on", "Leave Algorithms of the registration empty for RS256. If the token says HS256 or none, it was forged or comes from something else than the platform."},
	lti.ReasonKey:         {"its key is not one of the platform's", "Compare issuer and JWKS address of the registration: this is the key set of another platform or environment, or the token was forged."},
	lti.ReasonSignature:   {"its signature is wrong", "It was changed on its way, or forged, or comes from another environment. Take the whole value of id_token; compare the JWKS address."},
	lti.ReasonClaims:      {"its claims cannot be read", "Ask the platform's support, with the evidence: the platform sends something else than LTI says."},
	lti.ReasonIssuer:      {"it comes from another issuer", "Register this issuer too, or open the tool from the platform that is registered."},
	lti.ReasonAudience:    {"it is for another client", "Set the client id of the tool to the one in aud, if that is the tool's key at the platform; else the launch is for another tool."},
	lti.ReasonParty:       {"its azp is another client, or missing", "Compare the client id with azp. Name in TrustedAudiences whom else the token may be for."},
	lti.ReasonExpired:     {"it has expired", "Open the tool again from the platform. If new tokens have expired too, compare the clocks."},
	lti.ReasonIssuedAt:    {"it seems to be issued in the future, or has no time", "Compare the clock of the tool with the platform's, and set it by NTP."},
	lti.ReasonLifetime:    {"it lives longer than the tool takes", "Raise MaxTokenLife, if the platform really issues such tokens."},
	lti.ReasonVersion:     {"it is not of LTI 1.3", "Register the tool at the platform as an LTI 1.3 tool."},
	lti.ReasonMessageType: {"it is a message that the tool does not take", "Correct the message type of the placement at the platform, or add it to MessageTypes of the tool."},
	lti.ReasonMissing:     {"it lacks a claim that its message needs", "Ask the platform's support, with the evidence."},
	lti.ReasonAnonymous:   {"it names no user", "Open the tool as a user who is logged in, or set AllowAnonymous of the registration."},
	lti.ReasonDeployment:  {"it has no deployment that is accepted", "Install the tool again where it was opened, and accept the new deployment."},
	lti.ReasonTarget:      {"what it launches is not the tool's", "Correct the target link URI at the platform."},
	lti.ReasonNonce:       {"it has no nonce", "Begin the launch with a login at the tool's login address; only the platform's answer to that has a nonce."},
}

// token says why the given token fails. It accepts nothing.
func (x *exam) token() {
	e := x.examined
	switch {
	case x.cfg.Token.IsZero():
		return
	case e == nil:
		x.skip("the failing token", "the issuer of the registration was not given, or it took too long")
		return
	}
	if x.cfg.Registration.JWKSURL == "" {
		x.skip("the signature of the token", "the JWKSURL of the registration was not given")
	}
	before, blind := x.since(), false
	for i, r := range e.Problems {
		if r.Reason == lti.ReasonKeySet || r.Reason == lti.ReasonStore {
			x.skip("the signature of the token", "the platform's key set could not be had")
			blind = true
			continue
		}
		x.tokenProblem(e, r, i == 0)
	}
	x.tokenTarget(e)
	if known := x.cfg.Registration.Deployments; len(known) > 0 && e.DeploymentID != "" && !slices.Contains(known, e.DeploymentID) {
		x.finding("token_deployment", incident.Likely, "The token is of a deployment that the tool does not know",
			"Accept the deployment in the tool, if the installation is wanted: each installation, in an account or course, has one of its own.",
			"the token has "+quote(e.DeploymentID), "the registration has "+list(known))
	}
	if x.since() == before && !blind {
		x.right("the token itself is acceptable; look at its login: state, browser and nonce, which a token does not show")
	}
}

func (x *exam) tokenProblem(e *lti.Examination, r *lti.Refusal, first bool) {
	l := incident.Likely
	if first || e.Verified {
		l = incident.Certain
	}
	evidence := []string{r.Detail}
	if r.Detail == "" {
		evidence[0] = string(r.Reason)
	}
	if r.Reason != lti.ReasonToken && e.Algorithm != "" {
		evidence = append(evidence, fmt.Sprintf("the token says alg %s, kid %s", quote(e.Algorithm), quote(e.KeyID)))
	}
	if !e.Verified && r.Reason != lti.ReasonToken {
		evidence = append(evidence, "its signature was not verified, so anybody may have written it")
	}
	a, ok := advice[r.Reason]
	if !ok {
		a.title, a.remedy = string(r.Reason), "Look at the evidence."
	}
	if r.Reason == lti.ReasonExpired && x.cfg.TokenTime.IsZero() && !e.Expires.IsZero() {
		// Any token of a former launch has expired by now.
		l = incident.Possible
		evidence = append(evidence, "when it came is not known (TokenTime); by now it has to have expired")
	}
	if r.Reason == lti.ReasonIssuer || r.Reason == lti.ReasonKey || r.Reason == lti.ReasonAudience {
		evidence = append(evidence, x.otherEnvironment(e)...)
	}
	if unknown := errors.Is(r, lti.ErrUnknownKey); unknown {
		evidence = append(evidence, "the platform's key set has no such key")
	}
	x.finding("token_"+string(r.Reason), l, "The token is refused: "+a.title, a.remedy, evidence...)
}

// otherEnvironment says if a token comes from another environment of Canvas.
func (x *exam) otherEnvironment(e *lti.Examination) []string {
	from, want := issuers[e.Issuer], issuers[x.cfg.Registration.Issuer]
	if from == "" || want == "" || from == want {
		return nil
	}
	return []string{fmt.Sprintf("it comes from Canvas %s, and the tool is registered for %s; copies have the same client ids and deployments", from, want)}
}

// tokenTarget compares what a token launches with the tool's addresses.
func (x *exam) tokenTarget(e *lti.Examination) {
	if e.TargetLinkURI == "" {
		return
	}
	want := x.cfg.DeepLinkURL
	if e.MessageType == lti.MessageDeepLinking && want != "" && e.TargetLinkURI != want {
		x.finding("deep_link_url", incident.Likely, "The token launches another address than the tool's for deep linking",
			"Set the tool's deep linking address as target link URI of the placement in its key at the platform.",
			"it launches "+place(e.TargetLinkURI), "the deep linking address of the tool is "+place(want))
		return
	}
	if own := x.cfg.LaunchURL; own != "" && !sameOrigin(e.TargetLinkURI, own) && e.TargetLinkURI != x.cfg.TargetLinkURI && e.TargetLinkURI != want {
		x.finding("target_link_uri", incident.Likely, "The token launches an address of another host than the tool's",
			"Correct the target link URI at the platform; after a refresh it may be that of production. If it is right, add its origin to the targets of the tool.",
			"it launches "+place(e.TargetLinkURI), "the launch address of the tool is "+place(own))
	}
	if s, chooses := selects[e.Placement]; chooses && s.only && e.MessageType == lti.MessageResourceLink && want != "" {
		x.finding("placement_message", incident.Possible, "The token is a plain launch from a placement where content is chosen",
			"Set the message type LtiDeepLinkingRequest for the placement in the tool's key at the platform.", "placement "+quote(e.Placement), "message type "+quote(e.MessageType))
	}
}
