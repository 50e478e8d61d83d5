package incident_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/incident"
)

// runsMistakes are the engines that are wrong, by what is wrong with them.
func runsMistakes() map[string]runsMistake {
	all := make(map[string]runsMistake)
	for _, list := range []map[string]runsMistake{stepMistakes(), waitMistakes(), runMistakes(), peopleMistakes(), replaceMistakes(), survivalMistakes()} {
		for name, m := range list {
			all[name] = m
		}
	}
	return all
}

func stepMistakes() map[string]runsMistake {
	return map[string]runsMistake{
		"makes a group one after the other": {notices: "a group is made at the same time", engine: func(w *wrongEngine) {
			w.steps = func(ctx context.Context, calls []incident.Call) (all []incident.Outcome, err error) {
				for i := range calls {
					o, err := w.Engine.Steps(ctx, calls[i:i+1])
					if err != nil {
						return nil, err
					}
					all = append(all, o...)
				}
				return all, nil
			}
		}},
		"returns outcomes in another order": {notices: "the outcomes of a group are in the order of its calls", engine: func(w *wrongEngine) {
			w.steps = func(ctx context.Context, calls []incident.Call) ([]incident.Outcome, error) {
				o, err := w.Engine.Steps(ctx, calls)
				slices.SortFunc(o, func(a, b incident.Outcome) int { return a.Ended.Compare(b.Ended) })
				return o, err
			}
		}},
		"records calls as they end": {notices: "fork from within a group", runs: func(w *wrongRuns) {
			w.record = func(ctx context.Context, id string, revision int64) (incident.RunRecord, error) {
				r, err := w.Runs.Record(ctx, id, revision)
				if len(r.Entries) > 1 {
					last := len(r.Entries) - 1
					r.Entries[last], r.Entries[last-1] = r.Entries[last-1], r.Entries[last]
				}
				return r, err
			}
		}},
		"records a group when all of it has ended": {notices: "an outcome of a group is recorded when its call has ended", engine: func(w *wrongEngine) {
			w.steps = func(ctx context.Context, calls []incident.Call) ([]incident.Outcome, error) {
				var all sync.WaitGroup
				all.Add(len(calls))
				calls = slices.Clone(calls)
				for i, c := range calls {
					calls[i].Do = func(ctx context.Context, interrupted []incident.Attempt) incident.Outcome {
						defer all.Wait()
						defer all.Done()
						return c.Do(ctx, interrupted)
					}
				}
				return w.Engine.Steps(ctx, calls)
			}
		}},
		"tries again what failed": callMistake("outcomes are returned and recorded as they are", func(c *incident.Call) {
			do := c.Do
			c.Do = func(ctx context.Context, interrupted []incident.Attempt) incident.Outcome {
				o := do(ctx, interrupted)
				if o.Status == incident.Failed {
					return do(ctx, interrupted)
				}
				return o
			}
		}),
		"forgets what was proven": outcomeMistake("outcomes are returned and recorded as they are", func(o *incident.Outcome) { o.Unsent = false }),
		"drops the code":          outcomeMistake("outcomes are returned and recorded as they are", func(o *incident.Outcome) { o.Code = "" }),
		"cuts outputs":            outcomeMistake("the largest input and output are kept", func(o *incident.Outcome) { o.Output = o.Output[:min(len(o.Output), 1<<15)] }),
		"says another process":    outcomeMistake("an outcome says who made it and when", func(o *incident.Outcome) { o.Process = "another" }),
		"says when it was recorded": outcomeMistake("an outcome says who made it and when", func(o *incident.Outcome) {
			o.Began = time.Now()
		}),
		"takes an ID twice": {notices: "an ID that is used twice is refused", engine: func(w *wrongEngine) {
			used := make(map[incident.StepID]bool)
			w.steps = func(ctx context.Context, calls []incident.Call) ([]incident.Outcome, error) {
				calls = slices.Clone(calls)
				for i := range calls {
					if used[calls[i].ID] {
						calls[i].ID += "'"
					}
					used[calls[i].ID] = true
				}
				return w.Engine.Steps(ctx, calls)
			}
		}},
		"finds an ID twice when it is too late": {notices: "an ID that occurs twice in a group is refused", engine: func(w *wrongEngine) {
			w.steps = func(ctx context.Context, calls []incident.Call) ([]incident.Outcome, error) {
				for i := range calls {
					if _, err := w.Engine.Steps(ctx, calls[i:i+1]); err != nil {
						return nil, err
					}
				}
				return make([]incident.Outcome, len(calls)), nil
			}
		}},
		"takes a panic for a failure": callMistake("a panic in a call is an unknown outcome", func(c *incident.Call) {
			do := c.Do
			c.Do = func(ctx context.Context, interrupted []incident.Attempt) (o incident.Outcome) {
				defer func() {
					if p := recover(); p != nil {
						o = incident.Outcome{Status: incident.Failed, Message: fmt.Sprint(p)}
					}
				}()
				return do(ctx, interrupted)
			}
		}),
		"says interrupted when it is not": callMistake("calls that nobody interrupted", func(c *incident.Call) {
			do := c.Do
			c.Do = func(ctx context.Context, _ []incident.Attempt) incident.Outcome {
				return do(ctx, []incident.Attempt{{Step: c.ID}})
			}
		}),
		"gives calls another context": callMistake("the context of a call is that of its program", func(c *incident.Call) {
			do := c.Do
			c.Do = func(ctx context.Context, interrupted []incident.Attempt) incident.Outcome {
				return do(context.WithoutCancel(ctx), interrupted)
			}
		}),
		"shows all calls as open": callMistake("calls with an intent are open while they are under way", func(c *incident.Call) { c.Intent = true }),
		"shows no calls as open":  callMistake("calls with an intent are open while they are under way", func(c *incident.Call) { c.Intent = false }),
	}
}

