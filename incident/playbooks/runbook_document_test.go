package playbooks_test

import (
	"context"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/incidenttest"
	"go.acu.edu.au/runbook/incident/playbooks"
)

// production is the environment of the document: one that has everything.
func production() (playbooks.Environment, playbooks.Surroundings) {
	p, well := new(incidenttest.Platform), health.ProberFunc(func(context.Context) health.Result { return health.Result{Status: health.Healthy} })
	keeps := func(context.Context) error { return nil }
	age := func(context.Context) (time.Duration, error) { return 0, nil }
	e := playbooks.Environment{
		Name: "production", Defaults: playbooks.Defaults{Security: "whoever answers for security"},
		Probes: playbooks.Probes{
			Application: well, Performance: well, Activity: well, Database: well, DatabaseServer: well, Redis: well, Canvas: well, CanvasHost: well,
			CanvasStatus: well, RateLimits: well, Platform: well, LTI: well, Login: well, Task: well, WebSocket: well, Security: well,
		},
		Deployer: p, Stopper: p, Freezer: p, Scaler: p, Variables: p, Logs: p, Metrics: p, Sessions: p, Database: p, DatabaseScaler: p, Backups: p,
		Dumper: p, Migrator: p, Provisioner: p, Quota: new(incidenttest.Quota), PlatformKeys: new(incidenttest.PlatformKeys), AuditLog: new(incidenttest.AuditLog),
		Announcer: new(incidenttest.Announcer), Key: "10000000000042",
		Doctor: incident.DiagnoserFunc(func(context.Context) (incident.Diagnosis, error) { return incident.Diagnosis{}, nil }),
		Nonces: nonces{}, Credentials: new(runbook.MemoryCredentials),
		Tell:   func(context.Context, alert.Post) error { return nil },
		Inform: func(context.Context, incident.Message) error { return nil },
		Draft:  func(context.Context, string, incident.Message) error { return nil },
	}
	for _, name := range []string{"SECRET_KEY", "CANVAS_PROD_PRIVATE_KEY"} {
		e.Rotations = append(e.Rotations, playbooks.Rotation{Name: name, Owner: "development", Begin: keeps, Prove: keeps, End: keeps, Age: age, Redeploys: true})
	}
	test, beta := e, e
	test.Name, beta.Name = "test", "beta"
	return e, playbooks.Surroundings{
		Others: []playbooks.Environment{test, beta},
		Dumps: playbooks.Dumps{
			List: func(context.Context) ([]playbooks.Dump, error) { return nil, nil },
			Keep: func(context.Context, string, func(io.Writer) (incident.DumpReceipt, error)) error { return nil },
			Open: func(context.Context, string) (io.ReadSeekCloser, error) { return nil, incident.ErrNotFound },
			Live: "live", Rehearsal: "rehearsal",
			Rehearsals: playbooks.Rehearsals{Connect: func(context.Context, incident.Disposable) (incident.DumpLoader, error) { return p, nil }},
		},
		Desk: playbooks.SecurityDesk{
			Notify: func(context.Context, string, incident.Message) error { return nil },
			Preserve: func(context.Context, incident.Evidence) (incident.EvidenceReceipt, error) {
				return incident.EvidenceReceipt{}, nil
			},
		},
		Canvas: playbooks.CanvasCredentials{ClientID: "CANVAS_PROD_CLIENT_ID", Rotations: []string{"CANVAS_PROD_PRIVATE_KEY"}},
		Rebuild: playbooks.Rebuild{
			Configuration: func(context.Context, playbooks.Rebuilt) (map[string]runbook.Secret, []string, error) {
				return nil, nil, nil
			},
			Connect:    func(context.Context, playbooks.Rebuilt) (playbooks.Environment, error) { return e, nil },
			Acceptance: func(context.Context) ([]string, error) { return nil, nil },
		},
		Promotion: playbooks.Promotion{Before: []playbooks.Environment{test, beta}},
		Tools: playbooks.Toolchain{
			Audit:         func(context.Context) ([]string, error) { return nil, nil },
			SecurityTests: func(context.Context, string) ([]string, error) { return nil, nil },
		},
	}
}

type nonces struct{}

func (nonces) PurgeExpired(context.Context) (int, error) { return 0, nil }

// A deed is a step that carries commands out.
type deed struct {
	playbook incident.Playbook
	step     incident.Step
	id       string
}

