package incident

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"regexp"
	"time"
)

// An EvidenceStore keeps bundles of evidence, where whoever broke in cannot reach them:
// another machine, a bucket of another account. A name is all that it has to know of one:
// see [EvidenceName]. Methods may be called concurrently.
type EvidenceStore interface {
	// Keep keeps under a name what write writes. If write fails nothing is kept. What is
	// kept under that name already is replaced, as a whole. write may keep something else
	// meanwhile. A read-only context is refused with runbook.ErrReadOnly.
	Keep(ctx context.Context, name string, write func(w io.Writer) error) error
	// Kept returns the names of what is kept, in any order. An error comes once, with no
	// name, and ends the sequence.
	Kept(ctx context.Context) iter.Seq2[string, error]
	// Delete removes what is kept under a name, so that nobody can read it any more. It is
	// no error if there is nothing. A read-only context is refused with
	// runbook.ErrReadOnly.
	Delete(ctx context.Context, name string) error
}

// An EvidenceName says what a bundle is about. Its text is what the bundle is kept as, and
// the rule of retention goes by it alone, since the bundle itself is sealed.
type EvidenceName struct {
	// Incident is that of [Evidence].
	Incident string
	// Taken is when it was taken, in UTC, to the second.
	Taken time.Time
	// Redacted says that it is the copy without personal data.
	Redacted bool
}

// NewEvidenceName names evidence that is taken now.
func NewEvidenceName(e Evidence) EvidenceName {
	return EvidenceName{Incident: e.Incident, Taken: time.Now().UTC().Truncate(time.Second)}
}

// Copy names the copy without personal data that belongs to a bundle.
func (n EvidenceName) Copy() EvidenceName { n.Redacted = true; return n }

const evidenceTime = "20060102T150405Z"

// String returns the text: "evidence-20261128T065711Z-whole-INC-2026-0007". What is no
// letter, digit, -, _ or dot in the incident is an underscore.
func (n EvidenceName) String() string {
	what := "whole"
	if n.Redacted {
		what = "redacted"
	}
	return fmt.Sprintf("evidence-%s-%s-%s", n.Taken.UTC().Format(evidenceTime), what, notInName.ReplaceAllString(n.Incident, "_"))
}

var (
	notInName    = regexp.MustCompile(`[^A-Za-z0-9._-]`)
	evidenceForm = regexp.MustCompile(`^evidence-([0-9]{8}T[0-9]{6}Z)-(whole|redacted)-([A-Za-z0-9._-]{1,200})$`)
)

// ParseEvidenceName reads the text of a name. The error says that it is none.
func ParseEvidenceName(text string) (EvidenceName, error) {
	m := evidenceForm.FindStringSubmatch(text)
	if m == nil {
		return EvidenceName{}, errors.New("incident: it is no name of evidence")
	}
	taken, err := time.Parse(evidenceTime, m[1])
	if err != nil {
		return EvidenceName{}, errors.New("incident: it is no name of evidence: the time is none")
	}
	return EvidenceName{Incident: m[3], Taken: taken, Redacted: m[2] == "redacted"}, nil
}