// outcomeMistake changes each outcome.
func outcomeMistake(notices string, change func(o *incident.Outcome)) runsMistake {
	return callMistake(notices, func(c *incident.Call) {
		do := c.Do
		c.Do = func(ctx context.Context, interrupted []incident.Attempt) incident.Outcome {
			o := do(ctx, interrupted)
			change(&o)
			return o
		}
	})
}

// awaitMistake changes a wait.
func awaitMistake(notices string, change func(w *wrongEngine, topic *string, deadline *time.Time)) runsMistake {
	return runsMistake{notices: notices, engine: func(w *wrongEngine) {
		w.await = func(ctx context.Context, id incident.StepID, topic string, deadline time.Time) (incident.Signal, error) {
			change(w, &topic, &deadline)
			return w.Engine.Await(ctx, id, topic, deadline)
		}
	}}
}

// sendMistake changes what is sent.
func sendMistake(notices string, change func(topic *string, s *incident.Signal)) runsMistake {
	return runsMistake{notices: notices, runs: func(w *wrongRuns) {
		w.signal = func(ctx context.Context, id, topic string, s incident.Signal) error {
			change(&topic, &s)
			return w.Runs.Signal(ctx, id, topic, s)
		}
	}}
}

func waitMistakes() map[string]runsMistake {
	never := time.Now().Add(1e6 * time.Hour)
	mixed := sendMistake("topics are apart", func(topic *string, _ *incident.Signal) { *topic = "one" })
	mixed.engine = awaitMistake("", func(_ *wrongEngine, topic *string, _ *time.Time) { *topic = "one" }).engine
	return map[string]runsMistake{
		"wakes too early": {notices: "sleep ends at its time", engine: func(w *wrongEngine) {
			w.sleep = func(ctx context.Context, id incident.StepID, until time.Time) error {
				return w.Engine.Sleep(ctx, id, until.Add(-100*time.Millisecond))
			}
		}},
		"does not sleep": {notices: "sleep ends at its time", engine: func(w *wrongEngine) {
			w.sleep = func(ctx context.Context, id incident.StepID, _ time.Time) error {
				return w.Engine.Sleep(ctx, id, time.Time{})
			}
		}},
		"sleeps for what is over": {notices: "sleep until a time that has been ends at once", engine: func(w *wrongEngine) {
			w.sleep = func(ctx context.Context, id incident.StepID, until time.Time) error {
				return w.Engine.Sleep(ctx, id, time.Now().Add(time.Since(until).Abs()))
			}
		}},
		"never expires":              awaitMistake("a wait expires at its deadline", func(_ *wrongEngine, _ *string, deadline *time.Time) { *deadline = never }),
		"expires without a deadline": awaitMistake("a wait without a deadline does not expire", func(_ *wrongEngine, _ *string, deadline *time.Time) { *deadline = time.Now() }),
		"takes an answer that is late": awaitMistake("a signal after the deadline does not count", func(_ *wrongEngine, _ *string, deadline *time.Time) {
			if !deadline.IsZero() && deadline.Before(time.Now()) {
				*deadline = time.Now()
			}
		}),
		"looks at the deadline first": {notices: "a signal before a deadline counts though nobody looked", engine: func(w *wrongEngine) {
			w.await = func(ctx context.Context, id incident.StepID, topic string, deadline time.Time) (incident.Signal, error) {
				if !deadline.IsZero() && deadline.Before(time.Now()) {
					topic += " of nobody"
				}
				return w.Engine.Await(ctx, id, topic, deadline)
			}
		}},
		"loses what nobody awaits": {notices: "signals wait until they are awaited", runs: func(w *wrongRuns) {
			w.signal = func(ctx context.Context, id, topic string, s incident.Signal) error {
				if r, err := w.Runs.Record(ctx, id, -1); err != nil || len(r.Waits) == 0 {
					return err
				}
				return w.Runs.Signal(ctx, id, topic, s)
			}
		}},
		"mixes topics":      mixed,
		"drops the data":    sendMistake("a signal is returned and recorded as it is", func(_ *string, s *incident.Signal) { s.Data = nil }),
		"drops who it was":  sendMistake("a signal is returned and recorded as it is", func(_ *string, s *incident.Signal) { s.Actor = "" }),
		"says when it came": sendMistake("a signal is returned and recorded as it is", func(_ *string, s *incident.Signal) { s.At = time.Now() }),
		"takes a signal without an ID": sendMistake("a signal that is invalid is refused", func(_ *string, s *incident.Signal) {
			if s.ID == "" {
				s.ID = "given"
			}
		}),
		"takes a signal twice": {
			notices: "a signal that is sent twice arrives once",
			runs: func(w *wrongRuns) {
				var sent atomic.Int64
				w.signal = func(ctx context.Context, id, topic string, s incident.Signal) error {
					s.ID = fmt.Sprintf("%s@%d", s.ID, sent.Add(1))
					return w.Runs.Signal(ctx, id, topic, s)
				}
			},
			engine: func(w *wrongEngine) {
				w.await = func(ctx context.Context, id incident.StepID, topic string, deadline time.Time) (incident.Signal, error) {
					s, err := w.Engine.Await(ctx, id, topic, deadline)
					s.ID, _, _ = strings.Cut(s.ID, "@")
					return s, err
				}
			},
		},
	}
}

