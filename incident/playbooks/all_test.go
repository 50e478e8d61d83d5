package playbooks_test

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/playbooks"
)

var updateRunbook = flag.Bool("update-runbook", false, "write RUNBOOK.md anew")

// Each function of the package that returns a playbook is in All.
func TestAllIsAll(t *testing.T) {
	t.Parallel()
	made, listed := make(map[string]bool), make(map[string]bool)
	names, err := filepath.Glob("*.go")
	require.NoError(t, err)
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		require.NoError(t, err)
		for _, d := range file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || !f.Name.IsExported() || f.Recv != nil {
				continue
			}
			if f.Name.Name == "All" {
				ast.Inspect(f, func(n ast.Node) bool {
					if call, ok := n.(*ast.CallExpr); ok {
						listed[fmt.Sprint(call.Fun)] = true
					}
					return true
				})
			}
			if returnsPlaybook(f) {
				made[f.Name.Name] = true
			}
		}
	}
	assert.NotEmpty(t, made)
	assert.True(t, made["RotateCredential"] && !listed["RotateCredential"], "the runbook has no such heading: a host adds it")
	delete(made, "RotateCredential")
	for name := range made {
		if name == "RotateCredential" { // which the runbook has only as a part of others
			continue
		}
		assert.True(t, listed[name], "All does not have %s", name)
	}
}

func returnsPlaybook(f *ast.FuncDecl) bool {
	if f.Type.Results == nil || len(f.Type.Results.List) != 1 {
		return false
	}
	of, ok := f.Type.Results.List[0].Type.(*ast.SelectorExpr)
	return ok && of.Sel.Name == "Playbook"
}

func TestAllAreValidAndNamedOnce(t *testing.T) {
	t.Parallel()
	all := playbooks.All(production())
	usable, err := playbooks.Usable(all)
	require.NoError(t, err)
	assert.Len(t, usable, len(all))
	seen := make(map[string]bool)
	for _, p := range all {
		assert.False(t, seen[p.Name], "there are two playbooks %s", p.Name)
		seen[p.Name] = true
		assert.Equal(t, "production", p.Environment, p.Name)
		assert.NotEmpty(t, p.About, p.Name)
		assert.NotEmpty(t, p.Source, p.Name)
		assert.NotEmpty(t, p.Escalation, p.Name)
	}
	for _, r := range alert.CriticalRules(alert.CriticalLimits{}) {
		assert.True(t, seen[r.Playbook], "rule %s starts %q, which is no playbook", r.Name, r.Playbook)
	}
}

// What waits for something and fails asks a person: the run may not be over by then.
func TestWaitsLeaveTimeToDecide(t *testing.T) {
	t.Parallel()
	waits := 0
	for _, p := range playbooks.All(production()) {
		limit := p.Timeout
		if limit == 0 {
			limit = 24 * time.Hour
		}
		var look func(list []incident.StepSpec)
		look = func(list []incident.StepSpec) {
			for _, s := range list {
				look(s.Steps)
				if s.Kind == incident.KindVerify || s.Kind == incident.KindWait {
					waits++
					assert.LessOrEqual(t, time.Duration(s.Within)+time.Hour, limit, "%s: %s", p.Name, s.ID)
				}
			}
		}
		look(p.Specs())
	}
	assert.Greater(t, waits, 50)
}

// A host that has nothing but an application gets what can be done there, and is told what
// the rest lacks.
func TestUsable(t *testing.T) {
	t.Parallel()
	e, _ := production()
	bare := playbooks.Environment{Name: "test", Probes: playbooks.Probes{Application: e.Probes.Application}}
	usable, err := playbooks.Usable(playbooks.All(bare, playbooks.Surroundings{}))
	var names []string
	for _, p := range usable {
		names = append(names, p.Name)
	}
	assert.Subset(t, names, []string{"morning-check", "comprehensive-check"})
	assert.NotContains(t, names, "application-down")
	require.ErrorContains(t, err, "playbook application-down of test: step deployments needs a Deployer, which this environment does not have")
	require.ErrorContains(t, err, "playbook weekly-report of test: it needs a Inform")
}

// The document is what the playbooks are. To write it anew: go generate.
//
// Requirement: INC-FEATURE-MARKDOWN
func TestRunbook(t *testing.T) {
	b := newRunbook()
	t.Logf("there are %s", b.summary())
	for _, d := range b.manual {
		do, _ := d.step.Do.(incident.Manual)
		t.Logf("by hand: %s, %s: %s", d.playbook.Name, d.id, do.Why)
	}
	if *updateRunbook {
		require.NoError(t, os.WriteFile("RUNBOOK.md", []byte(b.String()), 0o644))
	}
	file, err := os.ReadFile("RUNBOOK.md")
	require.NoError(t, err)
	if string(file) != b.String() {
		t.Fatal("RUNBOOK.md is not what the playbooks are: run go generate")
	}
}

