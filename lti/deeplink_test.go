package lti_test

import (
	"encoding/json"
	"html"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/lti"
)

const (
	dlClaim  = "https://purl.imsglobal.org/spec/lti-dl/claim/"
	returnTo = "https://school.test.instructure.com/courses/1/deep_linking_response?data=eyJ0.e30.x&modal=true"
)

var toolKey = sync.OnceValue(func() runbook.Secret {
	key, err := lti.GenerateKey()
	if err != nil {
		panic(err)
	}
	return key
})

func toolKeys(t testing.TB) *lti.KeyRing {
	keys, err := lti.NewKeyRing(t.Context(), lti.KeyRingConfig{Keys: []runbook.Secret{toolKey()}})
	require.NoError(t, err)
	return keys
}

// deepLink launches a deep linking request and returns what the host keeps of it.
func deepLink(t *testing.T, settings map[string]any) (*flow, lti.DeepLinkingRequest) {
	f := newFlow(t, func(cfg *lti.Config) { cfg.Keys = toolKeys(t) })
	f.launch(map[string]any{
		claim + "message_type": lti.MessageDeepLinking,
		dlClaim + "deep_linking_settings": changed(map[string]any{
			"deep_link_return_url": returnTo, "accept_types": []string{"link", "ltiResourceLink", "html", "image", "file"},
			"accept_presentation_document_targets": []string{"iframe", "window"},
		}, settings),
	})
	l, err := f.result()
	require.NoError(t, err)
	request, ok := l.DeepLinkingRequest()
	require.True(t, ok)
	// A host keeps it in its session, as JSON.
	text, err := json.Marshal(request)
	require.NoError(t, err)
	var kept lti.DeepLinkingRequest
	require.NoError(t, json.Unmarshal(text, &kept))
	require.Empty(t, cmp.Diff(request, kept))
	return f, kept
}

// respond answers and returns the claims, verified with the published key.
func respond(t *testing.T, f *flow, request lti.DeepLinkingRequest, reply lti.DeepLinkingReply) (claims map[string]any, page *httptest.ResponseRecorder) {
	w := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodPost, "https://qa.example.edu/choose", nil)
	require.NoError(t, f.tool.RespondDeepLinking(w, r, request, reply))
	token := html.UnescapeString(between(t, w.Body.String(), `name="JWT" value="`, `"`))
	key, err := lti.ParsePrivateKey(toolKey())
	require.NoError(t, err)
	parsed, err := jwt.Parse(token, func(*jwt.Token) (any, error) { return &key.PublicKey, nil },
		jwt.WithValidMethods([]string{"RS256"}), jwt.WithExpirationRequired(), jwt.WithIssuedAt())
	require.NoError(t, err)
	assert.Equal(t, toolKeys(t).KeyID(), parsed.Header["kid"])
	return parsed.Claims.(jwt.MapClaims), w
}