func runMistakes() map[string]runsMistake {
	return map[string]runsMistake{
		"takes another run for the same": errorMistake("starting again with something else is refused", incident.ErrStale, nil),
		"takes the same run for another": {notices: "starting again does nothing", runs: func(w *wrongRuns) {
			w.start = func(ctx context.Context, run incident.RunStart) (incident.RunRecord, error) {
				if _, err := w.Runs.Record(ctx, run.ID, -1); err == nil {
					return incident.RunRecord{}, incident.ErrStale
				}
				return w.Runs.Start(ctx, run)
			}
		}},
		"takes any input": startMistake("what is invalid is not started", func(r *incident.RunStart) {
			if len(r.Input) > 1<<20 {
				r.Input = nil
			}
		}),
		"says not that nothing was begun": {notices: "what is invalid is not started", runs: func(w *wrongRuns) {
			w.start = func(ctx context.Context, run incident.RunStart) (incident.RunRecord, error) {
				r, err := w.Runs.Start(ctx, run)
				if err != nil && !errors.Is(err, incident.ErrStale) {
					err = errors.New(err.Error())
				}
				return r, err
			}
		}},
		"forgets who started it":    startMistake("a run is given what it was started with", func(r *incident.RunStart) { r.By = "" }),
		"says nothing of not found": errorMistake("a run that is not there is not found", incident.ErrNotFound, incident.ErrStale),
		"does not wait for news": {notices: "reading waits for something newer", runs: func(w *wrongRuns) {
			w.record = func(ctx context.Context, id string, _ int64) (incident.RunRecord, error) {
				return w.Runs.Record(ctx, id, -1)
			}
		}},
		"says not that the context ended": {notices: "reading stops to wait when its context ends", runs: func(w *wrongRuns) {
			w.record = func(ctx context.Context, id string, revision int64) (incident.RunRecord, error) {
				r, err := w.Runs.Record(ctx, id, revision)
				if errors.Is(err, context.DeadlineExceeded) {
					return w.Runs.Record(context.WithoutCancel(ctx), id, -1)
				}
				return r, err
			}
		}},
		"does not count holds": {notices: "revisions grow with each change", runs: func(w *wrongRuns) {
			w.record = func(ctx context.Context, id string, revision int64) (incident.RunRecord, error) {
				r, err := w.Runs.Record(ctx, id, revision)
				if r.Held != nil {
					r.Revision--
				}
				return r, err
			}
		}},
		"takes signals of the dead": errorMistake("a signal to a run that has ended is refused", incident.ErrStale, nil),
		"lists the oldest first":    listMistake("list has the newest first, up to the limit", nil, func(list []incident.RunRecord) { slices.Reverse(list) }),
		"takes no heed of the limit": listMistake("list has the newest first, up to the limit", func(q *incident.RunQuery) {
			q.Limit = 1000
		}, nil),
		"lists all unless it is told": listMistake("list has a hundred unless it is told", func(q *incident.RunQuery) {
			if q.Limit == 0 {
				q.Limit = 1000
			}
		}, nil),
		"takes one label for all": listMistake("list chooses", func(q *incident.RunQuery) {
			for name := range q.Labels {
				if name != "conformance" {
					delete(q.Labels, name)
				}
			}
		}, nil),
		"does not look at the time":    listMistake("list chooses", func(q *incident.RunQuery) { q.Since = time.Time{} }, nil),
		"does not look at the program": listMistake("list chooses", func(q *incident.RunQuery) { q.Program = "" }, nil),
		"looks at one status":          listMistake("list chooses", func(q *incident.RunQuery) { q.Statuses = q.Statuses[:min(len(q.Statuses), 1)] }, nil),
		"lists the entries": listMistake("list has everything but the entries", nil, func(list []incident.RunRecord) {
			for i := range list {
				list[i].Entries = []incident.RunEntry{{ID: "a"}}
			}
		}),
		"lists nothing of a hold": listMistake("list has everything but the entries", nil, func(list []incident.RunRecord) {
			for i := range list {
				list[i].Held = nil
			}
		}),
		"lists though the context has ended": {notices: "list with a context that has ended", runs: func(w *wrongRuns) {
			w.list = func(ctx context.Context, q incident.RunQuery) iter.Seq2[incident.RunRecord, error] {
				return func(yield func(incident.RunRecord, error) bool) {
					if ctx.Err() != nil {
						yield(incident.RunRecord{}, errors.New("something went wrong"))
					}
				}
			}
		}},
		"has no locks":     startMistake("runs of one lock never overlap", func(r *incident.RunStart) { r.Lock = "" }),
		"has one lock":     startMistake("runs of two locks do not wait for each other", func(r *incident.RunStart) { r.Lock = "one" }),
		"locks everything": startMistake("runs without a lock do not wait for each other", func(r *incident.RunStart) { r.Lock, r.Refuse = "one", false }),
		"refuses nobody":   startMistake("a run that refuses to wait is refused", func(r *incident.RunStart) { r.Refuse = false }),
		"refuses everybody": startMistake("a run waits for its lock, in turn", func(r *incident.RunStart) {
			r.Refuse = r.Lock != ""
		}),
	}
}

