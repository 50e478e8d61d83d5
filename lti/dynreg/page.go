package dynreg

import (
	"bytes"
	"crypto/rand"
	_ "embed"
	"fmt"
	"html/template"
	"net/http"
	"slices"
	"strings"
)

// Pages for administrators. They work in a frame of 320 pixels, need no script but
// to close themselves, and have a content security policy that allows nothing
// else. The form has no address: it goes to where the page came from, so that no
// page has the registration token.

//go:embed page.html
var pageText string

var pages = template.Must(template.New("page").Parse(pageText)) //nolint:gochecknoglobals // constant

// A page is what the templates show.
type page struct {
	Nonce string // of the content security policy
	Title string

	// Of an error.
	Advice, Code, Said, ClientID string

	// Of a confirmation.
	Tool, For, Issuer, Platform, Account string
	Scopes, Missing                      []string
	Confirm                              string

	// Of one that is done.
	Origins []string // who is told that the page can be closed
	Canvas  bool
}

func (r *Registrar) confirmPage(w http.ResponseWriter, v *visit) *Error {
	p := &v.platform
	scopes := r.cfg.Tool.scopes(p)
	missing := slices.DeleteFunc(slices.Clone(r.cfg.Tool.Scopes), func(s string) bool { return slices.Contains(scopes, s) })
	return r.write(w, "confirm", http.StatusOK, v, page{
		Title: "Register " + r.cfg.Tool.Name, Tool: r.cfg.Tool.Name, For: printable(v.in.For, maxFor),
		Issuer: p.Issuer, Platform: strings.TrimSpace(p.Product + " " + p.Version), Account: p.AccountName,
		Scopes: scopes, Missing: missing, Confirm: r.confirmation(v),
	})
}

func (r *Registrar) donePage(w http.ResponseWriter, v *visit, done *Registered) *Error {
	return r.write(w, "done", http.StatusOK, v, page{
		Title: r.cfg.Tool.Name + " is registered", ClientID: done.Registration.ClientID,
		Origins: r.origins(v), Canvas: v.platform.isCanvas(),
	})
}

// refused tells the host program and the person that there is no registration.
func (r *Registrar) refused(w http.ResponseWriter, req *http.Request, v *visit, e *Error) {
	if v.in != nil {
		e.For = v.in.For
	}
	if e.Issuer == "" {
		e.Issuer = v.platform.Issuer // which is empty until it was checked
	}
	if token := v.token.Reveal(); len(token) > 3 { // a platform may say it again
		for _, text := range [...]*string{&e.Detail, &e.Code, &e.Message} {
			*text = strings.ReplaceAll(*text, token, "[redacted]")
		}
	}
	if r.cfg.Hooks.OnError != nil {
		r.cfg.Hooks.OnError(req.Context(), e)
	}
	title, advice := explain(e)
	p := page{Title: title, Advice: advice, Code: string(e.Reason), Said: e.Message, ClientID: e.ClientID}
	if r.write(w, "error", e.httpStatus(), v, p) != nil {
		http.Error(w, title, e.httpStatus())
	}
}

// write answers with a page.
func (r *Registrar) write(w http.ResponseWriter, name string, status int, v *visit, p page) *Error {
	p.Nonce = rand.Text()
	var b bytes.Buffer
	if err := pages.ExecuteTemplate(&b, name, p); err != nil {
		return &Error{Reason: ReasonRequest, Detail: "page " + name, cause: err}
	}
	h := w.Header()
	h.Set("Content-Security-Policy", fmt.Sprintf(
		"default-src 'none'; script-src 'nonce-%s'; style-src 'nonce-%s'; form-action 'self'; base-uri 'none'; frame-ancestors %s",
		p.Nonce, p.Nonce, r.ancestors(v)))
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer") // the address has the token
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes()) // the browser may be gone
	return nil
}

// origins are those of the platform, and those of the host program's choice.
func (r *Registrar) origins(v *visit) []string {
	var all []string
	for _, address := range slices.Concat([]string{v.platform.RegistrationURL, v.platform.Issuer, v.platform.AuthURL}, r.cfg.FrameAncestors) {
		origin := originOf(address)
		if strings.HasPrefix(address, "https://") && origin != "" && !strings.Contains(origin, "*") && !slices.Contains(all, origin) {
			all = append(all, origin)
		}
	}
	return all
}

// ancestors returns who may show the page in a frame. Until the platform is known
// that is anybody with https: what is shown then has nothing to click on, and the
// administrator would see an empty frame.
func (r *Registrar) ancestors(v *visit) string {
	if v.platform.Issuer == "" {
		return "https:"
	}
	all := append([]string{"'self'"}, r.origins(v)...)
	for _, host := range canvasHosts(v.platform.Issuer) {
		all = append(all, "https://"+host)
	}
	all = append(all, r.cfg.FrameAncestors...)
	slices.Sort(all)
	return strings.Join(slices.Compact(all), " ")
}

// explain says what happened and what to do.
func explain(e *Error) (title, advice string) {
	const tell = " Tell those who run the tool the code below."
	switch e.Reason {
	case ReasonInvitation:
		return "An invitation is needed", "The address is not complete, or was not made here. Ask those who run the tool for one."
	case ReasonExpired:
		return "The invitation is too old", "Ask those who run the tool for another one."
	case ReasonUsed:
		return "The invitation was used before", "It serves once. If the tool is not registered, ask those who run it for another one."
	case ReasonAddress, ReasonRequest, ReasonMethod:
		return "This is not a request of a learning platform", "Enter the address where your platform registers tools; do not open it yourself."
	case ReasonFetch:
		return "Your platform could not be asked", "It did not say who it is. The invitation is not used up: try again." + tell
	case ReasonConfiguration, ReasonIssuer:
		return "The tool cannot work with what your platform says about itself", "Nothing was registered, and the invitation is not used up." + tell
	case ReasonPlatform:
		return "This platform is not the one that was invited", "Nothing was registered, and the invitation is not used up." + tell
	case ReasonConfirmation:
		return "The page is too old, or something has changed", "Nothing was registered. Begin again in your platform; the invitation is not used up."
	case ReasonNonces:
		return "The tool cannot check the invitation at the moment", "Nothing was registered. Try again in a minute." + tell
	case ReasonUnsent:
		return "Your platform could not be reached", "Nothing was registered, but the invitation is used up. Ask those who run the tool for another one."
	case ReasonRefused:
		return "Your platform did not register the tool", "The invitation is used up." + tell
	case ReasonUnknown:
		return "Nobody knows whether the tool was registered",
			"Your platform did not answer. Look there for the tool, and delete it if it is there. Then ask those who run the tool for another invitation."
	case ReasonAnswer:
		return "Your platform registered the tool otherwise than it was asked to", "The tool does not work like that: delete it in your platform." + tell
	case ReasonStore:
		return "Your platform registered the tool, but the tool could not keep it", "It does not work yet." + tell
	}
	return "The tool could not be registered", strings.TrimSpace(tell)
}