// TestDeepLinkingResponse is what the platform gets.
//
// Requirement: LTI-CERT-D3, LTI-CERT-D4, LTI-CERT-D5, LTI-CERT-D6, LTI-CERT-D7, LTI-GOTCHA-28, LTI-CANVAS-RETURN-QUERY
func TestDeepLinkingResponse(t *testing.T) {
	f, request := deepLink(t, map[string]any{"data": "opaque \"data\""})
	opens := time.Date(2026, 12, 1, 9, 0, 0, 0, time.FixedZone("AEDT", 11*3600))
	claims, w := respond(t, f, request, lti.DeepLinkingReply{
		Items: []lti.ContentItem{
			{
				Type: lti.ItemResourceLink, URL: "https://qa.example.edu/quiz/1", Title: "Quiz", Text: "One", Icon: &lti.Image{URL: "https://qa.example.edu/i.png", Width: 16, Height: 16},
				Custom: map[string]string{"quiz": "1"}, LineItem: &lti.ItemLineItem{Label: "Quiz", ScoreMaximum: 12.5, ResourceID: "q1", Tag: "t"},
				Iframe: &lti.Frame{Width: 800, Height: 600}, Window: &lti.Window{TargetName: "quiz"}, Available: lti.Period{Start: opens}, Submission: lti.Period{End: opens.Add(time.Hour)},
				Extensions: map[string]any{"https://canvas.instructure.com/lti/x": true},
			},
			{Type: lti.ItemLink, URL: "https://example.edu/", Embed: "<b>x</b>"},
			{Type: lti.ItemHTML, HTML: "<h1>x</h1>"},
			{Type: lti.ItemImage, URL: "https://qa.example.edu/p.png", Width: 4, Height: 3},
			{Type: lti.ItemFile, URL: "https://qa.example.edu/f.pdf", MediaType: "application/pdf", ExpiresAt: opens},
		},
		Message: "5 chosen", Log: "l",
	})
	now := float64(time.Now().Unix())
	assert.InDelta(t, now-5, claims["iat"], 3)
	assert.InDelta(t, now+240, claims["exp"], 3)
	assert.Len(t, claims["nonce"], 26)
	for _, name := range []string{"iat", "exp", "nonce"} {
		delete(claims, name)
	}
	want := map[string]any{
		"iss": "10000000000042", "aud": "https://canvas.test.instructure.com", "azp": "https://canvas.test.instructure.com",
		claim + "message_type": "LtiDeepLinkingResponse", claim + "version": "1.3.0", claim + "deployment_id": "106:8865aa05b4b79b64a91a86042e43af5ea8ae79eb",
		dlClaim + "data": "opaque \"data\"", dlClaim + "msg": "5 chosen", dlClaim + "log": "l",
		dlClaim + "content_items": []any{
			map[string]any{
				"type": "ltiResourceLink", "url": "https://qa.example.edu/quiz/1", "title": "Quiz", "text": "One",
				"icon":   map[string]any{"url": "https://qa.example.edu/i.png", "width": 16., "height": 16.},
				"custom": map[string]any{"quiz": "1"}, "lineItem": map[string]any{"label": "Quiz", "scoreMaximum": 12.5, "resourceId": "q1", "tag": "t"},
				"iframe": map[string]any{"width": 800., "height": 600.}, "window": map[string]any{"targetName": "quiz"},
				"available": map[string]any{"startDateTime": "2026-11-30T22:00:00Z"}, "submission": map[string]any{"endDateTime": "2026-11-30T23:00:00Z"},
				"https://canvas.instructure.com/lti/x": true,
			},
			map[string]any{"type": "link", "url": "https://example.edu/", "embed": map[string]any{"html": "<b>x</b>"}},
			map[string]any{"type": "html", "html": "<h1>x</h1>"},
			map[string]any{"type": "image", "url": "https://qa.example.edu/p.png", "width": 4., "height": 3.},
			map[string]any{"type": "file", "url": "https://qa.example.edu/f.pdf", "mediaType": "application/pdf", "expiresAt": "2026-11-30T22:00:00Z"},
		},
	}
	assert.Empty(t, cmp.Diff(want, map[string]any(claims)))

	page := w.Body.String()
	assert.Equal(t, returnTo, html.UnescapeString(between(t, page, `action="`, `"`)), "with its query, as it came")
	assert.Equal(t, 1, strings.Count(page, "<input"), "JWT is the only parameter")
	policy := w.Header().Get("Content-Security-Policy")
	assert.Contains(t, policy, "default-src 'none'")
	assert.Contains(t, policy, "form-action https://school.test.instructure.com ")
	assert.Contains(t, policy, "script-src 'nonce-"+between(t, page, `<script nonce="`, `"`)+"'")
}

