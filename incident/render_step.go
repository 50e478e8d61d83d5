package incident

import (
	"cmp"
	"fmt"
	"strings"
	"time"
)

// A spot is where steps stand in the document.
type spot struct {
	// prefix is what their ids begin with, level that of their headings.
	prefix string
	level  int
	// within is the kind of the step that they are in; empty if they are in none.
	within Kind
}

// steps writes steps, and of the playbook itself a heading for each phase.
func (d *playbookDoc) steps(steps []Step, at spot) {
	phase := ""
	for _, s := range steps {
		if at.within == "" && s.Phase != "" && s.Phase != phase {
			if phase == "" {
				at.level++
			}
			phase = s.Phase
			d.phase(phase)
		}
		d.step(s, at)
	}
}

func (d *playbookDoc) phase(name string) {
	d.line("\n### %s", mdText(name))
	for _, p := range d.p.Phases {
		if p.Name == name && p.Budget > 0 {
			d.line("\nIt should take %s at most; taking longer is put on the timeline.", inTime(p.Budget))
		}
	}
}

func (d *playbookDoc) step(s Step, at spot) {
	id := at.prefix + s.ID
	d.line("\n%s %s. %s\n", strings.Repeat("#", min(at.level, 6)), d.numbers[id], mdText(s.Title))
	if s.About != "" {
		d.line("%s\n", mdParagraphs(s.About))
	}
	if s.Do == nil {
		d.line("- **It does nothing.**")
		return
	}
	spec := s.alone().spec(at.prefix)
	d.line("- %s %s", mdCode(id), d.what(s, spec))
	if spec.Conditional {
		d.line("- Made only if it is needed; a run says why it was left out.")
	}
	d.attempts(spec)
	if spec.Kind != KindSleep {
		d.line("- If it fails: %s.", d.failure(spec, at.within))
	}
	if a, ok := s.Do.(Action); ok {
		d.line("- %s", undoOf(a))
	}
	if len(s.Needs) > 0 {
		var names []string
		for _, n := range s.Needs {
			names = append(names, n.Name)
		}
		d.line("- Needs: %s.", mdList(names))
	}
	if len(s.Replaces) > 0 {
		d.line("\nInstead of:\n\n%s", mdCommands(s.Replaces))
	}
	inner, prefix := s.inner(at.prefix, strings.Count(d.numbers[id], "."))
	d.steps(inner, spot{prefix: prefix, level: at.level + 1, within: spec.Kind})
}

// what says what a step does, and counts it.
func (d *playbookDoc) what(s Step, spec StepSpec) string {
	switch spec.Kind {
	case KindApprove:
		d.approved++
		return d.approval(spec)
	case KindManual:
		d.manual++
		within := ""
		if spec.Within > 0 {
			within = fmt.Sprintf(" There are %s for it.", inTime(time.Duration(spec.Within)))
		}
		return fmt.Sprintf("**By hand.** A person does it and says so; no program does, because: %s.%s", mdText(spec.Why), within)
	case KindParallel:
		group, _ := s.Do.(Parallel)
		others := "when one fails, those that are not in the middle of something are left out"
		if spec.Collect {
			others = "all come to their end, also when one fails"
		}
		return fmt.Sprintf("**At the same time**, the %d steps below: %s.", len(group.Steps), others)
	case KindSub:
		sub, _ := s.Do.(Sub)
		return fmt.Sprintf("**Another playbook**, %s, whose steps are below.", mdText(cmp.Or(sub.Playbook.Title, spec.Playbook)))
	}
	d.automatic++
	every, within := inTime(time.Duration(spec.Every)), inTime(time.Duration(spec.Within))
	switch spec.Kind {
	case KindCheck:
		return "**Check.** It looks, and changes nothing."
	case KindAction:
		return "**Action.** It changes something."
	case KindVerify:
		often := ""
		if spec.Times > 1 {
			often = fmt.Sprintf(", %d times in a row", spec.Times)
		}
		return fmt.Sprintf("**Verification.** It looks every %s until all is as it should be%s, for %s at most.", every, often, within)
	case KindWait:
		return fmt.Sprintf("**Wait.** It looks every %s whether it is so, for %s at most.", every, within)
	case KindSleep:
		return fmt.Sprintf("**Pause** of %s.", inTime(time.Duration(spec.For)))
	case KindNotice:
		return "**Notice.** It tells people; they may read it twice."
	}
	return mdText(string(spec.Kind))
}

// approval says who approves.
func (d *playbookDoc) approval(spec StepSpec) string {
	who := "1 person approves"
	if spec.Min > 1 {
		who = fmt.Sprintf("%d people approve", spec.Min)
	}
	if len(spec.Roles) > 0 {
		who += " (" + mdList(spec.Roles) + ")"
	}
	text := fmt.Sprintf("**Approval.** %s within %s, not counting who started the run; one who denies is enough, and no answer is a denial.", who, inTime(time.Duration(spec.Within)))
	if spec.Bound {
		text += " They approve what the steps up to the next approval would do now; if that changes, they are asked again."
	}
	return text
}

// attempts says how often a step is tried, for how long, and what happens when it is not
// known whether it was done.
func (d *playbookDoc) attempts(spec StepSpec) {
	each := inTime(time.Duration(spec.Timeout))
	switch spec.Kind {
	case KindVerify, KindWait:
		d.line("- Each look may take %s.", each)
	case KindCheck, KindNotice, KindAction:
		often := fmt.Sprintf("once, for %s at most", each)
		if spec.Attempts > 1 {
			often = fmt.Sprintf("up to %d times, for %s at most each, with %s before the second time and twice as long before each further one", spec.Attempts, each, inTime(time.Duration(spec.Backoff)))
		}
		d.line("- Tried %s.", often)
	}
	if spec.Kind != KindAction {
		return
	}
	switch spec.Repeat {
	case AtMostOnce:
		d.line("- If it is not known whether it was done: a person looks; it is never done twice by itself.")
	case CheckFirst:
		d.line("- If it is not known whether it was done: it looks, and does it again only if it was not.")
	case Idempotent:
		d.line("- If it is not known whether it was done: it is done again, since twice is the same as once.")
	}
}

// failure says what happens after a step has failed for good.
func (d *playbookDoc) failure(spec StepSpec, within Kind) string {
	switch {
	case within == KindParallel && spec.Failure == GoOn:
		return "the others go on, and they have not failed with it"
	case within == KindParallel:
		return "they have failed together"
	case within == KindSub && spec.Failure == Abort:
		return "this playbook has failed, and what it did stays"
	case within == KindSub && spec.Failure == UndoAll:
		return "what this playbook did is taken back, the last first, and it has failed"
	}
	switch spec.Failure {
	case Pause:
		return "the run stops, and a person decides how it goes on"
	case Abort:
		return "the run ends, and what was done stays"
	case UndoAll:
		return "what was done is taken back, the last first, and the run ends"
	case GoOn:
		return "the run goes on all the same"
	}
	target, _ := strings.CutPrefix(string(spec.Failure), "goto ")
	if number, ok := d.numbers[target]; ok {
		return fmt.Sprintf("the run goes on with step %s, %s", number, mdText(d.titles[target]))
	}
	return mdText(string(spec.Failure))
}

func undoOf(a Action) string {
	switch {
	case a.Undo == nil:
		return "It cannot be taken back."
	case a.Undoes != "":
		return "To take it back: " + mdText(a.Undoes) + "."
	}
	return "It can be taken back."
}
