package statuspage_test

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/health/statuspage"
)

// secrets are what no public document may contain.
var secrets = []string{
	"internal", "5432", "refused", "cause_of_the_secret", "label-of-the-secret", "measurement_of_the_secret", "text-of-the-secret",
	"db-7", "vault", "hidden/", "production/", "canvas/up", "secret window", "owner", "secret of the",
}

// TestThePublicPageTellsNoDetails looks for everything that a host put into checks,
// in everything that the public page answers, header fields included; and finds
// it on the private page.
//
// Requirement: AL-PAGE-PRIVATE, HL-WANT-13
func TestThePublicPageTellsNoDetails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := trouble(t)
		failing := errors.New("the secret of the events at db-7.internal:5432")
		w.config.Components = append(w.config.Components, statuspage.Component{Name: "Gone", Checks: []string{"production/db-7-gone"}})
		fails := false
		w.config.Events = func(context.Context) (statuspage.Events, error) {
			if fails {
				return statuspage.Events{}, failing
			}
			return w.events, nil
		}
		public, private := w.public(t), w.private(t)
		search := func() {
			for _, path := range append(w.paths(), "/components/gone", "/badge/gone.svg", "/components/production/app", "/components/hidden/vault") {
				answer := get(public, path)
				document := answer.Body.String()
				for name, values := range answer.Header() {
					document += name + ": " + strings.Join(values, ",") + "\n"
				}
				for _, secret := range secrets {
					assert.NotContains(t, strings.ToLower(document), secret, path)
				}
			}
		}
		search()
		everything := text(t, private, "/") + text(t, private, "/components/results") + text(t, private, "/components/gone")
		for _, known := range []string{secretMessage, string(secretCause), secretLabel, secretUnit, secretCheck, secretOther, "production/db-7-gone", "there is no such check"} {
			assert.Contains(t, everything, known)
		}
		assert.Contains(t, get(private, "/health+json").Body.String(), secretMessage)

		fails = true
		until(t, "2026-11-12 14:05")
		search()
		get(private, "/")
		until(t, "2026-11-12 14:06")
		assert.Contains(t, text(t, private, "/"), "the secret of the events")
		assert.Contains(t, text(t, public, "/"), "Announcements cannot be read at present")
		assert.Contains(t, text(t, public, "/"), "Results are not shown", "what was said last stays")
	})
}

// TestNoValueOfThePublicPageCanHoldADetail walks through the types of all values from
// which public documents are made: none can hold a state of a check, or anything
// that only such a state has.
//
// Requirement: AL-PAGE-PRIVATE
func TestNoValueOfThePublicPageCanHoldADetail(t *testing.T) {
	t.Parallel()
	forbidden := map[reflect.Type]bool{}
	for _, typ := range []reflect.Type{
		reflect.TypeFor[health.State](), reflect.TypeFor[health.Report](), reflect.TypeFor[health.Result](), reflect.TypeFor[health.Measurement](),
		reflect.TypeFor[health.Cause](), reflect.TypeFor[health.Check](), reflect.TypeFor[health.Monitor](), reflect.TypeFor[health.Window](), reflect.TypeFor[health.Self](),
		reflect.TypeFor[error](), reflect.TypeFor[any](), reflect.TypeFor[map[string]string](), reflect.TypeFor[statuspage.Component](),
	} {
		forbidden[typ] = true
	}
	seen := map[reflect.Type]bool{}
	var walk func(typ reflect.Type, path string)
	walk = func(typ reflect.Type, path string) {
		assert.False(t, forbidden[typ], "%s is a %s", path, typ)
		if seen[typ] || typ.PkgPath() == "time" {
			return
		}
		seen[typ] = true
		switch typ.Kind() {
		case reflect.Struct:
			for field := range typ.Fields() {
				walk(field.Type, path+"."+field.Name)
			}
		case reflect.Pointer, reflect.Slice, reflect.Array:
			walk(typ.Elem(), path)
		case reflect.Map:
			walk(typ.Key(), path)
			walk(typ.Elem(), path)
		default:
			assert.NotContains(t, []reflect.Kind{reflect.Interface, reflect.Func, reflect.Chan}, typ.Kind(), path)
		}
	}
	walk(statuspage.ModelType, "model")
	assert.Greater(t, len(seen), 15)
}

