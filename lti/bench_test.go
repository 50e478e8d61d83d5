package lti_test

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/lti"
)

// canvasClaims is a payload of 3.6 KB, as Canvas makes it for a teacher who
// follows a link in a course: two dozen roles, services, custom fields, and the
// remains of its validation.
func canvasClaims(nonce string, now time.Time) map[string]any {
	const claim = "https://purl.imsglobal.org/spec/lti/claim/"
	const junk = "validation_context"
	errs := map[string]any{"errors": map[string]any{}}
	return map[string]any{
		"iss": "https://canvas.test.instructure.com", "aud": "10000000000042", "azp": "10000000000042",
		"sub": "8b5e0f50-7a3c-4f39-9b6f-0c1d2e3f4a5b", "iat": now.Add(-3 * time.Minute).Unix(), "exp": now.Add(57 * time.Minute).Unix(), "nonce": nonce,
		"name": "Alex Example", "given_name": "Alex", "family_name": "Example", "email": "alex.example@school.example.edu",
		"picture": "https://school.test.instructure.com/images/thumbnails/4242/abcdefabcdefabcdefabcdefabcdefabcdefabcd", "locale": "en-AU",
		claim + "message_type": "LtiResourceLinkRequest", claim + "version": "1.3.0",
		claim + "deployment_id":   "106:8865aa05b4b79b64a91a86042e43af5ea8ae79eb",
		claim + "target_link_uri": "https://qa.example.edu/lti/course?placement=course_navigation",
		claim + "roles": []string{
			"http://purl.imsglobal.org/vocab/lis/v2/institution/person#Instructor", "http://purl.imsglobal.org/vocab/lis/v2/institution/person#Staff",
			"http://purl.imsglobal.org/vocab/lis/v2/membership#Instructor", "http://purl.imsglobal.org/vocab/lis/v2/system/person#User",
			"http://purl.imsglobal.org/vocab/lis/v2/membership/Instructor#TeachingAssistant", "http://purl.imsglobal.org/vocab/lis/v2/membership#ContentDeveloper",
		},
		claim + "resource_link": map[string]any{"id": "4dde05e8ca1973bcca9bffc13e1548820eee93a3", "title": "QA of this course", "description": nil, junk: nil, "errors": errs},
		claim + "context": map[string]any{
			"id": "4dde05e8ca1973bcca9bffc13e1548820eee93a3", "label": "BIOL101", "title": "Biology 101: Foundations of the Life Sciences",
			"type": []string{"http://purl.imsglobal.org/vocab/lis/v2/course#CourseOffering"}, junk: nil, "errors": errs,
		},
		claim + "tool_platform": map[string]any{
			"guid": "L3Qn6QSUKFVxQJvyF1cnxC6hUyUuGjb2IcrG1lmF:canvas-lms", "name": "Example School", "version": "cloud", "product_family_code": "canvas", junk: nil, "errors": errs,
		},
		claim + "launch_presentation": map[string]any{
			"document_target": "iframe", "return_url": "https://school.test.instructure.com/courses/1234/external_content/success/external_tool_redirect",
			"locale": "en-AU", "height": 800, "width": 1200, junk: nil, "errors": errs,
		},
		claim + "lis": map[string]any{"person_sourcedid": "s00123456", "course_offering_sourcedid": "BIOL101_202630", junk: nil, "errors": errs},
		claim + "custom": map[string]any{
			"canvas_course_id": 1234, "canvas_user_id": 5678, "canvas_api_domain": "school.test.instructure.com", "environment": "test",
			"section_ids": "101,102,103", "term_name": "Semester 2", "assignment_id": "$Canvas.assignment.id",
			"account_id": 1, "account_name": "Example School of the Sciences", "course_workflow": "available", "membership": "TeacherEnrollment",
		},
		claim + "lti11_legacy_user_id": "2a2aef0fbc1fe05bb7c5fb2ee7b0b2c0b4b4a7f0",
		claim + "lti1p1":               map[string]any{"user_id": "2a2aef0fbc1fe05bb7c5fb2ee7b0b2c0b4b4a7f0", junk: nil, "errors": errs},
		"https://purl.imsglobal.org/spec/lti-ags/claim/endpoint": map[string]any{
			"scope": []string{
				"https://purl.imsglobal.org/spec/lti-ags/scope/lineitem", "https://purl.imsglobal.org/spec/lti-ags/scope/lineitem.readonly",
				"https://purl.imsglobal.org/spec/lti-ags/scope/result.readonly", "https://purl.imsglobal.org/spec/lti-ags/scope/score",
			},
			"lineitems": "https://school.test.instructure.com/api/lti/courses/1234/line_items", junk: nil, "errors": errs,
		},
		"https://purl.imsglobal.org/spec/lti-nrps/claim/namesroleservice": map[string]any{
			"context_memberships_url": "https://school.test.instructure.com/api/lti/courses/1234/names_and_roles", "service_versions": []string{"2.0"}, junk: nil, "errors": errs,
		},
		"https://www.instructure.com/placement": "course_navigation", "https://www.instructure.com/lti_student_id": "",
	}
}

