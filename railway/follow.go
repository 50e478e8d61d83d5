package railway

import (
	"context"
	"errors"
	"iter"
	"slices"
	"time"

	"go.acu.edu.au/runbook/incident"
)

// FollowLogs implements [incident.LogFollower]. Railway sends the lines over a
// WebSocket. When that breaks it is opened again after half a second, and later up to
// 30 s, and what was printed meanwhile is read; where none can be opened, the log is
// read every 5 s, or less often when little is left of the hour's calls: at half the
// pace at which they would be used up. A broken WebSocket costs two or three calls.
//
// A deployment that is not named is found once, at the start. A refusal ends the
// sequence, and so do ten minutes in which nothing could be read.
//
// Railway's lines have no ID. Two lines are the same if all that Railway says of them
// is the same, and as many lines as are the same are yielded as Railway lists. It
// remembers the last 50,000; a line that comes after as many newer ones is left out.
func (s *Service) FollowLogs(ctx context.Context, q incident.LogQuery) iter.Seq2[incident.LogLine, error] {
	return func(yield func(incident.LogLine, error) bool) {
		f := &follower{
			o: s.c.op("follow the logs of %s", s), s: s, q: q,
			yield:      func(l incident.LogLine) bool { return yield(l, nil) },
			lineMemory: newLineMemory(),
		}
		err := f.start(ctx)
		if err == nil && !f.left {
			err = f.run(ctx)
		}
		if err != nil && !f.left {
			yield(incident.LogLine{}, err)
		}
	}
}

// Limits of following.
const (
	overlap     = 3 * time.Second  // of what is read again, for lines that came late
	firstLines  = 500              // that a subscription begins with
	followPace  = 5 * time.Second  // of polling
	socketPause = 5 * time.Minute  // until a WebSocket is tried again
	maxOutage   = 10 * time.Minute // until following fails
)

// A follower follows one log.
type follower struct {
	s     *Service
	o     op
	q     incident.LogQuery
	r     *logReader
	yield func(incident.LogLine) bool
	left  bool // the loop was left

	lineMemory
	first   bool      // the next message is the first of its connection
	failing time.Time // since when nothing could be read
}

// start reads the lines that there are, and yields those that are wanted.
func (f *follower) start(ctx context.Context) error {
	if err := f.q.ValidateFollow(); err != nil {
		return f.o.refuse(nil, "%s", err)
	}
	var err error
	if f.r, err = f.s.logReader(ctx, f.o, f.q); err != nil {
		return err
	}
	if f.q.Tail == 0 && !f.q.From.IsZero() {
		f.newest = f.q.From // all of it is read as if it had been missed
		return nil
	}
	page, err := f.r.page(ctx, f.q.From, time.Time{}, max(firstLines, f.r.pageFor(f.q.Tail)))
	if err != nil {
		return err
	}
	f.floor = page.cut
	counts := make(map[uint64]int, len(page.lines))
	for _, l := range page.lines {
		f.read(l, counts)
	}
	if f.newest.IsZero() {
		f.newest = time.Now().Add(-24 * time.Hour) // nothing there can be older than its deployment
	}
	if f.q.Tail == 0 {
		return nil
	}
	lines, err := f.r.newest(ctx, page, f.q.Tail)
	if err != nil {
		return err
	}
	for _, l := range lines {
		if f.left = !f.yield(l.LogLine); f.left {
			break
		}
	}
	return nil
}

// emit yields a line that is new.
func (f *follower) emit(l logLine) bool {
	if f.q.Wants(l.LogLine) {
		f.left = !f.yield(l.LogLine)
	}
	return !f.left
}

// catchUp reads what was printed since the newest line.
func (f *follower) catchUp(ctx context.Context) error {
	counts := make(map[uint64]int)
	_, err := f.r.span(ctx, f.newest.Add(-overlap), time.Time{}, func(l logLine) bool {
		return !f.read(l, counts) || f.emit(l)
	})
	if err == nil {
		f.failing = time.Time{}
	}
	return err
}

