package main

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/examples/internal/config"
	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/health/httpprobe"
)

// plan is what the routine will ask: the checks, and for each what its line in
// the report needs.
type plan struct {
	environments []string
	checks       []health.Check
	lines        []line // of the check at the same index
}

// line is a check of one environment.
type line struct {
	environment string
	check       *check
	target      string            // the URL without its query
	next        map[string]string // filled in for the environment
}

// makePlan turns settings into checks. Problems are added to file. No request
// takes longer than most. client is nil for real systems.
func makePlan(s *settings, file *config.File, client *http.Client, most time.Duration) *plan {
	p := &plan{}
	shared := newCanvases(s, file, client)
	told := make(map[string]bool) // problems of a check are reported once, not per environment
	for i := range s.Environments {
		e := &s.Environments[i]
		if e.Name == "" {
			continue // reported as missing
		}
		p.environments = append(p.environments, e.Name)
		values := maps.Clone(e.Values)
		if values == nil {
			values = make(map[string]string)
		}
		values["environment"] = e.Name
		before := len(p.lines)
		for j := range s.Checks {
			c := &s.Checks[j]
			if len(c.Only) > 0 && !slices.Contains(c.Only, e.Name) {
				continue
			}
			b := &builder{file: file, path: "checks[" + strconv.Itoa(j) + "]", told: told, env: e, values: values, canvases: shared}
			prober, target := b.prober(c, client)
			timeout := s.Timeout
			if c.Timeout > 0 {
				timeout = c.Timeout
			}
			p.checks = append(p.checks, health.Check{
				Name:      e.Name + "/" + c.Name,
				Prober:    prober,
				Interval:  c.Interval,
				Timeout:   min(timeout, most),
				Optional:  c.Optional,
				DependsOn: dependencies(s, e.Name, c),
				Labels:    map[string]string{"environment": e.Name, "check": c.Name},
			})
			p.lines = append(p.lines, line{environment: e.Name, check: c, target: target, next: b.next(c)})
		}
		if len(p.lines) == before && len(s.Checks) > 0 { // or it would be well without having been asked
			file.Problem("environments["+strconv.Itoa(i)+"].name", "no check is made for this environment")
		}
	}
	return p
}

// dependencies returns the names of those dependencies that the environment has.
func dependencies(s *settings, environment string, c *check) []string {
	var names []string
	for _, other := range s.Checks {
		if slices.Contains(c.DependsOn, other.Name) && (len(other.Only) == 0 || slices.Contains(other.Only, environment)) {
			names = append(names, environment+"/"+other.Name)
		}
	}
	return names
}

// builder makes the parts of one check for one environment.
type builder struct {
	file     *config.File
	path     string
	told     map[string]bool
	env      *environment
	values   map[string]string
	canvases *canvases
}

// problem reports a problem at a key of the check, once for all environments.
func (b *builder) problem(key, format string, args ...any) {
	path, text := b.path+"."+key, fmt.Sprintf(format, args...)
	if id := path + "\x00" + text; !b.told[id] {
		b.told[id] = true
		b.file.Problem(path, "%s", text)
	}
}

// fill fills in the values of the environment. For one that is missing it puts
// something that causes no further problems.
func (b *builder) fill(key, text string) string {
	standIn := "missing"
	if key == "url" && strings.HasPrefix(text, "{") {
		standIn = "https://missing.invalid"
	}
	return fill(text, b.values, func(name string) string {
		b.problem(key, "environment %q has no value %q", b.env.Name, name)
		return standIn
	})
}

func (b *builder) next(c *check) map[string]string {
	next := make(map[string]string, len(c.Next))
	for cause, text := range c.Next {
		next[cause] = b.fill("next."+cause, strings.TrimSpace(text))
	}
	return next
}

