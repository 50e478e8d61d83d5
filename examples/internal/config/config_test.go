package config_test

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/examples/internal/config"
	"go.acu.edu.au/runbook/health"
)

// canary is a text that must not be in any message.
const canary = "hunter2-Canary"

type inner struct {
	Path string   `config:"path,required"`
	Warn *float64 `config:"warn"`
}

type settings struct {
	Name    string                    `config:"name,required"`
	Timeout time.Duration             `config:"timeout"`
	Count   int                       `config:"count"`
	Share   float64                   `config:"share"`
	On      bool                      `config:"on"`
	Codes   []int                     `config:"codes"`
	Items   []inner                   `config:"items"`
	Want    map[string]health.Status  `config:"want"`
	Token   runbook.Secret            `config:"token"`
	Secrets map[string]runbook.Secret `config:"secrets"`
	Plain   string                    // no tag: cannot be set
}

func decode(text string) (settings, *config.File) {
	var s settings
	file := config.Decode(config.Source{
		Name:   "app.yaml",
		Text:   []byte(text),
		Getenv: func(name string) string { return map[string]string{"TOKEN": canary}[name] },
		ReadFile: func(path string) ([]byte, error) {
			if path == "/run/token" {
				return []byte(canary + "\n"), nil
			}
			return nil, &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
		},
	}, &s)
	return s, file
}

func TestDecode(t *testing.T) {
	s, file := decode(`# a comment
name: |
  two
  lines
timeout: 1m30s
count: 3
share: 12
on: true
codes: [200, 204]
items:
  - path: .status
    warn: 0.5
  - {path: .version}
want: {ok: healthy, "true": degraded, 7: unhealthy}
token: {env: TOKEN}
secrets:
  file:
    file: /run/token
`)
	require.NoError(t, file.Err())
	assert.Equal(t, "two\nlines\n", s.Name)
	assert.Equal(t, 90*time.Second, s.Timeout)
	assert.Equal(t, 3, s.Count)
	assert.InDelta(t, 12, s.Share, 0)
	assert.True(t, s.On)
	assert.Equal(t, []int{200, 204}, s.Codes)
	half := 0.5
	assert.Empty(t, cmp.Diff([]inner{{Path: ".status", Warn: &half}, {Path: ".version"}}, s.Items))
	assert.Equal(t, map[string]health.Status{"ok": health.Healthy, "true": health.Degraded, "7": health.Unhealthy}, s.Want)
	assert.Equal(t, canary, s.Token.Reveal())
	assert.Equal(t, canary, s.Secrets["file"].Reveal())
	assert.Equal(t, config.Position{Line: 12, Column: 5}, file.Position("items[0].warn"))
	assert.Equal(t, config.Position{Line: 11, Column: 5}, file.Position("items[0].absent"), "the nearest around")
}

