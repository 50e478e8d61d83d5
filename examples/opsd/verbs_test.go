package main

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/incidenttest"
	"go.acu.edu.au/runbook/incident/playbooks"
)

// building is a platform whose deployments take three minutes, in which the one before runs.
type building struct {
	*incidenttest.Platform
	becomes incident.DeploymentStatus
}

func (b building) later(d incident.Deployment, err error) (incident.Deployment, error) {
	if d.ID != "" {
		time.AfterFunc(3*time.Minute, func() { b.SetStatus(d.ID, b.becomes, "no memory") })
	}
	return d, err
}

// DeploySource implements [incident.SourceDeployer].
func (b building) DeploySource(ctx context.Context, from incident.DeploymentSource) (incident.Deployment, error) {
	return b.later(b.Platform.DeploySource(ctx, from))
}

// Rollback implements [incident.Deployer].
func (b building) Rollback(ctx context.Context, to incident.Deployment) (incident.Deployment, error) {
	return b.later(b.Platform.Rollback(ctx, to))
}

// verbCase is a verb in a world in memory: d1 of commit 1111111 was good, d2 of 2222222 runs.
type verbCase struct {
	verb, environment string
	parameters        map[string]string
	becomes           incident.DeploymentStatus // empty means at once
	answer            func(q incident.Question) incident.Answer
	want              incident.RunState
	does              []string
	// runs is the deployment that runs in the end, kept says that the old credential is valid.
	runs string
	kept bool
	// repeats are effects of which twice is the same as once.
	repeats []string
}

const former, secret = "SECRET_KEY_PREVIOUS", "SECRET_KEY"

// harness makes the world of a case.
func (c verbCase) harness() incidenttest.PlaybookHarness {
	return incidenttest.PlaybookHarness{
		Want: c.want, Repeatable: func(effect string) bool { return slices.Contains(c.repeats, effect) },
		New: func(t testing.TB) incidenttest.PlaybookCase {
			p := new(incidenttest.Platform)
			p.Configure(map[string]string{secret: "0ld-value"})
			p.Deploy(incident.Deployment{Commit: "1111111", Message: "good"})
			time.Sleep(time.Hour)
			p.Deploy(incident.Deployment{Commit: "2222222", Message: "new"})
			time.Sleep(time.Hour)
			e := playbooks.Environment{
				Name: c.environment, Deployer: p, Variables: p, Backups: p,
				Probes: playbooks.Probes{Application: health.ProberFunc(func(context.Context) health.Result { return health.Result{Status: health.Healthy} })},
			}
			if c.becomes != "" {
				p.StartAs(incident.DeploymentBuilding)
				e.Deployer = building{p, c.becomes}
			}
			e.Rotations = []playbooks.Rotation{overlapping(t, e.RotateSecret(secret, former))}
			playbook := func() incident.Playbook {
				list := verbs(e)
				return list[slices.IndexFunc(list, func(b incident.Playbook) bool { return b.Name == c.verb })]
			}
			assert.NotEmpty(t, playbook().Markdown())
			return incidenttest.PlaybookCase{
				Playbook: playbook(), Again: playbook, Parameters: c.parameters, Answer: c.answer, Effects: p.Effects, Refused: p.Refused,
				Check: func(t testing.TB, run incident.Run) { c.check(t, p, run) },
			}
		},
	}
}

// overlapping is a rotation that notices if the old credential ends before the new one was
// seen to be in use.
func overlapping(t testing.TB, r playbooks.Rotation) playbooks.Rotation {
	prove, end, proven := r.Prove, r.End, false
	r.Prove = func(ctx context.Context) error {
		err := prove(ctx)
		proven = proven || err == nil
		return err
	}
	r.End = func(ctx context.Context) error {
		assert.True(t, proven, "the old credential is ended, and the new one is not proven")
		return end(ctx)
	}
	return r
}

