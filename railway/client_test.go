package railway_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/cookiejar"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/railway"
)

// All that is wrong with a configuration is said at once, and nothing of the secrets
// in it.
func TestConfigProblems(t *testing.T) {
	_, err := railway.New(railway.Config{
		Kind: "team", Token: runbook.NewSecret("has a space"), Endpoint: "http://user:canary@railway.example.com/graphql/v2?canary=1",
		Timeout: -1, UserAgent: "two\nlines", Budget: &railway.Budget{PerSecond: -1},
	})
	require.Error(t, err)
	assert.Equal(t, `railway: kind of token "team": must be account, workspace or project
railway: the token has characters that no token has, such as a space or a line end
railway: endpoint: must have no user, password, query or fragment
railway: Timeout must not be negative
railway: user agent: must be visible text
railway: budget: PerSecond and MaxWait must not be negative`, err.Error())

	_, err = railway.New(railway.Config{})
	require.Error(t, err)
	assert.Equal(t, "railway: kind of token: is missing; it is account, workspace or project\nrailway: neither Token nor Auth is set", err.Error())

	_, err = railway.New(railway.Config{
		Kind: railway.AccountToken, Token: runbook.NewSecret("x"), Auth: func(context.Context) (runbook.Secret, error) { return runbook.Secret{}, nil },
	})
	assert.EqualError(t, err, "railway: both Token and Auth are set")
}

// Requirement: RW-PEER-SUPERPLANE-ENDPOINT
func TestEndpoints(t *testing.T) {
	for endpoint, want := range map[string]string{
		"":                                   "https://backboard.railway.com/graphql/v2?source=runbook",
		"https://backboard.railway.app/x":    "https://backboard.railway.app/x?source=runbook",
		"http://127.0.0.1:8080/graphql/v2":   "http://127.0.0.1:8080/graphql/v2?source=runbook",
		"http://[::1]:8080/graphql/v2":       "http://[::1]:8080/graphql/v2?source=runbook",
		"http://localhost/graphql/v2":        "http://localhost/graphql/v2?source=runbook",
		"http://railway.example/graphql":     "must be https",
		"http://127.0.0.1.example/graphql":   "must be https",
		"https://backboard.railway.com/#top": "must have no user, password, query or fragment",
		"https://h/graphql?source=x":         "must have no user, password, query or fragment",
		"backboard.railway.com/graphql/v2":   "must have the form",
		"ftp://backboard.railway.com/":       "must have the form",
		"https:///graphql/v2":                "must have the form",
		"https://h:port/":                    "is not a URL",
	} {
		transport := coreAlways(http.StatusOK, coreGood)
		c, err := railway.New(railway.Config{
			Kind: railway.AccountToken, Token: runbook.NewSecret(coreToken), HTTP: &http.Client{Transport: transport}, Endpoint: endpoint,
		})
		if err != nil {
			assert.ErrorContains(t, err, want, endpoint)
			continue
		}
		_, err = coreSend(t.Context(), c, coreQuery)
		require.NoError(t, err)
		assert.Equal(t, want, transport.sent[0].URL.String(), endpoint)
	}
}

// Each kind of token goes into its own header. Which it is, the caller says: the same
// variable holds one kind for one program and another for the next.
//
// Requirement: RW-TOKEN-KINDS, RW-PEER-TF-TOKEN
func TestTokenHeaders(t *testing.T) {
	for kind, want := range map[railway.TokenKind][2]string{
		railway.AccountToken:   {"Bearer " + coreToken, ""},
		railway.WorkspaceToken: {"Bearer " + coreToken, ""},
		railway.ProjectToken:   {"", coreToken},
	} {
		transport := coreAlways(http.StatusOK, coreGood)
		c := coreClient(t, transport, func(cfg *railway.Config) { cfg.Kind = kind })
		got, err := coreSend(t.Context(), c, coreQuery)
		require.NoError(t, err)
		assert.True(t, got.Value)
		h := transport.header(1)
		assert.Equal(t, want, [2]string{h.Get("Authorization"), h.Get("Project-Access-Token")}, kind)
	}
}

// Requirement: RW-G3
func TestWhatIsSent(t *testing.T) {
	transport := coreAlways(http.StatusOK, coreGood)
	c := coreClient(t, transport, func(cfg *railway.Config) {
		cfg.Source, cfg.UserAgent = "acu canvas&x", "opsd/1.2"
	})
	for range 2 {
		_, err := coreSend(t.Context(), c, coreQuery)
		require.NoError(t, err)
	}
	for _, req := range transport.sent {
		assert.Equal(t, "source=acu+canvas%26x", req.URL.RawQuery, "without a query the edge lets few calls through")
		assert.Equal(t, http.MethodPost, req.Method)
		assert.Equal(t, "opsd/1.2", req.Header.Get("User-Agent"))
		assert.Equal(t, "application/json", req.Header.Get("Content-Type"))
	}
	assert.JSONEq(t, `{"query":"query Something { value }","operationName":"Something"}`, transport.body(1))
}

