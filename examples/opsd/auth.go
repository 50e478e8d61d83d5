package main

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/incident/httpapi"
)

// auth knows who makes a request: by the token of a person, or by the session that a sign-in
// made.
type auth struct {
	people  []person
	key     []byte // of sessions
	session time.Duration
	secure  bool // cookies go over HTTPS only
}

// The cookies. A browser sends that of a session along when a link leads here, and not with
// what a page of another site does.
const (
	cookieSession = "opsd_session"
	cookieFlow    = "opsd_sign_in"
)

// newAuth makes it of the settings.
func newAuth(s *settings) (*auth, error) {
	a := &auth{people: s.People, session: defaultSession, secure: strings.HasPrefix(s.address(), "https://"), key: make([]byte, 32)}
	if _, err := rand.Read(a.key); err != nil {
		return nil, fmt.Errorf("opsd: a key for sessions: %w", err)
	}
	if s.SignIn != nil {
		a.session = s.SignIn.Session
		if !s.SignIn.SessionKey.IsZero() { // replicas share it, and a restart signs nobody out
			sum := sha256.Sum256([]byte("opsd session " + s.SignIn.SessionKey.Reveal()))
			a.key = sum[:]
		}
	}
	return a, nil
}

// Actor implements [httpapi.Authenticator].
func (a *auth) Actor(r *http.Request) (httpapi.Actor, error) {
	if given, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
		p := a.byToken(runbook.NewSecret(given))
		if p == nil {
			return httpapi.Actor{}, fmt.Errorf("opsd: nobody has this token: %w", httpapi.ErrUnauthenticated)
		}
		return httpapi.Actor{Name: p.Name, Roles: p.access()}, nil
	}
	c, err := r.Cookie(cookieSession)
	if err != nil {
		return httpapi.Actor{}, fmt.Errorf("opsd: neither a token nor a session: %w", httpapi.ErrUnauthenticated)
	}
	var s session
	if err := a.open(c.Value, &s); err != nil || time.Now().After(s.Until) {
		return httpapi.Actor{}, fmt.Errorf("opsd: the session is over: %w", httpapi.ErrUnauthenticated)
	}
	for _, p := range a.people {
		if p.Name == s.Name { // whoever was removed from the configuration is out at once
			return httpapi.Actor{Name: p.Name, Roles: p.access(), Cookie: true}, nil
		}
	}
	return httpapi.Actor{}, fmt.Errorf("opsd: %q does not work with this opsd any more: %w", s.Name, httpapi.ErrUnauthenticated)
}

// access are the roles of a person for the API. Who has none may look.
func (p person) access() []string {
	if len(p.Access) == 0 {
		return []string{"viewer"}
	}
	return p.Access
}

// byToken returns who has a token; nil if nobody has. All are compared, so that how long it
// takes says nothing.
func (a *auth) byToken(token runbook.Secret) (found *person) {
	for i, p := range a.people {
		if !p.Token.IsZero() && p.Token.Equal(token) {
			found = &a.people[i]
		}
	}
	return found
}

// byLogin returns who signs in with a login; nil if nobody does.
func (a *auth) byLogin(login string) *person {
	for i, p := range a.people {
		if p.Login != "" && strings.EqualFold(p.Login, login) {
			return &a.people[i]
		}
	}
	return nil
}

// session is what the cookie of a session says.
type session struct {
	Name  string    `json:"name"`
	Until time.Time `json:"until"`
}

// begin begins the session of a person.
func (a *auth) begin(w http.ResponseWriter, p *person) error {
	value, err := a.seal(session{p.Name, time.Now().Add(a.session)})
	if err != nil {
		return err
	}
	http.SetCookie(w, a.cookie(cookieSession, value, "/", a.session))
	return nil
}

func (a *auth) cookie(name, value, path string, age time.Duration) *http.Cookie {
	return &http.Cookie{
		Name: name, Value: value, Path: path, MaxAge: int(age.Seconds()), HttpOnly: true, Secure: a.secure, SameSite: http.SameSiteLaxMode,
	}
}

// forget ends a cookie.
func (a *auth) forget(w http.ResponseWriter, name, path string) {
	c := a.cookie(name, "", path, 0)
	c.MaxAge = -1
	http.SetCookie(w, c)
}

// seal writes a value so that only this opsd, and replicas with the same key, can have
// written it.
func (a *auth) seal(v any) (string, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return "", fmt.Errorf("opsd: a cookie: %w", err)
	}
	text := base64.RawURLEncoding.EncodeToString(data)
	return text + "." + base64.RawURLEncoding.EncodeToString(a.sum(fmt.Sprintf("%T", v), text)), nil
}

// open reads what seal wrote, for a value of the same type.
func (a *auth) open(sealed string, v any) error {
	text, sum, ok := strings.Cut(sealed, ".")
	given, err := base64.RawURLEncoding.DecodeString(sum)
	if !ok || err != nil || !hmac.Equal(given, a.sum(strings.TrimPrefix(fmt.Sprintf("%T", v), "*"), text)) {
		return errors.New("opsd: it is not of this opsd")
	}
	data, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return fmt.Errorf("opsd: a cookie: %w", err)
	}
	return json.Unmarshal(data, v)
}

func (a *auth) sum(kind, text string) []byte {
	mac := hmac.New(sha256.New, a.key)
	mac.Write([]byte(kind + "\x00" + text))
	return mac.Sum(nil)
}

// local returns where to go after a sign-in: a path of this host, and of no other.
func local(next string) string {
	if !strings.HasPrefix(next, "/") || strings.HasPrefix(next, "//") || strings.ContainsAny(next, "\\\r\n\t") {
		return "/ops/"
	}
	return next
}
