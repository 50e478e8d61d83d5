package incident

import (
	"context"
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
	for d, err := range due(ctx, r.Store, incidentKind, before) {
		if err == nil {
			err = entries(timelineOf(d.ID), func(e Entry) bool { return e.Kind == string(EventStepEnded) && len(e.Data) > 0 || personal(e) })
		}
		if err != nil {
			return n, fmt.Errorf("incident: retention: redact what is recorded: %w", err)
		}
	}
	held, err := LegalHolds(ctx, r.Store)
	if err == nil {
		err = entries(auditChain, func(e Entry) bool { return e.At.Before(before) && !about(e, held) && personal(e) })
	}
	if err != nil {
		return n, fmt.Errorf("incident: retention: redact what is recorded: %w", err)
	}
	return n, nil
}

// forget removes the records of runs that ended before what is kept whole, and returns how
// many it was, also with an error. Unless really is true it only counts them.
func (r Retention) forget(ctx context.Context, now time.Time, really bool) (n int, err error) {
	runs, can := r.Runs.(RunForgetter)
	if !can {
		return 0, nil
	}
	whole, _ := r.Times()
	for record, err := range r.Runs.List(ctx, RunQuery{Limit: math.MaxInt32}) {
		if err != nil {
			return n, fmt.Errorf("incident: retention: records of runs: %w", err)
		}
		if !record.Status.Ended() || record.Ended.After(now.Add(-whole)) {
			continue
		}
		for _, id := range []string{record.Labels["incident"], record.ID} {
			held, err := isHeld(ctx, r.Store, id)
			if err != nil {
				return n, fmt.Errorf("incident: retention: whether a run is held: %w", err)
			}
			if held {
				record.ID = ""
			}
		}
		if record.ID == "" {
			continue
		}
		if really {
			if err := runs.Forget(ctx, record.ID); err != nil {
				return n, fmt.Errorf("incident: retention: a run cannot be forgotten: %w", err)
			}
		}
		n++
	}
	return n, nil
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
		if host, port, found := strings.Cut(part, ":"); found && strings.Contains(host, ".") && !strings.Contains(port, ":") {
			part = host
		}
		if _, err := netip.ParseAddr(part); err == nil {
			return true
		}
	}
	return false
}