// Requirement: RW-G3
func TestDefaultSourceAndAgent(t *testing.T) {
	transport := coreAlways(http.StatusOK, coreGood)
	_, err := coreSend(t.Context(), coreClient(t, transport, nil), coreQuery)
	require.NoError(t, err)
	assert.Equal(t, railway.DefaultEndpoint+"?source=runbook", transport.sent[0].URL.String())
	assert.Equal(t, railway.DefaultUserAgent, transport.header(1).Get("User-Agent"))
}

func TestAuth(t *testing.T) {
	transport := coreAlways(http.StatusOK, coreGood)
	tokens := []string{"one", "two"}
	var failure error
	c := coreClient(t, transport, func(cfg *railway.Config) {
		cfg.Token = runbook.Secret{}
		cfg.Auth = func(context.Context) (runbook.Secret, error) {
			if failure != nil {
				return runbook.Secret{}, failure
			}
			next := tokens[0]
			tokens = tokens[1:]
			return runbook.NewSecret(next), nil
		}
	})
	for n, want := range []string{"one", "two"} {
		_, err := coreSend(t.Context(), c, coreMutation)
		require.NoError(t, err)
		assert.Equal(t, "Bearer "+want, transport.header(n+1).Get("Authorization"))
	}

	failure = errors.New("the vault is sealed")
	_, err := coreSend(t.Context(), c, coreMutation)
	require.ErrorIs(t, err, failure)
	assert.True(t, runbook.SafeToRetry(err), "nothing was sent")
	assert.EqualError(t, err, "railway: do something: no token: the vault is sealed")

	failure, tokens = nil, []string{"canary\r\nX-Evil: 1", ""}
	for range 2 {
		_, err = coreSend(t.Context(), c, coreMutation)
		require.EqualError(t, err, "railway: do something: no token: what Auth gave is none")
		assert.True(t, runbook.SafeToRetry(err), "nothing was sent")
	}
	assert.Equal(t, 2, transport.requests())
}

// A redirect could take the token elsewhere, and a mutation twice.
func TestRedirectsAreNotFollowed(t *testing.T) {
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	for _, status := range []int{http.StatusMovedPermanently, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect} {
		transport := coreAlways(status, "", "Location", "https://evil.example/"+coreToken, "Set-Cookie", "a=b")
		c := coreClient(t, transport, func(cfg *railway.Config) { cfg.HTTP.Jar = jar })
		_, err := coreSend(t.Context(), c, coreQuery)
		require.Error(t, err)
		assert.Equal(t, 1, transport.requests(), status)
		assert.NotContains(t, err.Error(), "evil")
		assert.NotContains(t, err.Error(), coreToken)
		_, err = coreSend(t.Context(), c, coreMutation)
		require.Error(t, err)
		assert.False(t, runbook.SafeToRetry(err), "who redirects may have run it")
		assert.Empty(t, transport.header(2).Get("Cookie"))
	}
}

// Requirement: RW-PEER-TF-TIMEOUT, RW-G18
func TestTimeouts(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*railway.Config)
		want   time.Duration
	}{
		"default":     {nil, 90 * time.Second},
		"of HTTP":     {func(cfg *railway.Config) { cfg.HTTP.Timeout = 20 * time.Second }, 20 * time.Second},
		"of its own":  {func(cfg *railway.Config) { cfg.HTTP.Timeout, cfg.Timeout = 20*time.Second, 3*time.Minute }, 3 * time.Minute},
		"own without": {func(cfg *railway.Config) { cfg.Timeout = time.Second }, time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				transport := &coreTransport{answer: func(_ int, req *http.Request) (*http.Response, error) { return coreSilent(req) }}
				began := time.Now()
				_, err := coreSend(t.Context(), coreClient(t, transport, test.change), coreMutation)
				require.Error(t, err)
				assert.Equal(t, test.want, time.Since(began))
				assert.Equal(t, 1, transport.requests())
				assert.ErrorContains(t, err, "no complete answer within "+test.want.String())
				assert.False(t, runbook.SafeToRetry(err), "it may have been run")
			})
		})
	}
}

func TestOnCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		transport := &coreTransport{answer: func(n int, _ *http.Request) (*http.Response, error) {
			if n < 3 {
				return coreAnswer(http.StatusBadGateway, "bad gateway"), nil
			}
			return coreAnswer(http.StatusOK, coreGood), nil
		}}
		var calls []railway.CallInfo
		keep := func(cfg *railway.Config) {
			cfg.Hooks.OnCall = func(_ context.Context, info railway.CallInfo) { calls = append(calls, info) }
		}
		began := time.Now()
		_, err := coreSend(t.Context(), coreClient(t, transport, keep), coreQuery)
		require.NoError(t, err)
		require.Len(t, calls, 1)
		assert.Equal(t, railway.CallInfo{Op: "do something", Attempts: 3, Duration: time.Since(began)}, calls[0])

		_, err = coreSend(t.Context(), coreClient(t, coreAlways(http.StatusBadGateway, ""), keep), coreMutation)
		require.Len(t, calls, 2)
		assert.Equal(t, err, calls[1].Err)
		assert.True(t, calls[1].Mutation)
		assert.Equal(t, 1, calls[1].Attempts)
	})
}
