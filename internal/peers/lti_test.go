package main

import (
	"slices"
	"testing"
	"time"
)

// TestLTILibraries shows that every row of the table checks what is said of it,
// and nothing else of what the others check.
func TestLTILibraries(t *testing.T) {
	p := newLTIPlatform()
	tool := newLTITool(p)
	login := tool.LoginHandler()
	forged := []struct {
		check  string
		change func(claims map[string]any)
	}{
		{"iss", func(c map[string]any) { c["iss"] = "https://other.example" }},
		{"aud", func(c map[string]any) { c["aud"] = "10000000000043"; delete(c, "azp") }},
		{"exp", func(c map[string]any) { c["exp"] = time.Now().Add(-time.Hour).Unix() }},
		{"iat", func(c map[string]any) { c["iat"] = time.Now().Add(30 * time.Minute).Unix() }},
		{"nonce", func(c map[string]any) { c["nonce"] = "other" }},
		{"LTI", func(c map[string]any) { c["https://purl.imsglobal.org/spec/lti/claim/version"] = "1.1" }},
	}
	for _, l := range ltiLibraries(p, tool) {
		t.Run(l.name, func(t *testing.T) {
			good := post(p, login, nil)
			if !l.open(good) {
				t.Fatal("refuses a launch")
			}
			if err := good.rewind(); err != nil {
				t.Fatal(err)
			}
			if again := l.open(good); again == slices.Contains(l.checks, "replay") {
				t.Errorf("accepts it a second time: %v", again)
			}
			stolen := post(p, login, nil)
			stolen.request.Header.Del("Cookie")
			if accepted := l.open(stolen); accepted == slices.Contains(l.checks, "state") {
				t.Errorf("accepts a launch in another browser: %v", accepted)
			}
			for _, f := range forged {
				if accepted := l.open(post(p, login, f.change)); accepted == slices.Contains(l.checks, f.check) {
					t.Errorf("accepts a wrong %s: %v", f.check, accepted)
				}
			}
			if l.open(post(newLTIPlatform(), login, nil)) {
				t.Error("accepts the signature of another key")
			}
		})
	}
}
