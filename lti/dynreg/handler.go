package dynreg

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"time"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/lti"
)

// Handler returns what is served at [Config].URL. A platform opens it in a frame,
// with openid_configuration and registration_token added to the address of the
// invitation; the page shows who the platform is, and a button.
//
// Servers in front of it must not log its query: it has the invitation and the
// registration token. A request can take a minute and a half, if a platform is slow.
func (r *Registrar) Handler() http.Handler { return http.HandlerFunc(r.serve) }

// A visit is one request.
type visit struct {
	in            *invitation
	seal          string // the invitation as it came
	configuration string // where the platform's configuration is; it may have the token in it
	token         runbook.Secret
	platform      Platform
	asked         *request
}

func (r *Registrar) serve(w http.ResponseWriter, req *http.Request) {
	v := new(visit)
	if e := r.handle(w, req, v); e != nil {
		r.refused(w, req, v, e)
	}
}

func (r *Registrar) handle(w http.ResponseWriter, req *http.Request, v *visit) *Error {
	if req.Method != http.MethodGet && req.Method != http.MethodPost {
		w.Header().Set("Allow", "GET, POST")
		return fail(ReasonMethod, "%s", quote(req.Method))
	}
	if e := r.readQuery(req.URL.RawQuery, v); e != nil {
		return e
	}
	confirm := ""
	if req.Method == http.MethodPost {
		var e *Error
		if confirm, e = readForm(w, req); e != nil {
			return e
		}
	}
	if e := r.prepare(req.Context(), v); e != nil {
		return e
	}
	if req.Method == http.MethodGet {
		return r.confirmPage(w, v)
	}
	if e := r.confirmed(v, confirm); e != nil {
		return e
	}
	// From here on it goes on when the browser has gone: what the platform made must
	// not be lost.
	ctx := context.WithoutCancel(req.Context())
	done, e := r.register(ctx, v)
	if e != nil {
		return e
	}
	return r.donePage(w, v, done)
}

// readQuery reads who asks, and opens the invitation: all that is done for
// anybody.
func (r *Registrar) readQuery(raw string, v *visit) *Error {
	if len(raw) > maxQuery {
		return fail(ReasonRequest, "the address has a query of %d bytes", len(raw))
	}
	query, err := url.ParseQuery(raw)
	if err != nil {
		return fail(ReasonRequest, "the address has a query that cannot be read")
	}
	for _, name := range [...]string{paramInvitation, paramConfiguration, paramToken} {
		if len(query[name]) > 1 {
			return fail(ReasonRequest, "%s comes more than once", name)
		}
	}
	v.seal, v.configuration, v.token = query.Get(paramInvitation), query.Get(paramConfiguration), runbook.NewSecret(query.Get(paramToken))
	in, e := r.openInvitation(v.seal)
	if e != nil {
		return e
	}
	v.in = in
	if v.configuration == "" {
		return fail(ReasonAddress, "%s is missing: the address has to be opened by a platform, not by a person", paramConfiguration)
	}
	for _, c := range []byte(v.token.Reveal()) {
		if c <= ' ' || c > '~' {
			return fail(ReasonRequest, "%s has characters that no token has", paramToken)
		}
	}
	return nil
}

// readForm returns the seal of the form.
func readForm(w http.ResponseWriter, req *http.Request) (string, *Error) {
	if kind, _, err := mime.ParseMediaType(req.Header.Get("Content-Type")); err != nil || kind != "application/x-www-form-urlencoded" {
		return "", fail(ReasonRequest, "the confirmation is not a form")
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, req.Body, maxForm))
	if err != nil {
		return "", fail(ReasonRequest, "the confirmation could not be read, or has more than %d bytes", maxForm)
	}
	form, err := url.ParseQuery(string(body))
	if err != nil || len(form[fieldConfirm]) != 1 {
		return "", fail(ReasonConfirmation, "the form does not have what the page put into it")
	}
	return form.Get(fieldConfirm), nil
}

// prepare finds out who the platform is, and whether it may be registered.
func (r *Registrar) prepare(ctx context.Context, v *visit) *Error {
	p, e := r.fetch(ctx, v.configuration, v.token)
	if e != nil {
		return e
	}
	if e := r.checkHosts(&p, v.configuration, v.in); e != nil {
		return e
	}
	v.platform = p
	if r.cfg.Accept != nil {
		if err := r.cfg.Accept(ctx, p, v.in.Invitation); err != nil {
			return &Error{Reason: ReasonPlatform, Detail: "Accept refused it", cause: err}
		}
	}
	v.asked, e = r.cfg.Tool.request(&p)
	return e
}

// digest is what a person confirms: this invitation, for this platform as it was
// shown.
func (v *visit) digest() []byte {
	h := sha256.New()
	p := &v.platform
	for _, part := range [...]string{
		v.seal, v.configuration, v.token.Reveal(),
		p.Issuer, p.AuthURL, p.JWKSURL, p.TokenURL, p.RegistrationURL, p.AuthorizationServer, p.Product, p.AccountName, p.AccountGUID, v.asked.Scope,
	} {
		_, _ = h.Write(binary.AppendUvarint(nil, uint64(len(part)))) // never fails
		_, _ = io.WriteString(h, part)
	}
	return h.Sum(nil)
}

func (r *Registrar) confirmation(v *visit) string {
	return r.sealers[0].seal(purposeConfirm, time.Now().Add(pageLife), v.digest())
}

func (r *Registrar) confirmed(v *visit, seal string) *Error {
	digest, _, err := r.open(purposeConfirm, seal)
	switch {
	case errors.Is(err, errLate):
		return fail(ReasonConfirmation, "the page was confirmed more than %v after it was opened", pageLife)
	case err != nil:
		return fail(ReasonConfirmation, "the confirmation was %v", errSealed)
	case subtle.ConstantTimeCompare(digest, v.digest()) != 1:
		return fail(ReasonConfirmation, "what was confirmed is not this: another invitation or platform, or the platform has changed what it says")
	}
	return nil
}

// register uses the invitation up and registers the tool.
func (r *Registrar) register(ctx context.Context, v *visit) (*Registered, *Error) {
	if e := r.use(ctx, v.in); e != nil {
		return nil, e
	}
	done, e := r.post(ctx, &v.platform, v.asked, v.token)
	if e != nil {
		return nil, e
	}
	done.Invitation = v.in.Invitation
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	if err := r.cfg.Store(ctx, done); err != nil {
		return nil, &Error{
			Reason: ReasonStore, ClientID: done.Registration.ClientID, cause: err,
			Detail: "the platform has registered the tool: enter the client by hand, or delete it there",
		}
	}
	return &done, nil
}

// use uses an invitation up.
func (r *Registrar) use(ctx context.Context, in *invitation) *Error {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	err := r.nonces.Use(ctx, lti.NewNonceID("invitation", "", in.id), in.until)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, lti.ErrNonceUsed):
		return fail(ReasonUsed, "make another one")
	case errors.Is(err, lti.ErrNonceExpired):
		return fail(ReasonExpired, "its time is over")
	}
	return &Error{Reason: ReasonNonces, Detail: "whether the invitation was used could not be asked", cause: err}
}
