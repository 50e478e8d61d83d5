package main

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The token is read as the application reads it: without spaces around it, and long enough
// that nobody guesses it.
func TestTheTokenIsThatOfTheApplication(t *testing.T) {
	t.Parallel()
	read := func(token string) (settings, error) {
		return readSettings(func(name string) string { return map[string]string{"OPS_TOKEN": token}[name] })
	}
	s, err := read(" token-of-16-byte\n")
	require.NoError(t, err)
	assert.Equal(t, "token-of-16-byte", s.token.Reveal())
	for name, c := range map[string]struct{ token, want string }{
		"none":             {"", "OPS_TOKEN is required"},
		"spaces":           {" \n", "OPS_TOKEN is required"},
		"short":            {"canary-15-bytes", "OPS_TOKEN must have at least 16 characters"},
		"short but spaces": {"  canary-15-bytes  ", "OPS_TOKEN must have at least 16 characters"},
	} {
		_, err := read(c.token)
		require.ErrorContains(t, err, c.want, name)
		assert.NotContains(t, err.Error(), "canary", name)
	}
}