func peopleMistakes() map[string]runsMistake {
	return map[string]runsMistake{
		"does not hold": {notices: "hold begins nothing new, and what is under way ends", runs: func(w *wrongRuns) {
			w.hold = func(ctx context.Context, id string, c incident.Control) error {
				err := w.Runs.Hold(ctx, id, c)
				return errors.Join(err, w.Release(ctx, id, c))
			}
		}},
		"holds what waits": {notices: "hold of a run that waits for a signal", engine: func(w *wrongEngine) {
			w.steps = func(ctx context.Context, calls []incident.Call) ([]incident.Outcome, error) {
				calls = slices.Clone(calls)
				for i := range calls {
					calls[i].ID += "'" // as if it had begun before it was held
				}
				return w.Engine.Steps(ctx, calls)
			}
		}, runs: func(w *wrongRuns) {
			w.hold = func(context.Context, string, incident.Control) error { return nil }
		}},
		"lets the last hold count": {notices: "the first hold counts", runs: func(w *wrongRuns) {
			w.hold = func(ctx context.Context, id string, c incident.Control) error {
				return errors.Join(w.Release(ctx, id, c), w.Runs.Hold(ctx, id, c))
			}
		}},
		"starts with a read-only context": {notices: "a read-only context changes nothing", runs: func(w *wrongRuns) {
			w.start = func(ctx context.Context, run incident.RunStart) (incident.RunRecord, error) {
				return w.Runs.Start(writable(ctx), run)
			}
		}},
		"signals with a read-only context": {notices: "a read-only context changes nothing", runs: func(w *wrongRuns) {
			w.signal = func(ctx context.Context, id, topic string, s incident.Signal) error {
				return w.Runs.Signal(writable(ctx), id, topic, s)
			}
		}},
		"holds with a read-only context": {notices: "a read-only context changes nothing", runs: func(w *wrongRuns) {
			w.hold = func(ctx context.Context, id string, c incident.Control) error {
				return w.Runs.Hold(writable(ctx), id, c)
			}
		}},
		"cancels with a read-only context": {notices: "a read-only context changes nothing", runs: func(w *wrongRuns) {
			w.cancel = func(ctx context.Context, id string, c incident.Control) error {
				return w.Runs.Cancel(writable(ctx), id, c)
			}
		}},
		"forks with a read-only context": {notices: "a read-only context changes nothing", runs: func(w *wrongRuns) {
			w.fork = func(ctx context.Context, id string, from incident.StepID, f incident.RunFork) (incident.RunRecord, error) {
				return w.Runs.Fork(writable(ctx), id, from, f)
			}
		}},
		"holds what has ended":   errorMistake("hold and release of what is not to be", incident.ErrStale, nil),
		"cancels what has ended": errorMistake("cancel of a run that has ended is refused", incident.ErrStale, nil),
		"cancels without a word": {notices: "cancel reaches a call that is under way", engine: func(w *wrongEngine) {
			w.steps = func(ctx context.Context, calls []incident.Call) ([]incident.Outcome, error) {
				return w.Engine.Steps(context.WithoutCancel(ctx), calls)
			}
		}},
		"waits for the outcome before it cancels": {notices: "cancel does not wait for the outcome", engine: func(w *wrongEngine) {
			w.steps = func(ctx context.Context, calls []incident.Call) ([]incident.Outcome, error) {
				calls = slices.Clone(calls)
				for i := range calls {
					calls[i].Intent = true
				}
				return w.Engine.Steps(ctx, calls)
			}
		}, runs: func(w *wrongRuns) {
			w.cancel = func(ctx context.Context, id string, c incident.Control) error {
				r, err := w.Runs.Record(ctx, id, -1)
				for err == nil && len(r.Open) > 0 {
					r, err = w.Runs.Record(ctx, id, r.Revision)
				}
				return errors.Join(err, w.Runs.Cancel(ctx, id, c))
			}
		}},
		"holds instead of cancelling": {notices: "cancel of a run that waits", runs: func(w *wrongRuns) {
			w.cancel = func(ctx context.Context, id string, c incident.Control) error { return w.Runs.Hold(ctx, id, c) }
		}},
		"cancels once only": {notices: "cancelled stays cancelled", runs: func(w *wrongRuns) {
			w.cancel = func(ctx context.Context, id string, c incident.Control) error {
				if r, err := w.Runs.Record(ctx, id, -1); err == nil && r.Cancelled != nil {
					return incident.ErrStale
				}
				return w.Runs.Cancel(ctx, id, c)
			}
		}},
		"forks from the beginning": forkMistake("fork takes over what was before a step, and makes the rest anew", func(r incident.RunRecord, from *incident.StepID, _ *incident.RunFork) {
			*from = r.Entries[0].ID
		}),
		"takes over one too many": forkMistake("fork takes over what was before a step, and makes the rest anew", func(r incident.RunRecord, from *incident.StepID, _ *incident.RunFork) {
			if i := slices.IndexFunc(r.Entries, func(e incident.RunEntry) bool { return e.ID == *from }); i+1 < len(r.Entries) {
				*from = r.Entries[i+1].ID
			}
		}),
		"forks from what is not there": forkMistake("fork from a step that there is none of", func(r incident.RunRecord, from *incident.StepID, _ *incident.RunFork) {
			if !slices.ContainsFunc(r.Entries, func(e incident.RunEntry) bool { return e.ID == *from }) {
				*from = r.Entries[0].ID
			}
		}),
		"forgets who forked":              forkMistake("fork is the same but for what it is given", func(_ incident.RunRecord, _ *incident.StepID, f *incident.RunFork) { f.By = "" }),
		"keeps the input":                 forkMistake("fork is the same but for what it is given", func(_ incident.RunRecord, _ *incident.StepID, f *incident.RunFork) { f.Input = nil }),
		"takes another fork for the same": errorMistake("fork with an ID that there is already", incident.ErrStale, nil),
		"forks what is under way": {notices: "fork of a run that has not ended is refused", runs: func(w *wrongRuns) {
			w.fork = func(ctx context.Context, id string, from incident.StepID, f incident.RunFork) (incident.RunRecord, error) {
				r, err := w.Runs.Fork(ctx, id, from, f)
				if errors.Is(err, incident.ErrBusy) {
					return incident.RunRecord{}, nil
				}
				return r, err
			}
		}},
		"knows only calls that ended": {notices: "fork of a run that was cancelled in a call", runs: func(w *wrongRuns) {
			w.fork = func(ctx context.Context, id string, from incident.StepID, f incident.RunFork) (incident.RunRecord, error) {
				r, err := w.Runs.Record(ctx, id, -1)
				if err == nil && !slices.ContainsFunc(r.Entries, func(e incident.RunEntry) bool { return e.ID == from }) {
					return incident.RunRecord{}, incident.ErrNotFound
				}
				return w.Runs.Fork(ctx, id, from, f)
			}
		}},
	}
}

