package httpprobe_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/health/httpprobe"
)

func TestPath(t *testing.T) {
	for _, c := range []struct{ path, want string }{
		{".", "."},
		{".status", ".status"},
		{"._a1", "._a1"},
		{".canvas_details.status", ".canvas_details.status"},
		{".checks[0].name", ".checks[0].name"},
		{".m[1][22]", ".m[1][22]"},
		{".[3].x", ".[3].x"},
		{`.["a.b"]`, `.["a.b"]`},
		{`.a["b"]`, ".a.b"},
		{`.a.["b c"].d`, `.a.["b c"].d`},
		{`.["\"]"]`, `.["\"]"]`},
		{`.["\u00e9"]`, `.["é"]`},
		{`.[""]`, `.[""]`},
	} {
		t.Run(c.path, func(t *testing.T) {
			got, err := httpprobe.ParsePath(c.path)
			require.NoError(t, err)
			assert.Equal(t, c.want, got)
		})
	}
	for _, c := range []struct{ path, why string }{
		{"", "must begin with a dot"},
		{"status", "must begin with a dot"},
		{"..", "a key is missing after a dot"},
		{".a.", "a key is missing after a dot"},
		{".a-b", `want "." or "[" before "-b"`},
		{".1a", "a key is missing after a dot"},
		{".a b", `want "." or "["`},
		{".a[", "brackets must hold"},
		{".a[]", "brackets must hold"},
		{".a[-1]", "brackets must hold"},
		{".a[01]", "brackets must hold"},
		{".a[0", "brackets must hold"},
		{".a[99999999999]", "brackets must hold"},
		{".a.[0]", "no dot before the brackets of an item"},
		{`.["a]`, `must end with "]`},
		{`.["a"`, `must end with "]`},
		{`.["a`, `must end with "]`},
		{`.["\`, `must end with "]`},
		{`.["\x"]`, "not a valid JSON string"},
		{".a|.b", `want "." or "["`},
		{".\xff", "not UTF-8"},
		{strings.Repeat(".a", 101), "deeper than 100"},
	} {
		t.Run(c.path, func(t *testing.T) {
			_, err := httpprobe.ParsePath(c.path)
			assert.ErrorContains(t, err, c.why)
		})
	}
}

// FuzzPath shows that a path that can be read is written in a form that means
// the same.
func FuzzPath(f *testing.F) {
	for _, seed := range []string{".", ".a.b", ".a[0].b", `.["a.b"][1]`, ".[0]", `.["\u0000"]`, `.a.["b"]`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, path string) {
		once, err := httpprobe.ParsePath(path)
		if err != nil {
			return
		}
		twice, err := httpprobe.ParsePath(once)
		require.NoError(t, err, "%q was written as %q", path, once)
		require.Equal(t, once, twice)
	})
}

