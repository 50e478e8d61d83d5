package lti

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// A login is a third-party login initiation (Security Framework 1.0, section
// 5.1.1.1; LTI Core 1.3, section 4.1). The deployment, for which there are two
// names, is not looked at: nobody has signed it.
type login struct {
	issuer, hint, target, messageHint string
	clientID                          string
	storage                           string
}

const (
	maxHint    = 4 << 10 // of login_hint
	maxMessage = 8 << 10 // of lti_message_hint, which is a JWT in Canvas
	maxFrame   = 64      // of the name of a frame
)

func (l *login) parameters() []parameter {
	return []parameter{
		{"iss", &l.issuer, maxIdentity}, {"login_hint", &l.hint, maxHint}, {"target_link_uri", &l.target, maxTarget},
		{"lti_message_hint", &l.messageHint, maxMessage}, {"client_id", &l.clientID, maxIdentity},
		{"lti_storage_target", &l.storage, maxHint},
	}
}

// readLogin reads and checks the parameters of a login initiation.
func readLogin(w http.ResponseWriter, r *http.Request) (*login, *Refusal) {
	var form string
	var refusal *Refusal
	switch r.Method {
	case http.MethodGet:
		if form = r.URL.RawQuery; len(form) > maxLoginBody {
			return nil, refuse(ReasonRequest, "the query has more than %d bytes", maxLoginBody)
		}
	case http.MethodPost:
		if form, refusal = readForm(w, r, maxLoginBody); refusal != nil {
			return nil, refusal
		}
	default:
		w.Header().Set("Allow", "GET, POST")
		return nil, refuse(ReasonMethod, "the method is %s, and not GET or POST", quote(r.Method))
	}
	l := new(login)
	if refusal := readParameters(form, l.parameters()); refusal != nil {
		return nil, refusal
	}
	for _, p := range [...]struct{ name, value string }{{"iss", l.issuer}, {"login_hint", l.hint}, {"target_link_uri", l.target}} {
		if p.value == "" {
			return nil, refuse(ReasonParameter, "parameter %s is missing", p.name)
		}
	}
	if len(l.storage) > maxFrame {
		l.storage = "" // the state could not hold it; the cookie has to do
	}
	return l, nil
}

// LoginHandler answers third-party login initiations, by GET and POST: it sends
// the browser to the platform's authentication endpoint. Nothing is written, and
// nothing is signed with a private key.
//
// Where the platform offers storage for tools whose cookies are blocked
// (lti_storage_target), the browser is sent there by a page that first puts
// what it has to remember into that storage, and shows a way to open the tool in
// a window of its own if neither that nor a cookie works.
func (t *Tool) LoginHandler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		l, refusal := readLogin(w, r)
		if refusal == nil {
			refusal = t.login(w, r, l)
		}
		if refusal != nil {
			t.refused(w, r, refusal, nil)
		}
	})
}

func (t *Tool) login(w http.ResponseWriter, r *http.Request, l *login) *Refusal {
	k, refusal := t.find(r.Context(), l.issuer, l.clientID)
	if refusal != nil {
		return refusal
	}
	if !t.mayLaunch(l.target) {
		refusal = refuse(ReasonTarget, "target_link_uri %s belongs to none of %s", quote(l.target), strings.Join(t.targets, ", "))
		refusal.Issuer, refusal.ClientID = k.Issuer, k.ClientID
		return refusal
	}
	secret := newBinding()
	s := state{
		issuer: k.Issuer, clientID: k.ClientID, target: l.target, storage: l.storage,
		expires: time.Now().Add(StateLife).Unix(), nonce: secret.nonce(),
	}
	sealed := s.seal(&(*t.sealers.Load())[0])
	address := k.authenticate(l, sealed, s.nonceText())
	t.setCookie(w, r, &s, secret)
	h := w.Header()
	h["Cache-Control"], h["Referrer-Policy"] = noStore, noReferrer
	if l.storage != "" {
		t.storePage(w, r, k, l, &s, secret, address)
		return nil
	}
	h["Location"] = []string{address}
	w.WriteHeader(http.StatusFound)
	return nil
}

// Values of headers, made once.
var ( //nolint:gochecknoglobals // constants
	noStore    = []string{"no-store"}
	noReferrer = []string{"no-referrer"}
	sameOrigin = []string{"same-origin"}
)

// mayLaunch reports whether a target is on one of the tool's origins. The target
// of a login is unsigned; a host that redirected to it would let anybody use it.
func (t *Tool) mayLaunch(target string) bool {
	for _, origin := range t.targets {
		if rest, ok := strings.CutPrefix(target, origin); ok && (rest == "" || rest[0] == '/' || rest[0] == '?') {
			return true
		}
	}
	return false
}

// authPrefix returns what every authentication request of a registration begins
// with (Security Framework 1.0, section 5.1.1.2). The address may have a query
// of its own: it is kept, but for parameters that are set here.
func authPrefix(r Registration, launchURL string) (string, error) {
	u, err := url.Parse(r.AuthURL)
	if err != nil {
		return "", fmt.Errorf("lti: registration of %s, client %s: AuthURL cannot be parsed", quote(r.Issuer), quote(r.ClientID))
	}
	query := u.Query()
	for _, own := range []string{"state", "nonce", "login_hint", "lti_message_hint"} {
		query.Del(own)
	}
	for name, value := range map[string]string{
		"scope": "openid", "response_type": "id_token", "response_mode": "form_post", "prompt": "none",
		"client_id": r.ClientID, "redirect_uri": launchURL,
	} {
		query.Set(name, value)
	}
	u.RawQuery = query.Encode()
	return u.String(), nil
}

// authenticate returns the address of the authentication request of a login. It
// shares nothing with other logins.
func (k *known) authenticate(l *login, state, nonce string) string {
	var b strings.Builder
	b.Grow(len(k.authPrefix) + len(state) + len(nonce) + 2*len(l.hint) + len(l.messageHint) + 64)
	b.WriteString(k.authPrefix)
	b.WriteString("&login_hint=")
	b.WriteString(url.QueryEscape(l.hint))
	if l.messageHint != "" {
		b.WriteString("&lti_message_hint=")
		b.WriteString(url.QueryEscape(l.messageHint))
	}
	b.WriteString("&nonce=")
	b.WriteString(nonce)
	b.WriteString("&state=")
	b.WriteString(state)
	return b.String()
}
