package dashboard

import (
	"crypto/rand"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"maps"
	"time"

	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/incident"
)

//go:embed templates/*.tmpl
var files embed.FS

//go:embed templates/style.css
var style string

// policyOf returns the Content-Security-Policy of pages with one style sheet in them: no
// script but that of this host, nothing from elsewhere.
func policyOf(style string) string {
	sum := sha256.Sum256([]byte(style))
	return "default-src 'none'; script-src 'self'; connect-src 'self'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) +
		"'; img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
}

// parse reads the templates. They are part of the program, so that it cannot fail.
func parse(zone *time.Location) *template.Template {
	all := functions(zone)
	maps.Copy(all, template.FuncMap{
		"css":    func() template.CSS { return template.CSS(style) }, //nolint:gosec // it is ours
		"toneof": func(v any) string { return tone(v) },
		"tone":   tone, "words2": stateWords, "steps": stepWords, "said": said, "incidentwords": incidentWords,
	})
	return template.Must(template.New("").Option("missingkey=zero").Funcs(all).ParseFS(files, "templates/*.tmpl"))
}

// tone says how something is shown, and with which picture.
func tone(v any) string {
	switch v := v.(type) {
	case incident.RunState:
		return toneOfRun(v)
	case incident.StepState:
		return toneOfStep(v)
	case incident.Incident:
		return toneOfIncident(v)
	case health.State:
		return toneOf(v)
	}
	panic(fmt.Sprintf("dashboard: nothing is shown as %T is", v)) // a template is wrong
}

// newOnce names a form that is shown once.
func newOnce() string { return rand.Text() }
