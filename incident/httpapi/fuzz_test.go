package httpapi_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/httpapi"
)

// What the handler takes, encoding/json takes too; and what is refused is refused with
// words that are JSON.
func FuzzBodies(f *testing.F) {
	for _, seed := range []string{
		restart, ``, `{}`, `null`, `[]`, `{"a":1,"a":2}`, `{"environment":"e","playbook":"p","parameters":{"a":"b","a":"c"}}`, `{"only":["a",null,1e999]}`,
		`{"environment":"\ud800","playbook":"\u0000"}`, "{\"\xff\":1}", `{"id":"a/b","plan":7,"refuse":"no"} x`, strings.Repeat(`[`, 40), `{"parameters":{"` + strings.Repeat("k", 70) + `":{}}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		p := httpapi.Decode(text)
		if p == nil {
			var q incident.Request
			if err := json.Unmarshal(text, &q); err != nil {
				t.Fatalf("it was taken, and encoding/json says: %v", err)
			}
			if q.Environment == "" || q.Playbook == "" || q.By != "" || q.Automatic {
				t.Fatalf("it was taken: %s", text)
			}
			return
		}
		out, err := json.Marshal(p)
		if err != nil || !utf8.Valid(out) || len(out) > 100_000 || p.Detail == "" {
			t.Fatalf("%v: %s", err, out)
		}
		for _, e := range p.Errors {
			if !strings.HasPrefix(e.Pointer, "#") || strings.ContainsAny(e.Pointer+e.Detail, "\r\n\x00") {
				t.Fatalf("%+v", e)
			}
		}
	})
}

// Whatever is asked, the answer is a result or a problem, and nobody is sent elsewhere.
func FuzzRequests(f *testing.F) {
	w := newWorld(f, func(cfg *httpapi.Config) { cfg.FollowFor = time.Millisecond })
	f.Cleanup(w.close)
	f.Add("GET", "/v1/runs?limit=1", "val", "")
	f.Add("POST", "/v1/runs/%2e%2e/cancel", "ada", `{"reason":"x"}`)
	f.Add("POST", "/v1/approvals/approval-1/approve", "kim", `{"plan":"x"}`)
	f.Add("GET", "/v1/audit?after=-1&limit=%zz", "val", "")
	f.Add("HEAD", "//v1/../v1/incidents/INC-1/timeline;x", "", "")
	f.Fuzz(func(t *testing.T, method, path, who, body string) {
		if !strings.HasPrefix(path, "/") || strings.ContainsAny(path, "\x00\r\n ") || strings.ContainsAny(method, "\x00\r\n /") || method == "" {
			return
		}
		r, err := http.NewRequestWithContext(t.Context(), method, "http://ops.example.edu"+path, strings.NewReader(body))
		if err != nil {
			return
		}
		r.Header.Set("Authorization", "Bearer "+who)
		r.Header.Set("Content-Type", "application/json")
		a := httptest.NewRecorder()
		w.api.ServeHTTP(a, r)
		if a.Code >= 300 && a.Code < 400 || a.Code == http.StatusInternalServerError || a.Code == http.StatusBadGateway {
			t.Fatalf("%d: %s", a.Code, a.Body)
		}
		if media := a.Header().Get("Content-Type"); a.Code >= 400 && (media != "application/problem+json" || !json.Valid(a.Body.Bytes())) {
			t.Fatalf("%d %s: %s", a.Code, media, a.Body)
		}
	})
}