// deeds returns all steps of playbooks, those of playbooks within them too.
func deeds(all []incident.Playbook) (list []deed) {
	for _, p := range all {
		var add func(steps []incident.Step, prefix string)
		add = func(steps []incident.Step, prefix string) {
			for _, s := range steps {
				list = append(list, deed{p, s, prefix + s.ID})
				switch do := s.Do.(type) {
				case incident.Parallel:
					add(do.Steps, prefix)
				case incident.Sub:
					add(do.Playbook.Steps, prefix+s.ID+".")
				}
			}
		}
		add(p.Steps, "")
	}
	return list
}

// theRunbook is the document, and what it is made of.
type theRunbook struct {
	strings.Builder
	all   []incident.Playbook
	deeds []deed
	// automatic, approved and manual count the steps of all playbooks. A playbook within
	// another that is in the document itself is counted once.
	automatic, approved int
	manual              []deed
}

// newRunbook makes the document.
func newRunbook() *theRunbook {
	b := &theRunbook{all: playbooks.All(production())}
	b.deeds = deeds(b.all)
	b.count()
	b.line("# The operations runbook\n")
	b.line("<!-- Made by go generate of the playbooks of this package. Do not edit: the next run writes it anew. -->\n")
	b.line("Every procedure of the operations runbook is a playbook: a program that is planned, carried out, approved and audited. This document is made of them, for an environment that has everything that they can use; what a host lacks, its playbooks say.\n")
	b.line("- [Where each section is](#sections)\n- [Where each script is](#scripts)\n- [Where each command is](#commands)\n- [What people do, and why](#people)\n- [What is not there yet](#not-yet)\n- The playbooks:")
	for _, p := range b.all {
		b.line("  - [%s](#playbook-%s): %s", p.Title, p.Name, p.About)
	}
	b.sections()
	b.scripts()
	b.commands()
	b.people()
	b.missing()
	for _, p := range b.all {
		b.line("\n<a id=\"playbook-%s\"></a>\n\n%s", p.Name, strings.TrimRight(demoted(p.Markdown()), "\n"))
	}
	return b
}

func (b *theRunbook) line(format string, args ...any) { fmt.Fprintf(b, format+"\n", args...) }

// count counts who does what.
func (b *theRunbook) count() {
	for _, d := range b.deeds {
		if b.within(d) {
			continue
		}
		switch d.step.Do.(type) {
		case incident.Parallel, incident.Sub:
		case incident.Approve:
			b.approved++
		case incident.Manual:
			b.manual = append(b.manual, d)
		default:
			b.automatic++
		}
	}
}

// within reports whether a step belongs to a playbook within another one, and is in the
// document as a step of that itself.
func (b *theRunbook) within(d deed) bool {
	outer, _, nested := strings.Cut(d.id, ".")
	if !nested {
		return false
	}
	i := slices.IndexFunc(d.playbook.Steps, func(s incident.Step) bool { return s.ID == outer })
	if i < 0 {
		return false
	}
	sub, ok := d.playbook.Steps[i].Do.(incident.Sub)
	return ok && slices.ContainsFunc(b.all, func(p incident.Playbook) bool { return p.Name == sub.Playbook.Name })
}

// summary says how much is done by whom.
func (b *theRunbook) summary() string {
	return fmt.Sprintf("%d playbooks with %d steps that the program makes, %d that people approve, and %d that people do by hand", len(b.all), b.automatic, b.approved, len(b.manual))
}

func (b *theRunbook) sections() {
	b.line("\n<a id=\"sections\"></a>\n\n## Where each section is\n\n| Section | What does it now |\n|---|---|")
	for _, s := range written {
		var now []string
		for _, name := range s.playbooks {
			now = append(now, b.link(name))
		}
		if s.now != "" {
			now = append(now, s.now)
		}
		b.line("| <a id=\"%s\"></a>%s%s | %s |", sectionAnchor(s), strings.Repeat("&nbsp;&nbsp;", s.level-1), s.title, strings.Join(now, "; "))
	}
}

func (b *theRunbook) scripts() {
	b.line("\n<a id=\"scripts\"></a>\n\n## Where each script is\n\n| Script | What it was for | What does it now |\n|---|---|---|")
	for _, s := range scripts {
		b.line("| <a id=\"script-%s\"></a>`%s` | %s | %s |", strings.TrimSuffix(s.name, ".sh"), s.name, s.about, b.steps(b.carryingOut(func(command string) bool {
			return strings.HasPrefix(command, "./scripts/"+s.name)
		})))
	}
}

