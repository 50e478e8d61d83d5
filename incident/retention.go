package incident

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"math"
	"strings"
	"time"

	"go.acu.edu.au/runbook"
)

// Prune removes documents of a kind that are closed and were changed last before a time,
// each with the chain that is named after it: with the kind "incident", an incident and
// its timeline. What belongs to an incident with a [LegalHold], or with an open [Deadline],
// stays. It returns how many it removed, also with an error, after which it can be called
// again. The chain "audit" stays: it is one record, and is kept or removed whole.
//
// Each is looked at again right before it is removed. One that is reopened at that very
// moment goes with it, so that before should lie back by months. It reads all documents of
// the kind, for which once a day is often enough.
func Prune(ctx context.Context, s Store, kind string, before time.Time) (removed int, err error) {
	for d, err := range due(ctx, s, kind, before) {
		if err != nil {
			return removed, fmt.Errorf("incident: prune: %w", err)
		}
		now, err := s.Document(ctx, kind, d.ID)
		if errors.Is(err, ErrNotFound) || err == nil && now.Version != d.Version {
			continue
		}
		if err == nil {
			err = s.Delete(ctx, kind, d.ID, kind+"/"+d.ID)
		}
		if err != nil {
			return removed, fmt.Errorf("incident: prune: document %s %s: %w", kind, d.ID, err)
		}
		removed++
	}
	return removed, nil
}

// due returns the documents of a kind that are to be removed.
func due(ctx context.Context, s Store, kind string, before time.Time) iter.Seq2[Document, error] {
	return func(yield func(Document, error) bool) {
		for d, err := range s.Documents(ctx, DocumentQuery{Kind: kind}) {
			if err == nil && (d.Open || !d.Changed.Before(before)) {
				continue
			}
			if err == nil {
				var held bool
				if held, err = documentHeld(ctx, s, d); held {
					continue
				}
			}
			if !yield(d, err) || err != nil {
				return
			}
		}
	}
}

// documentHeld reports whether a document belongs to an incident with a hold.
func documentHeld(ctx context.Context, s Store, d Document) (bool, error) {
	about := []string{d.ID}
	if d.Kind == kindApproval {
		var a Approval
		if err := json.Unmarshal(d.Data, &a); err != nil {
			held, err := LegalHolds(ctx, s)
			return len(held) > 0, err // it may belong to any of them
		}
		about = []string{a.Incident, a.Question.Run}
	}
	return anyHeld(ctx, s, about...)
}

// anyHeld reports whether nothing may be removed of one of several.
func anyHeld(ctx context.Context, s Store, names ...string) (bool, error) {
	for _, name := range names {
		if held, err := isHeld(ctx, s, name); held || err != nil {
			return held, err
		}
	}
	return false, nil
}

// Retention says for how long it is kept what has personal data in it: evidence, which has
// page views and the audit logs of platforms, and incidents, whose timelines have what
// playbooks found in them.
//
// Evidence is kept whole first, and then as a copy without personal data, which was made
// beside it when it was taken, since what is sealed cannot be opened here: see
// [Evidence.CollectRedacted]. Timelines of closed incidents are whole for as long; then what
// steps found, and texts with a network address or a mail address in them, are redacted:
// see [Entry.Redacted], if the store is an [EntryRedactor]. That it happened, when, and who
// did it stays, until the incident is removed, and the chain stays one that [VerifyChain]
// proves. An incident with a [LegalHold], with an open [Deadline], or that is not over, loses
// nothing, nor do those that were merged into it. What was recorded before there were salts
// cannot be redacted: see [Entry.Redacted]. Documents of incidents, with their titles, and of
// approvals are whole until they are removed.
//
// Names of people who work with the host stay in the record "audit": it is there to say who
// did what. Its texts are redacted as those of timelines are.
//
//	removed, err := incident.Retention{Store: store, Evidence: bundles}.Apply(ctx)
type Retention struct {
	// Store keeps incidents, and the record of what was removed. Required.
	Store Store
	// Evidence keeps the evidence. Nil means that there is none.
	Evidence EvidenceStore
	// Runs keeps the records of runs, which have what playbooks about security found. They
	// are deleted if it is a [RunForgetter]. Nil means that there are none.
	Runs Runs
	// Whole is for how long evidence is kept as it was taken, what is recorded as it was
	// written, and the record of a run, from its end. Zero means [KeepWhole].
	Whole time.Duration
	// Redacted is for how long the copy without personal data is kept, from when it was
	// taken. Zero means [KeepRedacted]. It must not be less than Whole.
	Redacted time.Duration
	// Incidents is for how long incidents are kept that are closed, with their timelines,
	// and what was asked about them, from their last change. Zero means [KeepIncidents],
	// and [Forever] that they are never removed.
	Incidents time.Duration
	// MaxGap is how long the host may have been away, by this clock, since Apply was called
	// last, which it does each night. After a longer gap nothing is removed, see [ErrClock].
	// Zero means that the clock is trusted.
	MaxGap time.Duration
	// Confirmed is when somebody looked at the clock and found it right, after the host was
	// away for longer. One in the future, by this clock, does not count. Zero means that
	// nobody did.
	Confirmed time.Time
}