func TestProblems(t *testing.T) {
	for name, tt := range map[string]struct {
		text string
		want string
	}{
		"empty":              {"", `app.yaml: empty`},
		"only a comment":     {"# nothing\n", `app.yaml: empty`},
		"not a mapping":      {"- name: x", `app.yaml:1:1: must be a mapping (key: value)`},
		"syntax":             {"name: [a, b", `app.yaml:1:7: not valid YAML: sequence end token ']' not found`},
		"syntax, tab":        {"name: x\n\tcount: 1", `app.yaml:2:1: not valid YAML: found character '	' that cannot start any token`},
		"two documents":      {"name: x\n---\nname: y", `app.yaml:3:1: a second document; only one is wanted`},
		"unknown key":        {"name: x\ntimeuot: 1s", `app.yaml:2:1: unknown key "timeuot"; known are codes, count, items, name, on, secrets, share, timeout, token, want`},
		"unknown, not shown": {"name: x\n" + canary + ": 1s", `app.yaml:2:1: unknown key (not shown); known are codes, count, items, name, on, secrets, share, timeout, token, want`},
		"untagged field":     {"name: x\nPlain: y", `app.yaml:2:1: unknown key (not shown); known are codes, count, items, name, on, secrets, share, timeout, token, want`},
		"given twice":        {"name: x\nname: y", `app.yaml:2:1: key "name" is given twice`},
		"missing":            {"count: 1", `app.yaml:1:1: "name" is missing`},
		"missing deeper":     {"name: x\nitems:\n  - warn: 1", `app.yaml:3:5: items[0]: "path" is missing`},
		"no value":           {"name:\ncount: 1", `app.yaml:1:6: name: has no value`},
		"null":               {"name: null", `app.yaml:1:7: name: has no value`},
		"text wanted":        {"name: 7", `app.yaml:1:7: name: must be a text; put it in quotes`},
		"duration wanted":    {"name: x\ntimeout: 5", `app.yaml:2:10: timeout: must be a duration such as "500ms", "5s" or "1m30s"`},
		"duration negative":  {"name: x\ntimeout: -5s", `app.yaml:2:10: timeout: must be a duration such as "500ms", "5s" or "1m30s"`},
		"integer wanted":     {"name: x\ncount: 1.5", `app.yaml:2:8: count: must be a whole number`},
		"integer too large":  {fmt.Sprintf("name: x\ncount: %d", uint64(math.MaxUint64)), `app.yaml:2:8: count: must be a whole number`},
		"number wanted":      {"name: x\nshare: lots", `app.yaml:2:8: share: must be a number`},
		"infinite":           {"name: x\nshare: .inf", `app.yaml:2:8: share: must be a number`},
		"boolean wanted":     {"name: x\non: \"true\"", `app.yaml:2:5: on: must be true or false`},
		"list wanted":        {"name: x\ncodes: 200", `app.yaml:2:8: codes: must be a list`},
		"element":            {"name: x\ncodes: [200, ok]", `app.yaml:2:14: codes[1]: must be a whole number`},
		"mapping wanted":     {"name: x\nwant: [healthy]", `app.yaml:2:7: want: must be a mapping (key: value)`},
		"not a status":       {"name: x\nwant: {ok: fine}", `app.yaml:2:12: want.ok: health: this is not a status (one of unknown, healthy, degraded, unhealthy, maintenance)`},
		"anchor":             {"name: &a x", `app.yaml:1:7: name: anchors, aliases, merge keys and tags are not supported`},
		"alias":              {"name: &a x\nwant: *a", "app.yaml:1:7: name: anchors, aliases, merge keys and tags are not supported\napp.yaml:2:7: want: anchors, aliases, merge keys and tags are not supported"},
		"tag":                {"name: !!str x", `app.yaml:1:7: name: anchors, aliases, merge keys and tags are not supported`},
		"variable not set":   {"name: x\ntoken: {env: ABSENT}", `app.yaml:2:8: token: the environment variable ABSENT is not set`},
		"variable's name":    {"name: x\ntoken: {env: hunter2}", `app.yaml:2:8: token: env must be the name of an environment variable (capitals, digits, _)`},
		"file not there":     {"name: x\ntoken: {file: /absent}", `app.yaml:2:8: token: the file cannot be read: file does not exist`},
		"nested":             {"items: " + strings.Repeat("[", 40) + strings.Repeat("]", 40), `app.yaml:1:40: brackets are nested too deeply`},
		"all at once": {"timeout: soon\ncolour: red\ntoken: hunter2\n", `app.yaml:1:1: "name" is missing
app.yaml:1:10: timeout: must be a duration such as "500ms", "5s" or "1m30s"
app.yaml:2:1: unknown key "colour"; known are codes, count, items, name, on, secrets, share, timeout, token, want
app.yaml:3:8: token: a secret must not be in the file: write {env: NAME_OF_A_VARIABLE} or {file: /path}`},
	} {
		t.Run(name, func(t *testing.T) {
			_, file := decode(tt.text)
			require.EqualError(t, file.Err(), tt.want)
		})
	}
	t.Run("too large", func(t *testing.T) {
		_, file := decode("name: " + strings.Repeat("x", 1<<20))
		require.EqualError(t, file.Err(), "app.yaml: larger than 262144 bytes")
	})
	t.Run("no way to files or variables", func(t *testing.T) {
		var s settings
		file := config.Decode(config.Source{Name: "f", Text: []byte("name: x\ntoken: {file: /a}\nsecrets: {a: {env: TOKEN}}")}, &s)
		require.EqualError(t, file.Err(), "f:2:8: token: files cannot be referred to here; use {env: NAME_OF_A_VARIABLE}\n"+
			"f:3:14: secrets.a: the environment variable TOKEN is not set")
	})
}

