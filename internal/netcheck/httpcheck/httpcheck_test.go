package httpcheck_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/internal/netcheck"
	"go.acu.edu.au/runbook/internal/netcheck/httpcheck"
)

const canary = "c4n4ry-s3cret"

// TestRedact lets a server send back what it was sent, in the forms in which a
// message may show it.
func TestRedact(t *testing.T) {
	pair := httpcheck.Auth{Username: "me", Password: runbook.NewSecret(canary)}
	header := make(http.Header)
	pair.Set(header)
	basic := strings.TrimPrefix(header.Get("Authorization"), "Basic ")
	for name, tc := range map[string]struct {
		auth httpcheck.Auth
		sent string
		want string
	}{
		"bearer":        {httpcheck.Auth{Bearer: runbook.NewSecret(canary)}, "unknown token " + canary + ".", "unknown token [redacted]."},
		"password":      {pair, "wrong: " + canary, "wrong: [redacted]"},
		"pair":          {pair, "wrong: " + basic, "wrong: [redacted]"},
		"header":        {httpcheck.Auth{Header: "X-Key", Value: runbook.NewSecret(canary)}, canary + canary, "[redacted][redacted]"},
		"cut off":       {httpcheck.Auth{Bearer: runbook.NewSecret(canary)}, strings.Repeat("x", 92) + canary, strings.Repeat("x", 92) + "[redacted]…"},
		"white space":   {httpcheck.Auth{Bearer: runbook.NewSecret("two  " + canary)}, "two  " + canary, "[redacted]"},
		"short secrets": {httpcheck.Auth{Bearer: runbook.NewSecret("abc")}, "abc", "abc"},
		"none":          {httpcheck.Auth{}, "as it was", "as it was"},
	} {
		t.Run(name, func(t *testing.T) {
			text := netcheck.Clean(tc.sent)
			r := tc.auth.Redact(health.Result{Message: text, Measurements: []health.Measurement{{Name: "said", Text: text}}})
			assert.Equal(t, tc.want, r.Message)
			assert.Equal(t, tc.want, r.Measurements[0].Text)
		})
	}
}

// FuzzRedact looks for ways to make a message show the beginning of a secret.
func FuzzRedact(f *testing.F) {
	f.Add("", "")
	f.Add(strings.Repeat("x", 95), "y")
	f.Fuzz(func(t *testing.T, before, after string) {
		text := netcheck.Clean(before + canary + after)
		r := httpcheck.Auth{Bearer: runbook.NewSecret(canary)}.Redact(health.Result{Message: text})
		require.NotContains(t, r.Message, canary)
		require.False(t, strings.HasSuffix(r.Message, canary[:8]+"…") && !strings.Contains(before, canary[:8]), r.Message)
	})
}

// FuzzURL shows that no address, however odd, comes back in a problem, and that
// one that is accepted can be shown.
func FuzzURL(f *testing.F) {
	for _, seed := range []string{
		"https://a.test/p?q=" + canary, "https://me:" + canary + "@a.test", "https://me:" + canary + "/x@a.test", "//" + canary, "https://a.test:x", "https://[::1]:8080/",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		p := netcheck.Problems{Package: "test"}
		u := httpcheck.ParseURL(&p, raw, "https", "http")
		if u == nil {
			require.Error(t, p.Err())
			require.NotContains(t, p.Err().Error(), canary)
			return
		}
		require.NoError(t, p.Err())
		place := httpcheck.Place(u)
		require.LessOrEqual(t, len([]rune(place)), 201)
		require.False(t, strings.ContainsFunc(place, func(r rune) bool { return !unicode.IsPrint(r) }), "%q", place)
	})
}

func TestPlace(t *testing.T) {
	u, err := url.Parse("https://me:" + canary + "@a.test/" + strings.Repeat("x", 300) + "?q=" + canary + "#" + canary)
	require.NoError(t, err)
	assert.Equal(t, "https://a.test/"+strings.Repeat("x", 185)+"…", httpcheck.Place(u))
}