// For how long it is kept if nothing else is said: evidence for 90 days as it was taken,
// three times as long as an assessment of a breach may take, and for two years without
// personal data; incidents for two years.
const (
	KeepWhole     = 90 * 24 * time.Hour
	KeepRedacted  = 2 * 365 * 24 * time.Hour
	KeepIncidents = 2 * 365 * 24 * time.Hour
	// Forever is longer than anything is kept.
	Forever time.Duration = math.MaxInt64
)

// Retained is how many there were. It says nothing of what they were about.
type Retained struct {
	// Redacted is how many bundles of evidence were removed of which the copy without
	// personal data stays, and Deleted how many bundles and copies of which nothing stays.
	Redacted int `json:"redacted"`
	Deleted  int `json:"deleted"`
	// Entries is how many entries of timelines and of the record were redacted.
	Entries int `json:"entries"`
	// Runs is how many records of runs were removed.
	Runs int `json:"runs"`
	// Incidents and Approvals are how many documents were removed.
	Incidents int `json:"incidents"`
	Approvals int `json:"approvals"`
	// Held is how many bundles and copies were due and stay because of a hold, or since their
	// incident is not over.
	Held int `json:"held"`
	// Strange is how many there are in the store of evidence whose names are none of
	// evidence. They are left alone: somebody has to look at them.
	Strange int `json:"strange"`
}

// removed is how many are gone.
func (r Retained) removed() int {
	return r.Redacted + r.Deleted + r.Entries + r.Runs + r.Incidents + r.Approvals
}

// String says it in a line.
func (r Retained) String() string {
	parts := []string{
		fmt.Sprintf("%d bundles of evidence were replaced by their redacted copies", r.Redacted), fmt.Sprintf("%d were deleted", r.Deleted),
		fmt.Sprintf("%d entries were redacted", r.Entries), fmt.Sprintf("%d runs, %d incidents and %d approvals were deleted", r.Runs, r.Incidents, r.Approvals),
	}
	if r.Held > 0 {
		parts = append(parts, fmt.Sprintf("%d stay because of a hold, or since their incident is not over", r.Held))
	}
	if r.Strange > 0 {
		parts = append(parts, fmt.Sprintf("%d have names that are none of evidence, and were left alone", r.Strange))
	}
	return strings.Join(parts, "; ")
}

// Validate returns everything that is wrong with the rule, or nil.
func (r Retention) Validate() error {
	var errs []error
	if r.Store == nil {
		errs = append(errs, errors.New("incident: retention: the store is missing"))
	}
	if r.Whole < 0 || r.Redacted < 0 || r.Incidents < 0 || r.MaxGap < 0 {
		errs = append(errs, errors.New("incident: retention: a time must not be negative"))
	}
	if whole, redacted := r.Times(); r.Whole >= 0 && r.Redacted >= 0 && redacted < whole {
		errs = append(errs, fmt.Errorf("incident: retention: the redacted copy would be deleted after %v, before the whole bundle, after %v", redacted, whole))
	}
	return errors.Join(errs...)
}

// Times returns for how long evidence is kept whole, and redacted, with the defaults.
func (r Retention) Times() (whole, redacted time.Duration) {
	return cmp.Or(r.Whole, KeepWhole), cmp.Or(r.Redacted, KeepRedacted)
}

// Apply removes what is older than the rule says, and returns how many it removed, also with
// an error. It can be called again after an error and after a crash: what is gone is gone,
// and the rest is removed then. It goes on with the others where one cannot be removed.
//
// If something is due, the audit record has how many before the first is removed, and how
// many it became at the end: after a crash there is a beginning without an end. It has no
// names. With a read-only context it refuses with runbook.ErrReadOnly. With a MaxGap the
// error wraps [ErrClock] if the clock may be wrong, and nothing was removed.
func (r Retention) Apply(ctx context.Context) (Retained, error) {
	if err := r.Validate(); err != nil {
		return Retained{}, err
	}
	if runbook.IsReadOnly(ctx) {
		return Retained{}, fmt.Errorf("incident: retention: %w", runbook.ErrReadOnly)
	}
	now := wallTime()
	if err := r.trust(ctx, now); err != nil {
		return Retained{}, fmt.Errorf("incident: retention: %w", err)
	}
	plan, planned, err := r.plan(ctx, now)
	if err != nil {
		return Retained{}, fmt.Errorf("incident: retention: %w", err)
	}
	var unread [2]error // what one of them keeps from being read keeps no other from being removed
	planned.Entries, unread[0] = r.redact(ctx, now, false)
	planned.Runs, unread[1] = r.forget(ctx, now, false)
	done := Retained{Held: planned.Held, Strange: planned.Strange}
	if planned.removed() == 0 {
		return done, errors.Join(unread[:]...)
	}
	if err := r.record(ctx, "retention began", "by the rule of retention there are to be removed: "+planned.due(), planned); err != nil {
		return done, fmt.Errorf("incident: retention: nothing was removed, since it could not be recorded: %w", err)
	}
	var errs []error
	for _, b := range plan {
		if err := r.remove(ctx, b, &done); err != nil {
			errs = append(errs, err)
		}
	}
	done.Entries, err = r.redact(ctx, now, true)
	errs = append(errs, err)
	done.Runs, err = r.forget(ctx, now, true)
	errs = append(errs, err)
	if before, some := r.before(now); some {
		var err1, err2 error
		done.Incidents, err1 = Prune(ctx, r.Store, incidentKind, before)
		done.Approvals, err2 = Prune(ctx, r.Store, kindApproval, before)
		_, err3 := Prune(ctx, r.Store, deadlineKind, before)
		errs = append(errs, err1, err2, err3)
	}
	text := "by the rule of retention: " + done.String()
	failed := errors.Join(errs...)
	if failed != nil {
		text += "; not all that was due"
	}
	return done, errors.Join(failed, r.record(ctx, "retention ended", text, done))
}