// A secret that stands where it should not is refused, and never shown.
func TestSecretsAreNotShown(t *testing.T) {
	for _, text := range []string{
		"token: " + canary,
		"token: '" + canary + "'",
		"token: |\n  " + canary,
		"token: {" + canary + "}",
		"token: {" + canary + ": x}",
		"token: [" + canary + "]",
		"token: {env: " + canary + "}",
		"token: {file: " + canary + "}",
		"token: {env: [" + canary + "]}",
		"token: {env: TOKEN, value: " + canary + "}",
		"token: {value: " + canary + "}",
		"token: !" + canary + " x",
		"token: &" + canary + " x",
		"token: *" + canary,
		"tokn: " + canary,
		"tokn: {env: " + canary + "}",
		canary + ": {env: TOKEN}",
		"timeout: " + canary,
		"count: " + canary,
		"codes: " + canary,
		"codes: [" + canary + "]",
		"items: [" + canary + "]",
		"want: {" + canary + ": fine}",
		"want: {a: " + canary + "}",
		"want: {a: [" + canary + "]}",
		"secrets: {" + canary + "}",
		"secrets: {" + canary + ": x}",
		"secrets: {a: " + canary + "}",
		"token: \"" + canary,
		"token: '" + canary,
		"token: {env: \"" + canary,
		"token: [" + canary,
		"token: " + canary + ": x",
		"token: " + canary + "\n  more: x",
		"\ttoken: " + canary,
		"token: |" + canary + "\n  x",
		"%" + canary + " 1.2\n---\nname: x",
		"%YAML " + canary + "\n---\nname: x",
		"token: \"\\" + canary + "\"",
		"? " + canary + "\n: x",
		"{" + canary + ": {" + canary + ": 1}}",
		"name: x\n---\n" + canary,
	} {
		_, file := decode(text)
		err := file.Err()
		require.Error(t, err, text)
		for _, shown := range []string{err.Error(), fmt.Sprintf("%+v", err), fmt.Sprintf("%#v", err)} {
			assert.NotContains(t, shown, canary, text)
			assert.NotContains(t, shown, "hunter2", text)
		}
	}
}

func TestProblemOfTheHost(t *testing.T) {
	_, file := decode("name: x\nitems:\n  - path: .a\n  - path: .b\n")
	require.NoError(t, file.Err())
	file.Problem("items[1].path", "must be %s", ".a")
	file.Problem("items[0].warn", "must be given")
	file.Problem("nowhere", "is odd")
	err := file.Err()
	require.EqualError(t, err, "app.yaml:1:1: nowhere: is odd\napp.yaml:3:5: items[0].warn: must be given\napp.yaml:4:5: items[1].path: must be .a")
	problem, ok := errors.AsType[config.Problem](err)
	require.True(t, ok)
	assert.Equal(t, "nowhere", problem.Path)
}

func TestDecodeRefusesTypesItCannotFill(t *testing.T) {
	var out struct {
		C complex128 `config:"c"`
	}
	assert.Panics(t, func() { config.Decode(config.Source{Text: []byte("c: 1")}, &out) })
}

// FuzzDecode shows that no text makes Decode panic, or show a value.
func FuzzDecode(f *testing.F) {
	f.Add("name: x\ntoken: {env: TOKEN}\nwant: {a: healthy}\nitems: [{path: .a, warn: 1}]\n")
	f.Add("name: &a [*a, <<: *a]\n--- !!x\n? [a]: b\n")
	f.Add("secrets:\n  a: |-\n    " + canary + "\n")
	f.Fuzz(func(t *testing.T, text string) {
		_, file := decode(text + "\ntoken: [" + canary + "]\n")
		if err := file.Err(); err != nil && strings.Contains(err.Error(), canary) {
			t.Errorf("the secret is shown: %v", err)
		}
	})
}
