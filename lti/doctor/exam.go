package doctor

import (
	"fmt"
	"slices"
	"strings"

	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/internal/netcheck"
)

// An exam is one look at a tool: what was asked, and what comes of it. Each of
// its checks is independent of the others.
type exam struct {
	cfg *Config
	*facts
	d      incident.Diagnosis
	signer *publicKey // of Config.PrivateKey, if it can be read
	set    *keySet    // the tool's published keys, if they can be read
}

// finding adds what is wrong.
func (x *exam) finding(id string, l incident.Likelihood, title, remedy string, evidence ...string) {
	x.add(incident.Finding{ID: id, Title: title, Likelihood: l, Evidence: evidence, Remedy: remedy})
}

// urgent adds what must be put right at once.
func (x *exam) urgent(id, title, remedy string, evidence ...string) {
	x.add(incident.Finding{ID: id, Title: title, Likelihood: incident.Certain, Urgent: true, Evidence: evidence, Remedy: remedy})
}

// maxEvidence is how much evidence a finding has at most.
const maxEvidence = 8

// add adds a finding, or its evidence to the same finding if that is there
// already: of three logins, or of a hundred keys.
func (x *exam) add(f incident.Finding) {
	i := slices.IndexFunc(x.d.Findings, func(old incident.Finding) bool { return old.ID == f.ID && old.Title == f.Title })
	if i < 0 {
		x.d.Findings = append(x.d.Findings, f)
		return
	}
	old := &x.d.Findings[i]
	old.Likelihood = max(old.Likelihood, f.Likelihood)
	for _, e := range f.Evidence {
		if !slices.Contains(old.Evidence, e) && len(old.Evidence) < maxEvidence {
			old.Evidence = append(old.Evidence, e)
		}
	}
}

// right adds what is right.
func (x *exam) right(format string, args ...any) {
	x.d.Checked = append(x.d.Checked, fmt.Sprintf(format, args...))
}

// skip adds what could not be looked at.
func (x *exam) skip(what, format string, args ...any) {
	x.d.NotChecked = append(x.d.NotChecked, incident.NotChecked{What: what, Why: fmt.Sprintf(format, args...)})
}

// since returns how many findings there are, to see later whether some came.
func (x *exam) since() int { return len(x.d.Findings) }

// unanswered deals with something that did not answer, and reports whether it did
// not. what is a noun; owner says who should mend it.
func (x *exam) unanswered(a *answer, id, what, remedy string) bool {
	switch {
	case a.skip != "":
		x.skip(what, "%s", a.skip)
	case a.failure == nil:
		return false
	case a.failure.Status == health.Unknown:
		x.skip(what, "%s", a.failure.Message)
	case !saysSo(a.failure.Cause) && !x.answered:
		x.skip(what, "%s; nothing else answered either, so it may be the network of this machine", a.failure.Message)
	default:
		title := strings.ToUpper(what[:1]) + what[1:] + " cannot be reached"
		evidence := []string{a.asked + ": " + a.failure.Message}
		if x.answered {
			evidence = append(evidence, "other addresses did answer")
		}
		x.finding(id, incident.Likely, title, remedy, evidence...)
	}
	return true
}

// saysSo reports whether a failure to get an answer is one of the other side, and
// not of the way there.
func saysSo(c health.Cause) bool {
	switch c {
	case health.CauseRefused, health.CauseTLS, health.CauseProtocol, health.CauseTooLarge:
		return true
	}
	return false
}

// quote returns a foreign text for an operator.
func quote(s string) string { return netcheck.Quote(s) }

// list returns foreign texts for an operator, not too many.
func list(texts []string) string {
	const most = 5
	var out []string
	for i, s := range texts {
		if i == most {
			out = append(out, fmt.Sprintf("%d more", len(texts)-most))
			break
		}
		out = append(out, quote(s))
	}
	if len(out) == 0 {
		return "none"
	}
	return strings.Join(out, ", ")
}

func plural(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return fmt.Sprintf("%d %ss", n, word)
}