// check looks at the world at the end of a run.
func (c verbCase) check(t testing.TB, p *incidenttest.Platform, run incident.Run) {
	assert.Equal(t, c.does, p.Effects(), "%s", run.Reason)
	list, err := p.Deployments(t.Context(), 20)
	require.NoError(t, err)
	i := slices.IndexFunc(list, func(d incident.Deployment) bool { return d.Current })
	assert.Equal(t, c.runs, list[i].ID)
	got, _ := p.Got(secret)
	_, both := p.Got(former)
	assert.Equal(t, c.verb != "rotate" || c.kept, got == "0ld-value" || both, "the old credential is valid")
	all, err := json.Marshal(run)
	require.NoError(t, err)
	assert.NotContains(t, string(all), "0ld-value")
}

// denies denies what it is asked, and ends what has failed.
func denies(q incident.Question) incident.Answer {
	if q.Kind == "approve" {
		return incident.Answer{Kind: incident.AnswerDeny, Actor: "kim", Comment: "not today"}
	}
	return incident.Answer{Kind: incident.AnswerAbort, Actor: "kim", Comment: "it has failed"}
}

// hasty leaves out whatever has failed.
func hasty(q incident.Question) incident.Answer {
	if q.Kind == "approve" {
		return incident.Answer{Kind: incident.AnswerApprove, Actor: "kim"}
	}
	return incident.Answer{Kind: incident.AnswerSkip, Actor: "kim", Comment: "go on"}
}

// What is done every day is planned, recorded, done once and seen to have helped, whatever
// fails and wherever its process dies; and a credential is never without a valid one.
//
// Requirement: INC-ROTATE-OVERLAP
func TestVerbs(t *testing.T) {
	t.Parallel()
	renewed := []string{"SetVariables " + secret + "," + former, "Redeploy d3", "SetVariables " + former, "Redeploy d4"}
	again := []string{renewed[0], renewed[2]}
	commit := map[string]string{"commit": "3333333"}
	credential := map[string]string{"credential": secret}
	for name, c := range map[string]verbCase{
		"restart":   {verb: "restart", environment: "production", does: []string{"Restart d2"}, runs: "d2"},
		"roll back": {verb: "roll-back", environment: "production", does: []string{"Rollback d3"}, runs: "d3"},
		"roll back to a commit": {
			verb: "roll-back", environment: "test", parameters: map[string]string{"to": "1111111"}, does: []string{"Rollback d3"}, runs: "d3",
		},
		"roll back takes a while": {
			verb: "roll-back", environment: "test", becomes: incident.DeploymentSucceeded, does: []string{"Rollback d3"}, runs: "d3",
		},
		"roll back to what runs": {
			verb: "roll-back", environment: "test", parameters: map[string]string{"to": "2222222"}, want: incident.StateFailed, runs: "d2",
		},
		"roll back does not deploy": {
			verb: "roll-back", environment: "test", becomes: incident.DeploymentCrashed, want: incident.StateFailed, does: []string{"Rollback d3"}, runs: "d2",
		},
		"deploy":               {verb: "deploy", environment: "test", parameters: commit, does: []string{"DeploySource d3"}, runs: "d3"},
		"deploy to production": {verb: "deploy", environment: "production", parameters: commit, does: []string{"DeploySource d3"}, runs: "d3"},
		"deploy is denied":     {verb: "deploy", environment: "production", parameters: commit, answer: denies, want: incident.StateFailed, runs: "d2"},
		"deploy takes a while": {
			verb: "deploy", environment: "test", parameters: commit, becomes: incident.DeploymentSucceeded, does: []string{"DeploySource d3"}, runs: "d3",
		},
		"deploy what runs, again": { // what ran before is not taken for what was deployed
			verb: "deploy", environment: "test", parameters: map[string]string{"commit": "2222222"}, becomes: incident.DeploymentSucceeded, does: []string{"DeploySource d3"}, runs: "d3",
		},
		"deploy fails": {
			verb: "deploy", environment: "test", parameters: commit, becomes: incident.DeploymentFailed, want: incident.StateFailed, does: []string{"DeploySource d3"}, runs: "d2",
		},
		"back up":          {verb: "back-up", environment: "production", does: []string{"CreateBackup b3"}, runs: "d2"},
		"rotate":           {verb: "rotate", environment: "production", parameters: credential, does: renewed, runs: "d4", repeats: again},
		"rotate is denied": {verb: "rotate", environment: "production", parameters: credential, answer: denies, want: incident.StateFailed, does: renewed[:2], runs: "d3", kept: true, repeats: again},
		"rotate in haste":  {verb: "rotate", environment: "production", parameters: credential, answer: hasty, does: renewed, runs: "d4", repeats: again},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			incidenttest.TestPlaybook(t, c.harness())
		})
	}
}

