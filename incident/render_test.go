package incident_test

import (
	"context"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/incident"
)

var updateDocuments = flag.Bool("update-documents", false, "write the documents in testdata")

// document compares a document with a file.
func document(t *testing.T, name, text string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *updateDocuments {
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	if diff := cmp.Diff(string(want), text); diff != "" {
		t.Errorf("%s: (-want +got)\n%s", file, diff)
	}
}

// lookAt is a check of the number of answers that were bad.
func lookAt(id, title string, change func(s *incident.Step)) incident.Step {
	s := incident.Step{ID: id, Title: title, Do: incident.Check{Run: func(context.Context, *incident.Scope) (any, error) { return 3, nil }}}
	if change != nil {
		change(&s)
	}
	return s
}

func isWell(context.Context, *incident.Scope) (any, error) { return nil, nil }

// everything is a playbook with all that there is.
func everything() incident.Playbook {
	restart := incident.Action{
		Run: func(context.Context, *incident.Scope) (any, error) { return nil, nil },
		Preview: func(_ context.Context, s *incident.Scope) (incident.Effect, error) {
			return incident.Effect{
				Call: "restart service web in " + s.Environment, Changes: []string{"its processes begin anew"},
				Destroys: []string{"requests that are under way"}, Undo: "none is needed",
			}, nil
		},
		Done:   func(context.Context, *incident.Scope) (any, bool, error) { return nil, false, nil },
		Undo:   func(context.Context, *incident.Scope) (any, error) { return nil, nil },
		Repeat: incident.CheckFirst, Undoes: "start what was stopped",
	}
	tidy := incident.Playbook{
		Name: "tidy", Title: "Tidy up", Parameters: []incident.Parameter{{Name: "days", Type: incident.Whole, Default: "7"}},
		Needs: []incident.Need{{Name: "Logs", Met: true}},
		Steps: []incident.Step{
			lookAt("old", "Look for what is old", func(s *incident.Step) { s.OnFailure = incident.GoTo("by-hand") }),
			{ID: "remove", Title: "Remove what is old", OnFailure: incident.Abort, Do: incident.Action{Run: isWell, Repeat: incident.Idempotent, Preview: restart.Preview}},
			{ID: "by-hand", Title: "Remove the rest", Do: incident.Manual{Why: "the archive has no API", Within: 2 * time.Hour, Instruction: func(*incident.Scope) string { return "Remove the rest." }}},
		},
	}
	return incident.Playbook{
		Name: "application-down", Environment: "production", Title: "Application down", Severity: alert.Critical,
		About:  "Health checks fail, or the application answers 500.\nIt may be slow before.\n\nNot for a Canvas that is down: see canvas-down.",
		Source: "Incident Response Playbooks, 1. Application Down", Timeout: 6 * time.Hour,
		Parameters: []incident.Parameter{
			{Name: "replicas", About: "how many there should be", Type: incident.Whole, Default: "2", Min: "1", Max: "8"},
			{Name: "region", About: "where", Choices: []string{"sydney", "melbourne"}},
			{Name: "grace", Type: incident.Duration, Optional: true, Max: "90s"},
		},
		Needs:  []incident.Need{{Name: "Deployer", Met: true}, {Name: "Metrics"}},
		Phases: []incident.Phase{{Name: "Assessment", Budget: 5 * time.Minute}, {Name: "Action", Budget: 90 * time.Minute}, {Name: "Verification"}},
		Steps: []incident.Step{
			{ID: "assess", Title: "Look at everything", Phase: "Assessment", OnFailure: incident.GoOn, Do: incident.Parallel{Collect: true, Steps: []incident.Step{
				lookAt("health", "Look at the application", func(s *incident.Step) {
					s.Replaces = []string{"curl -f https://app.example.com/health", "curl -f https://app.example.com/health | jq '.checks'"}
				}),
				{ID: "tell", Title: "Tell people", Do: incident.Notice{
					Message: func(*incident.Scope) incident.Message {
						return incident.Message{Title: "We look into it", Text: "More in 15 minutes."}
					},
					Send: func(context.Context, *incident.Scope, incident.Message) error { return nil },
				}},
			}}},
			{ID: "ask", Title: "May it be restarted?", Phase: "Action", Do: incident.Approve{Min: 2, Roles: []string{"on-call", "lead"}, Within: 20 * time.Minute, Bound: true, Question: func(*incident.Scope) string { return "Restart?" }}},
			{
				ID: "restart", Title: "Restart the application", About: "It takes a minute.", Do: restart, Attempts: 2, OnFailure: incident.UndoAll,
				Needs:    []incident.Need{{Name: "Deployer", Met: true}},
				When:     func(*incident.Scope) (bool, string) { return true, "" },
				Replaces: []string{"railway restart --environment production"},
			},
			{ID: "settle", Title: "Let it start", Do: incident.Sleep{For: 45 * time.Second}},
			{ID: "up", Title: "Wait until it is up", OnFailure: incident.GoTo("restart"), Do: incident.Wait{Within: 10 * time.Minute, Until: func(context.Context, *incident.Scope) (any, bool, error) { return nil, true, nil }}},
			{ID: "well", Title: "See that it stays well", Phase: "Verification", Do: incident.Verify{Run: isWell, Times: 3}},
			{ID: "tidy", Title: "Tidy up behind it", Do: incident.Sub{Playbook: tidy}},
		},
		Escalation: "level 2, the development team, if it is not well after 15 minutes",
	}
}

// Requirement: INC-FEATURE-MARKDOWN
func TestPlaybookMarkdown(t *testing.T) {
	t.Parallel()
	text := everything().Markdown()
	document(t, "playbook.md", text)
	soundDocument(t, text)
	for _, part := range []string{"May it be restarted?", "2 people approve (on-call, lead) within 20 min", "start what was stopped", "level 2, the development team", "the archive has no API"} {
		assert.Contains(t, text, part)
	}
}

// Requirement: INC-FEATURE-MARKDOWN
func TestPlaybookMermaid(t *testing.T) {
	t.Parallel()
	text := everything().Mermaid()
	document(t, "playbook.mmd", text)
	c := soundChart(t, text)
	assert.Equal(t, 2, c.frames, "the group and the playbook within")
	assert.Equal(t, 1, c.edges["approved"])
	assert.Equal(t, 1, c.edges["denied, or no answer in 20 min"])
	assert.Equal(t, 4, c.edges["it fails"], "restart, up, old, remove")
}

func TestPlanMarkdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := everything()
		p.Needs[1].Met = true
		p.Steps = append(p.Steps[:2:2], append([]incident.Step{
			lookAt("quota", "Look at the quota", func(s *incident.Step) {
				s.Do = incident.Check{Run: func(context.Context, *incident.Scope) (any, error) {
					return nil, errors.New("the platform does not answer")
				}}
			}),
			lookAt("never", "Look at what is never needed", func(s *incident.Step) {
				s.When = func(*incident.Scope) (bool, string) { return false, "nobody asked | for it" }
			}),
		}, p.Steps[2:]...)...)
		r, err := incident.NewRunner(incident.RunnerConfig{Playbooks: []incident.Playbook{p}, Runs: incident.NewMemoryRuns(incident.MemoryRunsConfig{}), Store: new(incident.MemoryStore)})
		require.NoError(t, err)
		plan, err := r.Plan(t.Context(), incident.Request{Environment: "production", Playbook: "application-down", By: "jane", Incident: "INC-7", Parameters: map[string]string{"region": "sydney"}})
		require.NoError(t, err)
		document(t, "plan.md", plan.Markdown())
		soundDocument(t, plan.Markdown())
		assert.Contains(t, plan.Markdown(), "**Destroys**: requests that are under way")
	})
}

