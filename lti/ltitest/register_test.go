package ltitest_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/lti/ltitest"
)

func metadata() map[string]any {
	return map[string]any{
		"application_type": "web", "grant_types": []string{"client_credentials", "implicit"}, "response_types": []string{"id_token"},
		"initiate_login_uri": loginURL, "redirect_uris": []string{launchURL}, "client_name": "QA", "jwks_uri": "https://qa.example.edu/jwks",
		"token_endpoint_auth_method": "private_key_jwt", "scope": ltitest.ScopeScore,
		"https://purl.imsglobal.org/spec/lti-tool-configuration": map[string]any{
			"domain": "qa.example.edu", "target_link_uri": targetURL, "claims": []string{"sub"}, "custom_parameters": map[string]any{"c": "1"},
			"messages": []any{map[string]any{"type": "LtiDeepLinkingRequest"}},
		},
	}
}

// TestRegistration: a tool registers itself, once for each invitation.
func TestRegistration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, canvas := range []bool{false, true} {
			p := &ltitest.Platform{Canvas: canvas}
			w := &world{t: t, p: p, http: p.Client()}
			invite := func() (config map[string]any, token string) {
				address, err := p.RegistrationURL("https://qa.example.edu/register?tenant=1")
				require.NoError(t, err)
				u, err := url.Parse(address)
				require.NoError(t, err)
				require.Equal(t, "1", u.Query().Get("tenant"))
				token = u.Query().Get("registration_token")
				r := w.do(http.MethodGet, u.Query().Get("openid_configuration"), nil, "Authorization", "Bearer "+token)
				require.Equal(t, http.StatusOK, r.status)
				return r.json(t), token
			}
			config, token := invite()
			e := p.Endpoints()
			assert.Equal(t, e.Issuer, config["issuer"])
			assert.Equal(t, e.AuthURL, config["authorization_endpoint"])
			assert.Equal(t, e.JWKSURL, config["jwks_uri"])
			assert.Equal(t, e.TokenURL, config["token_endpoint"])
			register := func(changes map[string]any, token string) *reply {
				body, err := json.Marshal(changed(metadata(), changes))
				require.NoError(t, err)
				return w.do(http.MethodPost, text(config, "registration_endpoint"), body, "Authorization", "Bearer "+token, "Content-Type", "application/json")
			}
			for name, changes := range map[string]map[string]any{
				"application type": {"application_type": "native"}, "grants": {"grant_types": []string{"implicit"}}, "responses": {"response_types": gone{}},
				"login": {"initiate_login_uri": "http://qa.example.edu/"}, "redirects": {"redirect_uris": []string{}}, "name": {"client_name": ""}, "keys": {"jwks_uri": "https:jwks"},
				"method": {"token_endpoint_auth_method": "client_secret_basic"}, "scope": {"scope": "https://x.example/s"}, "configuration": {"https://purl.imsglobal.org/spec/lti-tool-configuration": gone{}},
			} {
				assert.Equal(t, http.StatusUnprocessableEntity, register(changes, token).status, name)
			}
			assert.Equal(t, http.StatusUnauthorized, register(nil, "rt-forged").status)
			r := register(nil, token)
			require.Equal(t, http.StatusOK, r.status, string(r.body))
			assert.NotEmpty(t, r.json(t)["client_id"])
			assert.Equal(t, http.StatusUnauthorized, register(nil, token).status, "the second time")
			_, token = invite()
			time.Sleep(time.Hour + time.Second)
			assert.Equal(t, http.StatusUnauthorized, register(nil, token).status, "too late")

			require.Len(t, p.Tools(), 1)
			own := p.Tools()[0]
			assert.Equal(t, r.json(t)["client_id"], own.ClientID)
			assert.Equal(t, []string{ltitest.ScopeScore}, own.Scopes)
			assert.Equal(t, targetURL, own.TargetLinkURI)
			assert.Equal(t, canvas, own.Disabled, "Canvas has an administrator confirm it")
			p.EnableTool(own.ClientID, true)
			w.tool = own
			assert.Equal(t, "1", object(w.claims(ltitest.Message{}), ltiClaim+"custom")["c"])
		}
	})
}

// TestNotices: handlers are registered, and get notices once.
func TestNotices(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		got := make(chan map[string]any, 10)
		status := http.StatusOK
		mux := http.NewServeMux()
		mux.HandleFunc("POST /notices", func(rw http.ResponseWriter, r *http.Request) {
			var body map[string]any
			raw, _ := io.ReadAll(r.Body)
			assert.NoError(t, json.Unmarshal(raw, &body))
			got <- body
			rw.WriteHeader(status)
		})
		w.tool = w.p.AddTool(ltitest.Tool{RedirectURIs: []string{launchURL}, Handler: mux, PublicJWK: ltitest.PublicJWK(&ltitest.ToolKey(0).PublicKey, "tool-1")})
		claims := w.claims(ltitest.Message{ClientID: w.tool.ClientID})
		service := object(claims, ltiClaim+"platformnotificationservice")
		address, auth := text(service, "platform_notification_service_url"), w.bearer()
		put := func(kind string, handler any) *reply {
			body, err := json.Marshal(map[string]any{"notice_type": kind, "handler": handler})
			require.NoError(t, err)
			return w.do(http.MethodPut, address, body, "Authorization", auth, "Content-Type", "application/json")
		}
		const kind = "LtiContextCopyNotice"
		notice := ltitest.Notice{ClientID: w.tool.ClientID, Type: kind, Claims: map[string]any{"x": "y"}}
		require.ErrorIs(t, w.p.SendNotices(t.Context(), nil, notice), ltitest.ErrNoHandler)
		for _, bad := range []any{"http://qa.example.edu/notices", "https://evil.example/", "https://evilqa.example.edu/", "x", nil, 7} {
			assert.Equal(t, http.StatusBadRequest, put(kind, bad).status, bad)
		}
		assert.Equal(t, http.StatusBadRequest, put("LtiOtherNotice", "https://qa.example.edu/notices").status)
		require.Equal(t, http.StatusOK, put(kind, "https://qa.example.edu/notices").status)
		list := w.do(http.MethodGet, address, nil, "Authorization", auth).json(t)
		assert.Len(t, list["notice_handlers"], len(service["notice_types_supported"].([]any)))
		assert.Equal(t, map[string]string{kind: "https://qa.example.edu/notices"}, w.p.Handlers(w.tool.ClientID))

		require.NoError(t, w.p.SendNotices(t.Context(), nil, notice, notice))
		sent, _ := (<-got)["notices"].([]any)
		require.Len(t, sent, 2)
		token := text(sent[0].(map[string]any), "jwt")
		set, _, _ := w.keySet()
		assert.True(t, verifies(t, token, set))
		c := claimsOf(t, token)
		assert.Equal(t, kind, object(c, ltiClaim+"notice")["type"])
		assert.NotContains(t, c, "sub")
		assert.NotContains(t, c, ltiClaim+"message_type")
		assert.Equal(t, "y", c["x"])

		status = http.StatusInternalServerError
		require.ErrorContains(t, w.p.SendNotices(t.Context(), nil, notice), "500")
		assert.Len(t, got, 1, "it is not repeated")
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		require.ErrorIs(t, w.p.SendNotices(ctx, nil, notice), context.Canceled)
		require.Equal(t, http.StatusOK, put(kind, "").status)
		require.ErrorIs(t, w.p.SendNotices(t.Context(), nil, notice), ltitest.ErrNoHandler)
	})
}