// replacedOneByOne replaces runs as they are, one after the other.
func replacedOneByOne(ctx context.Context, w *wrongRuns, runs []incident.Replacement) (all []incident.RunRecord, err error) {
	for _, r := range runs {
		if err := w.Runs.Cancel(ctx, r.ID, r.Control); err != nil {
			return nil, err
		}
		record, err := w.Runs.Start(ctx, r.Start)
		if err != nil {
			return nil, err
		}
		all = append(all, record)
	}
	return all, nil
}

func replaceMistakes() map[string]runsMistake {
	return map[string]runsMistake{
		"replaces what has gone on": {notices: "replace of a run that has gone on changes nothing", runs: func(w *wrongRuns) {
			w.replace = func(ctx context.Context, runs []incident.Replacement) ([]incident.RunRecord, error) {
				return replacedOneByOne(ctx, w, runs)
			}
		}},
		"replaces one by one": {notices: "replace of a run that has gone on changes nothing", runs: func(w *wrongRuns) {
			w.replace = func(ctx context.Context, runs []incident.Replacement) (all []incident.RunRecord, err error) {
				for i := range runs {
					record, err := w.Runs.Replace(ctx, runs[i:i+1])
					if err != nil {
						return nil, err
					}
					all = append(all, record...)
				}
				return all, nil
			}
		}},
		"looks, and then replaces": {notices: "of those that replace a run at once, one does", runs: func(w *wrongRuns) {
			w.replace = func(ctx context.Context, runs []incident.Replacement) ([]incident.RunRecord, error) {
				for _, r := range runs {
					if now, err := w.Runs.Record(ctx, r.ID, -1); err != nil || now.Revision != r.Revision {
						return nil, errors.Join(incident.ErrStale, err)
					}
				}
				time.Sleep(time.Millisecond)
				return replacedOneByOne(ctx, w, runs)
			}
		}},
		"replaces what was told something": {notices: "replace of a run that was told something is refused", runs: func(w *wrongRuns) {
			w.replace = func(ctx context.Context, runs []incident.Replacement) ([]incident.RunRecord, error) {
				for _, r := range runs {
					if now, err := w.Runs.Record(ctx, r.ID, -1); err != nil || now.Revision != r.Revision {
						return nil, errors.Join(incident.ErrStale, err)
					}
				}
				return replacedOneByOne(ctx, w, runs)
			}
		}},
		"starts what refuses to wait": {notices: "replace of what is not to be", runs: func(w *wrongRuns) {
			w.replace = func(ctx context.Context, runs []incident.Replacement) ([]incident.RunRecord, error) {
				runs = slices.Clone(runs)
				for i := range runs {
					runs[i].Start.Refuse = false
				}
				return w.Runs.Replace(ctx, runs)
			}
		}},
		"replaces with a read-only context": {notices: "a read-only context changes nothing", runs: func(w *wrongRuns) {
			w.replace = func(ctx context.Context, runs []incident.Replacement) ([]incident.RunRecord, error) {
				return w.Runs.Replace(writable(ctx), runs)
			}
		}},
	}
}

