package canvas

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"golang.org/x/oauth2"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/internal/clientcreds"
	"go.acu.edu.au/runbook/internal/flight"
	"go.acu.edu.au/runbook/internal/httpx"
)

// OAuthConfig says how a user's token is refreshed.
type OAuthConfig struct {
	// BaseURL is the address of the Canvas instance; see [Config]. Required.
	BaseURL string
	// ClientID and ClientSecret are those of the developer key. ClientID is
	// required; a public client, which has no secret, uses PKCE.
	ClientID     string
	ClientSecret runbook.Secret
	// Store keeps the tokens under Name, for all replicas of the host. To begin
	// with, it holds a refresh token as plain text, or [OAuth.Exchange] puts
	// one there. Both are required.
	Store runbook.CredentialStore
	Name  string
	// RedirectURL and Scopes are those of the authorization; only
	// [OAuth.AuthCodeURL] and [OAuth.Exchange] need them.
	RedirectURL string
	Scopes      []string
	// HTTP and UserAgent are as in [Config].
	HTTP      *http.Client
	UserAgent string
}

// OAuth is a [TokenSource] for a user who has authorized the host program. It
// refreshes the token shortly before it expires, once for all who wait, and
// shares it with other replicas through the store: one replica refreshes, and
// the others take what it wrote. It is safe for concurrent use.
//
// Where nothing may be changed, such as in a plan (see runbook.ReadOnly), it does not
// refresh: a refresh token may be good for one use, and the store is written to. There a
// token is used until it expires, also one that another replica got; when there is none,
// the error wraps runbook.ErrReadOnly. Any other call, such as that of a probe, gets one.
type OAuth struct {
	cfg       OAuthConfig
	endpoint  oauth2.Endpoint
	transport *httpx.Client
	flight    flight.Flight[clientcreds.Token]

	mu      sync.Mutex
	token   clientcreds.Token
	unsaved *unsaved // could not be written yet, and must not be lost
}

// unsaved are tokens that could not be written, and the refresh token in the
// store that they are to replace. If the store has another by the time it can be
// written, somebody has authorized the host anew, and that counts.
type unsaved struct {
	stored
	from string
}

var _ TokenSource = (*OAuth)(nil)

// stored is what the credential holds.
type stored struct {
	Refresh string    `json:"refresh_token"`
	Access  string    `json:"access_token,omitempty"`
	Expires time.Time `json:"expires,omitzero"`
	// Got is when Access was obtained.
	Got time.Time `json:"obtained,omitzero"`
	// Claimed is until when a replica means to refresh.
	Claimed time.Time `json:"claimed_until,omitzero"`
}

// NewOAuth returns an OAuth, or all problems of cfg. It sends nothing.
func NewOAuth(cfg OAuthConfig) (*OAuth, error) {
	var problems []error
	endpoint, err := tokenEndpoint(cfg.BaseURL, "")
	if err != nil {
		problems = append(problems, fmt.Errorf("canvas: OAuth: %w", err))
	}
	if cfg.ClientID == "" {
		problems = append(problems, errors.New("canvas: OAuth: ClientID is empty"))
	}
	if cfg.Store == nil || cfg.Name == "" {
		problems = append(problems, errors.New("canvas: OAuth: Store and Name are required"))
	}
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	return &OAuth{
		cfg: cfg, transport: tokenTransport(cfg.HTTP, cfg.UserAgent),
		endpoint: oauth2.Endpoint{
			AuthURL: strings.TrimSuffix(endpoint, "token") + "auth", TokenURL: endpoint, AuthStyle: oauth2.AuthStyleInParams,
		},
	}, nil
}

func (o *OAuth) oauth2() *oauth2.Config {
	return &oauth2.Config{
		ClientID: o.cfg.ClientID, ClientSecret: o.cfg.ClientSecret.Reveal(), Endpoint: o.endpoint,
		RedirectURL: o.cfg.RedirectURL, Scopes: o.cfg.Scopes, // one parameter, separated by spaces
	}
}

// AuthCodeURL returns the address to which a user is sent to authorize the
// host. state ties the answer to the user's session. verifier is the secret of
// PKCE (oauth2.GenerateVerifier makes one), which public clients need; empty
// means without.
func (o *OAuth) AuthCodeURL(state, verifier string) string {
	if verifier == "" {
		return o.oauth2().AuthCodeURL(state)
	}
	return o.oauth2().AuthCodeURL(state, oauth2.S256ChallengeOption(verifier))
}

