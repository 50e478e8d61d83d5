package canvasprobe

import (
	"context"
	"errors"
	"slices"

	"go.acu.edu.au/runbook/canvas"
	"go.acu.edu.au/runbook/internal/netcheck"
)

// TokenScopes are what [Instance.Token] and [Instance.Quota] need.
func (i *Instance) TokenScopes() []string { return []string{"url:GET|/api/v1/users/:id"} }

// ToolScopes are what [Instance.Tool], [Instance.Drift] and [Instance.ReadTool] need.
func (i *Instance) ToolScopes() []string {
	return []string{
		"url:GET|/api/v1/accounts/:account_id/lti_registration_by_client_id/:client_id",
		"url:GET|/api/v1/accounts/:account_id/lti_registrations/:id",
	}
}

// KeyScopes are what [Instance.Key] needs.
func (i *Instance) KeyScopes() []string {
	return []string{"url:GET|/api/v1/accounts/:account_id/developer_keys"}
}

// Scopes are those of the calls that it makes.
func (k *Keys) Scopes() []string {
	return []string{
		"url:GET|/api/v1/accounts/:account_id/developer_keys",
		"url:POST|/api/v1/accounts/:account_id/developer_keys/:developer_key_id/developer_key_account_bindings",
	}
}

// Scopes are those of the calls that it makes.
func (n *Announcer) Scopes() []string {
	const all = "|/api/v1/accounts/:account_id/account_notifications"
	return []string{"url:GET" + all, "url:POST" + all, "url:PUT" + all + "/:id", "url:DELETE" + all + "/:id"}
}

// readScopes reads which scopes Canvas lists for the token, and for its key.
func (i *Instance) readScopes(ctx context.Context, q ScopeQuestion, r *ScopeReport) {
	token, err := i.ownToken(ctx)
	if err == nil && isOther(token, r.Findings) {
		err = errOtherToken
	}
	if err == nil {
		r.Token, r.TokenKnown = slices.Clone(token.Scopes), true
	}
	name := token.AppName.Or("")
	switch {
	case q.Key != 0:
	case errors.Is(err, canvas.ErrScope):
		r.Why = "which scopes and which developer key the token has cannot be read: that needs the scope " + ownScopes[0]
		return
	case err != nil:
		r.Why = "which scopes and which developer key the token has cannot be read: " + netcheck.Shorten(err.Error(), 200)
		return
	case name == "":
		r.Why = "Canvas does not say for which developer key the token was issued"
		return
	}
	key, err := i.keyOf(ctx, q, name)
	switch {
	case errors.Is(err, canvas.ErrNotFound) && q.Key == 0:
		r.Why = "no developer key of the account, or more than one, is named " + netcheck.Quote(name)
	case err != nil:
		r.Why = "the developer key cannot be read: " + netcheck.Shorten(err.Error(), 200)
	default:
		r.Key = compareKey(key, r.Findings)
	}
}

// ownScopes are those with which the scopes of a token, and its key, can be read.
var ownScopes = []string{"url:GET|/api/v1/users/:user_id/tokens/:id", "url:GET|/api/v1/accounts/:account_id/developer_keys"} //nolint:gochecknoglobals // constant

var errOtherToken = errors.New("another token is shown, which begins as this one does")

// isOther reports whether a token cannot be that with which calls were made, since it
// has not the scope of one of them.
func isOther(token canvas.AccessToken, made []ScopeFinding) bool {
	return token.State != "" && token.State != "active" || len(token.Scopes) > 0 && slices.ContainsFunc(made, func(f ScopeFinding) bool {
		return f.Verdict == ScopeAllowed && !slices.Contains(token.Scopes, f.Scope)
	})
}

// hintLength is how much of a token Canvas shows to people, who know it by that, and
// takes in place of its id.
const hintLength = 5

// ownToken reads what Canvas knows of the token of the instance.
func (i *Instance) ownToken(ctx context.Context) (canvas.AccessToken, error) {
	secret := i.cfg.Canvas.Token
	if i.cfg.Canvas.Auth != nil {
		var err error
		if secret, err = i.cfg.Canvas.Auth.Token(ctx); err != nil {
			return canvas.AccessToken{}, err
		}
	}
	hint := secret.Reveal()
	if len(hint) < 4*hintLength { // no token of Canvas is as short, and the hint would tell much of it
		return canvas.AccessToken{}, errors.New("the token is too short to be asked for by its beginning")
	}
	inner, t := i.try(ctx)
	defer t.end()
	return i.client.GetAccessToken(inner, canvas.Self, canvas.Ref(hint[:hintLength]))
}

// keyOf returns the developer key of the token: that with the id of the question, or
// the only one with that name.
func (i *Instance) keyOf(ctx context.Context, q ScopeQuestion, name string) (canvas.DeveloperKey, error) {
	inner, t := i.try(ctx)
	defer t.end()
	if q.Key != 0 {
		return i.client.GetDeveloperKey(inner, q.Account, q.Key)
	}
	var found []canvas.DeveloperKey
	for _, inherited := range []bool{false, true} {
		for k, err := range i.client.DeveloperKeys(inner, q.Account, inherited) {
			if err != nil {
				return canvas.DeveloperKey{}, err
			}
			if k.Name == name && !k.IsLTI {
				found = append(found, k)
			}
		}
	}
	if len(found) != 1 {
		return canvas.DeveloperKey{}, canvas.ErrNotFound
	}
	return found[0], nil
}

// compareKey compares a key with what is needed.
func compareKey(k canvas.DeveloperKey, needed []ScopeFinding) *ScopeKey {
	out := &ScopeKey{ID: k.ID, Name: k.Name, Limits: k.RequireScopes.Or(false)}
	if !out.Limits {
		return out
	}
	out.IgnoresIncludes = !k.AllowIncludes.Or(false)
	for _, f := range needed {
		if !slices.Contains(k.Scopes, f.Scope) {
			out.Missing = append(out.Missing, f.Scope)
		}
	}
	for _, s := range k.Scopes {
		if !slices.Contains(ownScopes, s) && !slices.ContainsFunc(needed, func(f ScopeFinding) bool { return f.Scope == s }) {
			out.Excess = append(out.Excess, s)
		}
	}
	return out
}
