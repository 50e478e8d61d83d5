package incident

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Diagnoser finds out why something does not work: the settings of an LTI tool,
// a database, an application that is down.
type Diagnoser interface {
	// Diagnose looks at everything it can and says what it found. It changes
	// nothing, and makes each request once. It may be called concurrently.
	//
	// What could not be asked is in NotChecked and is not a finding: that nobody
	// answered does not say what is wrong. What has found nothing wrong is in
	// Checked. If ctx ends, the diagnosis is of what was looked at until then. The
	// error is that nothing at all could be looked at; it wraps that of ctx if
	// that is why.
	//
	// A diagnosis is shown to people, kept and sent around: it has no secret and
	// no personal data in it.
	Diagnose(ctx context.Context) (Diagnosis, error)
}

// DiagnoserFunc makes a function a [Diagnoser].
type DiagnoserFunc func(ctx context.Context) (Diagnosis, error)

// Diagnose calls f.
func (f DiagnoserFunc) Diagnose(ctx context.Context) (Diagnosis, error) { return f(ctx) }

// A Diagnosis is what was found, and what was not looked at. It is a value: once
// returned it is not changed.
type Diagnosis struct {
	// Time is when the diagnosis was made.
	Time time.Time
	// Subject is what was looked at, in a few words: "LTI in production".
	Subject string
	// Findings are what may be wrong, in the order of [Diagnosis.Sort]. None means
	// that nothing was found, which is worth as much as Checked says.
	Findings []Finding
	// Checked is what was looked at and is right, one thing in each line.
	Checked []string
	// NotChecked is what could not be looked at.
	NotChecked []NotChecked
}

// A Finding is one thing that may be wrong.
type Finding struct {
	// ID is a stable word for programs: "private_key_not_rsa". Lower case letters,
	// digits and underscores.
	ID string
	// Title says what is wrong, in one line.
	Title string
	// Likelihood is how likely it is that this is why things do not work.
	Likelihood Likelihood
	// Urgent says that it must be put right at once, whether it is why things do
	// not work or not: a secret is out, data is being lost.
	Urgent bool
	// Evidence is what was seen, one fact in each line.
	Evidence []string
	// Remedy is what to do next, exactly.
	Remedy string
}

// NotChecked is something that could not be looked at.
type NotChecked struct {
	// What is what was to be looked at.
	What string
	// Why says why it was not: nobody answered, it may not be read, it was not
	// configured.
	Why string
}

// Likelihood says how likely it is that a finding is why things do not work.
type Likelihood uint8

// The likelihoods.
const (
	// Possible means that it is not as it should be, and may have nothing to do
	// with what does not work. It is the zero value.
	Possible Likelihood = iota
	// Likely means that it breaks what is diagnosed in most cases.
	Likely
	// Certain means that it breaks what is diagnosed.
	Certain

	likelihoods = iota
)

var likelihoodNames = [likelihoods]string{"possible", "likely", "certain"}

// String returns the likelihood in lower case: "likely".
func (l Likelihood) String() string {
	if int(l) >= len(likelihoodNames) {
		return fmt.Sprintf("likelihood(%d)", uint8(l))
	}
	return likelihoodNames[l]
}

// MarshalText writes the likelihood as String does.
func (l Likelihood) MarshalText() ([]byte, error) {
	if int(l) >= len(likelihoodNames) {
		return nil, fmt.Errorf("incident: %v is not a likelihood", l)
	}
	return []byte(likelihoodNames[l]), nil
}

// UnmarshalText reads what MarshalText writes.
func (l *Likelihood) UnmarshalText(text []byte) error {
	i := slices.Index(likelihoodNames[:], string(text))
	if i < 0 {
		return fmt.Errorf("incident: %q is not a likelihood (one of %s)", text, strings.Join(likelihoodNames[:], ", "))
	}
	*l = Likelihood(i)
	return nil
}

// Sort puts findings in order: those that are urgent first, then those that are
// more likely; the others stay as they are. It changes the Findings in place.
func (d *Diagnosis) Sort() { slices.SortStableFunc(d.Findings, compareFindings) }