func (b *theRunbook) commands() {
	b.line("\n<a id=\"commands\"></a>\n\n## Where each command is\n\nIn the sections in which it was; after the commands of a section come the lines that told a person what to do where there was no command. The command line of the platform never had commands for backups, and a restart has never applied a variable: the steps do what was meant.\n\n| Command | Section | What does it now |\n|---|---|---|")
	for _, s := range written {
		for i, c := range slices.Concat(s.commands, s.instructions) {
			now := b.steps(b.under(s, c))
			if why, open := notYet[s.title+": "+c]; open {
				now = "**not yet**: " + why
			}
			b.line("| <a id=\"%s\"></a>%s | [%s](#%s) | %s |", commandAnchor(s, i), cell(c), s.title, sectionAnchor(s), now)
		}
	}
}

// people says what people do by hand, and why.
func (b *theRunbook) people() {
	b.line("\n<a id=\"people\"></a>\n\n## What people do, and why\n\nThere are %s. Those are:\n\n| Playbook | Step | Why no program does it |\n|---|---|---|", b.summary())
	for _, d := range b.manual {
		do, _ := d.step.Do.(incident.Manual)
		b.line("| %s | %s | %s |", b.link(d.playbook.Name), d.step.Title, do.Why)
	}
}

func (b *theRunbook) missing() {
	b.line("\n<a id=\"not-yet\"></a>\n\n## What is not there yet\n")
	for _, key := range slices.Sorted(maps.Keys(notYet)) {
		b.line("- %s: %s", cell(key), notYet[key])
	}
	if len(notYet) == 0 {
		b.line("Nothing: a step stands for each command.")
	}
}

// carryingOut returns the steps that carry out a command.
func (b *theRunbook) carryingOut(is func(command string) bool) (list []deed) {
	for _, d := range b.deeds {
		if slices.ContainsFunc(d.step.Replaces, is) && !b.within(d) {
			list = append(list, d)
		}
	}
	return list
}

// under returns the steps that carry out a command in the playbooks of a section, those
// within others too.
func (b *theRunbook) under(s section, command string) (list []deed) {
	for _, d := range b.deeds {
		names := slices.Contains(d.step.Replaces, command) || doneBy[command] == d.playbook.Name+": "+d.id
		if names && slices.Contains(s.playbooks, d.playbook.Name) {
			list = append(list, d)
		}
	}
	return list
}

func (b *theRunbook) steps(list []deed) string {
	var all []string
	for _, d := range list {
		all = append(all, fmt.Sprintf("%s, step `%s`: %s", b.link(d.playbook.Name), d.id, d.step.Title))
	}
	return strings.Join(all, "<br>")
}

// link is a link to a playbook.
func (b *theRunbook) link(name string) string {
	for _, p := range b.all {
		if p.Name == name {
			return fmt.Sprintf("[%s](#playbook-%s)", p.Title, name)
		}
	}
	return "**not yet**: the playbook " + name
}

var notInAnchors = regexp.MustCompile(`[^a-z0-9]+`)

func sectionAnchor(s section) string {
	return "section-" + strings.Trim(notInAnchors.ReplaceAllString(strings.ToLower(s.title), "-"), "-")
}

// commandAnchor names a command by its section and its place in it.
func commandAnchor(s section, i int) string {
	return fmt.Sprintf("%s-command-%d", sectionAnchor(s), i+1)
}

// cell makes a command code in a table.
func cell(command string) string { return "`" + strings.ReplaceAll(command, "|", `\|`) + "`" }

// demoted makes the headings of a document one level lower, and leaves its code alone.
func demoted(document string) string {
	var b strings.Builder
	fence := ""
	for line := range strings.Lines(document) {
		marks := line[:len(line)-len(strings.TrimLeft(line, "`"))]
		switch {
		case fence == "" && len(marks) >= 3:
			fence = marks
		case fence != "" && strings.TrimSpace(line) == fence:
			fence = ""
		case fence == "" && strings.HasPrefix(line, "#"):
			line = "#" + line
		}
		b.WriteString(line)
	}
	return b.String()
}
