package statuspage_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/health/statuspage"
)

// An element is one of a document, with what is directly in it.
type element struct {
	name  string
	attrs map[string]string
	text  string
	in    []int // the elements around it
}

// elements reads a document. Pages are HTML that is XML as well, so that a strict
// reader finds whatever breaks out of its place.
func elements(t testing.TB, document string) []element {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(document))
	var all []element
	var open []int
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			require.Empty(t, open)
			return all
		}
		require.NoError(t, err, "%s", document)
		switch token := token.(type) {
		case xml.StartElement:
			e := element{name: token.Name.Local, attrs: make(map[string]string), in: slices.Clone(open)}
			for _, a := range token.Attr {
				e.attrs[a.Name.Local] = a.Value
			}
			open = append(open, len(all))
			all = append(all, e)
		case xml.EndElement:
			open = open[:len(open)-1]
		case xml.CharData:
			if len(open) > 0 {
				all[open[len(open)-1]].text += string(token)
			}
		case xml.Comment:
			assert.Fail(t, "a comment", "%s", token)
		}
	}
}

// shape is what a document is made of, without its texts.
func shape(all []element) []string {
	var lines []string
	for _, e := range all {
		names := slices.Sorted(maps.Keys(e.attrs))
		lines = append(lines, fmt.Sprint(len(e.in), " ", e.name, " ", names))
	}
	return lines
}

func isXML(path string) bool {
	return !strings.HasSuffix(path, "json")
}

// hostile texts try to leave the place where they stand.
var hostile = []string{
	`</title></style><script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, `' onmouseover='alert(1)`, `]]>--><!-- <![CDATA[ &amp; &#x3c;`,
	`{{template "top"}}`, "javascript:alert(1)", "\x00\x1b[31m\u202egnp\u2066", "a\nb\r\nc\x85d", `<svg/onload=alert(1)>`, "\xff\xfe", `%3Cscript%3E`,
}

// TestHostileTexts: whatever names and texts are, documents have the same elements
// and attributes as with harmless ones, in HTML, XML and SVG alike.
//
// Requirement: AL-PAGE-ESCAPE
func TestHostileTexts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		build := func(text string) *world {
			w := newWorld(t)
			w.found[secretOther] = health.Unhealthy
			bad := health.ProberFunc(func(context.Context) health.Result {
				return health.Result{Status: health.Unhealthy, Cause: health.Cause(text), Message: text, Measurements: []health.Measurement{{Name: text, Text: text}}}
			})
			name := "bad." + strings.Map(printable, text) + "."
			require.NoError(t, w.monitor.Add(health.Check{Name: name, Prober: bad, Labels: map[string]string{text: text}}))
			w.check(t)
			w.config.Title, w.config.Description = "T"+text, "D"+text
			w.config.Links = []statuspage.Link{{Text: "L" + text, URL: "https://example.edu/?" + strings.Map(printable, text)}}
			for i := range w.config.Components {
				c := &w.config.Components[i]
				c.ID = []string{"website", "results", "search", "beta", "canvas", "lti"}[i]
				c.Name, c.Group, c.Description = fmt.Sprint("C", i, text), "G"+text, "D"+text
			}
			w.config.Components[0].Checks = []string{name, "nobody " + text}
			now := time.Now()
			w.events = statuspage.Events{
				Incidents: []statuspage.Incident{{ID: "i1", Title: "I" + text, Impact: statuspage.Impact(text), Components: map[string]statuspage.Condition{"website": statuspage.Condition("x" + text), text: ""},
					Updates: []statuspage.Update{{Time: now, Phase: statuspage.Phase(text), Text: "U" + text}}}},
				Maintenance: []statuspage.Maintenance{{ID: "m1", Title: "M" + text, From: now, Until: now.Add(time.Hour), Components: []string{"lti", text}, Updates: []statuspage.Update{{Time: now, Text: "U" + text}}}},
			}
			return w
		}
		tame := build("harmless")
		for _, page := range []func(*world) *statuspage.Page{func(w *world) *statuspage.Page { return w.public(t) }, func(w *world) *statuspage.Page { return w.private(t) }} {
			reference := page(tame)
			for _, text := range hostile {
				w := build(text)
				p := page(w)
				for _, path := range w.paths() {
					if !isXML(path) {
						continue
					}
					want, got := elements(t, get(reference, path).Body.String()), elements(t, get(p, path).Body.String())
					assert.Equal(t, shape(want), shape(got), "%s with %q", path, text)
					for i, e := range got {
						if e.name == "a" || e.name == "link" || e.name == "use" {
							assert.NotContains(t, strings.ToLower(e.attrs["href"])[:min(len(e.attrs["href"]), 11)], "javascript:")
						}
						if e.name == "style" {
							assert.Equal(t, want[i].text, e.text)
						}
					}
				}
			}
		}
	})
}

