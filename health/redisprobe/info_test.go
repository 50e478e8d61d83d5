package redisprobe_test

import (
	"math"
	"strings"
	"testing"
	"testing/quick"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/health/redisprobe"
)

func TestParseInfo(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		text string
		want map[string]string
	}{
		"nothing":            {"", map[string]string{}},
		"headings and gaps":  {"# Server\r\n\r\na:1\r\n", map[string]string{"a": "1"}},
		"only newlines":      {"a:1\nb:2", map[string]string{"a": "1", "b": "2"}},
		"colon in the value": {"executable:c:/redis\r\n", map[string]string{"executable": "c:/redis"}},
		"empty value":        {"config_file:\r\n", map[string]string{"config_file": ""}},
		"no name, no colon":  {":1\r\nabc\r\n#x:1\r\n", map[string]string{}},
		"twice":              {"a:1\r\na:2\r\n", map[string]string{"a": "1"}},
		"an HTML page":       {"<html><body>\r\n", map[string]string{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			assert.Empty(t, cmp.Diff(tc.want, redisprobe.ParseInfo(tc.text)))
		})
	}
}

func TestNumber(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]float64{"0": 0, "-1": -1, "4.37": 4.37, "25276063744": 25276063744} {
		got, ok := redisprobe.Number(text)
		assert.True(t, ok, text)
		assert.InDelta(t, want, got, 0, text)
	}
	for _, text := range []string{"", "-", ".", "1.2.3", "0x10", "1_000", "inf", "NaN", "1e9", "12M", " 1", "٣", strings.Repeat("9", 400)} {
		_, ok := redisprobe.Number(text)
		assert.False(t, ok, text)
	}
}

// FuzzInfo lets arbitrary texts be judged: none may cause a panic, a number
// that is none, or a text that a terminal would obey.
func FuzzInfo(f *testing.F) {
	for _, name := range []string{"master", "replica", "replica-link-down", "loading"} {
		f.Add(infoText(f, name))
	}
	f.Add("slave0:state=online,offset=\r\nslave1:\r\nrole:master\r\nmaster_repl_offset:-9\r\n")
	f.Add("used_memory:1\r\nmaxmemory:0.0000001\r\nconnected_clients:99999999999999999999\r\nmaxclients:-0\r\nrole:\x1b[2J\r\n")
	f.Fuzz(func(t *testing.T, text string) {
		p := prober(t, "127.0.0.1:1", redisprobe.Config{
			Memory: limit(80, 95), Clients: limit(80, 95), Evictions: limit(1, 2), Rejections: limit(1, 2),
			Lag: limit(1, 2), Replicas: limit(1, 2), Role: redisprobe.Master,
		})
		for range 2 { // the second has increases
			r := p.JudgeText(text)
			for _, m := range r.Measurements {
				if math.IsNaN(m.Value) || math.IsInf(m.Value, 0) {
					t.Errorf("%v", m)
				}
				if strings.ContainsFunc(m.Text, func(r rune) bool { return r < ' ' || r > '~' }) || len(m.Text) > 64 {
					t.Errorf("%q", m.Text)
				}
			}
			if strings.ContainsFunc(r.Message, func(r rune) bool { return r < ' ' || r > '~' }) {
				t.Errorf("%q", r.Message)
			}
			if (r.Status == health.Healthy) != (r.Cause == "") {
				t.Errorf("%v with cause %q", r.Status, r.Cause)
			}
		}
	})
}

// TestJudge_anyOrder shows that the order of INFO's lines does not matter: what
// is in which section has changed between versions.
func TestJudge_anyOrder(t *testing.T) {
	t.Parallel()
	lines := strings.Split(strings.TrimSpace(infoText(t, "replica-link-down")), "\r\n")
	judge := func(lines []string) health.Result {
		p := prober(t, "127.0.0.1:1", redisprobe.Config{Memory: limit(80, 95), Lag: limit(10, 20)})
		return p.JudgeText(strings.Join(lines, "\r\n"))
	}
	want := judge(lines)
	require.Equal(t, health.Degraded, want.Status)
	require.NoError(t, quick.Check(func(cut uint8) bool {
		i := int(cut) % len(lines)
		return cmp.Equal(want, judge(append(append([]string{}, lines[i:]...), lines[:i]...)))
	}, &quick.Config{MaxCount: 20}))
}
