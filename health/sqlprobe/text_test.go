package sqlprobe_test

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	_ "github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite"

	"go.acu.edu.au/runbook/health/sqlprobe"
)

func TestToNumber(t *testing.T) {
	for _, test := range []struct {
		in   any
		want float64
	}{
		{int64(3), 3}, {2.5, 2.5}, {true, 1}, {false, 0}, {"12.5", 12.5}, {[]byte("7"), 7}, {"t", 1}, {"false", 0},
	} {
		got, err := sqlprobe.ToNumber(test.in)
		require.NoError(t, err)
		assert.InDelta(t, test.want, got, 0)
	}
	for _, in := range []any{"Jane", time.Time{}, "", []byte("{1,2}")} {
		_, err := sqlprobe.ToNumber(in)
		assert.ErrorContains(t, err, "neither a number nor a boolean")
	}
}

// TestOneLine shows forms in which drivers and poolers quote credentials, and
// text that would move a terminal's cursor.
func TestOneLine(t *testing.T) {
	for in, want := range map[string]string{
		"dial postgres://me:" + secret + "@host/db: no":          "dial postgres://host/db: no",
		"dial postgres://me:a/" + secret + "@host/db: no":        "dial postgres://host/db: no",
		"bad dsn user=me password='" + secret + " x' host=db":    "bad dsn user=me password=[redacted] host=db",
		`bad config {"password": "a ` + secret + `", "host": 1}`: `bad config {"password=[redacted], "host": 1}`,
		"syntax\x1b[2J error\n\tat 1":                            "syntax[2J error at 1",
	} {
		assert.Equal(t, want, sqlprobe.OneLine(in))
	}
}

func FuzzOneLine(f *testing.F) {
	f.Add("dial error", "x")
	f.Add("failed to connect to\n\t`host=a password='", "' b")
	f.Fuzz(func(t *testing.T, before, after string) {
		if strings.ContainsAny(after, "/@") || strings.Contains(before, "//") {
			t.Skip()
		}
		got := sqlprobe.OneLine(before + " password=" + secret + " postgres://me:" + secret + "@host " + after)
		if strings.Contains(got, secret) {
			t.Errorf("%q shows the secret", got)
		}
		if strings.ContainsAny(got, "\n\r\t") || utf8.RuneCountInString(got) > 301 {
			t.Errorf("%q is not one short line", got)
		}
	})
}
