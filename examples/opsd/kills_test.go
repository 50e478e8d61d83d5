package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/httpapi"
)

// kills is how often opsd is killed: 5 times, or as often as RUNBOOK_KILLS says.
func kills() int {
	if n, err := strconv.Atoi(os.Getenv("RUNBOOK_KILLS")); err == nil {
		return n
	}
	return 5
}

// promised is what opsd has said that it did, and so must not forget.
type promised struct {
	mu                        sync.Mutex
	incidents, silences, runs []string
	windows, acknowledged     []string
}

func (p *promised) note(list *[]string, what string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	*list = append(*list, what)
}

// work gives opsd commands, one after the other and of each kind, until it does not answer any
// more, and notes what it has promised. It returns why there is no answer.
func (p *promised) work(ctx context.Context, api *client, round int) error {
	for n := 0; ; n++ {
		name := fmt.Sprintf("%d-%d", round, n)
		until := time.Now().Add(time.Hour)
		var opened incident.Incident
		for _, do := range []func() error{
			func() error {
				err := api.post(ctx, "/api/v1/incidents", map[string]any{"title": "Before kill " + name, "severity": "low", "environment": "test"}, &opened)
				if err == nil {
					p.note(&p.incidents, opened.ID)
				}
				return err
			},
			func() error {
				err := api.post(ctx, "/api/v1/incidents/"+opened.ID+"/acknowledge", nil, nil)
				if err == nil {
					p.note(&p.acknowledged, opened.ID)
				}
				return err
			},
			func() error {
				err := api.post(ctx, "/api/host/silences", silenceBody{Environment: "test", Rule: "rule-" + name, Until: until, Comment: name}, nil)
				if err == nil {
					p.note(&p.silences, name)
				}
				return err
			},
			func() error {
				err := api.post(ctx, "/api/host/maintenance", maintenance{Environment: "beta", To: until, Comment: name}, nil)
				if err == nil {
					p.note(&p.windows, name)
				}
				return err
			},
			func() error {
				if n > 0 {
					return nil
				}
				err := api.post(ctx, "/api/v1/runs", map[string]any{"id": "look-" + name, "environment": "test", "playbook": "comprehensive-check"}, nil)
				if err == nil {
					p.note(&p.runs, "look-"+name)
				}
				return err
			},
		} {
			if err := do(); err != nil {
				return err
			}
		}
	}
}

// kept finds what opsd has forgotten.
func (p *promised) kept(t *testing.T, api *client) {
	t.Helper()
	ctx := t.Context()
	for _, id := range p.incidents {
		require.NoError(t, api.get(ctx, "/api/v1/incidents/"+id, nil), "incident %s", id)
	}
	for _, id := range p.acknowledged {
		var i incident.Incident
		require.NoError(t, api.get(ctx, "/api/v1/incidents/"+id, &i))
		assert.False(t, i.Acknowledged.IsZero(), "incident %s", id)
	}
	for _, id := range p.runs {
		require.NoError(t, api.get(ctx, "/api/v1/runs/"+id, nil), "run %s", id)
	}
	var silences []struct{ Comment string }
	require.NoError(t, api.get(ctx, "/api/host/silences", &silences))
	there := make(map[string]bool)
	for _, s := range silences {
		there[s.Comment] = true
	}
	for _, name := range p.silences {
		assert.True(t, there[name], "silence %s", name)
	}
	var windows []maintenance
	require.NoError(t, api.get(ctx, "/api/host/maintenance", &windows))
	clear(there)
	for _, m := range windows {
		there[m.Comment] = true
	}
	for _, name := range p.windows {
		assert.True(t, there[name], "maintenance %s", name)
	}
}

// A process that is killed again and again, in the middle of whatever it does, loses nothing
// of what it has said that it did: incidents, acknowledgements, silences, maintenances, runs,
// and a run that waits for an approval all the time and goes on with it at the end.
func TestKilledAgainAndAgain(t *testing.T) {
	t.Parallel()
	folder, token, ctx := filepath.Join(t.TempDir(), "state"), rehearsalToken("Ana Silva"), t.Context()
	var all promised
	begin := func() *process {
		p := launch(t, nil, token, "-state", folder)
		require.Eventually(t, p.inCharge, time.Minute, 20*time.Millisecond, "%s", p.log)
		return p
	}
	waits := func(p *process) (found incident.Approval) {
		require.Eventually(t, func() bool {
			list, err := open(ctx, p.api)
			if err == nil && len(list) == 1 {
				found = list[0]
			}
			return found.Question.Run == "waits"
		}, time.Minute, 20*time.Millisecond, "%s", p.log)
		return found
	}
	for n := range kills() {
		p := begin()
		if n == 0 {
			require.NoError(t, p.api.post(ctx, "/api/v1/runs", map[string]any{"id": "waits", "environment": "production", "playbook": "deploy", "parameters": map[string]string{"commit": "5d0e4b1c77a2"}}, nil))
		}
		waits(p)
		all.kept(t, p.api)
		worked := make(chan error, 1)
		go func() { worked <- all.work(ctx, p.api, n) }()
		time.Sleep(time.Duration(rand.IntN(500)) * time.Millisecond) //nolint:gosec // any moment
		p.kill()                                                     // nothing was said to it before
		err := <-worked
		require.Error(t, err)
		_, refused := errors.AsType[*httpapi.Problem](err)
		assert.False(t, refused, "kill %d: a command was refused: %v", n, err)
		assert.NotContains(t, p.log.String(), "panic", "kill %d", n)
	}
	t.Logf("killed %d times; %d incidents, %d acknowledgements, %d silences, %d maintenances and %d runs were promised",
		kills(), len(all.incidents), len(all.acknowledged), len(all.silences), len(all.windows), len(all.runs))
	p := begin()
	approval := waits(p)
	all.kept(t, p.api)
	p.api.token = runbook.NewSecret(rehearsalToken("Ben Okafor"))
	// The run asks again once it has its turn again; until then an answer is refused, and the
	// person is told that nothing was changed.
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		assert.NoError(c, p.api.post(ctx, "/api/v1/approvals/"+url.PathEscape(approval.ID)+"/approve", map[string]any{"plan": approval.Question.Plan}, nil))
	}, time.Minute, 100*time.Millisecond)
	for _, id := range append(all.runs, "waits") {
		var ended incident.Run
		require.NoError(t, p.api.follow(ctx, id, func(r incident.Run) bool {
			ended = r
			return r.Question == nil || r.Question.Kind != "decide" // nobody answers
		}), id)
		assert.Equal(t, incident.StateSucceeded, ended.State, "%s", ended.Markdown())
	}
	var record struct {
		Entries []incident.Entry
		Record  incident.ReportRecord
	}
	require.NoError(t, p.api.get(ctx, "/api/v1/audit", &record))
	assert.NotEmpty(t, record.Entries)
	assert.True(t, record.Record.Verified, "%s", record.Record.Problem)
}