func compareFindings(a, b Finding) int {
	if a.Urgent != b.Urgent {
		if a.Urgent {
			return -1
		}
		return 1
	}
	return cmp.Compare(b.Likelihood, a.Likelihood)
}

// Finding returns the first finding with that ID.
func (d Diagnosis) Finding(id string) (Finding, bool) {
	for _, f := range d.Findings {
		if f.ID == id {
			return f, true
		}
	}
	return Finding{}, false
}

// Clear reports whether something was looked at, nothing was found, and nothing
// was left out.
func (d Diagnosis) Clear() bool {
	return len(d.Findings) == 0 && len(d.NotChecked) == 0 && len(d.Checked) > 0
}

// String returns the diagnosis as a text of several lines, for people.
func (d Diagnosis) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s\n", d.Subject, d.summary())
	for i, f := range d.Findings {
		word := f.Likelihood.String()
		if f.Urgent {
			word = "urgent, " + word
		}
		fmt.Fprintf(&b, "%d. %s (%s, %s)\n", i+1, f.Title, word, f.ID)
		for _, e := range f.Evidence {
			fmt.Fprintf(&b, "   - %s\n", e)
		}
		fmt.Fprintf(&b, "   Do: %s\n", f.Remedy)
	}
	for _, c := range d.Checked {
		fmt.Fprintf(&b, "Right: %s\n", c)
	}
	for _, n := range d.NotChecked {
		fmt.Fprintf(&b, "Not looked at: %s: %s\n", n.What, n.Why)
	}
	return b.String()
}

func (d Diagnosis) summary() string {
	found := "nothing found"
	switch len(d.Findings) {
	case 0:
	case 1:
		found = "1 finding"
	default:
		found = fmt.Sprintf("%d findings", len(d.Findings))
	}
	return fmt.Sprintf("%s, %d right, %d not looked at", found, len(d.Checked), len(d.NotChecked))
}

// Validate returns everything that is wrong with the form of the diagnosis, or
// nil.
func (d Diagnosis) Validate() error {
	var problems []error
	add := func(format string, args ...any) {
		problems = append(problems, fmt.Errorf("incident: diagnosis: "+format, args...))
	}
	line := func(what, text string) {
		if strings.TrimSpace(text) == "" || strings.ContainsAny(text, "\r\n") {
			add("%s must be one line", what)
		}
	}
	if d.Time.IsZero() {
		add("Time is missing")
	}
	line("the subject", d.Subject)
	if len(d.Findings)+len(d.Checked)+len(d.NotChecked) == 0 {
		problems = append(problems, errors.New("incident: diagnosis: it says nothing"))
	}
	for i, f := range d.Findings {
		what := fmt.Sprintf("finding %d", i+1)
		if f.ID == "" || strings.Trim(f.ID, "abcdefghijklmnopqrstuvwxyz0123456789_") != "" {
			add("%s: the ID must be lower case letters, digits and underscores", what)
		}
		line(what+": the title", f.Title)
		line(what+": the remedy", f.Remedy)
		if len(f.Evidence) == 0 {
			add("%s: there is no evidence", what)
		}
		for _, e := range f.Evidence {
			line(what+": each piece of evidence", e)
		}
		if int(f.Likelihood) >= len(likelihoodNames) {
			add("%s: %v is not a likelihood", what, f.Likelihood)
		}
	}
	if !slices.IsSortedFunc(d.Findings, compareFindings) {
		add("the findings are not in order: call Sort")
	}
	for _, c := range d.Checked {
		line("what was checked", c)
	}
	for _, n := range d.NotChecked {
		line("what was not checked", n.What)
		line("why it was not checked", n.Why)
	}
	return errors.Join(problems...)
}

// Nonces are the nonces that a tool has seen and must not take again. It is what
// "clear the nonce cache" in a runbook can mean; the stores of LTI implement it.
type Nonces interface {
	// PurgeExpired removes the nonces whose time is over, and returns how many. It
	// never removes a live one: the token that goes with it could then be used
	// again. It may be called concurrently, with itself and while nonces are used.
	// If ctx ends, or the store fails, removed says how many are known to be gone;
	// calling again is safe.
	PurgeExpired(ctx context.Context) (removed int, err error)
}
