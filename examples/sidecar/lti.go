package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/lti"
	"go.acu.edu.au/runbook/lti/doctor"
)

const maxBody = 64 << 10 // bytes of a request

// ltiConfig is what the application is configured with for LTI launches from
// one instance, in the doctor's terms, or false where it has none.
func (t *tool) ltiConfig(name string) (doctor.Config, bool) {
	s := t.canvas[name]
	if s.clientID == "" {
		return doctor.Config{}, false
	}
	environment := map[string]string{"test": lti.CanvasTest, "beta": lti.CanvasBeta, "prod": lti.CanvasProduction}[name]
	r := lti.CanvasRegistration(environment, s.clientID, "")
	r.Issuer = or(s.issuer, r.Issuer)
	if s.platform != "" {
		r.AuthURL, r.JWKSURL = s.platform+"/api/lti/authorize_redirect", s.platform+"/api/lti/security/jwks"
	}
	if r.TokenURL = ""; s.url != "" {
		r.TokenURL = s.url + "/login/oauth2/token"
	}
	return doctor.Config{
		Environment: doctor.Environment(name), Registration: r, HTTP: t.http,
		// As in app/lti.py.
		StateLife: 5 * time.Minute, Leeway: 5 * time.Second,
	}, true
}

// newDoctors makes one for each instance that the application takes launches
// from.
func (t *tool) newDoctors() (map[string]*doctor.Doctor, error) {
	doctors := make(map[string]*doctor.Doctor)
	var errs []error
	for _, name := range instances {
		cfg, ok := t.ltiConfig(name)
		if !ok {
			continue
		}
		s := t.canvas[name]
		cfg.PrivateKey, cfg.PreviousKeys = s.key, s.previous
		cfg.JWKSURL, cfg.LoginURL, cfg.LaunchURL = t.public+"/.well-known/jwks.json", t.public+"/lti/login", t.public+"/lti/launch"
		d, err := doctor.New(cfg)
		if err != nil {
			errs = append(errs, fmt.Errorf("sidecar: LTI %s: %w", name, err))
			continue
		}
		doctors[name] = d
	}
	return doctors, errors.Join(errs...)
}

// serveConfiguration answers GET /ops/lti?instance=: a diagnosis of how the
// application is configured for launches.
func (t *tool) serveConfiguration(w http.ResponseWriter, r *http.Request) {
	name, ok := instance(w, r.URL.Query().Get("instance"))
	if !ok {
		return
	}
	if t.doctors[name] == nil {
		noLTI(w, name)
		return
	}
	t.diagnose(w, r, t.doctors[name])
}

// serveToken answers POST /ops/lti/token: a diagnosis of a token that the
// application refused. The platform is asked for its keys, and nobody for
// anything else.
func (t *tool) serveToken(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Instance string    `json:"instance"`
		Token    string    `json:"token"`
		Received time.Time `json:"received"` // optional
	}
	decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
	decoder.DisallowUnknownFields()
	err := decoder.Decode(&body)
	if err == nil {
		if _, err = decoder.Token(); errors.Is(err, io.EOF) {
			err = nil
		} else if err == nil {
			err = errors.New("something follows the JSON")
		}
	}
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		fail(w, http.StatusRequestEntityTooLarge, "the body is larger than 64 KiB")
		return
	}
	if err != nil || body.Token == "" { // the error could quote the token
		fail(w, http.StatusBadRequest, `the body must be JSON: {"instance": "prod", "token": "<id_token>"}, and "received" (RFC 3339) if it is known`)
		return
	}
	name, ok := instance(w, body.Instance)
	if !ok {
		return
	}
	cfg, ok := t.ltiConfig(name)
	if !ok {
		noLTI(w, name)
		return
	}
	cfg.Token, cfg.TokenTime = runbook.NewSecret(body.Token), body.Received
	d, err := doctor.New(cfg)
	if err != nil {
		fail(w, http.StatusInternalServerError, err.Error())
		return
	}
	t.diagnose(w, r, d)
}

func noLTI(w http.ResponseWriter, name string) {
	fail(w, http.StatusNotFound, "LTI of Canvas "+name+" is not configured: set its CANVAS_CLIENT_ID_ variable")
}

// diagnose makes one diagnosis at a time: each asks the application and the
// platform.
func (t *tool) diagnose(w http.ResponseWriter, r *http.Request, d *doctor.Doctor) {
	select {
	case t.diagnosing <- struct{}{}:
		defer func() { <-t.diagnosing }()
	default:
		w.Header().Set("Retry-After", "5")
		fail(w, http.StatusTooManyRequests, "another diagnosis is being made: try again in a few seconds")
		return
	}
	found, err := d.Diagnose(r.Context())
	if err != nil {
		w.Header().Set("Retry-After", "5")
		fail(w, http.StatusServiceUnavailable, "nothing could be looked at: "+err.Error())
		return
	}
	reply(w, http.StatusOK, diagnosis(found))
}

// diagnosis is what the application reads of one.
func diagnosis(d incident.Diagnosis) any {
	type finding struct {
		ID         string              `json:"id"`
		Title      string              `json:"title"`
		Likelihood incident.Likelihood `json:"likelihood"`
		Urgent     bool                `json:"urgent"`
		Evidence   []string            `json:"evidence"`
		Remedy     string              `json:"remedy"`
	}
	type notChecked struct {
		What string `json:"what"`
		Why  string `json:"why"`
	}
	out := struct {
		Time       time.Time    `json:"time"`
		Subject    string       `json:"subject"`
		Findings   []finding    `json:"findings"`
		Checked    []string     `json:"checked"`
		NotChecked []notChecked `json:"not_checked"`
	}{Time: d.Time, Subject: d.Subject, Findings: []finding{}, Checked: append([]string{}, d.Checked...), NotChecked: []notChecked{}}
	for _, f := range d.Findings {
		out.Findings = append(out.Findings, finding(f))
	}
	for _, n := range d.NotChecked {
		out.NotChecked = append(out.NotChecked, notChecked(n))
	}
	return out
}
