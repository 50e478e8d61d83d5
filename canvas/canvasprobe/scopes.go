package canvasprobe

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/canvas"
	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/internal/netcheck"
)

// A ScopeNeed is what a piece of code needs of a token, named as Canvas's scopes
// name it. [Instance.TokenScopes], [Instance.ToolScopes], [Keys.Scopes] and
// [Announcer.Scopes] say what this package needs; package usage does likewise.
type ScopeNeed struct {
	// For says what it is needed for: "to switch developer keys".
	For string
	// Scopes are those of all calls that are made:
	// "url:GET|/api/v1/accounts/:account_id/developer_keys". Those of calls that
	// write are among them.
	Scopes []string
}

// A ScopeVerdict says what became of the try of one scope.
type ScopeVerdict string

// The verdicts. Only the first two say something about scopes for certain.
const (
	// ScopeAllowed means that the call was made, or, for a call that writes, that
	// Canvas lists the scope for the token.
	ScopeAllowed ScopeVerdict = "allowed"
	// ScopeMissing means that Canvas refused the call for lack of the scope, or, for
	// a call that writes, does not list it for the token.
	ScopeMissing ScopeVerdict = "missing"
	// ScopeForbidden means that the scope suffices, and that the user of the token
	// may not do it: a role lacks a permission. A scope would not help.
	ScopeForbidden ScopeVerdict = "forbidden"
	// ScopeNoObject means that the scope suffices, since Canvas looks at scopes
	// first, and that what was asked for is not there, or is switched off in this
	// Canvas. Whether the user might read it is not known.
	ScopeNoObject ScopeVerdict = "no object"
	// ScopeRefused means that Canvas does not accept the token itself.
	ScopeRefused ScopeVerdict = "token refused"
	// ScopeNotAsked means that Canvas did not answer, or not to this: an outage, a
	// maintenance, the rate limit. Nothing is known.
	ScopeNotAsked ScopeVerdict = "not asked"
	// ScopeUntried means that the call writes, so that it is not tried, and that it
	// is not known which scopes the token has.
	ScopeUntried ScopeVerdict = "untried"
)

// A ScopeFinding is what was found about one scope.
type ScopeFinding struct {
	// Scope is the scope, in Canvas's words.
	Scope string
	// For are the needs that have it, in their order.
	For []string
	// Verdict is what was found, Message why, for people. Message is empty for what
	// is allowed.
	Verdict ScopeVerdict
	Message string
}

// A ScopeQuestion says which token is judged, by what.
type ScopeQuestion struct {
	// Needs are what the token is needed for. Required.
	Needs []ScopeNeed
	// Account is the account that the calls are about. Empty means canvas.Self.
	Account canvas.Ref
	// ClientID is the developer key, or LTI registration, that is asked for where a
	// call is about one. Zero means one that is not there, which says as much about
	// the scope, and less about the user.
	ClientID canvas.ID
	// Key is the developer key for which the token was issued. Zero means the one
	// that has the name that Canvas gives for the token, if there is one.
	Key canvas.ID
}

// A ScopeReport is what is known of a token's scopes.
type ScopeReport struct {
	// Findings has each scope that is needed once, in the order of the needs.
	Findings []ScopeFinding
	// Token are the scopes of the token as Canvas lists them, if TokenKnown. None
	// means that it is not limited by itself.
	Token      []string
	TokenKnown bool
	// Key is what the developer key of the token says; nil if it could not be read,
	// or there is none. Why says why not.
	Key *ScopeKey
	Why string
}

// A ScopeKey is a developer key, compared with what is needed.
type ScopeKey struct {
	// ID and Name are those of the key.
	ID   canvas.ID
	Name string
	// Limits says that the key enforces scopes. Without it its tokens may do
	// whatever their user may, and the lists are empty.
	Limits bool
	// Missing are scopes that are needed and that the key does not have, Excess
	// those that it has beyond what is needed.
	Missing, Excess []string
	// IgnoresIncludes says that Canvas leaves out in silence what tokens of the key
	// ask for with include[].
	IgnoresIncludes bool
}

// Scopes tries with reads, one after the other and each once, whether the token of
// the instance may make the calls that are needed, and compares what is needed with
// the scopes that Canvas lists for the token and for its developer key. It sends GET
// only: a call that writes is judged by those lists, or not at all.
//
// The reads are of lists of ten at the most and of single objects. One of them is of
// the token's own page views, if those are among the needs, for which Canvas charges
// 5 units more. After a token that is not accepted nothing more is asked.
//
// It always returns a report; what could not be asked is in it.
func (i *Instance) Scopes(ctx context.Context, q ScopeQuestion) ScopeReport {
	ctx = runbook.ReadOnly(ctx)
	if q.Account == "" {
		q.Account = canvas.Self
	}
	var r ScopeReport
	for _, n := range q.Needs {
		for _, s := range n.Scopes {
			at := slices.IndexFunc(r.Findings, func(f ScopeFinding) bool { return f.Scope == s })
			if at < 0 {
				r.Findings, at = append(r.Findings, ScopeFinding{Scope: s}), len(r.Findings)
			}
			if f := &r.Findings[at]; !slices.Contains(f.For, n.For) {
				f.For = append(f.For, n.For)
			}
		}
	}
	i.tryScopes(ctx, q, r.Findings)
	if !slices.ContainsFunc(r.Findings, func(f ScopeFinding) bool { return f.Verdict == ScopeRefused }) {
		i.readScopes(ctx, q, &r)
	}
	r.judge()
	return r
}

