package incidenttest_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/incidenttest"
)

func onCallCase() (*incidenttest.OnCall, incidenttest.OnCallCase) {
	o := &incidenttest.OnCall{}
	o.Set("operations", incident.Person{Name: "Ana", Contacts: []string{"ana-phone", "ana-mail"}}, incident.Person{Name: "Bo", Contacts: []string{"bo-phone"}})
	o.Set("nights")
	return o, incidenttest.OnCallCase{
		OnCall: o, Team: "operations", At: time.Date(2026, 12, 5, 3, 0, 0, 0, time.UTC), Names: []string{"Ana", "Bo"},
		Nobody: "nights", Missing: "marketing", Break: func() { o.Fail(errors.New("down"), errors.New("down")) },
	}
}

func TestOnCallInMemory(t *testing.T) {
	incidenttest.TestOnCall(t, incidenttest.OnCallHarness{New: func(testing.TB) incidenttest.OnCallCase {
		_, c := onCallCase()
		return c
	}})
	o, c := onCallCase()
	o.Fail(nil, errors.New("down"))
	_, err := o.OnCall(t.Context(), "operations", c.At)
	require.NoError(t, err)
	_, err = o.OnCall(t.Context(), "nights", c.At)
	require.EqualError(t, err, "down")
	assert.Equal(t, []incidenttest.OnCallQuestion{{Team: "operations", At: c.At}, {Team: "nights", At: c.At}}, o.Asked())
}

// A wrongOnCall is right where nothing else is said.
type wrongOnCall struct {
	right  incident.OnCall
	change func(people []incident.Person, err error) ([]incident.Person, error)
	ctx    bool
}

func (w wrongOnCall) OnCall(ctx context.Context, team string, at time.Time) ([]incident.Person, error) {
	if w.ctx {
		ctx = context.WithoutCancel(ctx)
	}
	return w.change(w.right.OnCall(ctx, team, at))
}

// TestOnCallSuiteNotices runs the suite on implementations that are wrong, each in a
// process of its own, which must fail in the case that is named.
func TestOnCallSuiteNotices(t *testing.T) {
	shared := []incident.Person{{Name: "Ana", Contacts: []string{"ana-phone"}}, {Name: "Bo", Contacts: []string{"bo-phone"}}}
	same := func(people []incident.Person, err error) ([]incident.Person, error) { return people, err }
	mistakes := map[string]struct {
		notices string
		wrong   wrongOnCall
	}{
		"turns the order round": {"somebody", wrongOnCall{change: func(people []incident.Person, err error) ([]incident.Person, error) {
			slices.Reverse(people)
			return people, err
		}}},
		"takes nobody for an error": {"nobody is no error", wrongOnCall{change: func(people []incident.Person, err error) ([]incident.Person, error) {
			if err == nil && len(people) == 0 {
				err = incident.ErrNotFound
			}
			return people, err
		}}},
		"takes a missing team for nobody": {"missing", wrongOnCall{change: func(people []incident.Person, err error) ([]incident.Person, error) {
			if errors.Is(err, incident.ErrNotFound) {
				err = nil
			}
			return people, err
		}}},
		"takes a failure for a missing team": {"it cannot be found out", wrongOnCall{change: func(people []incident.Person, err error) ([]incident.Person, error) {
			if err != nil && !errors.Is(err, context.Canceled) {
				err = incident.ErrNotFound
			}
			return people, err
		}}},
		"shares what it knows": {"the answer is the caller's", wrongOnCall{change: func(people []incident.Person, err error) ([]incident.Person, error) {
			if len(people) > 0 {
				people = shared
			}
			return people, err
		}}},
		"takes no heed of the context": {"ended context", wrongOnCall{change: same, ctx: true}},
	}
	if name := os.Getenv("ON_CALL_MISTAKE"); name != "" {
		incidenttest.TestOnCall(t, incidenttest.OnCallHarness{New: func(testing.TB) incidenttest.OnCallCase {
			_, c := onCallCase()
			m := mistakes[name]
			m.wrong.right = c.OnCall
			c.OnCall = m.wrong
			return c
		}})
		return
	}
	for name, m := range mistakes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestOnCallSuiteNotices$", "-test.v")
			cmd.Env = append(os.Environ(), "ON_CALL_MISTAKE="+name)
			out, err := cmd.CombinedOutput()
			require.Error(t, err, "the suite accepts it")
			assert.Contains(t, string(out), "--- FAIL: TestOnCallSuiteNotices/"+strings.ReplaceAll(m.notices, " ", "_")+" (")
		})
	}
}