func TestLookup(t *testing.T) {
	for _, c := range []struct{ name, body, path, kind, text, why string }{
		{"text", `{"status":"ok"}`, ".status", "text", "ok", ""},
		{"number as written", `{"n":1.50e3}`, ".n", "a number", "1.50e3", ""},
		{"huge number", `{"n":123456789012345678901234567890}`, ".n", "a number", "123456789012345678901234567890", ""},
		{"boolean", `[true]`, ".[0]", "a boolean", "true", ""},
		{"deep", `{"a":{"skip":[{"b":0}],"b":[0,{"c":"x"}]}}`, ".a.b[1].c", "text", "x", ""},
		{"whole body", `"up"`, ".", "text", "up", ""},
		{"byte order mark", "\ufeff{\"a\":1}", ".a", "a number", "1", ""},
		{"other letter case", `{"Status":"ok"}`, ".status", "missing", "", ".status is missing"},
		{"null", `{"a":null}`, ".a", "null", "", ".a is null"},
		{"beneath null", `{"a":null}`, ".a.b.c", "missing", "", ".a.b.c is missing: .a is null"},
		{"beneath text", `{"a":"x"}`, ".a.b", "missing", "", ".a.b is missing: .a is text"},
		{"beneath nothing", `{}`, ".a.b.c", "missing", "", ".a.b.c is missing: there is no .a"},
		{"beneath nothing further down", `{"a":{}}`, ".a.b.c", "missing", "", ".a.b.c is missing: there is no .a.b"},
		{"a list for an object", `{"a":[1]}`, ".a.b", "missing", "", ".a.b is missing: .a is a list"},
		{"an object for a list", `{"a":{"0":1}}`, ".a[0]", "missing", "", ".a[0] is missing: .a is an object"},
		{"too short a list", `{"a":[1]}`, ".a[1]", "missing", "", ".a[1] is missing"},
		{"another body", `[]`, ".a", "missing", "", ".a is missing: . is a list"},
		{"twice", `{"a":1,"a":2}`, ".a", "there more than once", "", ".a is there more than once"},
		{"twice on the way", `{"a":{"b":1},"a":{"b":2}}`, ".a.b", "missing", "", ".a.b is missing: .a is there more than once"},
		{"twice elsewhere", `{"x":1,"x":{"y":[2]},"a":1}`, ".a", "a number", "1", ""},
		{"three times", `{"a":1,"a":[{"a":1}],"a":{"a":2}}`, ".a", "there more than once", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			kind, text, why, err := httpprobe.Lookup([]byte(c.body), c.path)
			require.NoError(t, err)
			assert.Equal(t, c.kind, kind)
			assert.Equal(t, c.text, text)
			if c.why != "" {
				assert.Equal(t, c.why, why)
			}
		})
	}
	for _, c := range []struct{ name, body, why string }{
		{"not JSON", `<html>`, "is not valid JSON: error at byte 1"},
		{"cut off", `{"a":{"b":1`, "is not complete JSON: it ends after byte 11"},
		{"two values", `{} {}`, "is not valid JSON: error at byte 4"},
		{"too deep", strings.Repeat("[", 100_000), "is not valid JSON"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, _, _, err := httpprobe.Lookup([]byte(c.body), ".a")
			assert.ErrorContains(t, err, c.why)
		})
	}
}

// FuzzLookup compares what is found with what encoding/json finds in the whole
// body, except where a key is there more than once.
func FuzzLookup(f *testing.F) {
	f.Add([]byte(`{"a":{"b":[1,"x",null]},"c":[{"a":true}]}`))
	f.Add([]byte(`{"a":{"b":[1]},"a":2}`))
	f.Add([]byte("\ufeff[[]]"))
	f.Fuzz(func(t *testing.T, body []byte) {
		kind, text, _, err := httpprobe.Lookup(body, ".a.b[0]")
		dec := json.NewDecoder(bytes.NewReader(bytes.TrimPrefix(body, []byte("\ufeff"))))
		dec.UseNumber()
		var whole any
		want := dec.Decode(&whole)
		if want == nil {
			if _, trailing := dec.Token(); !errors.Is(trailing, io.EOF) {
				want = errors.New("more than one value")
			}
		}
		require.Equal(t, want == nil, err == nil, "%v, %v", want, err)
		if err != nil {
			return
		}
		outer, _ := whole.(map[string]any)
		inner, _ := outer["a"].(map[string]any)
		items, _ := inner["b"].([]any)
		if len(items) == 0 || bytes.Count(body, []byte(":")) > 2 {
			return // not there, or maybe there twice
		}
		switch v := items[0].(type) {
		case string:
			require.Equal(t, "text", kind)
			require.Equal(t, v, text)
		case json.Number:
			require.Equal(t, "a number", kind)
			require.Equal(t, v.String(), text)
		case nil:
			require.Equal(t, "null", kind)
		case bool:
			require.Equal(t, "a boolean", kind)
		case []any:
			require.Equal(t, "a list", kind)
		default:
			require.Equal(t, "an object", kind)
		}
	})
}