func TestRunMarkdown(t *testing.T) {
	p := everything()
	p.Needs[1].Met = true
	inBubble(t, func(b *bench) {
		id := b.start(incident.Request{ID: "run-1", Parameters: map[string]string{"region": "sydney"}})
		waiting := b.run(id).Markdown()
		document(t, "run_waiting.md", waiting)
		soundDocument(t, waiting)
		b.answer(id, incident.Answer{Kind: incident.AnswerApprove, Actor: "kim"})
		b.answer(id, incident.Answer{Kind: incident.AnswerApprove, Actor: "lee", Comment: "go on"})
		time.Sleep(10 * time.Minute)
		b.answer(id, incident.Answer{Kind: incident.AnswerDone, Actor: "kim", Comment: "all gone"})
		run := b.run(id)
		assert.Equal(t, incident.StateSucceeded, run.State, run.Text)
		document(t, "run_succeeded.md", run.Markdown())
		soundDocument(t, run.Markdown())
	}, p)
}

// A playbook that is not valid has a document too.
func TestDocumentOfWhatIsNotValid(t *testing.T) {
	t.Parallel()
	itself := incident.Playbook{Name: "itself", Steps: make([]incident.Step, 2)}
	itself.Steps[0] = incident.Step{ID: "a", Do: incident.Sub{Playbook: itself}}
	for name, p := range map[string]incident.Playbook{
		"nothing":        {},
		"no step does":   {Steps: []incident.Step{{}, {ID: "b", Do: incident.Parallel{Steps: []incident.Step{{ID: "c"}}}}}},
		"nothing within": {Steps: []incident.Step{{ID: "a", Do: incident.Parallel{}}, {ID: "b", Do: incident.Sub{}}}},
		"goes nowhere":   {Steps: []incident.Step{{ID: "a", OnFailure: incident.GoTo("b"), Do: incident.Check{}}, {ID: "b`|\n# c", OnFailure: "explode\n# now", Do: incident.Check{}}}},
		"itself":         itself,
	} {
		text := p.Markdown()
		assert.NotEmpty(t, text, name)
		soundDocument(t, text)
		soundChart(t, p.Mermaid())
	}
}

