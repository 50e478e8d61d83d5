package lti

import (
	"fmt"
	"net/http"
	"strings"
)

// A Reason is why a login or a launch was refused. It is an error, so that
// errors.Is(err, lti.ReasonReplay) works on what this package returns; its text
// is a stable word for metrics.
type Reason string

// Error returns the word.
func (r Reason) Error() string { return string(r) }

// Reasons of a login initiation.
const (
	ReasonMethod       Reason = "method"       // another HTTP method than this endpoint takes
	ReasonRequest      Reason = "request"      // not a form, too large, or a parameter twice
	ReasonParameter    Reason = "parameter"    // a parameter that is required is missing, or too long
	ReasonRegistration Reason = "registration" // no registration for this issuer and client id, or several
	ReasonTarget       Reason = "target"       // the target link URI is not one of this tool, or differs from that of the login
)

// Reasons of a launch, in the order in which they are looked for. ReasonTarget,
// before ReasonMissing, is one too.
const (
	ReasonState        Reason = "state"         // state is missing, forged, or made with a key that is known no more
	ReasonStateExpired Reason = "state_expired" // state is older than [StateLife]
	ReasonBrowser      Reason = "browser"       // state was not made for this browser, or its cookie did not arrive
	ReasonPlatform     Reason = "platform"      // the platform posted an error instead of a token
	ReasonToken        Reason = "token"         // not a signed JWT, too large, or its header is not acceptable
	ReasonAlgorithm    Reason = "algorithm"     // signed by an algorithm that was not agreed
	ReasonKey          Reason = "key"           // kid is missing, or the platform has no such key
	ReasonKeySet       Reason = "key_set"       // the platform's key set could not be had
	ReasonSignature    Reason = "signature"     // the signature is wrong
	ReasonClaims       Reason = "claims"        // the payload is not JSON, or a claim has the wrong type
	ReasonIssuer       Reason = "issuer"        // iss is another one
	ReasonAudience     Reason = "audience"      // aud is not this tool, or includes one that is not trusted
	ReasonParty        Reason = "party"         // azp is another client, or missing where aud has several entries
	ReasonExpired      Reason = "expired"       // exp is over
	ReasonLifetime     Reason = "lifetime"      // exp is further away than [Config].MaxTokenLife
	ReasonIssuedAt     Reason = "issued_at"     // iat is in the future, or too long ago
	ReasonNonce        Reason = "nonce"         // nonce is missing, or is not that of the login
	ReasonVersion      Reason = "version"       // LTI version is missing, or not 1.3.0
	ReasonMessageType  Reason = "message_type"  // message type is missing, or not one that is taken here
	ReasonMissing      Reason = "missing_claim" // a claim that the message requires is missing
	ReasonAnonymous    Reason = "anonymous"     // sub is missing, and anonymous launches are not allowed
	ReasonDeployment   Reason = "deployment"    // the deployment is not accepted
	ReasonHost         Reason = "host"          // the host refused a launch that is valid
	ReasonReplay       Reason = "replay"        // the nonce was used before
	ReasonStore        Reason = "store"         // the nonce store, or the host's registrations, could not be asked
)

// A Refusal is a login or launch that was refused. Error is the line for the
// operator; the page that the user sees says less.
type Refusal struct {
	// Reason is why.
	Reason Reason
	// Detail says what was expected and what came, for the operator. Foreign
	// text in it is quoted and shortened; it holds no token and no personal data.
	Detail string
	// Issuer and ClientID are those of the registration, if it is known.
	Issuer, ClientID string
	// PlatformError is the error code that the platform posted, such as
	// "login_required" or "launch_no_longer_valid" (OpenID Connect Core, section
	// 3.1.2.6), and PlatformDescription what it says about it. Both are foreign
	// text.
	PlatformError, PlatformDescription string

	cause error
}

// Error returns the line for the operator.
func (r *Refusal) Error() string {
	var b strings.Builder
	b.WriteString("lti: refused (")
	b.WriteString(string(r.Reason))
	b.WriteString(")")
	if r.Issuer != "" {
		fmt.Fprintf(&b, " for %s, client %s", r.Issuer, r.ClientID)
	}
	if r.Detail != "" {
		b.WriteString(": ")
		b.WriteString(r.Detail)
	}
	if r.cause != nil {
		b.WriteString(": ")
		b.WriteString(r.cause.Error())
	}
	return b.String()
}

// Is reports whether target is the reason.
func (r *Refusal) Is(target error) bool {
	reason, ok := target.(Reason)
	return ok && reason == r.Reason
}

// Unwrap returns what went wrong below, if anything did: the error of the nonce
// store, of fetching a key set, or of the host.
func (r *Refusal) Unwrap() error { return r.cause }

// Status is the HTTP status with which the request was answered: 401 for a token
// that is not acceptable (Security Framework 1.0, section 5.1.3), 400 for a
// request that is none, 403 for a launch that the host does not want, and 503
// where nobody could be asked.
func (r *Refusal) Status() int {
	switch r.Reason {
	case ReasonMethod:
		return http.StatusMethodNotAllowed
	case ReasonRequest, ReasonParameter, ReasonRegistration, ReasonTarget:
		return http.StatusBadRequest
	case ReasonDeployment, ReasonHost:
		return http.StatusForbidden
	case ReasonKeySet, ReasonStore:
		return http.StatusServiceUnavailable
	}
	return http.StatusUnauthorized
}

// refuse returns a Refusal with a detail.
func refuse(reason Reason, format string, args ...any) *Refusal {
	return &Refusal{Reason: reason, Detail: fmt.Sprintf(format, args...)}
}

// quote returns foreign text for an operator: quoted, and not long.
func quote(s string) string {
	const most = 80
	if len(s) > most {
		return fmt.Sprintf("%q…", s[:most])
	}
	return fmt.Sprintf("%q", s)
}
