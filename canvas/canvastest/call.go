package canvastest

import (
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// maxBody is the largest request body that is read.
const maxBody = 64 << 20

// call is one request on its way through Canvas.
type call struct {
	s      *Server
	r      *http.Request
	route  *route
	path   map[string]string
	params url.Values
	form   url.Values  // what came in the body alone
	json   Object      // the body, if it was JSON
	file   *attachment // of an upload
	order  []string    // of the parts of a multipart body
	memory bool        // the request came by Server.Client
	broken bool        // the body could not be read or parsed
	now    time.Time
	who    identity
}

// attachment is an uploaded file.
type attachment struct {
	name string
	data []byte
}

// identity is who makes a request.
type identity struct {
	user   int64
	token  *token
	cookie bool
}

func (c *call) admin() bool { return c.s.world.admins[c.who.user] }

// param returns the last value of a parameter, as Rails does.
func (c *call) param(name string) string {
	v := c.params[name]
	if len(v) == 0 {
		return ""
	}
	return v[len(v)-1]
}

func (c *call) has(name string) bool { return len(c.params[name]) > 0 }

func (c *call) flag(name string) bool { return truthy(c.param(name)) }

// truthy reads a boolean as Canvas' value_to_boolean does.
func truthy(text string) bool {
	switch strings.ToLower(text) {
	case "true", "t", "1", "on", "yes", "y":
		return true
	}
	return false
}

func (c *call) include(name string) bool {
	if c.who.token != nil && len(c.who.token.Scopes) > 0 && !c.s.world.allowIncludes(c.who.token.Key) {
		return false // ignored in silence for scoped keys
	}
	return slices.Contains(c.params["include[]"], name)
}

// when reads a time parameter: RFC 3339, or a date alone.
func (c *call) when(name string) (t time.Time, given, ok bool) {
	text := c.param(name)
	if text == "" {
		return time.Time{}, false, true
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04Z07:00", time.DateOnly} {
		if t, err := time.Parse(layout, text); err == nil {
			return t, true, true
		}
	}
	return time.Time{}, true, false
}

// read takes the parameters from query and body: form, multipart or JSON, whose
// nesting is written with brackets.
func (c *call) read() {
	query := c.r.URL.RawQuery
	c.params = make(url.Values)
	if query != "" {
		values, err := url.ParseQuery(query)
		c.broken = err != nil
		c.params = values
	}
	if c.r.Body == nil || c.r.Body == http.NoBody {
		return
	}
	c.form = make(url.Values)
	kind, attrs, err := mime.ParseMediaType(c.r.Header.Get("Content-Type"))
	switch {
	case err == nil && kind == "multipart/form-data":
		c.readMultipart(attrs["boundary"])
	default:
		body, err := io.ReadAll(io.LimitReader(c.r.Body, maxBody+1))
		if err != nil || len(body) > maxBody {
			c.broken = true
			return
		}
		switch {
		case len(body) == 0:
		case kind == "application/json" || strings.HasSuffix(kind, "+json"):
			c.readJSON(body)
		case kind == "application/x-www-form-urlencoded":
			values, err := url.ParseQuery(string(body))
			c.form, c.broken = values, c.broken || err != nil
		default: // Rails does not parse it: the parameters are not seen
			c.s.problem("%s: body with Content-Type %q, which Canvas does not read", c.name(), c.r.Header.Get("Content-Type"))
		}
	}
	for k, v := range c.form {
		c.params[k] = append(c.params[k], v...)
	}
}

func (c *call) readMultipart(boundary string) {
	parts := multipart.NewReader(io.LimitReader(c.r.Body, maxBody), boundary)
	for {
		part, err := parts.NextPart()
		if err == io.EOF {
			return
		}
		if err != nil {
			c.broken = true
			return
		}
		data, err := io.ReadAll(part)
		if err != nil {
			c.broken = true
			return
		}
		c.order = append(c.order, part.FormName())
		if part.FileName() != "" || part.FormName() == "file" {
			c.file = &attachment{name: part.FileName(), data: data}
			continue
		}
		c.form.Add(part.FormName(), string(data))
	}
}

func (c *call) readJSON(body []byte) {
	var v any
	d := json.NewDecoder(strings.NewReader(string(body)))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		c.broken = true
		return
	}
	top, ok := v.(map[string]any)
	if !ok {
		c.broken = true
		return
	}
	for k, v := range top {
		flatten(c.form, k, v)
	}
	c.json, _ = clean(top).(Object)
}

// clean turns what the decoder made into what the rest of the package uses.
func clean(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := make(Object, len(v))
		for k, v := range v {
			out[k] = clean(v)
		}
		return out
	case []any:
		texts := make([]string, 0, len(v))
		for _, v := range v {
			if text, ok := v.(string); ok {
				texts = append(texts, text)
			}
		}
		if len(texts) == len(v) {
			return texts
		}
		out := make([]any, len(v))
		for i, v := range v {
			out[i] = clean(v)
		}
		return out
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n
		}
		f, _ := v.Float64() // the decoder accepted it
		return f
	}
	return v
}

// object returns a parameter that is an object: from JSON as it came, from a form
// put together again.
func (c *call) object(name string) Object {
	if o, ok := c.json[name].(Object); ok {
		return o
	}
	return nested(c.params, name)
}

// flatten writes a JSON value as the parameters that a form would have.
func flatten(into url.Values, name string, v any) {
	switch v := v.(type) {
	case map[string]any:
		for k, v := range v {
			flatten(into, name+"["+k+"]", v)
		}
	case []any:
		for _, v := range v {
			flatten(into, name+"[]", v)
		}
	case nil:
		into[name] = append(into[name], "")
	case bool:
		into[name] = append(into[name], strconv.FormatBool(v))
	default:
		into[name] = append(into[name], fmt.Sprint(v))
	}
}

func (c *call) name() string {
	if c.route != nil {
		return c.route.name
	}
	return c.r.Method + " " + c.r.URL.Path
}

// check notes the parameters that Canvas would ignore in silence.
func (c *call) check() {
	for name := range c.params {
		if !c.route.takes(name) {
			c.s.problem("%s: parameter %q is not known", c.route.name, name)
		}
	}
	if c.route.includes == nil {
		return
	}
	for _, v := range c.params["include[]"] {
		if !slices.Contains(c.route.includes, v) {
			c.s.problem("%s: include[]=%s is not known", c.route.name, v)
		}
	}
}

// host is the address of the server as the client wrote it, for links.
func (c *call) host() string {
	scheme := "http"
	if c.r.TLS != nil || c.r.Header.Get("X-Forwarded-Proto") == "https" {
		scheme = "https"
	}
	return scheme + "://" + c.r.Host
}

// stringIDs says that the client wants ids as text.
func (c *call) stringIDs() bool {
	return strings.Contains(c.r.Header.Get("Accept"), "application/json+canvas-string-ids")
}

// problem notes something that a real Canvas would let pass unnoticed. It may be
// called with or without the lock of the state: it takes none of it.
func (s *Server) problem(format string, args ...any) {
	s.gripe.add(fmt.Sprintf(format, args...))
}

// Problems returns what a real Canvas would have ignored in silence and a
// client should not do: unknown parameters, an access token in a query, a token
// sent to another service. Each is listed once. A test that wants a client
// without them fails when the list is not empty.
func (s *Server) Problems() []string { return s.gripe.all() }