const benchKid = "2026-11-01T00:00:00Z_0d6a4b6e-0c31-4c39-8a5e-6a9d1f1f2b3c"

var benchKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

// rs256 signs without any library.
func rs256(text string) []byte {
	sum := sha256.Sum256([]byte(text))
	signature, err := rsa.SignPKCS1v15(nil, benchKey(), crypto.SHA256, sum[:])
	if err != nil {
		panic(err)
	}
	return signature
}

// signRS256 makes a token without any library.
func signRS256(claims map[string]any) string { return rawToken(header(nil), payload(claims)) }

// platformKeys answers every request with the key set of the benchmark's
// platform.
type platformKeys struct{}

func (platformKeys) RoundTrip(r *http.Request) (*http.Response, error) {
	key := benchKey()
	enc := base64.RawURLEncoding
	body := fmt.Sprintf(`{"keys":[{"kty":"RSA","use":"sig","alg":"RS256","kid":%q,"n":%q,"e":%q}]}`,
		benchKid, enc.EncodeToString(key.N.Bytes()), enc.EncodeToString(big.NewInt(int64(key.E)).Bytes()))
	return &http.Response{
		StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(body)),
		ContentLength: int64(len(body)), Request: r, ProtoMajor: 1, ProtoMinor: 1,
	}, nil
}