// tryScopes tries those of calls that read.
func (i *Instance) tryScopes(ctx context.Context, q ScopeQuestion, all []ScopeFinding) {
	refused := ""
	for n := range all {
		f := &all[n]
		path, ok := q.path(f.Scope)
		switch {
		case !ok:
			f.Verdict = ScopeUntried
		case refused != "":
			f.Verdict, f.Message = ScopeRefused, refused
		default:
			if f.Verdict, f.Message = i.tryScope(ctx, path); f.Verdict == ScopeRefused {
				refused = f.Message
			}
		}
	}
}

// tryScope makes one call, of one attempt.
func (i *Instance) tryScope(ctx context.Context, path string) (ScopeVerdict, string) {
	inner, t := i.try(ctx)
	defer t.end()
	_, err := i.client.Do(inner, canvas.Request{Path: path}, nil)
	e := answered(err)
	switch {
	case err == nil:
		i.accepted()
		return ScopeAllowed, ""
	case e == nil:
	case errors.Is(e, canvas.ErrScope):
		i.accepted()
		return ScopeMissing, ""
	case errors.Is(e, canvas.ErrForbidden):
		i.accepted()
		return ScopeForbidden, "the scope suffices, and the user of the token may not do this: a permission is missing in a role of the user"
	case errors.Is(e, canvas.ErrNotFound):
		i.accepted()
		return ScopeNoObject, "the scope suffices, and what was asked for is not there, or is switched off in this Canvas"
	case errors.Is(e, canvas.ErrUnauthenticated):
		return ScopeRefused, i.explain(t, err).Message
	}
	return ScopeNotAsked, i.explain(t, err).Message
}

// path is the address of a harmless call for a scope; ok is false if there is none.
func (q ScopeQuestion) path(scope string) (path string, ok bool) {
	route, ok := strings.CutPrefix(scope, "url:"+http.MethodGet+"|/api/v1/")
	if !ok {
		return "", false
	}
	segments := strings.Split(route, "/")
	for n, s := range segments {
		switch {
		case !strings.HasPrefix(s, ":"):
		case s == ":account_id" || n > 0 && segments[n-1] == "accounts":
			segments[n] = string(q.Account)
		case s == ":user_id" || n > 0 && segments[n-1] == "users":
			segments[n] = string(canvas.Self)
		case s == ":client_id" || s == ":developer_key_id":
			segments[n] = q.ClientID.String()
		default:
			segments[n] = "0" // which is the id of nothing
		}
	}
	return canvas.Path(segments...), true
}

// judge says of what could not be tried what the lists say, and what to do.
func (r *ScopeReport) judge() {
	is := func(v ScopeVerdict) bool {
		return slices.ContainsFunc(r.Findings, func(f ScopeFinding) bool { return f.Verdict == v })
	}
	// A token without scopes is limited by nothing, or, if its key enforces them, may
	// do nothing at all.
	free := r.TokenKnown && len(r.Token) == 0 && is(ScopeAllowed) && !is(ScopeMissing) || r.Key != nil && !r.Key.Limits
	for n := range r.Findings {
		f := &r.Findings[n]
		if f.Verdict == ScopeUntried {
			switch {
			case free || slices.Contains(r.Token, f.Scope):
				f.Verdict = ScopeAllowed
			case len(r.Token) > 0 || r.Key != nil && slices.Contains(r.Key.Missing, f.Scope):
				f.Verdict = ScopeMissing
			default:
				f.Message = "it writes, so that it is not tried; a token with scopes needs " + f.Scope
			}
		}
		if f.Verdict == ScopeMissing {
			f.Message = "the token lacks the scope " + f.Scope + ": " + r.advice(f.Scope)
		}
	}
}

// advice says where a scope is to be added.
func (r *ScopeReport) advice(scope string) string {
	const anew = "then have the token authorized anew, since a token keeps the scopes that it was made with"
	switch {
	case r.Key == nil:
		return "add it to the developer key of the token (Admin, Developer Keys, edit, Enforce Scopes), " + anew
	case slices.Contains(r.Key.Missing, scope):
		return "add it to developer key " + r.Key.String() + " (Admin, Developer Keys, edit, Enforce Scopes), " + anew
	}
	return "developer key " + r.Key.String() + " has it: have the token authorized anew with it, since a token keeps the scopes that it was made with"
}

// String names the key.
func (k *ScopeKey) String() string { return k.ID.String() + " (" + netcheck.Clean(k.Name) + ")" }

// Result makes the report a result for package health: Unhealthy because of
// [CausePermission] if a scope or a permission is missing, because of
// health.CauseUnauthorized if the token is refused, Unknown if something could not be
// asked, else Healthy. What cannot be tried, and what is not there, worsens nothing.
func (r ScopeReport) Result() health.Result {
	out := health.Result{Status: health.Healthy}
	missing := 0
	for _, f := range r.Findings {
		switch f.Verdict {
		case ScopeMissing, ScopeForbidden:
			missing++
			out = out.Worsen(health.Unhealthy, CausePermission, f.Scope+": "+f.Message)
		case ScopeRefused:
			return down(health.CauseUnauthorized, f.Message)
		case ScopeNotAsked:
			out = out.Worsen(health.Unknown, health.CauseNotAsked, f.Message)
		}
	}
	return netcheck.With(out, health.Measurement{Name: "missing_scopes", Value: float64(missing)})
}