// Each heading, script and command of the runbook has a place in the document, where it is
// said what does it now.
func TestRunbookHasEverything(t *testing.T) {
	t.Parallel()
	b := newRunbook()
	document, anchors := b.String(), make(map[string]int)
	for _, a := range regexp.MustCompile(`<a id="([^"]+)"></a>`).FindAllStringSubmatch(document, -1) {
		anchors[a[1]]++
	}
	for anchor, n := range anchors {
		assert.Equal(t, 1, n, "anchor %s", anchor)
	}
	for _, l := range regexp.MustCompile(`\]\(#([^)]+)\)`).FindAllStringSubmatch(document, -1) {
		assert.Contains(t, anchors, l[1], "a link goes nowhere")
	}
	open := make(map[string]bool)
	for _, s := range written {
		assert.Contains(t, anchors, sectionAnchor(s), s.title)
		assert.NotEmpty(t, s.now+strings.Join(s.playbooks, ""), "nothing does %s", s.title)
		for i, c := range slices.Concat(s.commands, s.instructions) {
			key := s.title + ": " + c
			assert.Contains(t, anchors, commandAnchor(s, i), key)
			_, notThere := notYet[key]
			open[key] = notThere
			assert.Equal(t, notThere, len(b.under(s, c)) == 0, "%s: a step replaces it, or notYet says why none does, and not both", key)
		}
	}
	for instruction, step := range doneBy {
		i := slices.IndexFunc(b.deeds, func(d deed) bool { return step == d.playbook.Name+": "+d.id })
		if assert.GreaterOrEqual(t, i, 0, "there is no step %s", step) {
			assert.NotContains(t, b.deeds[i].step.Replaces, instruction, "the step says so itself: take it out of doneBy")
		}
	}
	for key := range notYet {
		assert.True(t, open[key], "notYet has %s, which is no command", key)
	}
	for _, s := range scripts {
		assert.Contains(t, anchors, "script-"+strings.TrimSuffix(s.name, ".sh"))
		assert.NotEmpty(t, b.carryingOut(func(c string) bool { return strings.HasPrefix(c, "./scripts/"+s.name) }), "nothing does %s", s.name)
	}
}

// What steps say that they replace was in the runbook, and in their section.
func TestStepsReplaceWhatWasThere(t *testing.T) {
	t.Parallel()
	known := make(map[string]bool)
	called := make(map[string]bool)
	for _, s := range written {
		for _, c := range slices.Concat(s.commands, s.instructions) {
			known[c] = true
			if script, ok := strings.CutPrefix(c, "./scripts/"); ok {
				called[strings.Fields(script)[0]] = true
			}
		}
	}
	for _, s := range scripts {
		assert.True(t, called[s.name], "no command calls %s", s.name)
		delete(called, s.name)
	}
	assert.Empty(t, called, "scripts that are not listed")
	// What is done in test and beta too was written down for production.
	elsewhere := strings.NewReplacer(" test", " production", " beta", " production")
	for _, d := range newRunbook().deeds {
		for _, c := range d.step.Replaces {
			assert.True(t, known[c] || known[elsewhere.Replace(c)], "%s, step %s replaces %q, which is no command of the runbook", d.playbook.Name, d.id, c)
		}
	}
}

// Nothing of the runbook goes away unnoticed: who takes something out has to change these
// numbers too.
func TestRunbookIsWhole(t *testing.T) {
	t.Parallel()
	asked := make(map[string]bool)
	n := 0
	for _, s := range written {
		n += len(s.commands) + len(s.instructions)
		for _, i := range s.instructions {
			asked[i] = true
		}
	}
	assert.Equal(t, []int{50, 134, 14}, []int{len(written), n, len(scripts)}, "headings; commands and instructions; scripts")
	for i := range doneBy {
		assert.True(t, asked[i], "doneBy has %q, which nothing asks for", i)
	}
}

// What the sections say that does them exists.
func TestRunbookNamesWhatExists(t *testing.T) {
	t.Parallel()
	b := newRunbook()
	for _, s := range written {
		for _, name := range s.playbooks {
			assert.True(t, slices.ContainsFunc(b.all, func(p incident.Playbook) bool { return p.Name == name }), "%s: there is no playbook %s", s.title, name)
		}
		for _, code := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(s.now, -1) {
			dir, symbol, _ := strings.Cut(code[1], ".")
			assert.True(t, exported(t, filepath.Join("..", "..", dir), symbol), "%s: there is no %s", s.title, code[1])
		}
	}
}

// exported reports whether a package of this module exists and declares something.
func exported(t *testing.T, dir, symbol string) bool {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*.go"))
	require.NoError(t, err)
	for _, name := range names {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		require.NoError(t, err)
		if symbol == "" {
			return true
		}
		found := false
		ast.Inspect(file, func(n ast.Node) bool {
			switch d := n.(type) {
			case *ast.FuncDecl:
				found = found || d.Recv == nil && d.Name.Name == symbol
				return false
			case *ast.TypeSpec:
				found = found || d.Name.Name == symbol
			case *ast.ValueSpec:
				found = found || slices.ContainsFunc(d.Names, func(n *ast.Ident) bool { return n.Name == symbol })
			}
			return true
		})
		if found {
			return true
		}
	}
	return false
}
