package lti

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"go.acu.edu.au/runbook/internal/httpx"
)

// Limits of a platform's key set.
const (
	maxKeySetBody    = 1 << 20
	maxKeySetEntries = 1000
	minPlatformBits  = 2048 // RFC 7518, section 3.3
	maxPlatformBits  = 8192 // above, a signature takes long to verify
)

// fetching returns the call that fetches a set, for its flight.
func (s *KeySets) fetching(set *keySet) func(context.Context) (struct{}, error) {
	return func(ctx context.Context) (struct{}, error) {
		s.fetch(ctx, set)
		return struct{}{}, nil
	}
}

// fetch replaces what is known of a set by what the platform says, if it says
// something that can be used.
func (s *KeySets) fetch(ctx context.Context, set *keySet) {
	start := time.Since(s.born)
	if !set.due(start) {
		return // a flight has just landed
	}
	// A transport of the host that panics counts as a failure, so that the next
	// fetch waits its time.
	err := errors.New("the fetch panicked")
	defer func() { set.last.Store(&keyAttempt{next: time.Since(s.born) + s.cfg.RefetchEvery, err: err}) }()
	var snapshot *keySnapshot
	snapshot, err = s.ask(ctx, set)
	report := KeySetFetch{Address: set.address, External: set.shelf.external, Err: err, Took: time.Since(s.born) - start}
	if snapshot != nil {
		report.Keys, report.Skipped = len(snapshot.keys), len(snapshot.skipped)
	}
	if err == nil {
		set.now.Store(snapshot)
	}
	if s.cfg.OnFetch != nil {
		s.cfg.OnFetch(report)
	}
}

// ask asks the platform. A snapshot that comes with an error has no keys.
func (s *KeySets) ask(ctx context.Context, set *keySet) (*keySnapshot, error) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	defer cancel()
	header := http.Header{"Accept": {"application/json, application/jwk-set+json"}}
	resp, err := set.shelf.http.Do(ctx, httpx.Call{Op: "fetch", URL: set.url, Header: header})
	switch {
	case err != nil && ctx.Err() != nil:
		return nil, fmt.Errorf("no complete answer within %v: %w", s.cfg.Timeout, err)
	case err != nil:
		return nil, err
	case resp.Status/100 == 3:
		return nil, fmt.Errorf("fetch: status %d, and redirects to other hosts are not followed: register the address that it leads to", resp.Status)
	case resp.Err("fetch") != nil:
		return nil, resp.Err("fetch")
	}
	keys, skipped, err := parseKeySet(resp.Body)
	if err != nil {
		return nil, err
	}
	now := time.Since(s.born)
	fresh := now + min(max(maxAge(resp.Header), s.cfg.MinLife), s.cfg.MaxLife)
	snapshot := &keySnapshot{keys: keys, skipped: skipped, fetched: now, fresh: fresh, usable: fresh + s.cfg.MaxStale}
	switch {
	case len(keys) > 0:
		return snapshot, nil
	case len(skipped) > 0:
		return snapshot, fmt.Errorf("none of its %d entries can be used: %s", len(skipped), skipped[0])
	}
	return snapshot, errors.New("it is empty")
}

// maxAge reads the max-age of an answer (RFC 9111, section 5.2.2.1), or returns
// zero.
func maxAge(h http.Header) time.Duration {
	for _, field := range h.Values("Cache-Control") {
		for directive := range strings.SplitSeq(field, ",") {
			name, value, _ := strings.Cut(strings.TrimSpace(directive), "=")
			if !strings.EqualFold(name, "max-age") {
				continue
			}
			if seconds, err := strconv.ParseUint(strings.Trim(value, `"`), 10, 31); err == nil {
				return time.Duration(seconds) * time.Second
			}
		}
	}
	return 0
}
