package httpx_test

import (
	"net/url"
	"testing"

	"github.com/stretchr/testify/assert"

	"go.acu.edu.au/runbook/internal/httpx"
)

func FuzzLinks(f *testing.F) {
	f.Add(`<https://school.test/a?page=2>; rel="next",<https://school.test/a?page=9>; rel="last"`)
	f.Add(`<a>;rel="x\"y";title="<b>,"`)
	f.Add(`<<>>;;,=,"`)
	f.Fuzz(func(t *testing.T, field string) {
		for rel, target := range httpx.Links([]string{field}) {
			assert.NotEmpty(t, rel)
			assert.Contains(t, field, target)
		}
	})
}

func TestLinks(t *testing.T) {
	for name, tc := range map[string]struct {
		fields []string
		want   map[string]string
	}{
		"none":           {nil, map[string]string{}},
		"two fields":     {[]string{"<a>; rel=next", "<b>; rel=last"}, map[string]string{"next": "a", "last": "b"}},
		"first counts":   {[]string{"<a>; rel=next, <b>; rel=next"}, map[string]string{"next": "a"}},
		"several words":  {[]string{`<a>; rel="Prefetch NEXT"`}, map[string]string{"prefetch": "a", "next": "a"}},
		"quoted comma":   {[]string{`<a>; title="x, <b>; rel=next"; rel=differences`}, map[string]string{"differences": "a"}},
		"no relation":    {[]string{"<a>; x=1"}, map[string]string{}},
		"not terminated": {[]string{"<a; rel=next"}, map[string]string{}},
	} {
		t.Run(name, func(t *testing.T) { assert.Equal(t, tc.want, httpx.Links(tc.fields)) })
	}
}

func TestAddQuery(t *testing.T) {
	for name, tc := range map[string]struct {
		raw  string
		add  url.Values
		want string
	}{
		"nothing":                 {"b=2&a=%7e", nil, "b=2&a=%7e"},
		"to nothing":              {"", url.Values{"a": {"1 2"}}, "a=1+2"},
		"order and escaping stay": {"b=2&a=%7e;", url.Values{"c": {"3"}}, "b=2&a=%7e;&c=3"},
		"replaced":                {"limit=5&b=2&limit=6&%6cimit=7", url.Values{"limit": {"9"}}, "b=2&limit=9"},
		"several":                 {"", url.Values{"a": {"1"}, "b": {"2", "3"}}, "a=1&b=2&b=3"},
	} {
		t.Run(name, func(t *testing.T) { assert.Equal(t, tc.want, httpx.AddQuery(tc.raw, tc.add)) })
	}
}
