package httpsms

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/alert/internal/send"
	"go.acu.edu.au/runbook/alert/internal/sms"
)

// New returns a Notifier, or all problems of cfg. It asks the gateway nothing.
func New(cfg Config) (*Notifier, error) {
	if cfg.Service == "" {
		cfg.Service = "httpsms"
	}
	if cfg.Method == "" {
		cfg.Method = http.MethodPost
	}
	if cfg.Segments == 0 {
		cfg.Segments = 2
	}
	if cfg.Zone == nil {
		cfg.Zone = time.UTC
	}
	cfg.Form, cfg.Header, cfg.Secrets = maps.Clone(cfg.Form), maps.Clone(cfg.Header), maps.Clone(cfg.Secrets)
	n := &Notifier{cfg: cfg, style: sms.Style{Segments: cfg.Segments, Unicode: cfg.Unicode, Zone: cfg.Zone}}
	var problems []error
	bad := func(when bool, format string, args ...any) {
		if when {
			problems = append(problems, fmt.Errorf("httpsms: "+format, args...))
		}
	}
	bad(!serviceForm.MatchString(cfg.Service), "Service must be a word of lower-case letters, digits and -")
	var err error
	n.url, err = url.Parse(cfg.URL)
	bad(err != nil || n.url.Scheme != "https" || n.url.Host == "" || n.url.User != nil, "URL must be an address with https, and no credentials")
	bad(!slices.Contains([]string{http.MethodGet, http.MethodPost, http.MethodPut}, cfg.Method), "Method must be GET, POST or PUT")
	bad((cfg.JSON == "") == (len(cfg.Form) == 0), "either JSON or Form is required")
	bad(cfg.JSON != "" && cfg.Method == http.MethodGet, "JSON cannot be sent by GET")
	if cfg.JSON != "" {
		bad(json.Unmarshal([]byte(cfg.JSON), &n.json) != nil || n.json == nil, "JSON is not a document")
	}
	bad((cfg.Username == "") != cfg.Password.IsZero(), "Username and Password belong together")
	err = sms.CheckNumber(cfg.To)
	bad(err != nil, "To %w", err)
	if strings.HasPrefix(cfg.From, "+") {
		err := sms.CheckNumber(cfg.From)
		bad(err != nil, "From %w", err)
	}
	bad(cfg.Segments < 1 || cfg.Segments > 10, "Segments must be from 1 to 10")
	bad(cfg.Timeout < 0, "Timeout is negative")
	problems = append(problems, n.checkNames()...)
	n.answer, err = newJudge(cfg.Answer)
	if err != nil {
		problems = append(problems, err)
	}
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	n.client = send.New(cfg.Service, send.Config{HTTP: cfg.HTTP, UserAgent: cfg.UserAgent, Timeout: cfg.Timeout})
	return n, nil
}

var (
	serviceForm = regexp.MustCompile(`^[a-z][a-z0-9-]{0,39}$`)
	nameForm    = regexp.MustCompile(`^[a-z][a-z_]*$`)
	braces      = regexp.MustCompile(`\{([A-Za-z_]+)\}`)
	headerForm  = regexp.MustCompile(`^[A-Za-z0-9-]+$`)
)

// messageNames are the names in braces that every configuration has.
var messageNames = []string{"to", "to_digits", "to_local", "from", "text", "segments", "key"}

// checkNames reports names in braces that mean nothing, and a template that does not say
// what is needed.
func (n *Notifier) checkNames() (problems []error) {
	var used []string
	look := func(where, template string, allowed ...string) {
		for _, match := range braces.FindAllStringSubmatch(template, -1) {
			name := match[1]
			if _, secret := n.cfg.Secrets[name]; !secret && !slices.Contains(allowed, name) {
				problems = append(problems, fmt.Errorf("httpsms: %s: {%s} is the name of nothing", where, name))
			}
			used = append(used, name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(n.cfg.Header)) {
		if !headerForm.MatchString(name) || strings.ContainsFunc(n.cfg.Header[name], func(r rune) bool { return r < ' ' }) {
			problems = append(problems, fmt.Errorf("httpsms: header %q is none", name))
		}
		look("header "+name, n.cfg.Header[name], "key")
	}
	used = nil
	for _, name := range slices.Sorted(maps.Keys(n.cfg.Form)) {
		look("form field "+name, n.cfg.Form[name], messageNames...)
	}
	look("JSON", n.cfg.JSON, messageNames...)
	for name, secret := range n.cfg.Secrets {
		if !nameForm.MatchString(name) || slices.Contains(messageNames, name) {
			problems = append(problems, fmt.Errorf("httpsms: a secret cannot be named %q", name))
		}
		if secret.IsZero() || strings.ContainsFunc(secret.Reveal(), func(r rune) bool { return r < ' ' }) {
			problems = append(problems, fmt.Errorf("httpsms: secret %q is empty or has control characters", name))
		}
	}
	if !slices.Contains(used, "text") {
		problems = append(problems, errors.New("httpsms: the template does not have {text}"))
	}
	if !slices.ContainsFunc(used, func(name string) bool { return strings.HasPrefix(name, "to") }) {
		problems = append(problems, errors.New("httpsms: the template has none of {to}, {to_digits} and {to_local}"))
	}
	return problems
}

// values are what names in braces stand for.
func (n *Notifier) values(what alert.Notification, text string) map[string]string {
	to := n.cfg.To
	local := to[1:]
	if rest, ok := strings.CutPrefix(to, "+61"); ok {
		local = "0" + rest
	}
	values := map[string]string{
		"to": to, "to_digits": to[1:], "to_local": local, "from": n.cfg.From, "text": text,
		"segments": strconv.Itoa(sms.Segments(text)), "key": headerValue(what.Key),
	}
	for name, secret := range n.cfg.Secrets {
		values[name] = secret.Reveal()
	}
	return values
}

// headerValue is a key without what a header may not have; keys have none of it.
func headerValue(key string) string { return strings.ToValidUTF8(send.Line(key), "") }

// expand replaces the names in a template, once: what a value has in braces stays.
func expand(template string, values map[string]string) string {
	return braces.ReplaceAllStringFunc(template, func(name string) string { return values[name[1:len(name)-1]] })
}

// fill expands the strings of a document.
func fill(v any, values map[string]string) any {
	switch v := v.(type) {
	case string:
		return expand(v, values)
	case []any:
		list := make([]any, len(v))
		for i := range v {
			list[i] = fill(v[i], values)
		}
		return list
	case map[string]any:
		object := make(map[string]any, len(v))
		for name := range v {
			object[name] = fill(v[name], values)
		}
		return object
	}
	return v
}