// before is when what is removed of incidents was changed last; none is if they are kept for
// ever.
func (r Retention) before(now time.Time) (before time.Time, some bool) {
	keep := cmp.Or(r.Incidents, KeepIncidents)
	return now.Add(-keep), keep != Forever
}

// due says what is to be removed, in a line.
func (r Retained) due() string {
	return fmt.Sprintf("%d bundles of evidence of which redacted copies stay, %d of which nothing stays, %d entries to be redacted, %d runs, %d incidents, %d approvals", r.Redacted, r.Deleted, r.Entries, r.Runs, r.Incidents, r.Approvals)
}

// record puts an entry on the audit record.
func (r Retention) record(ctx context.Context, kind, text string, counts Retained) error {
	_, err := r.Store.Commit(ctx, Change{Entries: []Entry{{Chain: auditChain, At: wallTime(), Kind: kind, Actor: program, Text: text, Data: marshal(counts)}}})
	return err
}

// doomed is a bundle that is due, and whether a redacted copy of it stays.
type doomed struct {
	name     string
	incident string
	copied   bool
}

// plan returns the bundles that are due, and how many of everything is. What is sure comes
// first: the whole bundles.
func (r Retention) plan(ctx context.Context, now time.Time) (bundles []doomed, counts Retained, err error) {
	if r.Evidence != nil {
		if bundles, counts, err = r.planEvidence(ctx, now); err != nil {
			return nil, counts, err
		}
	}
	before, some := r.before(now)
	if !some {
		return bundles, counts, nil
	}
	for kind, n := range map[string]*int{incidentKind: &counts.Incidents, kindApproval: &counts.Approvals} {
		for _, err := range due(ctx, r.Store, kind, before) {
			if err != nil {
				return nil, counts, err
			}
			*n++
		}
	}
	return bundles, counts, nil
}

func (r Retention) planEvidence(ctx context.Context, now time.Time) (bundles []doomed, counts Retained, err error) {
	whole, redacted := r.Times()
	var kept []EvidenceName
	copies := make(map[EvidenceName]bool) // the redacted ones that stay
	for text, err := range r.Evidence.Kept(ctx) {
		if err != nil {
			return nil, counts, fmt.Errorf("what evidence is kept: %w", err)
		}
		name, err := ParseEvidenceName(text)
		if err != nil {
			counts.Strange++
			continue
		}
		kept = append(kept, name)
		if name.Redacted && now.Sub(name.Taken) < redacted {
			copies[name] = true
		}
	}
	for _, name := range kept {
		limit := whole
		if name.Redacted {
			limit = redacted
		}
		if now.Sub(name.Taken) < limit {
			continue
		}
		held, err := isHeld(ctx, r.Store, name.Incident)
		switch {
		case err != nil:
			return nil, counts, fmt.Errorf("whether evidence is held: %w", err)
		case held:
			counts.Held++
			continue
		}
		copied := !name.Redacted && copies[name.Copy()]
		if copied {
			counts.Redacted++
		} else {
			counts.Deleted++
		}
		bundles = append(bundles, doomed{name.String(), name.Incident, copied})
	}
	return bundles, counts, nil
}

// remove removes a bundle, unless a hold was set meanwhile.
func (r Retention) remove(ctx context.Context, b doomed, done *Retained) error {
	held, err := isHeld(ctx, r.Store, b.incident)
	switch {
	case err != nil:
		return fmt.Errorf("incident: retention: whether evidence is held: %w", err)
	case held:
		done.Held++
		return nil
	}
	if err := r.Evidence.Delete(ctx, b.name); err != nil {
		return fmt.Errorf("incident: retention: a bundle of evidence could not be deleted: %w", err)
	}
	if b.copied {
		done.Redacted++
	} else {
		done.Deleted++
	}
	return nil
}
