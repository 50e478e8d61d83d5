package statuspage_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/health/statuspage"
)

func TestConfigReportsAllProblemsAtOnce(t *testing.T) {
	t.Parallel()
	_, err := statuspage.NewPublic(statuspage.Config{
		URL: "status.example.edu", Links: []statuspage.Link{{Text: "x", URL: "javascript:alert(1)"}},
		Components: []statuspage.Component{
			{Checks: []string{"a"}}, {Name: "Same", Checks: []string{"a"}}, {Name: "same!", Checks: []string{"a"}},
			{Name: "日本", Checks: []string{"a"}}, {Name: "Long", ID: strings.Repeat("x", 65), Checks: []string{"a"}}, {Name: "Dots", ID: "..", Checks: []string{"a"}}, {Name: "Nothing"},
		},
	})
	require.Error(t, err)
	for _, want := range []string{
		"the Monitor is missing", "the URL must be absolute", "the Title is missing", "component 1 has no Name", `components "Same" and "same!" have the same ID "same"`,
		`component "日本" needs an ID`, `component "Long" needs an ID`, `component "Dots" needs an ID`, `component "Nothing" names no Checks`, "link 1 needs",
	} {
		assert.ErrorContains(t, err, want)
	}
}

func TestAPublicPageNeedsComponents(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.config.Components = nil
	_, err := statuspage.NewPublic(w.config)
	require.ErrorContains(t, err, "a public page needs Components")
	_, err = statuspage.NewPrivate(w.config)
	require.NoError(t, err, "a private page shows the checks as they are")
}

func TestURLs(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		url string
		ok  bool
	}{
		"https":         {"https://status.example.edu", true},
		"prefix":        {"https://example.edu/ops/status/", true},
		"http":          {"http://localhost:8080", true},
		"no scheme":     {"example.edu/status", false},
		"other scheme":  {"ftp://example.edu/", false},
		"with a query":  {"https://example.edu/?a=b", false},
		"with a person": {"https://user:secret@example.edu/", false},
		"not one":       {"https://exa mple/%zz", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.config.URL = test.url
			_, err := statuspage.NewPublic(w.config)
			assert.Equal(t, test.ok, err == nil, "%v", err)
			if err != nil {
				assert.NotContains(t, err.Error(), "secret")
			}
		})
	}
}

// The configuration is copied: who changes it afterwards changes no page.
func TestTheConfigurationIsCopied(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.public(t)
	w.config.Components[0].Name, w.config.Components[0].Checks[0] = "Changed", secretOther
	w.config.Links[0].Text = "Changed"
	w.check(t)
	assert.NotContains(t, text(t, p, "/"), "Changed")
	assert.Contains(t, text(t, p, "/"), "All systems operational")
}

func TestWords(t *testing.T) {
	t.Parallel()
	for share, want := range map[float64]string{
		1: "100 %", 0.99999: "99.99 %", 0.9999: "99.99 %", 0.999: "99.9 %", 0.5: "50 %", 0: "0 %", 0.00001: "0 %", 0.1234: "12.34 %", 0.29: "29 %",
	} {
		assert.Equal(t, want, plainSpaces(statuspage.Percent(share)), "%v: only all of it is 100 %%", share)
	}
	for text, want := range map[string]string{
		"a\x00b\x1b[31m": "ab[31m", "a\u202eb\u2066c": "abc", "  two\r\nlines ": "two\nlines", "bad\xffutf": "bad\uFFFDutf", "a\u2028b": "a\nb",
	} {
		assert.Equal(t, want, statuspage.Clean(text))
	}
	long := statuspage.Clean(strings.Repeat("ä", 20_000))
	assert.LessOrEqual(t, len(long), 25_003)
	assert.True(t, strings.HasSuffix(long, "ä…"), "cut between characters")
}

func plainSpaces(s string) string { return strings.ReplaceAll(s, "\u00a0", " ") }
