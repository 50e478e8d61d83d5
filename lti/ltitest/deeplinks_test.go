package ltitest_test

import (
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/lti/ltitest"
)

// selecting opens a deep linking request, and returns its settings and a good
// response to it.
func (w *world) selecting(d ltitest.DeepLinking) (address string, response map[string]any) {
	claims := w.claims(ltitest.Message{Type: ltitest.DeepLinkingRequest, DeepLinking: d})
	settings := object(claims, dlClaim+"deep_linking_settings")
	w.jti++
	response = map[string]any{
		"iss": w.tool.ClientID, "aud": []string{text(claims, "iss")}, "iat": time.Now().Unix(), "exp": time.Now().Add(time.Minute).Unix(), "nonce": "nonce-" + string(rune('a'+w.jti)),
		ltiClaim + "message_type": "LtiDeepLinkingResponse", ltiClaim + "version": "1.3.0", ltiClaim + "deployment_id": claims[ltiClaim+"deployment_id"],
		dlClaim + "content_items": []any{map[string]any{"type": "ltiResourceLink", "title": "Quiz", "url": targetURL, "custom": map[string]string{"a": "b"}, "lineItem": map[string]any{"scoreMaximum": 1}}},
	}
	if data, ok := settings["data"]; ok {
		response[dlClaim+"data"] = data
	}
	return text(settings, "deep_link_return_url"), response
}

func (w *world) respond(address string, response, header map[string]any) *reply {
	body := url.Values{"JWT": {sign(w.t, response, header, ltitest.ToolKey(0))}}.Encode()
	return w.do(http.MethodPost, address, []byte(body), "Content-Type", "application/x-www-form-urlencoded")
}

// TestDeepLinks: a response is checked as Canvas does.
func TestDeepLinks(t *testing.T) {
	item := func(changes map[string]any) []any {
		return []any{changed(map[string]any{"type": "link", "url": "https://x.example/"}, changes)}
	}
	items := dlClaim + "content_items"
	tests := map[string]struct {
		settings        ltitest.DeepLinking
		changes, header map[string]any
		text            string // empty: it is taken
	}{
		"good":               {},
		"no items":           {changes: map[string]any{items: []any{}}},
		"items absent":       {changes: map[string]any{items: gone{}}},
		"one item":           {settings: ltitest.DeepLinking{Single: true}},
		"empty data":         {settings: ltitest.DeepLinking{Data: ""}},
		"with a message":     {changes: map[string]any{dlClaim + "msg": "done"}},
		"aud as a text":      {changes: map[string]any{"aud": "AUD"}},
		"other iss":          {changes: map[string]any{"iss": "https://qa.example.edu"}, text: "'iss'"},
		"other aud":          {changes: map[string]any{"aud": "https://evil.example"}, text: "'aud'"},
		"two audiences":      {changes: map[string]any{"aud": []string{"AUD", "https://evil.example"}}, text: "'aud'"},
		"iat too old":        {changes: map[string]any{"iat": time.Now().Add(-6 * time.Minute).Unix()}, text: "300 seconds old"},
		"expired":            {changes: map[string]any{"exp": time.Now().Add(-time.Minute).Unix()}, text: "expired"},
		"no nonce":           {changes: map[string]any{"nonce": gone{}}, text: "'nonce'"},
		"no type":            {changes: map[string]any{ltiClaim + "message_type": gone{}}, text: "message_type is missing"},
		"other version":      {changes: map[string]any{ltiClaim + "version": "1.3"}, text: "version"},
		"other deployment":   {changes: map[string]any{ltiClaim + "deployment_id": "1"}, text: "deployment_id"},
		"data lost":          {settings: ltitest.DeepLinking{Data: "d"}, changes: map[string]any{dlClaim + "data": gone{}}, text: "'data'"},
		"empty data lost":    {changes: map[string]any{dlClaim + "data": gone{}}, text: "'data'"},
		"other data":         {changes: map[string]any{dlClaim + "data": "x"}, text: "'data'"},
		"items null in list": {changes: map[string]any{items: []any{nil}}, text: "not an object"},
		"items an object":    {changes: map[string]any{items: map[string]any{}}, text: "must be a list"},
		"type not accepted":  {settings: ltitest.DeepLinking{AcceptTypes: []string{"link"}}, text: "not accepted"},
		"too many":           {settings: ltitest.DeepLinking{Single: true}, changes: map[string]any{items: append(item(nil), item(nil)...)}, text: "more than one"},
		"no url":             {changes: map[string]any{items: item(map[string]any{"url": gone{}})}, text: "absolute"},
		"relative url":       {changes: map[string]any{items: item(map[string]any{"url": "/x"})}, text: "absolute"},
		"html without html":  {changes: map[string]any{items: []any{map[string]any{"type": "html"}}}, text: "html is missing"},
		"title is a number":  {changes: map[string]any{items: item(map[string]any{"title": 1})}, text: "title must be a text"},
		"unknown member":     {changes: map[string]any{items: item(map[string]any{"name": "x"})}, text: "unknown members: name"},
		"extension":          {changes: map[string]any{items: item(map[string]any{"https://canvas.instructure.com/lti/preserveExistingAssignmentName": true})}},
		"custom number":      {changes: map[string]any{items: item(map[string]any{"custom": map[string]any{"a": 1}})}, text: "custom must have texts"},
		"no line items":      {settings: ltitest.DeepLinking{NoLineItem: true}, text: "line items are not accepted"},
		"maximum 0":          {changes: map[string]any{items: item(map[string]any{"lineItem": map[string]any{"scoreMaximum": 0}})}, text: "scoreMaximum"},
		"algorithm none":     {header: map[string]any{"alg": "none"}, text: "JWS signature invalid"},
	}
	each(t, func(t *testing.T, w *world) {
		for name, test := range tests {
			t.Run(name, func(t *testing.T) {
				address, response := w.selecting(test.settings)
				issuer := w.p.Endpoints().Issuer
				test.changes = maps.Clone(test.changes)
				switch aud := test.changes["aud"].(type) {
				case string:
					test.changes["aud"] = strings.Replace(aud, "AUD", issuer, 1)
				case []string:
					test.changes["aud"] = append([]string{issuer}, aud[1:]...)
				}
				r := w.respond(address, changed(response, test.changes), test.header)
				all := w.p.DeepLinkingResponses()
				last := all[len(all)-1]
				if test.text == "" {
					require.Equal(t, http.StatusOK, r.status, string(r.body))
					assert.Empty(t, last.Problems)
					return
				}
				assert.Equal(t, http.StatusBadRequest, r.status)
				assert.Contains(t, strings.Join(last.Problems, "|"), test.text)
			})
		}
		address, response := w.selecting(ltitest.DeepLinking{})
		require.Equal(t, http.StatusOK, w.respond(address, response, nil).status)
		assert.Equal(t, http.StatusBadRequest, w.respond(address, response, nil).status, "the same nonce")
		bare, _, _ := strings.Cut(address, "?")
		assert.Equal(t, http.StatusBadRequest, w.respond(bare, response, nil).status, "the query is lost")
		assert.Equal(t, http.StatusBadRequest, w.do(http.MethodPost, address, []byte("JWT=x.y.z&more=1"), "Content-Type", "application/x-www-form-urlencoded").status)
	})
}