func printable(r rune) rune {
	if r < ' ' || r == '%' || r >= 0x7f {
		return -1
	}
	return r
}

// TestThePolicyAllowsOneStyleSheetAndNothingElse: the style sheet in the page is the
// one of the policy, and nothing in the page needs more: no script, no attribute
// with styles or scripts, nothing that is loaded from elsewhere.
//
// Requirement: AL-PAGE-NO-SCRIPT
func TestThePolicyAllowsOneStyleSheetAndNothingElse(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := trouble(t)
		for name, p := range map[string]*statuspage.Page{"public": w.public(t), "private": w.private(t)} {
			for _, path := range []string{"/", "/history", "/components/results", "/incidents/INC-2026-0042", "/no/such/page"} {
				answer := get(p, path)
				policy := answer.Header().Get("Content-Security-Policy")
				assert.NotContains(t, policy, "unsafe")
				assert.Contains(t, policy, "default-src 'none'")
				sheets := 0
				for _, e := range elements(t, answer.Body.String()) {
					where := fmt.Sprintf("%s %s: %s %v", name, path, e.name, e.attrs)
					assert.NotContains(t, []string{"script", "iframe", "img", "object", "embed", "form", "base", "audio", "video", "input", "button"}, e.name, where)
					if e.name == "style" {
						sheets++
						sum := sha256.Sum256([]byte(e.text))
						assert.Contains(t, policy, "style-src 'sha256-"+base64.StdEncoding.EncodeToString(sum[:])+"';")
					}
					if e.name == "meta" {
						assert.Empty(t, e.attrs["http-equiv"], where)
					}
					if e.name == "link" {
						assert.Contains(t, []string{"icon", "alternate"}, e.attrs["rel"], where)
						assert.True(t, e.attrs["rel"] == "alternate" || strings.HasPrefix(e.attrs["href"], "data:image/svg+xml,"), where)
					}
					for a := range e.attrs {
						assert.NotEqual(t, "style", a, where)
						assert.NotEqual(t, "src", a, where)
						assert.False(t, strings.HasPrefix(a, "on"), where)
					}
				}
				assert.Equal(t, 1, sheets)
			}
		}
		assert.NotRegexp(t, `url\(|@import|@font-face`, statuspage.Style, "the style sheet loads nothing")
	})
}

// TestEveryStateIsAWordAShapeAndAColour: wherever a state has a colour, it has an
// icon of its own and a word, and days differ in height.
//
// Requirement: AL-PAGE-WORDS
func TestEveryStateIsAWordAShapeAndAColour(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		page := elements(t, text(t, trouble(t).public(t), "/"))
		symbols, words, heights := map[string]string{}, map[string]bool{}, map[string]bool{}
		for i, e := range page {
			if e.name == "symbol" {
				var drawn strings.Builder
				for _, inner := range page[i+1:] {
					if !slices.Contains(inner.in, i) {
						break
					}
					fmt.Fprint(&drawn, inner.name, inner.attrs)
				}
				for id, other := range symbols {
					assert.NotEqual(t, other, drawn.String(), "%s and %s", id, e.attrs["id"])
				}
				symbols[e.attrs["id"]] = drawn.String()
			}
			if e.name == "span" && strings.HasPrefix(e.attrs["class"], "state ") {
				assert.NotEmpty(t, strings.TrimSpace(e.text))
				words[strings.TrimSpace(e.text)] = true
				assert.Equal(t, "use", page[i+2].name)
				assert.Equal(t, "#i-"+strings.TrimPrefix(e.attrs["class"], "state "), page[i+2].attrs["href"])
				assert.Contains(t, symbols, page[i+2].attrs["href"][1:])
			}
		}
		assert.Equal(t, map[string]bool{"Operational": true, "Degraded": true, "Outage": true, "Not known": true, "Maintenance": true}, words)
		assert.Len(t, symbols, 6)
		for _, class := range []string{"up", "de", "ou", "ma", "in", "no"} {
			found := regexp.MustCompile(`\.` + class + `\{stroke:[^;]+;stroke-width:(\d+)\}`).FindStringSubmatch(statuspage.Style)
			require.NotNil(t, found, class)
			assert.False(t, heights[found[1]], "%s is as high as another", class)
			heights[found[1]] = true
		}
	})
}

