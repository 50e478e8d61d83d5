package clientcreds_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/internal/clientcreds"
	"go.acu.edu.au/runbook/internal/httpx"
)

// endpoint is a token endpoint that gives out numbered tokens.
type endpoint struct {
	mu     sync.Mutex
	forms  []string
	status int
	body   string // instead of a token
	expire int
}

func (e *endpoint) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	time.Sleep(200 * time.Millisecond)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.forms = append(e.forms, string(body))
	text := e.body
	if text == "" {
		text = `{"access_token":"t` + strconv.Itoa(len(e.forms)) + `","token_type":"Bearer","expires_in":` + strconv.Itoa(e.expire) + `}`
	}
	return &http.Response{StatusCode: e.status, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(text)), ContentLength: int64(len(text)), Request: r}, nil
}

func (e *endpoint) grants() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.forms)
}

func newSource(t testing.TB, e *endpoint, sign func(context.Context, string) (runbook.Secret, error)) *clientcreds.Source {
	t.Helper()
	if sign == nil {
		sign = func(_ context.Context, audience string) (runbook.Secret, error) {
			return runbook.NewSecret("signed for " + audience), nil
		}
	}
	s, err := clientcreds.New(clientcreds.Config{
		TokenURL: "https://platform.test/token", Assertion: sign,
		Transport: httpx.New(httpx.Config{HTTP: &http.Client{Transport: e}}),
	})
	require.NoError(t, err)
	return s
}

func TestOneGrantForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &endpoint{status: 200, expire: 3600}
		s := newSource(t, e, nil)
		var wg sync.WaitGroup
		for i := range 100 {
			wg.Go(func() {
				scopes := []string{"a", "b"}
				if i%2 == 0 {
					scopes = []string{"b", "a", "b"}
				}
				token, err := s.Token(t.Context(), scopes...)
				assert.NoError(t, err)
				assert.Equal(t, "t1", token.Access.Reveal())
			})
		}
		wg.Wait()
		require.Equal(t, 1, e.grants())
		assert.Equal(t, "client_assertion=signed+for+https%3A%2F%2Fplatform.test%2Ftoken&client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer&grant_type=client_credentials&scope=a+b", e.forms[0])
		_, err := s.Token(t.Context(), "c")
		require.NoError(t, err)
		assert.Equal(t, 2, e.grants(), "other scopes are another token")
		time.Sleep(54 * time.Minute)
		_, err = s.Token(t.Context(), "a", "b")
		require.NoError(t, err)
		assert.Equal(t, 2, e.grants())
		time.Sleep(2 * time.Minute)
		_, err = s.Token(t.Context(), "a", "b")
		require.NoError(t, err)
		assert.Equal(t, 3, e.grants(), "replaced five minutes before it expires")
	})
}

// A token that lives shortly is replaced after nine tenths of its life.
func TestShortLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &endpoint{status: 200, expire: 60}
		s := newSource(t, e, nil)
		for range 3 {
			_, err := s.Token(t.Context())
			require.NoError(t, err)
			time.Sleep(50 * time.Second)
			_, err = s.Token(t.Context())
			require.NoError(t, err)
			time.Sleep(5 * time.Second)
		}
		assert.Equal(t, 3, e.grants())
	})
}

// The one who began a grant gives up; the others get it.
func TestGivingUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &endpoint{status: 200, expire: 3600}
		s := newSource(t, e, nil)
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		var wg sync.WaitGroup
		wg.Go(func() {
			_, err := s.Token(ctx)
			assert.ErrorIs(t, err, context.DeadlineExceeded)
		})
		synctest.Wait()
		token, err := s.Token(t.Context())
		require.NoError(t, err)
		assert.Equal(t, "t1", token.Access.Reveal())
		wg.Wait()
		assert.Equal(t, 1, e.grants())
	})
}

func TestGrantedScopes(t *testing.T) {
	for name, tc := range map[string]struct {
		scope string
		want  []string
	}{
		"not said":    {``, nil},
		"empty":       {`,"scope":""`, nil},
		"null":        {`,"scope":null`, nil},
		"fewer":       {`,"scope":"b"`, []string{"b"}},
		"several":     {`,"scope":" b  a "`, []string{"b", "a"}},
		"a list":      {`,"scope":["a","b"]`, []string{"a", "b"}},
		"not a scope": {`,"scope":7`, nil},
	} {
		t.Run(name, func(t *testing.T) {
			e := &endpoint{status: 200, body: `{"access_token":"t","token_type":"Bearer"` + tc.scope + `}`}
			token, err := newSource(t, e, nil).Token(t.Context(), "a", "b")
			require.NoError(t, err)
			assert.Equal(t, tc.want, token.Scopes)
		})
	}
}

