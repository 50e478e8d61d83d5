package dynreg_test

import (
	"encoding/json"
	"errors"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"go.acu.edu.au/runbook/lti/dynreg"
)

// What is taken of a configuration makes a registration that is valid, at the host
// that it came from.
func FuzzConfiguration(f *testing.F) {
	for _, document := range []map[string]any{moodleDocument(), canvasDocument(), with(moodleDocument(), map[string]any{"issuer": "https:learn.example.edu"})} {
		body, err := json.Marshal(document)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(body)
	}
	f.Add([]byte(`{"issuer":"a","issuer":"b"}`))
	f.Add([]byte(`[1`))
	d := newDesk(f, &platform{document: moodleDocument()}, nil)
	f.Fuzz(func(t *testing.T, body []byte) {
		p, err := dynreg.ParsePlatform(body)
		if err != nil {
			if e, ok := errors.AsType[*dynreg.Error](err); !ok || e.Reason != dynreg.ReasonConfiguration || len(e.Error()) > 2000 {
				t.Fatalf("%v", err)
			}
			return
		}
		issuer, err := url.Parse(p.Issuer)
		if err != nil {
			t.Fatal(err)
		}
		if d.registrar.CheckHosts(&p, moodleConfig) == nil && !strings.EqualFold(strings.TrimSuffix(issuer.Host, ":443"), "learn.example.edu") {
			t.Fatalf("%s is taken for %s", moodleConfig, p.Issuer)
		}
		if d.registrar.CheckHosts(&p, p.Issuer) != nil {
			return
		}
		r, err := d.registrar.ParseAnswer([]byte(`{"client_id":"c"}`), &p)
		if err != nil {
			if !errors.Is(err, dynreg.ReasonConfiguration) { // none of the tool's messages
				t.Fatal(err)
			}
			return
		}
		if err := r.Registration.Validate(); err != nil {
			t.Fatal(err)
		}
	})
}

// What is taken of an answer is what was asked for.
func FuzzAnswer(f *testing.F) {
	f.Add([]byte(`{"client_id":"c-1","redirect_uris":["https://qa.example.edu/lti/launch"],"scope":"a b","` + toolSpec + `":{"deployment_id":"1"}}`))
	f.Add([]byte(`{"client_id":10000000000042,"` + toolSpec + `":{"deployment_id":-7}}`))
	f.Add([]byte(`{"client_id":null,"redirect_uris":null,"` + toolSpec + `":[]}`))
	f.Add([]byte(`{"client_id":"c","jwks_uri":"https://evil.example"}`))
	f.Add([]byte(`{"client_id":1.5e3}`))
	d := newDesk(f, &platform{document: moodleDocument()}, nil)
	body, err := json.Marshal(moodleDocument())
	if err != nil {
		f.Fatal(err)
	}
	p, err := dynreg.ParsePlatform(body)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		r, err := d.registrar.ParseAnswer(body, &p)
		if err != nil {
			if !errors.Is(err, dynreg.ReasonAnswer) || len(err.Error()) > 2000 {
				t.Fatalf("%v", err)
			}
			return
		}
		if err := r.Registration.Validate(); err != nil || r.Registration.ClientID == "" || r.Registration.Issuer != moodle {
			t.Fatalf("%v: %v", r.Registration, err)
		}
	})
}

// Without an invitation no request leads anywhere, whatever is in it.
func FuzzRequest(f *testing.F) {
	p := &platform{document: moodleDocument()}
	d := newDesk(f, p, nil)
	f.Add("invitation=x&openid_configuration=https://learn.example.edu/openid-configuration&registration_token=t")
	f.Add("invitation=AWmAAAA")
	f.Add("%zz;a")
	f.Fuzz(func(t *testing.T, query string) {
		r := httptest.NewRequest("GET", "https://qa.example.edu/lti/register", nil)
		r.URL.RawQuery = query
		w := httptest.NewRecorder()
		d.registrar.Handler().ServeHTTP(w, r)
		if fetches, _ := p.counts(); w.Code < 400 || fetches != 0 {
			t.Fatalf("%d, %d fetches", w.Code, fetches)
		}
	})
}