// A verb says of what an environment lacks, and not in the middle of a run.
func TestVerbsNeed(t *testing.T) {
	t.Parallel()
	for _, b := range verbs(playbooks.Environment{Name: "test"}) {
		require.Error(t, b.Validate(), "%s", b.Name)
	}
}

// commands gives commands to a running opsd.
type commands struct {
	*testing.T
	address string
}

// opsd runs a command as Ana Silva, unless -as says otherwise, and returns what it wrote.
func (c commands) opsd(code int, args ...string) string {
	c.Helper()
	got, out, errs := execute(c.T, nil, append(args, "-server", c.address)...)
	require.Equal(c, code, got, "%s: %s%s", strings.Join(args, " "), out, errs)
	return out + errs
}

// run returns a run once it is in a state.
func (c commands) run(id string, state incident.RunState) (run incident.Run) {
	c.Helper()
	api := &client{base: c.address, token: runbook.NewSecret(rehearsalToken("Ana Silva")), http: http.DefaultClient}
	require.Eventually(c, func() bool {
		return api.get(c.Context(), "/api/v1/runs/"+id, &run) == nil && run.State == state
	}, 3*time.Minute, 100*time.Millisecond, "run %s is not %s", id, state)
	return run
}

// did says how far the step of a run is.
func did(run incident.Run, step string) incident.StepState {
	if s := run.Step(step); s != nil {
		return s.State
	}
	return ""
}