// Exchange trades the code that came back for tokens and stores them in place
// of what the store has. A code can be used once.
//
// Where nothing may be changed (see runbook.ReadOnly) it is refused.
func (o *OAuth) Exchange(ctx context.Context, code, verifier string) error {
	if runbook.IsReadOnly(ctx) {
		return &Error{Op: "get an access token", cause: runbook.ErrReadOnly, unrun: true}
	}
	var options []oauth2.AuthCodeOption
	if verifier != "" {
		options = append(options, oauth2.VerifierOption(verifier))
	}
	token, err := o.oauth2().Exchange(o.withClient(ctx), code, options...)
	if err != nil {
		return tokenError(clientcreds.Refine(err))
	}
	s := stored{Refresh: token.RefreshToken, Access: token.AccessToken, Expires: token.Expiry, Got: time.Now()}
	for {
		version, old, err := o.load(ctx)
		if err != nil && !errors.Is(err, errUnusable) {
			return err
		}
		err = o.save(ctx, s, old.Refresh, version)
		if errors.Is(err, runbook.ErrConflict) {
			continue // a replica has refreshed what this replaces
		}
		if err == nil {
			o.take(s)
		}
		return err
	}
}

func (o *OAuth) withClient(ctx context.Context) context.Context {
	return clientcreds.WithTransport(ctx, o.transport)
}

// Token implements [TokenSource].
func (o *OAuth) Token(ctx context.Context) (runbook.Secret, error) {
	return o.get(ctx, runbook.Secret{})
}

// Renew implements [TokenSource].
func (o *OAuth) Renew(ctx context.Context, stale runbook.Secret) (runbook.Secret, error) {
	return o.get(ctx, stale)
}

func (o *OAuth) get(ctx context.Context, stale runbook.Secret) (runbook.Secret, error) {
	usable := func(t clientcreds.Token) bool {
		return t.Usable() && (stale.IsZero() || !t.Access.Equal(stale))
	}
	o.mu.Lock()
	token, saved := o.token, o.unsaved == nil
	o.mu.Unlock()
	if usable(token) && saved {
		return token.Access, nil
	}
	if runbook.IsReadOnly(ctx) {
		return o.look(ctx, token, stale)
	}
	token, err := o.flight.Do(ctx, func(ctx context.Context) (clientcreds.Token, error) { return o.renew(ctx, usable) })
	return token.Access, err
}

// look returns a token that has not expired, from memory or from the store, and changes
// nothing. It shares no flight: what ends here with a refusal must not end the calls of
// others.
func (o *OAuth) look(ctx context.Context, token clientcreds.Token, stale runbook.Secret) (runbook.Secret, error) {
	valid := func(access runbook.Secret, expires time.Time) bool {
		return !access.IsZero() && (expires.IsZero() || time.Now().Before(expires)) && (stale.IsZero() || !access.Equal(stale))
	}
	if valid(token.Access, token.Expires) {
		return token.Access, nil
	}
	_, s, err := o.load(ctx)
	if err != nil {
		return runbook.Secret{}, err
	}
	if access := runbook.NewSecret(s.Access); s.Access != "" && valid(access, s.Expires) {
		return access, nil
	}
	return runbook.Secret{}, &Error{Op: "get an access token", unrun: true, cause: fmt.Errorf("%w: the access token has expired, and getting another one uses up the refresh token: make any other call first", runbook.ErrReadOnly)}
}

// claimTime is how long one replica may take to refresh before another tries,
// refreshTime when it gives up, so that the two do not meet, and pollTime how
// often the others look whether it is done.
const (
	claimTime   = time.Minute
	refreshTime = claimTime - 5*time.Second
	pollTime    = 250 * time.Millisecond
)

// renew takes the token of another replica if the store has one, or else
// refreshes, having said so in the store: of several replicas one refreshes, and
// the others wait for what it writes. Two that refresh at the same time would
// use a refresh token that rotates twice, and the second use is refused.
func (o *OAuth) renew(ctx context.Context, usable func(clientcreds.Token) bool) (clientcreds.Token, error) {
	for {
		version, s, err := o.load(ctx)
		if err != nil && !errors.Is(err, errUnusable) {
			return clientcreds.Token{}, err
		}
		if u := o.pending(s.Refresh); u != nil {
			if err := o.save(ctx, u.stored, u.from, version); err != nil && !errors.Is(err, runbook.ErrConflict) {
				return clientcreds.Token{}, err
			}
			continue
		}
		if err != nil {
			return clientcreds.Token{}, err
		}
		if token := o.take(s); usable(token) {
			return token, nil
		}
		if left := time.Until(s.Claimed); left > 0 && left <= claimTime {
			if err := pause(ctx, min(left, pollTime)); err != nil {
				return clientcreds.Token{}, &Error{Op: "get an access token", cause: fmt.Errorf("another replica is refreshing it: %w", err), unrun: true}
			}
			continue
		}
		claim, err := o.claim(ctx, s, version)
		if errors.Is(err, runbook.ErrConflict) {
			continue // somebody was faster
		}
		if err != nil {
			return clientcreds.Token{}, err
		}
		token, err := o.refresh(ctx, s, claim)
		if errors.Is(err, runbook.ErrConflict) {
			continue // somebody has not respected the claim
		}
		return token, err
	}
}