// prober makes the prober of a check, and says what it asks.
func (b *builder) prober(c *check, client *http.Client) (prober health.Prober, target string) {
	if c.Canvas != "" {
		return b.canvas(c)
	}
	cfg := httpprobe.Config{
		URL:             b.fill("url", c.URL),
		Header:          make(http.Header),
		Auth:            b.auth(c.Auth),
		Status:          c.accepted(),
		Maintenance:     c.Maintenance,
		Contains:        c.Contains,
		CertificateWarn: -1,
		HTTP:            client,
	}
	for name, value := range c.Headers {
		if !secretHeader.MatchString(name) { // reported already
			cfg.Header.Set(name, value)
		}
	}
	if c.Certificate != nil {
		cfg.CertificateWarn, cfg.CertificateFail = c.Certificate.Warn, c.Certificate.Fail
	}
	for i, a := range c.Assert {
		path := b.fill("assert["+strconv.Itoa(i)+"].path", a.Path)
		cfg.Assert = append(cfg.Assert, httpprobe.Assertion{Path: path, Want: a.Want})
	}
	for i, f := range c.Extract {
		key := "extract[" + strconv.Itoa(i) + "]"
		cfg.Extract = append(cfg.Extract, httpprobe.Field{
			Path: b.fill(key+".path", f.Path), Name: f.measurement(), Unit: health.Unit(f.Unit), Scale: f.Scale,
			Of: b.fill(key+".of", f.Of), Optional: f.Optional, Limit: health.Limit(f.Limit),
		})
	}
	probe, err := httpprobe.New(cfg)
	if err != nil {
		b.probeProblems(err)
		return nil, ""
	}
	_, target, _ = strings.Cut(probe.String(), " ")
	latency := health.Budget(c.Latency)
	if err := latency.Validate(); err != nil {
		b.problem("latency", "%v", err)
	}
	return &sampler{prober: probe, samples: c.Samples, latency: latency, failing: c.Failing}, target
}

// accepted returns the status codes whose answer is looked at.
func (c *check) accepted() []int {
	if len(c.Status) == 0 && len(c.Failing) > 0 {
		return append([]int{http.StatusOK}, c.Failing...)
	}
	return slices.Concat(c.Status, c.Failing)
}

// probeProblems reports each of the problems that httpprobe joined. Its texts
// show no value that could be a secret.
func (b *builder) probeProblems(err error) {
	all := []error{err}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		all = joined.Unwrap()
	}
	for _, err := range all {
		key, format, problem := keyOf(strings.TrimPrefix(err.Error(), "httpprobe: "))
		b.problem(key, format, problem)
	}
}

// keyOf returns the key of a check that a problem of httpprobe is about, which
// it tells by its first word ("URL is required", "Extract[2]: …"), and the rest.
func keyOf(text string) (key, format string, problem any) {
	word, rest, _ := strings.Cut(text, " ")
	switch field, index, _ := strings.Cut(strings.TrimSuffix(word, ":"), "["); field {
	case "Assert", "Extract":
		return strings.ToLower(field) + "[" + index, "%s", rest
	case "URL", "Auth":
		return strings.ToLower(field), "%s", text
	case "Header":
		return "headers", "%s", text
	case "CertificateWarn":
		return "certificate", "%s", rest
	case "status":
		return field, "%s", text
	}
	return "name", "%s", text
}

// auth looks the secrets up that a check names.
func (b *builder) auth(a *auth) httpprobe.Auth {
	if a == nil {
		return httpprobe.Auth{}
	}
	return httpprobe.Auth{
		Bearer:   b.secret("bearer", a.Bearer),
		Username: a.Username,
		Password: b.secret("password", a.Password),
		Header:   a.Header,
		Value:    b.secret("value", a.Value),
	}
}

// secret returns the environment's secret of a name. The name is not shown when
// there is none: it may be a secret that should not be here.
func (b *builder) secret(key, name string) runbook.Secret {
	if name == "" {
		return runbook.Secret{}
	}
	s, ok := b.env.Secrets[name]
	if !ok {
		known := strings.Join(slices.Sorted(maps.Keys(b.env.Secrets)), ", ")
		if known == "" {
			known = "none"
		}
		b.problem("auth."+key, "must be the name of a secret of environment %q (it has: %s)", b.env.Name, known)
	}
	return s
}