// TestAPrivatePageWithoutComponents shows the checks as they are.
func TestAPrivatePageWithoutComponents(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.config.Components = nil
		w.found[secretOther] = health.Unhealthy
		w.check(t)
		p := w.private(t)
		page := text(t, p, "/")
		assert.Contains(t, page, secretOther)
		assert.Contains(t, page, secretMessage)
		assert.Contains(t, page, "The monitor itself")
		assert.Equal(t, "private, no-store", get(p, "/").Header().Get("Cache-Control"))
		assert.Empty(t, get(p, "/summary.json").Header().Get("Access-Control-Allow-Origin"))
	})
}

// TestThePrivatePageTellsWhatIsWrongWithEvents: what cannot be shown as it was given
// is told to those who can mend it.
func TestThePrivatePageTellsWhatIsWrongWithEvents(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.check(t)
		now := until(t, "2026-11-12 14:00")
		said := []statuspage.Update{{Time: now, Phase: statuspage.Investigating, Text: "Said."}}
		w.events = statuspage.Events{
			Incidents: []statuspage.Incident{
				{ID: "a/b", Title: "Lost 1", Updates: said}, {ID: "twice", Title: "Kept 1", Updates: said}, {ID: "twice", Title: "Lost 2", Updates: said}, {ID: "silent", Title: "Lost 3"},
				{ID: "odd", Title: "Kept 2", Impact: "huge", Components: map[string]statuspage.Condition{"website": "broken", "nobody": statuspage.MajorOutage}, Updates: []statuspage.Update{{Phase: "panic", Text: "When?"}}},
				{ID: "untitled", Updates: said},
			},
			Maintenance: []statuspage.Maintenance{{ID: "backwards", Title: "Lost 4", From: now, Until: now}},
		}
		w.check(t)
		page := text(t, w.private(t), "/")
		for _, want := range []string{
			"incident 1 is not shown: its ID", "incident 3 is not shown: another event has the ID &#34;twice&#34;", "&#34;silent&#34; is not shown: it has no updates",
			"&#34;huge&#34; is not an impact", "&#34;broken&#34; is not the condition", "there is no component &#34;nobody&#34;", "an update without a time", "&#34;panic&#34; is not a phase",
			"&#34;untitled&#34; has no title", "&#34;backwards&#34; is not shown: it needs a begin",
		} {
			assert.Contains(t, page, want)
		}
		assert.NotContains(t, page, "Lost")
		public := text(t, w.public(t), "/")
		assert.Contains(t, public, "Kept 1")
		assert.Contains(t, public, "Kept 2")
		assert.NotContains(t, public, "is not")
	})
}

// TestAPrivatePageSaysHowTheMonitorIs when its history fails.
func TestAPrivatePageSaysHowTheMonitorIs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m, err := health.New(health.Config{Logger: quiet, History: brokenHistory{}, Checks: []health.Check{{Name: "a", Prober: health.ErrorFunc(func(context.Context) error { return nil })}}})
		require.NoError(t, err)
		require.NoError(t, m.Start(t.Context()))
		until(t, "2000-01-02 00:00")
		p, err := statuspage.NewPrivate(statuspage.Config{Monitor: m, URL: "https://example.edu", Title: "T", Logger: quiet})
		require.NoError(t, err)
		assert.Contains(t, text(t, p, "/"), "disk on fire")
		_ = m.Stop(t.Context()) // its history fails
	})
}

// brokenHistory fails.
type brokenHistory struct{ health.History }

func (brokenHistory) Append(context.Context, []health.Sample) error {
	return errors.New("disk on fire")
}