// TestDeepLinkingEdges
//
// Requirement: LTI-DL-DATA, LTI-DL-ITEMS, LTI-DL-TYPES, LTI-PEER-ROBERTJNDW-ITEMS, LTI-PEER-ROBERTJNDW-DATA
func TestDeepLinkingEdges(t *testing.T) {
	t.Run("nothing chosen, empty data", func(t *testing.T) {
		f, request := deepLink(t, map[string]any{"data": ""})
		claims, _ := respond(t, f, request, lti.DeepLinkingReply{ErrorMessage: "none"})
		assert.Equal(t, []any{}, claims[dlClaim+"content_items"], "a list, not null")
		assert.Equal(t, "", claims[dlClaim+"data"], "it was there")
		assert.Equal(t, "none", claims[dlClaim+"errormsg"])
	})
	t.Run("no data", func(t *testing.T) {
		f, request := deepLink(t, nil)
		claims, _ := respond(t, f, request, lti.DeepLinkingReply{})
		assert.NotContains(t, claims, dlClaim+"data")
	})
	link := lti.ContentItem{Type: lti.ItemLink, URL: "https://example.edu/"}
	tests := map[string]struct {
		settings map[string]any
		items    []lti.ContentItem
		want     string
	}{
		"type that is not accepted": {map[string]any{"accept_types": []string{"html"}}, []lti.ContentItem{link}, `no items of type "link"`},
		"two where one is accepted": {map[string]any{"accept_multiple": false}, []lti.ContentItem{link, link}, "takes one"},
		"two where nothing is said": {nil, []lti.ContentItem{link, link}, ""},
		"a link without address":    {nil, []lti.ContentItem{{Type: lti.ItemLink}}, "item 1: URL must be an absolute address"},
		"a relative address":        {nil, []lti.ContentItem{link, {Type: lti.ItemImage, URL: "/p.png"}}, "item 2: URL must be"},
		"a resource link of ours":   {nil, []lti.ContentItem{{Type: lti.ItemResourceLink}}, ""},
		"html without html":         {nil, []lti.ContentItem{{Type: lti.ItemHTML}}, "HTML is empty"},
		"no maximum":                {nil, []lti.ContentItem{{Type: lti.ItemResourceLink, LineItem: &lti.ItemLineItem{}}}, "ScoreMaximum"},
		"line items not accepted":   {map[string]any{"accept_lineitem": false}, []lti.ContentItem{{Type: lti.ItemResourceLink, LineItem: &lti.ItemLineItem{ScoreMaximum: 1}}}, "takes no line items"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			f, request := deepLink(t, test.settings)
			w := httptest.NewRecorder()
			err := f.tool.RespondDeepLinking(w, httptest.NewRequest(http.MethodPost, "https://qa.example.edu/choose", nil), request, lti.DeepLinkingReply{Items: test.items})
			if test.want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, test.want)
			assert.Zero(t, w.Body.Len(), "nothing was written")
		})
	}
	t.Run("a request from elsewhere", func(t *testing.T) {
		f, request := deepLink(t, nil)
		r := httptest.NewRequest(http.MethodPost, "https://qa.example.edu/choose", nil)
		for _, change := range []func(*lti.DeepLinkingRequest){
			func(r *lti.DeepLinkingRequest) { r.Issuer = "https://evil.example" },
			func(r *lti.DeepLinkingRequest) { r.Settings.ReturnURL = "javascript:alert(1)" },
			func(r *lti.DeepLinkingRequest) { r.Settings.ReturnURL = "" },
		} {
			request := request
			change(&request)
			w := httptest.NewRecorder()
			require.Error(t, f.tool.RespondDeepLinking(w, r, request, lti.DeepLinkingReply{}))
			assert.Zero(t, w.Body.Len())
		}
		_, err := benchTool(t, nil).SignDeepLinking(t.Context(), request, lti.DeepLinkingReply{})
		require.ErrorContains(t, err, "set Config.Keys")
	})
}

// TestPrivateFieldsAreInNoPage: neither a response nor its page has a part of the
// private key.
func TestPrivateFieldsAreInNoPage(t *testing.T) {
	f, request := deepLink(t, nil)
	_, w := respond(t, f, request, lti.DeepLinkingReply{})
	key, err := lti.ParsePrivateKey(toolKey())
	require.NoError(t, err)
	for _, secret := range []string{key.D.Text(16), key.Primes[0].Text(16), toolKey().Reveal()[:60]} {
		assert.NotContains(t, w.Body.String(), secret)
	}
}
