package statuspage

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
)

const (
	typeHTML   = "text/html; charset=utf-8"
	typeText   = "text/plain; charset=utf-8"
	typeJSON   = "application/json; charset=utf-8"
	typeAtom   = "application/atom+xml; charset=utf-8"
	typeSVG    = "image/svg+xml; charset=utf-8"
	typeHealth = "application/health+json"
)

// policy returns the Content-Security-Policy of a page with one style sheet in it.
func policy(style string) string {
	sum := sha256.Sum256([]byte(style))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) +
		"'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
}

// An answer is complete: bytes, compressed bytes, and their header fields.
type answer struct {
	code          int
	fields        [len(fieldNames)]string // by fieldNames; empty ones are left out
	plain, zipped body
}

// A body is one form of an answer.
type body struct {
	bytes       []byte
	tag, length string
}

// fieldNames are the header fields that an answer has besides those of its body.
var fieldNames = [...]string{
	"Content-Type", "Cache-Control", "Content-Security-Policy", "X-Content-Type-Options", "Referrer-Policy", "Vary", "Access-Control-Allow-Origin",
}

// answer makes an answer. It compresses what gains from it.
func (p *Page) answer(code int, contentType string, text []byte) *answer {
	a := &answer{code: code}
	caching, origin := "public, max-age=10", ""
	switch {
	case p.private:
		caching = "private, no-store"
	case code != http.StatusOK:
		caching = "no-cache"
	}
	if contentType != typeHTML && !p.private {
		origin = "*" // other sites may read what is public anyway
	}
	a.fields = [len(fieldNames)]string{contentType, caching, p.policy, "nosniff", "no-referrer", "Accept-Encoding", origin}
	sum := sha256.Sum256(text)
	tag := base64.RawURLEncoding.EncodeToString(sum[:12])
	a.plain = body{text, `"` + tag + `"`, strconv.Itoa(len(text))}
	if len(text) >= 512 {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		_, _ = z.Write(text) // a Buffer takes everything
		_ = z.Close()
		a.zipped = body{b.Bytes(), `"` + tag + `-gzip"`, strconv.Itoa(b.Len())}
	}
	return a
}

// A lazily is an answer that is made when it is asked for.
type lazily struct {
	once  sync.Once
	make  func() *answer
	made  *answer
	asked atomic.Bool // by a visitor
}

func (l *lazily) get() *answer {
	l.once.Do(func() { l.made, l.make = l.make(), nil })
	return l.made
}

// serve writes an answer. The values of the header are made for each, since whatever
// comes after may change them.
func (p *Page) serve(w http.ResponseWriter, r *http.Request, a *answer) {
	b, encoding := &a.plain, ""
	if a.zipped.bytes != nil && acceptsGzip(r.Header["Accept-Encoding"]) {
		b, encoding = &a.zipped, "gzip"
	}
	h := w.Header()
	values := a.fields
	for i, name := range fieldNames {
		if values[i] != "" {
			h[name] = values[i : i+1 : i+1]
		}
	}
	own := [4]string{b.tag, b.length, encoding, ""}
	h["Etag"] = own[0:1:1]
	if r.URL.RawQuery != "" {
		if own[3] = refresh(r.URL.RawQuery); own[3] != "" {
			h["Refresh"] = own[3:4:4]
		}
	}
	if a.code == http.StatusOK && matches(r.Header["If-None-Match"], b.tag) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	h["Content-Length"] = own[1:2:2]
	if encoding != "" {
		h["Content-Encoding"] = own[2:3:3]
	}
	w.WriteHeader(a.code)
	if r.Method != http.MethodHead {
		_, _ = w.Write(b.bytes) // who asked has gone: nobody to tell
	}
}

// matches reports whether If-None-Match names the tag, by the weak comparison of
// RFC 9110, section 13.1.2.
func matches(fields []string, tag string) bool {
	for _, field := range fields {
		for field != "" {
			var one string
			one, field, _ = strings.Cut(field, ",")
			if one = strings.TrimSpace(one); one == "*" || strings.TrimPrefix(one, "W/") == tag {
				return true
			}
		}
	}
	return false
}

// acceptsGzip reports whether Accept-Encoding allows gzip (RFC 9110, section
// 12.5.3). What it does not name is not sent.
func acceptsGzip(fields []string) bool {
	all := false // what "*" says
	for _, field := range fields {
		for field != "" {
			var one string
			one, field, _ = strings.Cut(field, ",")
			coding, weight, _ := strings.Cut(one, ";")
			switch coding = strings.TrimSpace(coding); {
			case strings.EqualFold(coding, "gzip"), strings.EqualFold(coding, "x-gzip"):
				return !forbids(weight)
			case coding == "*":
				all = !forbids(weight)
			}
		}
	}
	return all
}

// forbids reports whether a weight is zero: "q=0", "q=0.000".
func forbids(weight string) bool {
	name, value, ok := strings.Cut(strings.TrimSpace(weight), "=")
	return ok && strings.EqualFold(strings.TrimSpace(name), "q") && strings.Trim(strings.TrimSpace(value), "0.") == ""
}
