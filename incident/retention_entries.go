package incident

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"net/netip"
	"regexp"
	"strings"
	"time"
)

// redact redacts what is recorded of incidents that were closed before what is kept whole,
// and returns how many entries it was, also with an error. Unless really is true it only
// counts them.
func (r Retention) redact(ctx context.Context, now time.Time, really bool) (n int, err error) {
	store, can := r.Store.(EntryRedactor)
	if !can {
		return 0, nil
	}
	whole, _ := r.Times()
	before := now.Add(-whole)
	entries := func(chain string, is func(e Entry) bool) error {
		numbers, err := dueEntries(r.Store.Entries(ctx, chain, 0), is)
		if err != nil || !really || len(numbers) == 0 {
			n += len(numbers)
			return err
		}
		changed, err := store.RedactEntries(ctx, chain, numbers...)
		n += changed
		return err
	}
	var errs []error
	for d, err := range due(ctx, r.Store, incidentKind, before) {
		if err == nil {
			err = entries(timelineOf(d.ID), func(e Entry) bool { return e.Kind == string(EventStepEnded) && len(e.Data) > 0 || personal(e) })
		}
		errs = append(errs, err)
	}
	held, err := r.heldNames(ctx)
	if err == nil {
		err = entries(auditChain, func(e Entry) bool { return e.At.Before(before) && !about(e, held) && personal(e) })
	}
	if err = errors.Join(append(errs, err)...); err != nil {
		return n, fmt.Errorf("incident: retention: redact what is recorded: %w", err)
	}
	return n, nil
}

// heldNames are the names of what is held: of incidents, and of their runs, by which alone the
// record names an answer to a question of one.
func (r Retention) heldNames(ctx context.Context) (map[string]LegalHold, error) {
	names, err := LegalHolds(ctx, r.Store)
	if err != nil {
		return nil, err
	}
	add := func(name, of string) error {
		held, err := isHeld(ctx, r.Store, of)
		if held {
			names[name] = LegalHold{Incident: of}
		}
		return err
	}
	for d, err := range r.Store.Documents(ctx, DocumentQuery{Kind: incidentKind}) {
		if err = cmp.Or(err, add(d.ID, d.ID)); err != nil {
			return nil, err
		}
	}
	if r.Runs == nil {
		return names, nil
	}
	for record, err := range r.Runs.List(ctx, RunQuery{Limit: math.MaxInt32}) {
		if err = cmp.Or(err, add(record.ID, record.Labels["incident"])); err != nil {
			return nil, err
		}
	}
	return names, nil
}

// forget removes the records of runs that ended before what is kept whole, and returns how
// many it was, also with an error. Unless really is true it only counts them.
func (r Retention) forget(ctx context.Context, now time.Time, really bool) (n int, err error) {
	runs, can := r.Runs.(RunForgetter)
	if !can {
		return 0, nil
	}
	whole, _ := r.Times()
	var errs []error
	for record, err := range r.Runs.List(ctx, RunQuery{Limit: math.MaxInt32}) {
		if err != nil {
			return n, errors.Join(append(errs, fmt.Errorf("incident: retention: records of runs: %w", err))...)
		}
		if !record.Status.Ended() || record.Ended.After(now.Add(-whole)) {
			continue
		}
		held, err := anyHeld(ctx, r.Store, record.Labels["incident"], record.ID)
		if err != nil {
			return n, fmt.Errorf("incident: retention: whether a run is held: %w", err)
		}
		if held {
			continue
		}
		if really {
			if err := runs.Forget(ctx, record.ID); err != nil {
				errs = append(errs, fmt.Errorf("incident: retention: a run cannot be forgotten: %w", err))
				continue
			}
		}
		n++
	}
	return n, errors.Join(errs...)
}

// dueEntries returns the numbers of entries that are to be redacted.
func dueEntries(entries iter.Seq2[Entry, error], is func(e Entry) bool) (numbers []int64, err error) {
	for e, err := range entries {
		if err != nil {
			return nil, err
		}
		if e.Salt != "" && is(e) {
			numbers = append(numbers, e.Seq)
		}
	}
	return numbers, nil
}

// about reports whether an entry of the record is about an incident with a hold.
func about(e Entry, held map[string]LegalHold) bool {
	for id := range held {
		if strings.Contains(e.Text, id) || strings.Contains(string(e.Data), id) {
			return true
		}
	}
	return false
}

var (
	mailAddress = regexp.MustCompile(`[^\s@"<>,;]+@[^\s@"<>,;]+\.[A-Za-z]{2,}`)
	maybeHost   = regexp.MustCompile(`[0-9A-Fa-f.:]{3,45}`)
)

// personal reports whether an entry has the address of a person, or of a network, in it.
func personal(e Entry) bool {
	text := e.Text + "\n" + string(e.Data)
	if mailAddress.MatchString(text) {
		return true
	}
	for _, part := range maybeHost.FindAllString(text, -1) {
		part = strings.Trim(part, ".:")
		// "::ffff:203.0.113.9", "203.0.113.9:443", "source:203.0.113.9"
		for _, text := range append(strings.Split(part, ":"), part) {
			if _, err := netip.ParseAddr(strings.Trim(text, ".")); err == nil {
				return true
			}
		}
	}
	return false
}