// TestTextAlternatives: pictures have words, the outline has no gaps, and everything
// has a language and a place.
//
// Requirement: AL-PAGE-WORDS
func TestTextAlternatives(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := trouble(t)
		p := w.private(t)
		for _, path := range []string{"/", "/history", "/components/results", "/incidents/MNT-8"} {
			page := elements(t, text(t, p, path))
			level, mains, ids := 0, 0, map[string]bool{}
			for i, e := range page {
				where := fmt.Sprint(path, " ", e.name, " ", e.attrs)
				if e.name == "svg" {
					assert.True(t, e.attrs["aria-hidden"] == "true" || e.attrs["role"] == "img" && len(e.attrs["aria-label"]) > 30, where)
				}
				if e.name == "svg" && e.attrs["class"] == "bar" {
					story := slices.IndexFunc(page[i:], func(e element) bool { return e.attrs["class"] == "story" })
					require.Positive(t, story)
					assert.Regexp(t, "uptime|No data", page[i+story].text, "a bar has its words beside it")
				}
				if e.name == "html" {
					assert.Equal(t, "en", e.attrs["lang"])
				}
				if e.name == "main" {
					mains++
				}
				if len(e.name) == 2 && e.name[0] == 'h' && e.name[1] >= '1' && e.name[1] <= '6' {
					next := int(e.name[1] - '0')
					assert.LessOrEqual(t, next, level+1, "%s: the outline has a gap", where)
					assert.False(t, next == 1 && level > 0, "%s: a second h1", where)
					level = next
				}
				if id := e.attrs["id"]; id != "" {
					assert.False(t, ids[id], "%s: the id is there twice", where)
					ids[id] = true
				}
			}
			assert.Equal(t, 1, mains)
			for _, e := range page {
				if id := e.attrs["aria-labelledby"]; id != "" {
					assert.True(t, ids[id], "%s: nothing has the id %s", path, id)
				}
				if href := e.attrs["href"]; e.name == "a" && strings.HasPrefix(href, "#") {
					assert.True(t, ids[href[1:]], "%s: nothing has the id %s", path, href)
				}
				if e.name == "th" {
					assert.NotEmpty(t, e.attrs["scope"])
				}
			}
		}
	})
}

// luminance and contrast are those of WCAG 2.2.
func luminance(t testing.TB, colour string) float64 {
	t.Helper()
	colour = strings.TrimPrefix(colour, "#")
	if len(colour) == 3 {
		colour = string([]byte{colour[0], colour[0], colour[1], colour[1], colour[2], colour[2]})
	}
	n, err := strconv.ParseUint(colour, 16, 32)
	require.NoError(t, err)
	part := func(shift int) float64 {
		v := float64(n>>shift&0xff) / 255
		if v <= 0.04045 {
			return v / 12.92
		}
		return math.Pow((v+0.055)/1.055, 2.4)
	}
	return 0.2126*part(16) + 0.7152*part(8) + 0.0722*part(0)
}

func contrast(t testing.TB, a, b string) float64 {
	x, y := luminance(t, a), luminance(t, b)
	return (max(x, y) + 0.05) / (min(x, y) + 0.05)
}

// TestContrast: all colours of texts have a contrast of 4.5 with both backgrounds,
// by day and by night, and those of shapes one of 3. A browser test measures what is
// drawn.
//
// Requirement: AL-PAGE-CONTRAST
func TestContrast(t *testing.T) {
	t.Parallel()
	roots := regexp.MustCompile(`:root\{([^}]*)\}`).FindAllStringSubmatch(statuspage.Style, -1)
	require.Len(t, roots, 3, "day, night and paper")
	for i, scheme := range []string{"light", "dark", "print"} {
		colours := map[string]string{}
		for _, found := range regexp.MustCompile(`--([a-z-]+):(#[0-9a-f]+)`).FindAllStringSubmatch(roots[i][1], -1) {
			colours[found[1]] = found[2]
		}
		require.Len(t, colours, 15, scheme)
		for _, back := range []string{"paper", "panel"} {
			for _, ink := range []string{"ink", "soft", "link", "up", "info", "warn", "part", "bad", "none"} {
				assert.GreaterOrEqual(t, contrast(t, colours[ink], colours[back]), 4.5, "%s on %s, %s", ink, back, scheme)
			}
		}
		for _, shape := range []string{"bar-up", "bar-warn", "bar-none", "bad", "info", "part"} {
			assert.GreaterOrEqual(t, contrast(t, colours[shape], colours["paper"]), 3.0, "%s, %s", shape, scheme)
		}
	}
	for _, c := range []statuspage.Condition{statuspage.Operational, statuspage.UnderMaintenance, statuspage.Degraded, statuspage.Unknown, statuspage.PartialOutage, statuspage.MajorOutage} {
		assert.GreaterOrEqual(t, contrast(t, statuspage.Shade(c), "#ffffff"), 4.5, "the badge of %s", c)
	}
	assert.GreaterOrEqual(t, contrast(t, "#24292f", "#ffffff"), 4.5)
}