// The commands that do something, and those that decide about it, against a running opsd: what
// they print, how they end, and what has become of the run.
func TestCommands(t *testing.T) {
	t.Parallel()
	c := commands{t, served(t)}
	const ben = "Ben Okafor"
	assert.Contains(t, c.opsd(exitDone, "credentials", "-e", "beta"), "CANVAS_BETA_PRIVATE_KEY  30 days old")
	c.opsd(exitDone, "logs", "-e", "test", "-n", "3")
	assert.Contains(t, c.opsd(exitCouldNot, "logs", "-e", "nowhere"), "there are test, beta, production")

	// What takes a while begins, and is looked at in the end.
	c.opsd(exitDone, "rotate", "SECRET_KEY", "-e", "beta", "-id", "rotation", "-detach")
	assert.Contains(t, c.opsd(exitNot, "rotate", "nothing", "-e", "beta"), `"nothing" is none of SECRET_KEY`)
	assert.Contains(t, c.opsd(exitNot, "rollback", "-e", "test", "-p", "nothing=1"), "nothing", "a parameter that there is not is refused")

	// All that waits is told, whole, in one shape.
	c.opsd(exitDone, "deploy", "-commit", "5d0e4b1c77a2", "-id", "waits", "-detach")
	c.run("waits", incident.StateWaiting)
	c.opsd(exitDone, "rollback", "-e", "test", "-to", "nothing", "-id", "asks", "-detach")
	asks := c.run("asks", incident.StateWaiting)
	kinds := make(map[string]waitingView)
	for line := range strings.Lines(c.opsd(exitDone, "approvals", "-json")) {
		var v waitingView
		d := json.NewDecoder(strings.NewReader(line))
		d.DisallowUnknownFields()
		require.NoError(t, d.Decode(&v), "%s", line)
		kinds[v.ID] = v
	}
	assert.Equal(t, "approval", kinds["waits"].Kind)
	assert.NotEmpty(t, kinds["waits"].Question.Effects)
	assert.Equal(t, "question", kinds["asks"].Kind)
	assert.Equal(t, asks.Question.Text, kinds["asks"].Question.Text, "the whole text")
	assert.Equal(t, asks.Question.Answers, kinds["asks"].Question.Answers)
	c.opsd(exitDone, "answer", "asks", "abort", "-m", "no such deployment")
	c.opsd(exitDone, "cancel", "waits", "-m", "another one")

	// A run that has failed asks, and is answered.
	c.opsd(exitDone, "rollback", "-e", "test", "-to", "nothing", "-id", "nowhere", "-detach")
	c.run("nowhere", incident.StateWaiting)
	assert.Contains(t, c.opsd(exitDone, "approvals"), "opsd answer nowhere retry|skip|done|back|undo|abort")
	assert.Contains(t, c.opsd(exitNot, "answer", "nowhere", "skip"), "a comment that says why is required")
	assert.Contains(t, c.opsd(exitDone, "answer", "nowhere", "abort", "-m", "no such deployment"), "Answered: abort.")
	assert.Equal(t, incident.StepFailed, did(c.run("nowhere", incident.StateFailed), "roll-back"))
	assert.Contains(t, c.opsd(exitCouldNot, "answer", "nowhere", "retry"), "asks nothing: it is failed")
	assert.Contains(t, c.opsd(exitNot, "runs", "nowhere"), "test roll-back  failed")

	// What is promoted is held, and denied: nothing is deployed.
	assert.Contains(t, c.opsd(exitCouldNot, "promote", "-from", "production"), "are the same")
	assert.Contains(t, c.opsd(exitNot, "promote", "-from", "nowhere"), `no environment "nowhere"`)
	assert.Contains(t, c.opsd(exitDone, "promote", "-from", "test", "-id", "promotion", "-detach"), "test runs commit 9c1f3e7a0b64 (Faster reports), which is deployed to production.")
	assert.Equal(t, "9c1f3e7a0b64", c.run("promotion", incident.StateWaiting).Parameters["commit"])
	c.opsd(exitNot, "answer", "promotion", "abort", "-m", "no")
	assert.Contains(t, c.opsd(exitDone, "pause", "promotion", "-m", "we look"), "Run promotion: pause is recorded.")
	c.run("promotion", incident.StateHeld)
	assert.Contains(t, c.opsd(exitDone, "resume", "promotion", "-m", "go on"), "Run promotion: resume is recorded.")
	c.run("promotion", incident.StateWaiting)
	assert.Contains(t, c.opsd(exitDone, "deny", "promotion", "-m", "not today", "-as", ben), "Denied: it is not done.")
	denied := c.run("promotion", incident.StateFailed)
	assert.NotEqual(t, incident.StepDone, did(denied, "deploy"))
	assert.Contains(t, c.opsd(exitCouldNot, "deny", "promotion", "-m", "again", "-as", ben), "waits for approval")

	// One that waits is ended for good.
	c.opsd(exitDone, "deploy", "-commit", "5d0e4b1c77a2", "-id", "deployment", "-detach")
	c.run("deployment", incident.StateWaiting)
	assert.Contains(t, c.opsd(exitDone, "cancel", "deployment", "-m", "another one"), "Run deployment: cancel is recorded.")
	assert.NotEqual(t, incident.StepDone, did(c.run("deployment", incident.StateCancelled), "deploy"))
	c.opsd(exitNot, "runs", "deployment")

	// These are followed to their end.
	assert.Contains(t, c.opsd(exitDone, "backup", "-e", "production", "-id", "copy"), "production back-up  succeeded")
	assert.Equal(t, incident.StepDone, did(c.run("copy", incident.StateSucceeded), "listed"))
	assert.Contains(t, c.opsd(exitDone, "rollback", "-e", "test", "-id", "back"), "test roll-back  succeeded")
	back := c.run("back", incident.StateSucceeded)
	assert.Contains(t, string(back.Step("settled").Output), "5d0e4b1c77a2")

	waits := c.run("rotation", incident.StateWaiting)
	assert.Equal(t, incident.StepDone, did(waits, "rotate-SECRET_KEY.prove"))
	assert.NotEqual(t, incident.StepDone, did(waits, "rotate-SECRET_KEY.end"))
	c.opsd(exitDone, "approve", "rotation", "-as", ben)
	assert.Equal(t, incident.StepDone, did(c.run("rotation", incident.StateSucceeded), "rotate-SECRET_KEY.end"))
}
