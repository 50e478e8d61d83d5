package ltitest

import (
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// call is one request, in the hands of the platform. What handles it holds the
// lock.
type call struct {
	p     *Platform
	r     *http.Request
	query url.Values
	body  []byte
	now   time.Time
}

// answer is what an endpoint says.
type answer struct {
	status      int
	header      http.Header
	contentType string
	body        []byte
}

func jsonAnswer(status int, body any) answer {
	return answer{status: status, contentType: "application/json; charset=utf-8", body: mustJSON(body)}
}

func htmlAnswer(status int, text string) answer {
	text = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(text)
	return answer{status: status, contentType: "text/html; charset=utf-8", body: []byte("<!DOCTYPE html>\n<html><head><title>" + http.StatusText(status) + "</title></head><body><h1>" + text + "</h1></body></html>\n")}
}

// failure is an error as Canvas' services have it.
func failure(status int, text string) answer {
	return jsonAnswer(status, map[string]any{"errors": []any{map[string]any{"message": text}}})
}

func notFound() answer { return failure(http.StatusNotFound, "The specified resource does not exist.") }

func (c *call) mediaType() string {
	t, _, err := mime.ParseMediaType(c.r.Header.Get("Content-Type"))
	if err != nil {
		return ""
	}
	return t
}

// wants reports whether the client names a media type in Accept, as the services
// of LTI want it; "*/*" is not enough.
func (c *call) wants(mediaType string) bool {
	for _, header := range c.r.Header.Values("Accept") {
		for part := range strings.SplitSeq(header, ",") {
			if t, _, err := mime.ParseMediaType(part); err == nil && t == mediaType {
				return true
			}
		}
	}
	return false
}

// object reads the body as one JSON object.
func (c *call) object() (map[string]any, error) {
	var o map[string]any
	if err := json.Unmarshal(c.body, &o); err != nil {
		return nil, err
	}
	if o == nil {
		return nil, errors.New("not an object")
	}
	return o, nil
}

// methods are what an endpoint does, by HTTP method.
type methods map[string]func(c *call) answer

// maxBody is how much of a request is read.
const maxBody = 4 << 20

func (p *Platform) routes() *http.ServeMux {
	mux := http.NewServeMux()
	on := func(pattern string, e Endpoint, m methods) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) { p.serve(w, r, e, m) })
	}
	on(pathAuth, Authorization, methods{"GET": p.serveAuthorize, "POST": p.serveAuthorize})
	on(pathKeySet, KeySet, methods{"GET": p.serveKeySet, "HEAD": p.serveKeySet})
	p.serviceRoutes(on)
	on("/", "", methods{"": func(*call) answer { return notFound() }})
	return mux
}

// ServeHTTP implements [http.Handler]: the platform on a port, whatever the host
// of the request.
func (p *Platform) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.start()
	p.mux.ServeHTTP(w, r)
}

func (p *Platform) serve(w http.ResponseWriter, r *http.Request, e Endpoint, m methods) {
	entry := Request{Time: time.Now(), Endpoint: e, Method: r.Method, Host: r.Host, Path: r.URL.Path, Query: redacted(r.URL.Query()), UserAgent: r.UserAgent(), Accept: r.Header.Get("Accept"), ContentType: r.Header.Get("Content-Type")}
	p.mu.Lock()
	f := p.faultFor(e)
	p.mu.Unlock()
	if f != nil && f.Delay > 0 {
		pause(r, f.Delay)
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		p.record(entry, http.StatusRequestEntityTooLarge, true)
		panic(http.ErrAbortHandler)
	}
	c := &call{p: p, r: r, query: r.URL.Query(), body: body}
	var a answer
	if f.happens() {
		a = p.handle(c, m)
	}
	lost := f != nil && f.Reset
	if f != nil && f.Status != 0 {
		a = f.answer()
	}
	p.record(entry, a.status, lost)
	if lost {
		panic(http.ErrAbortHandler)
	}
	p.write(w, r, a, f)
}

// handle runs an endpoint.
func (p *Platform) handle(c *call, m methods) answer {
	defer p.lock()()
	c.now = p.now()
	if p.Canvas && !p.AllowNoUserAgent && c.r.UserAgent() == "" {
		// Since 2026: community.instructure.com, blog post 660693.
		return jsonAnswer(http.StatusForbidden, map[string]any{"error": "Forbidden", "message": "The request has been blocked because you have not provided a valid user agent."})
	}
	do := m[c.r.Method]
	if do == nil {
		do = m[""]
	}
	if do == nil {
		a := failure(http.StatusMethodNotAllowed, "The method is not allowed here.")
		allowed := make([]string, 0, len(m))
		for name := range m {
			allowed = append(allowed, name)
		}
		a.header = http.Header{"Allow": {strings.Join(allowed, ", ")}}
		return a
	}
	return do(c)
}

func (p *Platform) write(w http.ResponseWriter, r *http.Request, a answer, f *fault) {
	h := w.Header()
	for name, values := range a.header {
		h[name] = values
	}
	if a.contentType != "" {
		h.Set("Content-Type", a.contentType)
	}
	p.mu.Lock()
	h.Set("Date", p.now().UTC().Format(http.TimeFormat))
	p.mu.Unlock()
	if f != nil {
		for name, values := range f.Header {
			h[http.CanonicalHeaderKey(name)] = values
		}
	}
	if a.status != http.StatusNoContent && a.status != http.StatusNotModified {
		h.Set("Content-Length", itoa(len(a.body)))
	}
	w.WriteHeader(a.status)
	if r.Method == http.MethodHead || len(a.body) == 0 {
		return
	}
	if f != nil && f.Truncate && len(a.body) > 1 {
		_, _ = w.Write(a.body[:len(a.body)/2]) // the client notices
		panic(http.ErrAbortHandler)
	}
	_, _ = w.Write(a.body) // the client has gone: nobody to tell
}

// pause waits, unless the client goes away.
func pause(r *http.Request, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-r.Context().Done():
	}
}
