package main

import (
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/canvas/canvasprobe"
	"go.acu.edu.au/runbook/examples/internal/config"
	"go.acu.edu.au/runbook/health"
)

// settings is the configuration file; config.sample.yaml explains every key.
type settings struct {
	Timeout      time.Duration `config:"timeout"`
	StatusPage   string        `config:"status_page"`
	Environments []environment `config:"environments,required"`
	Checks       []check       `config:"checks,required"`
	Alerts       *alerts       `config:"alerts"`
}

type environment struct {
	Name    string                    `config:"name,required"`
	Values  map[string]string         `config:"values"`
	Secrets map[string]runbook.Secret `config:"secrets"`
}

type check struct {
	Name        string            `config:"name,required"`
	Title       string            `config:"title"`
	URL         string            `config:"url,required"`
	Canvas      string            `config:"canvas"`
	Headers     map[string]string `config:"headers"`
	Auth        *auth             `config:"auth"`
	Interval    time.Duration     `config:"interval"`
	Timeout     time.Duration     `config:"timeout"`
	Status      []int             `config:"status"`
	Failing     []int             `config:"failing"`
	Maintenance []int             `config:"maintenance"`
	Contains    string            `config:"contains"`
	Assert      []assertion       `config:"assert"`
	Extract     []field           `config:"extract"`
	Latency     budget            `config:"latency"`
	Samples     int               `config:"samples"`
	Certificate *budget           `config:"certificate"`
	Optional    bool              `config:"optional"`
	DependsOn   []string          `config:"depends_on"`
	Only        []string          `config:"only"`
	Show        string            `config:"show"`
	Next        map[string]string `config:"next"`
}

// auth names secrets of the environment.
type auth struct {
	Bearer   string `config:"bearer"`
	Username string `config:"username"`
	Password string `config:"password"`
	Header   string `config:"header"`
	Value    string `config:"value"`
}

type assertion struct {
	Path string                   `config:"path,required"`
	Want map[string]health.Status `config:"want,required"`
}

type field struct {
	Path     string  `config:"path,required"`
	Name     string  `config:"name"`
	Unit     string  `config:"unit"`
	Scale    float64 `config:"scale"`
	Of       string  `config:"of"`
	Optional bool    `config:"optional"`
	Limit    limit   `config:"limit"`
}

type limit struct {
	Warn  *float64 `config:"warn"`
	Fail  *float64 `config:"fail"`
	Below bool     `config:"below"`
}

type budget struct {
	Warn time.Duration `config:"warn"`
	Fail time.Duration `config:"fail"`
}

// Defaults of the settings.
const (
	defaultTimeout = 10 * time.Second
	maxSamples     = 50 // at the same time to one server: more would be a load test
)

// otherwise is the key of the advice for what has no other.
const otherwise = "otherwise"

// causes are those that a check here can have.
var causes = []health.Cause{
	health.CauseDNS, health.CauseUnreachable, health.CauseRefused, health.CauseTLS, health.CauseTimeout, health.CauseConnection,
	health.CauseStatus, health.CauseUnauthorized, health.CauseProtocol, health.CauseNotJSON, health.CauseTooLarge,
	health.CauseAssertion, health.CauseMissing, health.CauseThreshold, health.CauseSlow, health.CauseCertificate,
	health.CauseThrottled, health.CauseMaintenance, health.CauseFailed, health.CausePending, health.CausePanic,
	health.CauseHung, health.CauseNotAsked, canvasprobe.CausePermission, canvasprobe.CauseKeyGone,
}

var (
	nameForm        = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)
	placeholderForm = regexp.MustCompile(`\{[a-z][a-z0-9_]*\}`)
	secretHeader    = regexp.MustCompile(`(?i)authorization|cookie|token|secret|password|api-?key`)
)

// load reads a configuration. What is wrong with it is in the File.
func load(src config.Source) (*settings, *config.File) {
	s := &settings{Timeout: defaultTimeout}
	file := config.Decode(src, s)
	if s.Timeout == 0 {
		file.Problem("timeout", "must be more than 0")
	}
	s.validateEnvironments(file)
	names := make([]string, len(s.Checks))
	for i, c := range s.Checks {
		names[i] = c.Name
	}
	for i := range s.Checks {
		s.validateCheck(file, "checks["+strconv.Itoa(i)+"]", &s.Checks[i], i, names)
	}
	return s, file
}