// hostile are texts that would be something else in a document.
var hostile = []string{
	"# heading", "a\n# heading", "a\n\n---\n", "| a | b |\n|---|---|", "a | b", `a \| b`, `\`, "`code`", "```\ncode\n```", "~~~", "<script>alert(1)</script>",
	"<!-- a", "-->", "![x](https://evil.example/x.png)", "[x](javascript:alert(1))", "[x]: https://evil.example", "https://evil.example", "@everyone", "&lt;b&gt;",
	"1. a", "1) a", "- a", "+ a", "= a", "===", "> a", "    code", "\ta", "*a*", "__a__", "$x$", "%%{init: {}}%%", `"]; click n1 href "https://evil.example"`, "end", "a;b",
	"#quot;", "#35;", "style a:#fff;", "classDef x:#fff;", "\x00\x1b[31m", "\u202eevil", "\u2028# a", "\xff\xfe", "", strings.Repeat("long ", 3000), ":::action", "n1 --> n2", "subgraph x",
}

// titled is a playbook with a text wherever one can be.
func titled(text string) incident.Playbook {
	p := everything()
	p.Title, p.About, p.Source, p.Escalation, p.Environment, p.Lock = text, text, text, text, text, text
	for i := range p.Parameters {
		p.Parameters[i].About, p.Parameters[i].Default, p.Parameters[i].Choices = text, text, []string{text, text}
	}
	p.Needs = []incident.Need{{Name: text, Met: true}, {Name: text + "!"}}
	var change func(steps []incident.Step)
	change = func(steps []incident.Step) {
		for i := range steps {
			s := &steps[i]
			s.Title, s.About = text, text
			s.Replaces = []string{text, text}
			s.Needs = p.Needs
			switch do := s.Do.(type) {
			case incident.Action:
				do.Undoes = text
				s.Do = do
			case incident.Approve:
				do.Roles = []string{text, text}
				s.Do = do
			case incident.Manual:
				do.Why = text
				s.Do = do
			case incident.Parallel:
				change(do.Steps)
			case incident.Sub:
				do.Playbook.Title = text
				change(do.Playbook.Steps)
				s.Do = do
			}
		}
	}
	change(p.Steps)
	return p
}

