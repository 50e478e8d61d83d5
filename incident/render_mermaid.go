package incident

import (
	"cmp"
	"fmt"
	"strings"
	"time"
	"unicode"
)

// Mermaid returns the playbook as a flow chart in the language of Mermaid: the steps in
// order, groups and playbooks within it as frames, approvals with what follows a denial,
// and where a run goes on when a step fails. A step whose failure stops the run has no
// branch for it, since a person then says where it goes on. Texts are escaped, so that
// none of them can be more than a label.
func (p Playbook) Mermaid() string {
	m := &flowChart{}
	m.line("flowchart TD")
	first := m.node(`(["%s"])`, "point", cmp.Or(p.Title, p.Name))
	exits := m.list(p.Steps, []exit{{from: first}}, 0)
	m.link(exits, m.node(`(["%s"])`, "point", "It has succeeded"))
	for _, class := range chartClasses {
		m.line("    classDef %s", class)
	}
	return m.b.String()
}

// chartClasses are the looks of nodes, by kind: in colours that can be told apart also by
// those who do not see red and green, and read on both light and dark pages.
var chartClasses = []string{
	"point fill:#eee,stroke:#555,color:#111",
	"check fill:#e8f1fb,stroke:#2a6db0,color:#111",
	"action fill:#fde5cc,stroke:#b35900,color:#111",
	"people fill:#f3e6f7,stroke:#7b3294,color:#111",
}

// flowChart writes a flow chart.
type flowChart struct {
	b     strings.Builder
	nodes int
}

// An exit is where a flow comes from: a node, and what is said on the way.
type exit struct{ from, says string }

// A branch is where a run goes on after a step has failed.
type branch struct {
	from, why string
	failure   Failure
}

func (m *flowChart) line(format string, args ...any) { fmt.Fprintf(&m.b, format+"\n", args...) }

// node writes a node of a shape and a class, and returns its name. Names are never texts
// of the playbook.
func (m *flowChart) node(shape, class, label string) string {
	m.nodes++
	name := fmt.Sprintf("n%d", m.nodes)
	m.line("    %s"+shape+":::%s", name, chartText(label), class)
	return name
}

// link writes the ways to a node.
func (m *flowChart) link(from []exit, to string) {
	for _, e := range from {
		if e.says == "" {
			m.line("    %s --> %s", e.from, to)
			continue
		}
		m.line("    %s -- \"%s\" --> %s", e.from, chartText(e.says), to)
	}
}

// list writes steps one after another, and returns where the flow goes on from.
func (m *flowChart) list(steps []Step, from []exit, depth int) []exit {
	names := make(map[string]string)
	var branches []branch
	for i, s := range steps {
		name := m.step(s, fmt.Sprintf("%d: %s", i+1, s.Title), depth)
		names[s.ID] = name
		m.link(from, name)
		from = []exit{{from: name}}
		if s.Do == nil {
			continue
		}
		spec := s.alone().spec("")
		if spec.Kind == KindApprove {
			from[0].says = "approved"
		}
		if spec.Failure != Pause && spec.Failure != GoOn {
			branches = append(branches, branch{name, failing(spec), spec.Failure})
		}
	}
	for _, b := range branches {
		target, _ := strings.CutPrefix(string(b.failure), "goto ")
		to := names[target]
		if b.failure == Abort || b.failure == UndoAll {
			to = m.ending(names, b.failure, depth)
		}
		if to != "" { // which a playbook that is not valid may not have
			m.line("    %s -. \"%s\" .-> %s", b.from, chartText(b.why), to)
		}
	}
	return from
}

// failing says on which way a run goes when a step fails.
func failing(spec StepSpec) string {
	if spec.Kind == KindApprove {
		return fmt.Sprintf("denied, or no answer in %s", inTime(time.Duration(spec.Within)))
	}
	return "it fails"
}

// ending returns the node of an end, which is made once in each list of steps. Within
// another playbook it is the end of that one only.
func (m *flowChart) ending(names map[string]string, failure Failure, depth int) string {
	key := "\n" + string(failure) // no step has this id
	if names[key] == "" {
		label := map[Failure]string{Abort: "It ends, and what was done stays", UndoAll: "What was done is taken back"}[failure]
		if depth > 0 {
			label = map[Failure]string{Abort: "This part has failed", UndoAll: "What this part did is taken back"}[failure]
		}
		names[key] = m.node(`(["%s"])`, "point", label)
	}
	return names[key]
}

// step writes a step, with those within it, and returns its name.
func (m *flowChart) step(s Step, label string, depth int) string {
	if s.When != nil {
		label += " (if needed)"
	}
	switch do := s.Do.(type) {
	case Parallel, Sub:
		inner, _ := s.inner("", depth)
		if len(inner) == 0 {
			break
		}
		return m.frame(do, inner, label, depth)
	case Action:
		return m.node(`[["%s"]]`, "action", label)
	case Verify:
		return m.node(`{{"%s"}}`, "check", label)
	case Approve:
		return m.node(`{"%s"}`, "people", label)
	case Manual:
		return m.node(`[/"%s"/]`, "people", label)
	case Wait, Sleep:
		return m.node(`("%s")`, "check", label)
	case Notice:
		return m.node(`>"%s"]`, "point", label)
	}
	return m.node(`["%s"]`, "check", label)
}

// frame writes steps within a step: one beside the other, or one after another.
func (m *flowChart) frame(do Work, inner []Step, label string, depth int) string {
	m.nodes++
	name := fmt.Sprintf("n%d", m.nodes)
	m.line("    subgraph %s[\"%s\"]", name, chartText(label))
	if do.kind() == KindParallel {
		for _, s := range inner {
			m.step(s, s.Title, depth+1)
		}
	} else {
		m.list(inner, nil, depth+1)
	}
	m.line("    end")
	return name
}

// chartText makes a text a label. Everything that is not a letter, a digit or plainly
// harmless is written as its number, which Mermaid shows as the character: quotes that
// would end the label, marks of Markdown and HTML, and what Mermaid looks for in the
// whole text, such as %%{. It takes "1. " and "- " at the beginning of a label for a list,
// which it cannot show.
func chartText(text string) string {
	text = strings.Join(strings.Fields(cleanWords(text, maxLine)), " ")
	var b strings.Builder
	list := len(text) - len(strings.TrimLeft(text, "0123456789"))
	for i, r := range text {
		mark := i == list && strings.ContainsRune(".)-+", r)
		if !mark && (unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.IsMark(r) || strings.ContainsRune(" .,-+/()?", r)) {
			b.WriteRune(r)
			continue
		}
		fmt.Fprintf(&b, "#%d;", r)
	}
	if b.Len() == 0 {
		return "-" // a label must not be empty
	}
	return b.String()
}