// claim writes that this replica refreshes.
func (o *OAuth) claim(ctx context.Context, s stored, last runbook.Version) (runbook.Version, error) {
	s.Claimed = time.Now().Add(claimTime)
	return o.put(ctx, s, last)
}

// refresh asks for a new token and writes it in place of the claim.
func (o *OAuth) refresh(ctx context.Context, s stored, claim runbook.Version) (clientcreds.Token, error) {
	limited, cancel := context.WithTimeout(ctx, refreshTime)
	defer cancel()
	fresh, err := o.oauth2().TokenSource(o.withClient(limited), &oauth2.Token{RefreshToken: s.Refresh}).Token()
	if err != nil {
		err = tokenError(clientcreds.Refine(err))
		s.Claimed = time.Time{}
		if _, release := o.put(ctx, s, claim); release != nil && !errors.Is(release, runbook.ErrConflict) {
			err = errors.Join(err, release) // the claim ends by itself
		}
		return clientcreds.Token{}, err
	}
	next := stored{Refresh: fresh.RefreshToken, Access: fresh.AccessToken, Expires: fresh.Expiry, Got: time.Now()}
	if err := o.save(ctx, next, s.Refresh, claim); err != nil {
		return clientcreds.Token{}, err
	}
	return o.take(next), nil
}

// pending returns what has still to be written in place of the refresh token
// now in the store, if that is what it is to replace.
func (o *OAuth) pending(now string) *unsaved {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.unsaved != nil && o.unsaved.from != now {
		o.unsaved = nil
	}
	return o.unsaved
}

// pause waits, or ends with ctx.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// take makes s the token in use.
func (o *OAuth) take(s stored) clientcreds.Token {
	early := min(5*time.Minute, s.Expires.Sub(s.Got)/10) // before it expires it is replaced
	token := clientcreds.NewToken(&oauth2.Token{AccessToken: s.Access, Expiry: s.Expires}, early)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.token = token
	return token
}

// errUnusable marks that the store answered, and has nothing to refresh with.
var errUnusable = errors.New("authorize the host program again")

// load reads what the store has. Beside errUnusable, the version is that to
// write in place of.
func (o *OAuth) load(ctx context.Context) (runbook.Version, stored, error) {
	var s stored
	credential, err := o.cfg.Store.Get(ctx, o.cfg.Name)
	if errors.Is(err, runbook.ErrNoCredential) {
		return "", s, fmt.Errorf("canvas: OAuth: read credential %s: %w: %w", o.cfg.Name, err, errUnusable)
	}
	if err != nil {
		return "", s, fmt.Errorf("canvas: OAuth: read credential %s: %w", o.cfg.Name, err)
	}
	text := strings.TrimSpace(credential.Secret.Reveal())
	if !strings.HasPrefix(text, "{") {
		s.Refresh = text
	} else if json.Unmarshal([]byte(text), &s) != nil {
		return credential.Version, stored{}, fmt.Errorf("canvas: OAuth: credential %s is neither a refresh token nor what was stored here: %w", o.cfg.Name, errUnusable)
	}
	if s.Refresh == "" {
		return credential.Version, stored{}, fmt.Errorf("canvas: OAuth: credential %s has no refresh token: %w", o.cfg.Name, errUnusable)
	}
	return credential.Version, s, nil
}

// save writes s in place of the version last, which has the refresh token from.
// If that fails, s is kept to be written before anything else is done: it may
// hold the only refresh token that is still valid.
func (o *OAuth) save(ctx context.Context, s stored, from string, last runbook.Version) error {
	_, err := o.put(ctx, s, last)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.unsaved = nil
	if err != nil {
		o.unsaved = &unsaved{s, from}
	}
	return err
}

func (o *OAuth) put(ctx context.Context, s stored, last runbook.Version) (runbook.Version, error) {
	text, err := json.Marshal(s)
	if err != nil {
		return "", errors.New("canvas: OAuth: the tokens cannot be encoded")
	}
	version, err := o.cfg.Store.Put(ctx, o.cfg.Name, runbook.NewSecret(string(text)), last)
	if err != nil {
		return "", fmt.Errorf("canvas: OAuth: write credential %s: %w", o.cfg.Name, err)
	}
	return version, nil
}