// Requirement: INC-FEATURE-MARKDOWN
func TestTextsStayTexts(t *testing.T) {
	t.Parallel()
	harmless := titled("harmless")
	for _, text := range hostile {
		sameShape(t, harmless, titled(text), text)
	}
}

// sameShape checks that a document has the headings, rows and blocks of another one.
func sameShape(t *testing.T, harmless, other incident.Playbook, text string) {
	t.Helper()
	if strings.TrimSpace(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, text)) == "" {
		return // sections of what is empty are left out
	}
	want, got := soundDocument(t, harmless.Markdown()), soundDocument(t, other.Markdown())
	assert.Equal(t, want.headings, got.headings, "%q makes other headings", text)
	assert.LessOrEqual(t, got.rows, want.rows, "%q makes rows", text) // a row of what is empty is left out
	assert.Equal(t, want.blocks, got.blocks, "%q makes other blocks", text)
	a, b := soundChart(t, harmless.Mermaid()), soundChart(t, other.Mermaid())
	assert.Equal(t, a.nodes, b.nodes, "%q makes other nodes", text)
	assert.Equal(t, a.lines, b.lines, "%q makes other lines", text)
}

func FuzzDocumentsKeepTheirShape(f *testing.F) {
	for _, text := range hostile {
		f.Add(text)
	}
	harmless := titled("harmless")
	f.Fuzz(func(t *testing.T, text string) {
		sameShape(t, harmless, titled(text), text)
		plan := incident.Plan{Problems: []string{text}, Run: incident.Run{Title: text, Text: text, Parameters: map[string]string{"a": text}, Steps: []incident.StepRun{
			{StepSpec: incident.StepSpec{Title: text, Kind: incident.KindAction}, Message: text, Effect: &incident.Effect{Call: text, Changes: []string{text}, Destroys: []string{text}, Undo: text}},
		}}}
		plan.Run.Question = &incident.Question{Title: text, Text: text, Answers: []string{text}, Effects: []incident.Effect{*plan.Run.Steps[0].Effect}}
		assert.Equal(t, 5, soundDocument(t, plan.Markdown()).headings)
		assert.Equal(t, 4, soundDocument(t, plan.Run.Markdown()).headings)
	})
}

// A shape is what a document is made of.
type shape struct{ headings, rows, blocks int }

// soundDocument checks the lines of a document: every table has rows of as many cells as
// its head, every block of code ends, and there is no HTML.
func soundDocument(t *testing.T, text string) (s shape) {
	t.Helper()
	fence, cells := "", 0
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if fence != "" {
			if line == fence {
				fence = ""
			}
			continue
		}
		for _, r := range line {
			if unicode.IsControl(r) || r == '<' || r == '\u2028' || r == '\u2029' || r == '\u202e' {
				t.Errorf("%q is in line %q", r, line)
			}
		}
		switch {
		case strings.HasPrefix(line, "```"):
			fence = strings.TrimSuffix(line, "mermaid")
			s.blocks++
		case strings.HasPrefix(line, "#"):
			assert.Regexp(t, `^#{1,6} `, line)
			s.headings++
		case strings.HasPrefix(line, "|"):
			n := cellsOf(line)
			if cells == 0 {
				cells = n
			}
			assert.Equal(t, cells, n, "the cells of %q", line)
			s.rows++
			continue
		}
		assert.False(t, strings.HasPrefix(line, " ") || strings.HasPrefix(line, "\t") || strings.HasPrefix(line, "~~~") || strings.HasPrefix(line, "==="), "line %q", line)
		cells = 0
	}
	assert.Empty(t, fence, "a block of code does not end")
	return s
}

// cellsOf counts the cells of a row, by GitHub's rules: a bar behind a backslash is a
// character.
func cellsOf(line string) (n int) {
	escaped := false
	for _, r := range line {
		if r == '|' && !escaped {
			n++
		}
		escaped = r == '\\' && !escaped
	}
	return n - 1
}