func survivalMistakes() map[string]runsMistake {
	return map[string]runsMistake{
		"does everything again": {
			notices: "restart: what was recorded is returned without a call",
			change:  func(r *incident.RunRecord) { r.Entries = nil },
		},
		"forgets holds": {notices: "restart: a hold is kept", change: func(r *incident.RunRecord) { r.Held = nil }},
		"forgets locks": {notices: "restart: the queue of a lock is kept", change: func(r *incident.RunRecord) { r.Lock = "" }},
		"forgets attempts": {
			notices: "crash: a call with an intent is told of the attempts that were interrupted",
			change:  func(r *incident.RunRecord) { r.Open = nil },
		},
		"makes a group again": {
			notices: "crash: of a group only what has no outcome is made again",
			change: func(r *incident.RunRecord) {
				if len(r.Open) > 0 {
					r.Entries = nil
				}
			},
		},
		"stops in the middle": {notices: "restart: a stop waits for the call that is under way", hasty: true},
		"lets the dead speak": {notices: "crash: what a killed process returns later is refused", zombies: true},
		"sleeps anew": {notices: "restart: a sleep keeps its original end", engine: func(w *wrongEngine) {
			w.sleep = func(ctx context.Context, id incident.StepID, until time.Time) error {
				return w.Engine.Sleep(ctx, id, until.Add(w.late))
			}
		}},
		"waits anew": {notices: "nobody runs: a deadline that passes expires the wait", engine: func(w *wrongEngine) {
			w.await = func(ctx context.Context, id incident.StepID, topic string, deadline time.Time) (incident.Signal, error) {
				if !deadline.IsZero() {
					deadline = deadline.Add(w.late)
				}
				return w.Engine.Await(ctx, id, topic, deadline)
			}
		}},
		"takes approvals that are late": {notices: "nobody runs: a signal after the deadline does not count", engine: func(w *wrongEngine) {
			w.await = func(ctx context.Context, id incident.StepID, topic string, deadline time.Time) (incident.Signal, error) {
				if !deadline.IsZero() && deadline.Before(time.Now()) {
					deadline = time.Now()
				}
				return w.Engine.Await(ctx, id, topic, deadline)
			}
		}},
	}
}

// writable returns a context by which things may be changed.
func writable(ctx context.Context) context.Context {
	if runbook.IsReadOnly(ctx) {
		return context.Background()
	}
	return ctx
}
