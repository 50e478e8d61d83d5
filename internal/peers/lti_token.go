package main

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"strings"
	"time"
)

// What the platform, the tool and the key of the launches are called.
const (
	ltiIssuer     = "https://canvas.test.instructure.com"
	ltiClient     = "10000000000042"
	ltiDeployment = "106:8865aa05b4b79b64a91a86042e43af5ea8ae79eb"
	ltiTarget     = "https://qa.example.edu/lti/course?placement=course_navigation"
	ltiKid        = "2026-11-01T00:00:00Z_0d6a4b6e-0c31-4c39-8a5e-6a9d1f1f2b3c"
	ltiHeader     = `{"typ":"JWT","alg":"RS256","kid":"` + ltiKid + `"}`
)

// A ltiPlatform signs tokens, and answers every request with its keys.
type ltiPlatform struct{ key *rsa.PrivateKey }

func newLTIPlatform() *ltiPlatform {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	must(err)
	return &ltiPlatform{key}
}

// sign makes a token without any library.
func (p *ltiPlatform) sign(claims map[string]any) string {
	payload, err := json.Marshal(claims)
	must(err)
	enc := base64.RawURLEncoding
	signed := enc.EncodeToString([]byte(ltiHeader)) + "." + enc.EncodeToString(payload)
	sum := sha256.Sum256([]byte(signed))
	signature, err := rsa.SignPKCS1v15(nil, p.key, crypto.SHA256, sum[:])
	must(err)
	return signed + "." + enc.EncodeToString(signature)
}

func (p *ltiPlatform) keys() string {
	enc := base64.RawURLEncoding
	return fmt.Sprintf(`{"keys":[{"kty":"RSA","use":"sig","alg":"RS256","kid":%q,"n":%q,"e":%q}]}`,
		ltiKid, enc.EncodeToString(p.key.N.Bytes()), enc.EncodeToString(big.NewInt(int64(p.key.E)).Bytes()))
}

// RoundTrip makes the platform the transport of an HTTP client.
func (p *ltiPlatform) RoundTrip(r *http.Request) (*http.Response, error) {
	body := p.keys()
	return &http.Response{
		StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(body)),
		ContentLength: int64(len(body)), Request: r, ProtoMajor: 1, ProtoMinor: 1,
	}, nil
}

// canvasClaims is the payload that the benchmarks of package lti use too: as
// Canvas makes it for a teacher who follows a link in a course.
func canvasClaims(nonce string) map[string]any {
	const claim = "https://purl.imsglobal.org/spec/lti/claim/"
	const junk = "validation_context"
	errs, now := map[string]any{"errors": map[string]any{}}, time.Now()
	return map[string]any{
		"iss": ltiIssuer, "aud": ltiClient, "azp": ltiClient, "nonce": nonce,
		"sub": "8b5e0f50-7a3c-4f39-9b6f-0c1d2e3f4a5b", "iat": now.Add(-3 * time.Minute).Unix(), "exp": now.Add(57 * time.Minute).Unix(),
		"name": "Alex Example", "given_name": "Alex", "family_name": "Example", "email": "alex.example@school.example.edu",
		"picture": "https://school.test.instructure.com/images/thumbnails/4242/abcdefabcdefabcdefabcdefabcdefabcdefabcd", "locale": "en-AU",
		claim + "message_type": "LtiResourceLinkRequest", claim + "version": "1.3.0",
		claim + "deployment_id":   ltiDeployment,
		claim + "target_link_uri": ltiTarget,
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
