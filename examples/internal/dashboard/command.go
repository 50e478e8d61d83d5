package dashboard

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"go.acu.edu.au/runbook/incident/httpapi"
)

// maxForm is how large a form may be.
const maxForm = 64 << 10

// An action is a command that a form gives. It is carried out by the API of package
// httpapi, in the same process: whoever may do it there may here, and it is recorded there.
type action struct {
	path string // of the form: "/incidents/{id}/acknowledge"
	// call is the path in the API, in which {id} stands for that of the form. Empty means
	// that of the form.
	call string
	// fields are those of the form that are sent. Empty ones are left out.
	fields []string
	// make makes what is sent, if it is more than fields.
	make func(c *request) any
	// said names in words what was done; see done.
	said string
	// guard looks at how things are before anything is done. It reports that it is done
	// already, or why not to: things have changed since the form was shown.
	guard func(c *request) (already bool, p *problem)
	// back is the page to which it leads, and on which a problem is shown.
	back func(c *request, result json.RawMessage) string
	show func(c *request)
}

// act carries out an action, once, and leads to the page that shows what came of it.
func (c *request) act(a action) {
	c.r.Body = http.MaxBytesReader(c.w, c.r.Body, maxForm)
	if err := c.r.ParseForm(); err != nil {
		c.refuse(&problem{Status: http.StatusBadRequest, Title: "The form cannot be read", Detail: "Nothing was done. Go back, and send it again."})
		return
	}
	// What has arrived is carried out, also if whoever sent it goes away.
	c.ctx = context.WithoutCancel(c.ctx)
	key := ""
	if once := c.r.PostForm.Get("once"); once != "" {
		key = c.actor.Name + "\n" + c.r.URL.Path + "\n" + once
	}
	to, ok := c.h.once.do(key, func() (string, bool) { return c.perform(a) })
	if !ok && c.problem == nil { // another request of the same form was refused
		c.problem = &problem{Status: http.StatusConflict, Title: "It was not done", Detail: "Look at how it is now."}
	}
	if !ok {
		a.show(c)
		return
	}
	c.w.Header().Set("Location", to)
	c.w.WriteHeader(http.StatusSeeOther)
}

// perform carries out an action. It returns where that leads, or false and c.problem.
func (c *request) perform(a action) (to string, ok bool) {
	var result json.RawMessage
	already, p := false, (*problem)(nil)
	if a.guard != nil {
		already, p = a.guard(c)
	}
	if p == nil && !already {
		p = c.h.call(c.ctx, c.r, http.MethodPost, c.target(a), c.body(a), &result)
	}
	if p != nil {
		c.problem = p
		return "", false
	}
	to = c.root + a.back(c, result)
	join := "?"
	if strings.Contains(to, "?") {
		join = "&"
	}
	return to + join + "did=" + url.QueryEscape(a.said) + "#done", true
}

// target returns the path in the API.
func (c *request) target(a action) string {
	call := a.call
	if call == "" {
		call = a.path
	}
	for _, name := range []string{"id", "deadline"} {
		call = strings.Replace(call, "{"+name+"}", url.PathEscape(c.r.PathValue(name)), 1)
	}
	return call
}

// body returns what is sent to the API.
func (c *request) body(a action) any {
	if a.make != nil {
		return a.make(c)
	}
	body := make(map[string]any)
	for _, name := range a.fields {
		if value := strings.TrimSpace(strings.ReplaceAll(c.r.PostForm.Get(name), "\r\n", "\n")); value != "" {
			body[name] = value
		}
	}
	return body
}

// call asks the API, in the name of the actor of ctx, and reads what it answers into result.
// What it refuses is a problem, in its words.
func (h *Handler) call(ctx context.Context, from *http.Request, method, path string, body, result any) *problem {
	var content []byte
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil { // it is texts
			return &problem{Status: http.StatusInternalServerError, Title: "A fault of this program", Detail: "Nothing was done."}
		}
		content = text
	}
	r, err := http.NewRequestWithContext(ctx, method, "/v1"+path, bytes.NewReader(content))
	if err != nil {
		return &problem{Status: http.StatusNotFound, Code: "not-found", Title: "There is no such thing", Detail: "Nothing was done."}
	}
	r.Host, r.RemoteAddr = from.Host, from.RemoteAddr
	for _, name := range []string{"Origin", "Sec-Fetch-Site"} {
		if values := from.Header.Values(name); len(values) > 0 {
			r.Header[name] = values
		}
	}
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/json")
	}
	w := &answer{header: make(http.Header), status: http.StatusOK}
	h.api.ServeHTTP(w, r)
	if w.status >= http.StatusBadRequest {
		return problemOf(w)
	}
	if result == nil || w.body.Len() == 0 {
		return nil
	}
	if err := json.Unmarshal(w.body.Bytes(), result); err != nil {
		h.cfg.Logger.ErrorContext(ctx, "dashboard: the answer of the API cannot be read", "path", path, "error", err)
		return &problem{Status: http.StatusBadGateway, Title: "What was answered cannot be read", Detail: "It was done. Look at how it is now."}
	}
	return nil
}

// An answer is that of the API.
type answer struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (a *answer) Header() http.Header         { return a.header }
func (a *answer) WriteHeader(status int)      { a.status = status }
func (a *answer) Write(p []byte) (int, error) { return a.body.Write(p) }

// problemOf says in words for people what the API has refused.
func problemOf(a *answer) *problem {
	var p httpapi.Problem
	if err := json.Unmarshal(a.body.Bytes(), &p); err != nil {
		return &problem{Status: a.status, Title: "It was not done", Detail: "Look at how it is now before you try again."}
	}
	out := &problem{Status: p.Status, Code: p.Code, Title: p.Title, Detail: p.Detail, Reference: p.Reference}
	for _, e := range p.Errors {
		out.Fields = append(out.Fields, fmt.Sprintf("%s %s", strings.TrimPrefix(strings.TrimPrefix(e.Pointer, "#/"), "parameters/"), e.Detail))
	}
	if p.Code == "invalid" {
		out.Title, out.Detail = "Nothing was done: something is missing or wrong", ""
	}
	return out
}