// run follows until ctx ends, the loop is left, or there is no point in going on.
func (f *follower) run(ctx context.Context) error {
	var wait backoff
	for {
		began := time.Now()
		err := f.listen(ctx)
		if errors.Is(err, errCannotSubscribe) {
			err = f.poll(ctx)
		}
		switch {
		case f.left:
			return nil
		case ctx.Err() != nil:
			return &Error{Op: f.o.name, unrun: true, cause: ctx.Err()}
		}
		if err := f.bear(err); err != nil {
			return err
		}
		if time.Since(began) >= lasting {
			wait = backoff{}
		}
		_ = wait.pause(ctx) // an ended context shows above
	}
}

// bear returns the error if it is a reason to stop.
func (f *follower) bear(err error) error {
	if err == nil {
		return nil
	}
	if f.failing.IsZero() {
		f.failing = time.Now()
	}
	e, ok := errors.AsType[*Error](err)
	if ok && e.kind != ErrRateLimited && (e.refused || e.Code == "incomplete") || time.Since(f.failing) >= maxOutage {
		return err
	}
	return nil
}

// listen follows by a subscription, opened again when it breaks.
func (f *follower) listen(ctx context.Context) error {
	for sig, err := range subscribeAgain[logData](ctx, f.s.c, f.o, f.operation(), f.variables) {
		if err != nil {
			return err
		}
		if sig.opened {
			f.session++
			err = f.catchUp(ctx)
			f.first, f.opened = true, f.newest
		} else {
			err = f.hear(ctx, linesOf(sig.data))
		}
		if err != nil || f.left {
			return err
		}
	}
	return nil
}

func (f *follower) operation() string {
	switch f.q.Kind {
	case incident.LogBuild:
		return "FollowBuildLogs"
	case incident.LogRequest:
		return "FollowHTTPLogs"
	}
	return "FollowDeploymentLogs"
}

// variables are those of a subscription that begins with the last lines.
func (f *follower) variables() map[string]any {
	if f.q.Kind == incident.LogRequest {
		// While it streams, beforeDate is the bound below and not above
		// (https://github.com/brody192/locomotive).
		since := f.newest.Add(-overlap).UTC().Format(time.RFC3339Nano)
		return map[string]any{"deploymentId": f.r.deployment, "beforeDate": since, "beforeLimit": firstLines}
	}
	v := map[string]any{"deploymentId": f.r.deployment, "limit": firstLines}
	if f.r.filter != nil {
		v["filter"] = *f.r.filter
	}
	return v
}

// hear takes a message of a connection. If the first one has nothing that is known,
// something may be missing between, and is read; and so is what is in doubt.
func (f *follower) hear(ctx context.Context, lines []logLine) error {
	if len(lines) == 0 {
		return nil
	}
	if f.first && !slices.ContainsFunc(lines, f.knows) {
		if err := f.catchUp(ctx); err != nil || f.left {
			return err
		}
	}
	doubt := false
	for _, l := range lines {
		v := f.heard(l)
		doubt = doubt || v == doubtful
		if v == fresh && !f.emit(l) {
			return nil
		}
	}
	if f.first {
		f.complete(lines)
	}
	f.first = false
	if !doubt {
		return nil
	}
	return f.catchUp(ctx)
}

// poll follows by reading again and again, until it is time to try a WebSocket.
func (f *follower) poll(ctx context.Context) error {
	for began := time.Now(); f.s.c.polling || time.Since(began) < socketPause; {
		err := f.catchUp(ctx)
		if f.left || ctx.Err() != nil {
			return nil
		}
		if err := f.bear(err); err != nil {
			return err
		}
		_ = pause(ctx, max(followInterval(f.s.c.budget.Stats()), retryAfter(err)))
	}
	return nil
}

// followInterval returns how long to wait between two reads, of which each is one
// call or more.
func followInterval(s BudgetStats) time.Duration {
	rest := time.Until(s.Reset)
	if s.Limit == 0 || rest <= 0 {
		return followPace
	}
	return max(followPace, rest/time.Duration(max(1, s.Remaining/2)))
}
