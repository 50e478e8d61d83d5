package incident

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"sync"
	"time"
)

var _ Engine = (*memoryRun)(nil)

// Steps implements [Engine].
func (r *memoryRun) Steps(ctx context.Context, calls []Call) ([]Outcome, error) {
	outcomes := make([]Outcome, len(calls))
	order, err := r.open(ctx, calls, outcomes)
	if err != nil {
		return nil, err
	}
	if len(calls) == 1 {
		r.do(ctx, calls[0], order, &outcomes[0])
	} else {
		var all sync.WaitGroup
		for i, c := range calls {
			all.Go(func() { r.do(ctx, c, order+i, &outcomes[i]) })
		}
		all.Wait()
	}
	r.runs.mu.Lock()
	defer r.runs.mu.Unlock()
	if r.record.Status.Ended() {
		return nil, r.over()
	}
	return outcomes, nil
}

// open begins calls: it fills in the outcomes that were recorded, and of the others when
// they began. It returns the order of the first.
func (r *memoryRun) open(ctx context.Context, calls []Call, outcomes []Outcome) (order int, err error) {
	r.runs.mu.Lock()
	defer r.runs.mu.Unlock()
	recorded := 0
	for i, c := range calls {
		if c.Do == nil {
			return 0, fmt.Errorf("incident: run %q: call %q has nothing to do", r.record.ID, c.ID)
		}
		e, known, err := r.use(c.ID)
		if err != nil {
			return 0, err
		}
		if known && e.Outcome == nil {
			return 0, r.differs(e)
		}
		if known {
			outcomes[i] = cloneOutcome(*e.Outcome)
			recorded++
		}
	}
	if err := r.may(ctx, recorded < len(calls)); err != nil {
		return 0, err
	}
	r.current = r.current[:0]
	intents, now := len(r.record.Open), time.Now()
	for i, c := range calls {
		r.current = append(r.current, c.ID)
		if outcomes[i].Status != "" {
			continue
		}
		outcomes[i].Began = now
		if c.Intent {
			r.record.Open = append(r.record.Open, Attempt{Step: c.ID, Process: r.runs.cfg.Process, At: now})
		}
	}
	if len(r.record.Open) > intents {
		r.changed()
	}
	r.first = r.order
	r.order += len(calls)
	return r.first, nil
}

// do makes a call that has no outcome, and records the outcome.
func (r *memoryRun) do(ctx context.Context, c Call, order int, outcome *Outcome) {
	if outcome.Status != "" {
		return
	}
	began := outcome.Began
	o := Outcome{Status: Unknown, Code: codePanic, Message: "the call ended its goroutine"}
	defer func() {
		if p := recover(); p != nil {
			r.runs.cfg.Logger.ErrorContext(ctx, "incident: a call panicked", "run", r.record.ID, "call", c.ID, "panic", p, "stack", string(debug.Stack()))
			o = Outcome{Status: Unknown, Code: codePanic, Message: fmt.Sprintf("the call panicked: %v", p)}
		}
		o.Process = cmp.Or(o.Process, r.runs.cfg.Process)
		if o.Began.IsZero() {
			o.Began = began
		}
		if o.Ended.IsZero() {
			o.Ended = time.Now()
		}
		if checkOutput(&o); o.Status == "" {
			o.Status = Unknown // it does not say
		}
		*outcome = o
		r.outcome(c, order, o)
	}()
	o = c.Do(ctx, nil)
}

// checkOutput drops an output that cannot be recorded. How the call ended stays.
func checkOutput(o *Outcome) {
	problem := ""
	switch {
	case len(o.Output) == 0:
		o.Output = nil
		return
	case len(o.Output) > maxOutput:
		problem = fmt.Sprintf("its output was dropped: it has %d bytes, and may have %d", len(o.Output), maxOutput)
	case !json.Valid(o.Output):
		problem = "its output was dropped: it is not JSON"
	default:
		return
	}
	if o.Message != "" {
		problem = o.Message + "; " + problem
	}
	o.Output, o.Code, o.Message = nil, cmp.Or(o.Code, codeTooLarge), problem
}

// outcome records the outcome of a call, unless the run was cancelled.
func (r *memoryRun) outcome(c Call, order int, o Outcome) {
	o.Output = slices.Clone(o.Output)
	r.runs.mu.Lock()
	defer r.runs.mu.Unlock()
	if r.record.Status.Ended() {
		return
	}
	if c.Intent {
		r.record.Open = slices.DeleteFunc(r.record.Open, func(a Attempt) bool { return a.Step == c.ID })
	}
	r.add(order, RunEntry{ID: c.ID, Outcome: &o})
}

// add records a call at its place.
func (r *memoryRun) add(order int, e RunEntry) {
	i := len(r.orders)
	for i > 0 && r.orders[i-1] > order {
		i--
	}
	r.orders = slices.Insert(r.orders, i, order)
	r.record.Entries = slices.Insert(r.record.Entries, i, e)
	r.changed()
}

// use takes note that a call is made, and returns its entry if there is one.
func (r *memoryRun) use(id StepID) (e RunEntry, known bool, err error) {
	if r.record.Status.Ended() {
		return e, false, r.over()
	}
	if _, twice := r.used[id]; twice || id == "" {
		return e, false, fmt.Errorf("incident: run %q: its program calls %q, which is empty or was called before; each call needs an ID of its own", r.record.ID, id)
	}
	r.used[id] = struct{}{}
	if e, known = r.taken[id]; known {
		delete(r.taken, id)
	}
	return e, known, nil
}