func (s *settings) validateEnvironments(file *config.File) {
	seen := make(map[string]bool)
	for i, e := range s.Environments {
		path := "environments[" + strconv.Itoa(i) + "]"
		validateName(file, path+".name", e.Name, seen)
		for name, value := range e.Values {
			if !placeholderForm.MatchString("{" + name + "}") {
				file.Problem(path+".values", "a name must consist of small letters, digits and _, as in {name}")
			}
			if u, err := url.Parse(value); err == nil && u.User != nil {
				file.Problem(path+".values."+name, "must not hold a user name or password: use secrets")
			}
		}
	}
	if len(s.Environments) == 0 {
		file.Problem("environments", "there is none")
	}
	if len(s.Checks) == 0 {
		file.Problem("checks", "there is none")
	}
}

func validateName(file *config.File, path, name string, seen map[string]bool) {
	switch {
	case name == "": // reported as missing
	case !nameForm.MatchString(name):
		file.Problem(path, "must consist of small letters, digits and -")
	case seen[name]:
		file.Problem(path, "the same name is there twice")
	}
	seen[name] = true
}

// validateCheck finds what the program alone can find; what a probe needs is
// validated by httpprobe or canvasprobe when it is made.
func (s *settings) validateCheck(file *config.File, path string, c *check, i int, names []string) {
	if c.Title == "" {
		c.Title = c.Name
	}
	if c.Samples == 0 {
		c.Samples = 1
	}
	switch {
	case c.Name == "":
	case !nameForm.MatchString(c.Name):
		file.Problem(path+".name", "must consist of small letters, digits and -")
	case slices.Index(names, c.Name) < i:
		file.Problem(path+".name", "the same name is there twice")
	}
	if c.Samples < 1 || c.Samples > maxSamples {
		file.Problem(path+".samples", "must be from 1 to %d", maxSamples)
	}
	c.validateCanvas(file, path)
	for j, name := range c.DependsOn {
		if !slices.Contains(names, name) || name == c.Name {
			file.Problem(path+".depends_on["+strconv.Itoa(j)+"]", "is not the name of another check")
		}
	}
	for j, name := range c.Only {
		if !slices.ContainsFunc(s.Environments, func(e environment) bool { return e.Name == name }) {
			file.Problem(path+".only["+strconv.Itoa(j)+"]", "is not the name of an environment")
		}
	}
	for name := range c.Headers {
		if secretHeader.MatchString(name) {
			file.Problem(path+".headers", "a header that carries a credential belongs in auth")
		}
	}
	known := c.measurements()
	for _, key := range slices.Sorted(maps.Keys(c.Next)) {
		if !slices.Contains(causes, health.Cause(key)) && !slices.Contains(known, key) && key != otherwise {
			file.Problem(path+".next."+key, "the key is neither a cause, nor a measurement of this check, nor %q", otherwise)
		}
	}
	for _, p := range placeholders(c.Show) {
		if !slices.Contains(known, p) {
			file.Problem(path+".show", "{%s} is not a measurement of this check; there are %s", p, strings.Join(known, ", "))
		}
	}
}

// measurements returns the names that may be used in show.
func (c *check) measurements() []string {
	switch c.Canvas {
	case "":
	case canvasUp:
		return []string{"response_time", "endpoint"}
	case canvasQuota:
		return []string{"response_time", "quota_remaining", "quota_limit", "quota_others", "requests_waiting", "throttled_share"}
	default:
		return []string{"response_time"}
	}
	names := []string{"response_time", "status_code"}
	if c.Certificate != nil {
		names = append(names, "certificate_expiry")
	}
	if c.Samples > 1 {
		names = append(names, "p50", "p95", "max", "samples")
	}
	for _, f := range c.Extract {
		names = append(names, f.measurement())
	}
	return names
}

// measurement returns the name of the measurement, as httpprobe names it.
func (f field) measurement() string {
	if f.Name != "" {
		return f.Name
	}
	return f.Path[strings.LastIndex(f.Path, ".")+1:]
}

// placeholders returns the names in braces.
func placeholders(text string) []string {
	var names []string
	for _, p := range placeholderForm.FindAllString(text, -1) {
		names = append(names, p[1:len(p)-1])
	}
	return names
}

// fill replaces {name} by values[name], or by what missing returns.
func fill(text string, values map[string]string, missing func(name string) string) string {
	return placeholderForm.ReplaceAllStringFunc(text, func(p string) string {
		name := p[1 : len(p)-1]
		value, ok := values[name]
		if !ok {
			return missing(name)
		}
		return value
	})
}