func benchTool(tb testing.TB, change func(*lti.Config)) *lti.Tool {
	r := lti.CanvasRegistration(lti.CanvasTest, "10000000000042", "school.test.instructure.com")
	r.Deployments = []string{"106:8865aa05b4b79b64a91a86042e43af5ea8ae79eb"}
	cfg := lti.Config{
		LaunchURL: "https://qa.example.edu/lti/launch", StateKeys: []runbook.Secret{runbook.NewSecret(strings.Repeat("k", 32))},
		Registrations: []lti.Registration{r}, HTTP: &http.Client{Transport: platformKeys{}},
	}
	if change != nil {
		change(&cfg)
	}
	tool, err := lti.New(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	return tool
}

// blank is a response that costs nothing.
type blank struct {
	header http.Header
	status int
	body   []byte
}

func (b *blank) Header() http.Header         { return b.header }
func (b *blank) WriteHeader(status int)      { b.status = status }
func (b *blank) Write(p []byte) (int, error) { b.body = append(b.body, p...); return len(p), nil }

func newBlank() *blank { return &blank{header: make(http.Header, 8)} }

const canvasLogin = "iss=https%3A%2F%2Fcanvas.test.instructure.com&login_hint=5f2b1f0c8b5e0f507a3c4f399b6f0c1d2e3f4a5b" +
	"&client_id=10000000000042&deployment_id=106%3A8865aa05b4b79b64a91a86042e43af5ea8ae79eb" +
	"&target_link_uri=https%3A%2F%2Fqa.example.edu%2Flti%2Fcourse%3Fplacement%3Dcourse_navigation" +
	"&canvas_environment=test&canvas_region=not_configured" +
	"&lti_message_hint=eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9.eyJ2ZXJpZmllciI6Ijc5ZDRiNzg5OTQ4YjA2MjI5ZmE2ZTMwNzBkY2E0ZjM1OGQ1ZTYxZTI0NGE2Zjk2OTM4ZTA3ZDk5ZTQxYzM4ZGQ3ZmFhMzE5ZTMyNzQ2MzIwYTAzYWU4MzNlZGQiLCJjYW52YXNfZG9tYWluIjoic2Nob29sLnRlc3QuaW5zdHJ1Y3R1cmUuY29tIn0.c2lnbmF0dXJlc2lnbmF0dXJlc2lnbmF0dXJlc2lnbmF0dXJl"

func loginRequest(body *bytes.Reader) *http.Request {
	r, err := http.NewRequest(http.MethodPost, "https://qa.example.edu/lti/login", io.NopCloser(body))
	if err != nil {
		panic(err)
	}
	r.ContentLength = int64(body.Len())
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return r
}

// begin makes a login, and returns what the launch brings back.
func begin(handler http.Handler) (state, nonce, cookie string) {
	w := newBlank()
	handler.ServeHTTP(w, loginRequest(bytes.NewReader([]byte(canvasLogin))))
	location, err := url.Parse(w.header.Get("Location"))
	if err != nil || w.status != http.StatusFound {
		panic(fmt.Sprint(w.status, err, string(w.body)))
	}
	cookie, _, _ = strings.Cut(w.header.Get("Set-Cookie"), ";")
	return location.Query().Get("state"), location.Query().Get("nonce"), cookie
}

// Target: under 5 µs, no I/O, no RSA. What net/http spends on a request is not
// counted.
func BenchmarkLogin(b *testing.B) {
	handler := benchTool(b, nil).LoginHandler()
	body := bytes.NewReader([]byte(canvasLogin))
	r := loginRequest(body)
	b.ReportAllocs()
	for b.Loop() {
		body.Reset([]byte(canvasLogin))
		r.Body = io.NopCloser(body)
		w := newBlank()
		handler.ServeHTTP(w, r)
		if w.status != http.StatusFound {
			b.Fatal(w.status)
		}
	}
}

// launches are requests that were prepared, each with a token of its own.
func launches(tool *lti.Tool, n int) []*http.Request {
	login := tool.LoginHandler()
	all := make([]*http.Request, n)
	now := time.Now()
	for i := range all {
		state, nonce, cookie := begin(login)
		body := url.Values{"state": {state}, "id_token": {signRS256(canvasClaims(nonce, now))}}.Encode()
		r, err := http.NewRequest(http.MethodPost, "https://qa.example.edu/lti/launch", strings.NewReader(body))
		if err != nil {
			panic(err)
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Cookie", "session=abcdef0123456789; "+cookie)
		all[i] = r
	}
	return all
}

// Targets, for a token of 5 KB as Canvas makes it: form body to typed Launch, key
// cached, memory nonce, at most 1.25 times golang-jwt into the same struct, with
// at most 40 allocations more; then towards 1.8 times the floor.
func BenchmarkLaunch(b *testing.B) {
	tool := benchTool(b, nil)
	var got *lti.Launch
	handler := tool.LaunchHandler(func(_ http.ResponseWriter, _ *http.Request, l *lti.Launch) { got = l })
	const batch = 512
	var prepared []*http.Request
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if i%batch == 0 {
			b.StopTimer()
			prepared = launches(tool, batch)
			b.StartTimer()
		}
		got = nil
		w := newBlank()
		handler.ServeHTTP(w, prepared[i%batch])
		if got == nil {
			b.Fatal(string(w.body))
		}
	}
}

// BenchmarkGolangJWT is golang-jwt alone, into the same struct.
func BenchmarkGolangJWT(b *testing.B) {
	token := signRS256(canvasClaims(strings.Repeat("n", 43), time.Now()))
	key := &benchKey().PublicKey
	parser := jwt.NewParser(jwt.WithValidMethods([]string{"RS256"}), jwt.WithExpirationRequired(), jwt.WithIssuedAt(),
		jwt.WithIssuer("https://canvas.test.instructure.com"), jwt.WithAudience("10000000000042"), jwt.WithLeeway(time.Minute))
	b.ReportMetric(float64(len(token)), "B/token")
	b.ReportAllocs()
	for b.Loop() {
		claims := lti.NewJWTClaims()
		if _, err := parser.ParseWithClaims(token, claims, func(*jwt.Token) (any, error) { return key, nil }); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkFloor is what no launch can do without: base64, hash, signature.
func BenchmarkFloor(b *testing.B) {
	token := signRS256(canvasClaims(strings.Repeat("n", 43), time.Now()))
	key := &benchKey().PublicKey
	end := strings.LastIndexByte(token, '.')
	b.ReportAllocs()
	for b.Loop() {
		_, payload, _ := strings.Cut(token[:end], ".")
		if _, err := base64.RawURLEncoding.DecodeString(payload); err != nil {
			b.Fatal(err)
		}
		signature, err := base64.RawURLEncoding.DecodeString(token[end+1:])
		if err != nil {
			b.Fatal(err)
		}
		sum := sha256.Sum256([]byte(token[:end]))
		if err := rsa.VerifyPKCS1v15(key, crypto.SHA256, sum[:], signature); err != nil {
			b.Fatal(err)
		}
	}
}