func TestErrors(t *testing.T) {
	for name, tc := range map[string]struct {
		status int
		body   string
		code   string
	}{
		"client":    {401, `{"error":"invalid_client","error_description":"unknown client canary"}`, "invalid_client"},
		"HTML":      {502, `<html>canary</html>`, ""},
		"empty":     {500, ` `, ""},
		"no token":  {200, `{"canary":1}`, "-"},
		"not JSON":  {200, `canary`, "-"},
		"huge code": {400, `{"error":"` + strings.Repeat("x", 5000) + `"}`, strings.Repeat("x", 60)},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := &endpoint{status: tc.status, body: tc.body}
				_, err := newSource(t, e, nil).Token(t.Context())
				require.Error(t, err)
				assert.NotContains(t, err.Error(), "canary")
				assert.NotContains(t, err.Error(), "signed")
				assert.False(t, runbook.SafeToRetry(err))
				assert.Equal(t, 1, e.grants(), "a grant that may have been made is not made again")
				if tc.code == "-" {
					return
				}
				got, ok := errors.AsType[*clientcreds.Error](err)
				require.True(t, ok)
				assert.Equal(t, tc.code, got.Code)
				assert.Equal(t, tc.status, got.Status)
			})
		})
	}
	t.Run("signing", func(t *testing.T) {
		e := &endpoint{}
		locked := errors.New("key store is locked")
		_, err := newSource(t, e, func(context.Context, string) (runbook.Secret, error) { return runbook.Secret{}, locked }).Token(t.Context())
		require.ErrorIs(t, err, locked)
		assert.True(t, runbook.SafeToRetry(err))
		_, err = newSource(t, e, func(context.Context, string) (runbook.Secret, error) { panic("oops") }).Token(t.Context())
		require.ErrorContains(t, err, "panic")
		assert.Zero(t, e.grants())
	})
}

// Three at once, then one in 20 seconds.
func TestPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p clientcreds.Pace
		start := time.Now()
		var at []int
		for range 6 {
			require.NoError(t, p.Wait(t.Context()))
			at = append(at, int(time.Since(start).Seconds()))
		}
		assert.Equal(t, []int{0, 0, 0, 5, 25, 45}, at)
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		before := time.Now()
		err := p.Wait(ctx)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.True(t, runbook.SafeToRetry(err))
		assert.Equal(t, before, time.Now(), "it says so at once")
		ctx, cancel = context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		require.ErrorIs(t, p.Wait(ctx), context.Canceled)
		start = time.Now()
		require.NoError(t, p.Wait(t.Context()))
		assert.InDelta(t, 19, time.Since(start).Seconds(), 0.1, "who gave up has not used its turn")
	})
}

// A redirect of the token endpoint is an answer that is no token. To follow 307
// or 308 would hand the assertion to another host.
func TestRedirectsAreNotFollowed(t *testing.T) {
	for _, status := range []int{301, 302, 303, 307, 308} {
		var elsewhere []string
		host := roundTripper(func(r *http.Request) (*http.Response, error) {
			resp := &http.Response{StatusCode: status, Header: http.Header{"Location": {"https://thief.test/token"}}, Body: http.NoBody, Request: r}
			if r.URL.Host != "platform.test" {
				elsewhere = append(elsewhere, r.Method+" "+r.URL.String())
				resp.StatusCode = 200
			}
			return resp, nil
		})
		s, err := clientcreds.New(clientcreds.Config{
			TokenURL:  "https://platform.test/token",
			Assertion: func(context.Context, string) (runbook.Secret, error) { return runbook.NewSecret("canary"), nil },
			Transport: httpx.New(httpx.Config{HTTP: &http.Client{Transport: host}}),
		})
		require.NoError(t, err)
		_, err = s.Token(t.Context(), "a")
		e, ok := errors.AsType[*clientcreds.Error](err)
		require.True(t, ok, "%v", err)
		assert.Equal(t, status, e.Status)
		assert.Empty(t, elsewhere)
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
