package main

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"go.acu.edu.au/runbook"
)

// instances are the Canvas instances that the application knows, by its names.
var instances = []string{"test", "beta", "prod"}

// shortestToken is how many characters the token has at least: else it could be guessed.
const shortestToken = 16

// settings are the environment, with the application's own names where it has
// one for the thing.
type settings struct {
	application, public, listen string
	environment                 string
	databaseURL, redisURL       string
	token                       runbook.Secret
	slack                       runbook.Secret // empty: alerts are only logged
	workers                     []string       // that must report, from the start on
	silence                     time.Duration
	queue                       float64
	canvas                      map[string]canvasSettings
}

// canvasSettings are how one Canvas instance and the application know each
// other.
type canvasSettings struct {
	url, clientID, issuer, platform string
	token, key                      runbook.Secret
	previous                        []runbook.Secret
}

// readSettings reads the environment and reports everything that is wrong with
// it. No error shows a value: URLs hold passwords.
func readSettings(getenv func(string) string) (settings, error) {
	var errs []error
	wrong := func(name, what string) { errs = append(errs, fmt.Errorf("sidecar: %s %s", name, what)) }
	address := func(name, otherwise string) string {
		value := strings.TrimSuffix(or(getenv(name), otherwise), "/")
		u, err := url.Parse(value)
		if value != "" && (err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https") {
			wrong(name, "must be a URL of http or https")
		}
		return value
	}
	s := settings{
		application: address("APPLICATION_URL", "http://127.0.0.1:8000"),
		listen:      or(getenv("LISTEN"), "127.0.0.1:8080"), environment: or(getenv("ENVIRONMENT"), "development"),
		databaseURL: getenv("DATABASE_URL"), redisURL: getenv("REDIS_URL"),
		token: runbook.NewSecret(strings.TrimSpace(getenv("OPS_TOKEN"))), slack: runbook.NewSecret(getenv("ALERT_SLACK_WEBHOOK")),
		silence: time.Minute, queue: 100, canvas: make(map[string]canvasSettings),
	}
	s.public = address("PUBLIC_URL", s.application)
	switch { // as the application's own settings have it
	case s.token.IsZero():
		wrong("OPS_TOKEN", "is required")
	case utf8.RuneCountInString(s.token.Reveal()) < shortestToken:
		wrong("OPS_TOKEN", fmt.Sprintf("must have at least %d characters", shortestToken))
	}
	for name := range strings.SplitSeq(getenv("WORKERS"), ",") {
		if name = strings.TrimSpace(name); name != "" {
			s.workers = append(s.workers, name)
		}
	}
	var err error
	if value := getenv("WORKER_SILENCE"); value != "" {
		if s.silence, err = time.ParseDuration(value); err != nil || s.silence < time.Second {
			wrong("WORKER_SILENCE", `must be a duration of a second or more, such as "90s"`)
		}
	}
	if value := getenv("QUEUE_LIMIT"); value != "" {
		if s.queue, err = strconv.ParseFloat(value, 64); err != nil || !(s.queue > 0 && s.queue < 1e9) {
			wrong("QUEUE_LIMIT", "must be a number of tasks above 0")
		}
	}
	for _, name := range instances {
		upper := strings.ToUpper(name)
		c := canvasSettings{
			url: address("CANVAS_URL_"+upper, ""), clientID: getenv("CANVAS_CLIENT_ID_" + upper),
			issuer: getenv("LTI_ISSUER_" + upper), platform: address("LTI_PLATFORM_URL_"+upper, ""),
			token: runbook.NewSecret(getenv("CANVAS_TOKEN_" + upper)),
			key:   runbook.NewSecret(getenv("CANVAS_" + upper + "_PRIVATE_KEY")),
		}
		if previous := getenv("CANVAS_" + upper + "_PRIVATE_KEY_PREVIOUS"); previous != "" {
			c.previous = []runbook.Secret{runbook.NewSecret(previous)}
		}
		s.canvas[name] = c
	}
	return s, errors.Join(errs...)
}

func or(value, otherwise string) string {
	if value == "" {
		return otherwise
	}
	return value
}
