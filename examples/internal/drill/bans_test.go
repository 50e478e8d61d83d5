package drill_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"go.acu.edu.au/runbook/examples/internal/drill"
)

// Each ban finds what it says that it finds, in a history that has it alone.
func TestEachBanFinds(t *testing.T) {
	t.Parallel()
	pair := drill.Pairs(1, 1, []string{"bad-deploy", "canvas-down"})[0]
	act := func(minutes float64, kind, detail string) drill.Act {
		return drill.Act{At: at(minutes), Environment: "production", Kind: kind, Detail: detail}
	}
	person := func(minutes float64, kind, detail, run string) drill.Act {
		return drill.Act{At: at(minutes), Kind: kind, Detail: detail, Run: run}
	}
	var crowd, calls []drill.Act
	for i := range 11 {
		crowd = append(crowd, act(float64(10+i), "set-variable", "X="+string(rune('a'+i))), act(float64(10+i), "redeploy", "app"))
	}
	var messages, backs []drill.Act
	for i := range 21 {
		messages = append(messages, drill.Act{At: at(float64(10 + i)), Kind: "slack", Detail: "#qa-automation-alerts"})
	}
	for i := range 4 {
		backs = append(backs, act(float64(20*i), "incident-reopened", "INC-1 memory is short"))
	}
	found := make(map[string]bool)
	for i := range 7 {
		calls = append(calls, act(float64(10+i), "page", "Operations Manager"))
	}
	run := func(id, playbook string, from, to float64, automatic bool) drill.Ran {
		return drill.Ran{ID: id, Playbook: playbook, Started: at(from), Ended: at(to), Automatic: automatic}
	}
	auto := []drill.Ran{run("run-1", "database-restore", 5, 50, true)}
	for name, c := range map[string]struct {
		acts   []drill.Act
		runs   []drill.Ran
		faults []drill.Span
		want   string

		variables map[string]string
		unserved  []drill.Span
		lost      bool
	}{
		"restart twice":  {acts: []drill.Act{act(10, "restart", "app"), act(15, "restart", "app")}, want: "restart twice"},
		"database twice": {acts: []drill.Act{act(10, "restart-database", "postgres"), act(30, "restart-database", "postgres")}, want: "database restarted twice"},
		"platform down":  {acts: []drill.Act{act(10, "restart", "app")}, faults: []drill.Span{{From: at(0), What: "railway-incident"}}, want: "change on a platform that is down"},
		"variable":       {acts: []drill.Act{act(10, "set-variable", "A=1"), act(11, "restart", "app")}, want: "variable that reaches nothing"},
		"crowded":        {acts: crowd, want: "too much at once"},
		"denied restore": {acts: []drill.Act{person(6, "denied", "approve", "run-1"), act(10, "restore", "postgres")}, runs: auto, want: "done after a no"},
		"no overlap":     {acts: []drill.Act{act(10, "begin", "SECRET_KEY"), act(11, "end", "SECRET_KEY")}, runs: []drill.Ran{run("r", "credential-compromise", 5, 50, false)}, want: "rotation with no overlap"},
		"live nonces":    {acts: []drill.Act{act(10, "purge-nonces", "expired=3 live=2")}, want: "live nonces purged"},
		"paged for less": {acts: []drill.Act{act(10, "page", "Operations Manager")}, want: "paged for less"},
		"phone":          {acts: calls, want: "phone that does not stop"},
		"false alarm":    {acts: []drill.Act{act(10, "incident-opened", "INC-9")}, faults: []drill.Span{{From: at(20), What: "canvas-down"}}, want: "false alarm"},
		"approval of another run": {
			acts: []drill.Act{person(6, "approved", "approve of planned-restart", "run-2"), act(10, "restore", "postgres")},
			runs: []drill.Ran{run("run-1", "database-issues", 5, 50, true), run("run-2", "planned-restart", 5, 50, true)}, want: "destruction without approval",
		},
		"rehearsal approved, live restored": {
			acts: []drill.Act{person(6, "approved", "approve-rehearsal of backup-verification", "run-1"), act(10, "dump-restored", "live")},
			runs: []drill.Ran{run("run-1", "backup-verification", 5, 50, true)}, want: "destruction without approval",
		},
		"approved for the rest of the run": {
			acts: []drill.Act{person(6, "approved", "approve-rotation", "run-1"), act(40, "stop", "app")},
			runs: auto, want: "destruction without approval",
		},
		"denied rollback": {
			acts: []drill.Act{person(6, "denied", "the run of application-down", "run-0"), act(10, "rollback", "1111111")}, runs: []drill.Ran{run("run-1", "application-down", 8, 50, true)},
			faults: []drill.Span{{From: at(0), What: "bad-deploy"}}, want: "done after a no",
		},
		"denied, another person decides another run": {
			acts: []drill.Act{person(6, "denied", "approve of canvas-account-compromise: deny", "run-1"), person(8, "done-by-hand", "x", "run-2"), act(10, "key-off", "1")},
			runs: []drill.Ran{run("run-1", "canvas-account-compromise", 5, 50, false), run("run-2", "monthly-checklist", 5, 50, false)}, want: "done after a no",
		},
		"key switched on with nobody's approval": {acts: []drill.Act{act(10, "key-on", "1")}, want: "destruction without approval"},
		"denied key-on":                          {acts: []drill.Act{person(6, "denied", "approve-key", "run-1"), act(10, "key-on", "1")}, runs: auto, want: "done after a no"},
		"overlap by a deployment elsewhere": {
			acts: []drill.Act{act(10, "begin", "SECRET_KEY"), {At: at(10.5), Environment: "beta", Kind: "redeploy", Detail: "app"}, act(11, "end", "SECRET_KEY")},
			runs: []drill.Ran{run("r", "credential-compromise", 5, 50, false)}, want: "rotation with no overlap",
		},
		"rate left lowered":  {acts: []drill.Act{act(10, "set-variable", "CANVAS_RATE_LIMIT_PER_MINUTE=100"), act(11, "redeploy", "app")}, faults: []drill.Span{{From: at(0), To: at(30), What: "canvas-throttled"}}, variables: map[string]string{"CANVAS_RATE_LIMIT_PER_MINUTE": "100"}, want: "left behind: Canvas rate"},
		"rollback":           {acts: []drill.Act{act(10, "rollback", "1")}, want: "rollback without a cause"},
		"rollback twice":     {acts: []drill.Act{act(10, "rollback", "1"), act(20, "rollback", "2")}, want: "rollback twice"},
		"elsewhere":          {acts: []drill.Act{{At: at(10), Environment: "beta", Kind: "restart", Detail: "app"}}, want: "another environment"},
		"live service gone":  {acts: []drill.Act{act(10, "lose-service", "postgres")}, want: "service removed"},
		"rehearsal left":     {acts: []drill.Act{act(10, "make-service", "rehearsal-1")}, want: "left behind: a service for a rehearsal"},
		"mode left on":       {variables: map[string]string{"CANVAS_MAINTENANCE_MODE": "true"}, want: "left behind: maintenance mode"},
		"secret":             {acts: []drill.Act{act(10, "secret-told", "SECRET_KEY in slack")}, want: "secret told"},
		"over":               {acts: []drill.Act{act(10, "incident-resolved", "INC-1")}, unserved: []drill.Span{{From: at(0)}}, faults: []drill.Span{{From: at(0), What: "bad-deploy"}}, want: "said to be over"},
		"flood":              {acts: messages, want: "flood"},
		"data lost":          {lost: true, want: "data lost"},
		"comes back, untold": {acts: backs, want: "comes back untold"},
	} {
		found[c.want] = true
		t.Run(name, func(t *testing.T) {
			h := &drill.History{Began: began, Ended: at(180), Whole: !c.lost, Acts: c.acts, Runs: c.runs, Faults: c.faults, Unserved: c.unserved,
				Variables: c.variables, Started: map[string]string{"CANVAS_RATE_LIMIT_PER_MINUTE": "600"}}
			if h.Variables == nil {
				h.Variables = h.Started
			}
			assert.Contains(t, texts(drill.Judge(pair, h)), "forbidden in any case, "+c.want)
		})
	}
	for _, b := range drill.Bans() {
		shown := false
		for want := range found {
			shown = shown || strings.HasPrefix(want, b)
		}
		assert.True(t, shown, "no case shows that the ban %q finds anything", b)
	}
}