// may returns nil when the run may go on, and, to begin something new, when it is not
// held.
func (r *memoryRun) may(ctx context.Context, begin bool) error {
	for {
		switch {
		case r.record.Status.Ended():
			return r.over()
		case r.runs.closing:
			r.interrupted = true
			return fmt.Errorf("incident: run %q does not go on: %w", r.record.ID, errClosing)
		case ctx.Err() != nil:
			return fmt.Errorf("incident: run %q does not go on: %w", r.record.ID, context.Cause(ctx))
		case !begin || r.record.Held == nil:
			return nil
		}
		r.pause(ctx, nil)
	}
}

// over is the error of a run that has ended.
func (r *memoryRun) over() error {
	if c := r.record.Cancelled; c != nil {
		return fmt.Errorf("incident: run %q was cancelled by %s: %w", r.record.ID, cmp.Or(c.By, "somebody"), context.Canceled)
	}
	return fmt.Errorf("incident: run %q is %s, and its engine is still in use", r.record.ID, r.record.Status)
}

// differs says that a program is not the one that made the record.
func (r *memoryRun) differs(e RunEntry) error {
	return fmt.Errorf("incident: run %q: its record has %q as a call of another kind; fork from before it", r.record.ID, e.ID)
}

// Sleep implements [Engine].
func (r *memoryRun) Sleep(ctx context.Context, id StepID, until time.Time) error {
	r.runs.mu.Lock()
	defer r.runs.mu.Unlock()
	e, order, err := r.begin(ctx, id)
	if err != nil || e != nil && !e.Slept.IsZero() {
		return err
	}
	if e != nil {
		return r.differs(*e)
	}
	never := func() (RunEntry, bool) { return RunEntry{}, false }
	if _, err := r.wait(ctx, RunWait{ID: id, Until: until}, never); err != nil {
		return err
	}
	r.add(order, RunEntry{ID: id, Slept: until})
	return nil
}

// Await implements [Engine].
func (r *memoryRun) Await(ctx context.Context, id StepID, topic string, deadline time.Time) (Signal, error) {
	if topic == "" {
		return Signal{}, errors.New("incident: a signal of no topic is awaited; name one")
	}
	r.runs.mu.Lock()
	defer r.runs.mu.Unlock()
	e, order, err := r.begin(ctx, id)
	if err != nil {
		return Signal{}, err
	}
	if e != nil && e.Signal == nil {
		return Signal{}, r.differs(*e)
	}
	if e != nil {
		return cloneSignal(*e.Signal), nil
	}
	entry, err := r.wait(ctx, RunWait{ID: id, Topic: topic, Until: deadline}, func() (RunEntry, bool) {
		s, ok := r.take(topic, deadline)
		return RunEntry{ID: id, Signal: &s}, ok
	})
	if err != nil {
		return Signal{}, err
	}
	if entry.Signal == nil {
		entry = RunEntry{ID: id, Signal: &Signal{At: deadline, Expired: true}}
	}
	r.add(order, entry)
	return cloneSignal(*entry.Signal), nil
}

// begin begins a call that waits, or returns its entry if there is one.
func (r *memoryRun) begin(ctx context.Context, id StepID) (e *RunEntry, order int, err error) {
	entry, known, err := r.use(id)
	if err != nil {
		return nil, 0, err
	}
	if err := r.may(ctx, !known); err != nil {
		return nil, 0, err
	}
	r.current = append(r.current[:0], id)
	r.first = r.order
	if r.order++; known {
		return &entry, 0, nil
	}
	return nil, r.first, nil
}

// wait waits until look finds something, or until a time; then the entry is empty.
func (r *memoryRun) wait(ctx context.Context, w RunWait, look func() (RunEntry, bool)) (RunEntry, error) {
	var timer *time.Timer
	var timeout <-chan time.Time
	waits := false
	for expired := false; ; {
		if e, ok := look(); ok {
			r.stopsWaiting(w.ID)
			return e, nil
		}
		left := time.Until(w.Until)
		if expired || left <= 0 && !(w.Topic != "" && w.Until.IsZero()) {
			r.stopsWaiting(w.ID)
			return RunEntry{}, nil
		}
		if !waits {
			waits = true
			w.Since = time.Now()
			r.record.Waits = append(r.record.Waits, w)
			r.changed()
			if !w.Until.IsZero() {
				timer = time.NewTimer(left)
				defer timer.Stop()
				timeout = timer.C
			}
		}
		_, expired = r.pause(ctx, timeout)
		if err := r.may(ctx, false); err != nil {
			r.stopsWaiting(w.ID)
			return RunEntry{}, err
		}
	}
}

// stopsWaiting takes the wait out of the record. The change is counted with what is
// recorded next.
func (r *memoryRun) stopsWaiting(id StepID) {
	r.record.Waits = slices.DeleteFunc(r.record.Waits, func(w RunWait) bool { return w.ID == id })
}

// take returns the next signal of a topic that came before the deadline.
func (r *memoryRun) take(topic string, deadline time.Time) (Signal, bool) {
	waiting := r.signals[topic]
	if len(waiting) == 0 || !deadline.IsZero() && waiting[0].arrived.After(deadline) {
		return Signal{}, false
	}
	s := waiting[0].Signal
	r.signals[topic] = waiting[1:]
	return s, true
}
