package incident

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// enter begins the phase of a step, if it is another one.
func (x *interpreter) enter(spec StepSpec) {
	if spec.Phase == "" || spec.Phase == x.view.Phase {
		return
	}
	x.view.Phase, x.view.PhaseBegan, x.phaseEnds, x.overTold = spec.Phase, x.now, time.Time{}, false
	i := slices.IndexFunc(x.in.Phases, func(p phase) bool { return p.Name == spec.Phase })
	if i >= 0 && x.in.Phases[i].Budget > 0 {
		x.phaseEnds = x.now.Add(time.Duration(x.in.Phases[i].Budget))
	}
}

// tellOverrun records that the time of the phase is over, once.
func (x *interpreter) tellOverrun(ctx context.Context) error {
	if x.planning || x.overTold || x.phaseEnds.IsZero() || x.now.Before(x.phaseEnds) {
		return nil
	}
	x.overTold = true
	over := x.overrun()
	_, err := x.record(ctx, x.name("phase/over"), func(ctx context.Context) Outcome {
		x.emit(ctx, over)
		return Outcome{Status: Done}
	})
	return err
}

// overrun is the event that the time of the phase is over.
func (x *interpreter) overrun() Event {
	budget := x.phaseEnds.Sub(x.view.PhaseBegan)
	return Event{
		Key: fmt.Sprintf("phase/%s/%d", x.view.Phase, x.view.PhaseBegan.UnixMicro()), Kind: EventOverrun, At: x.phaseEnds,
		Text: fmt.Sprintf("%s has taken longer than its %v", x.view.Phase, budget),
	}
}

// sleepUntil sleeps, and tells an overrun at its time.
func (x *interpreter) sleepUntil(ctx context.Context, base string, until time.Time) error {
	for {
		part := until
		if !x.overTold && !x.phaseEnds.IsZero() && x.phaseEnds.After(x.now) && x.phaseEnds.Before(until) {
			part = x.phaseEnds
		}
		if err := x.engine.Sleep(ctx, x.name(base), part); err != nil {
			return err
		}
		x.advance(part)
		if err := x.tellOverrun(ctx); err != nil {
			return err
		}
		if part.Equal(until) {
			return nil
		}
	}
}

// await awaits a signal, and tells an overrun at its time. Zero deadline is that of the
// run, which is the latest in any case.
func (x *interpreter) await(ctx context.Context, topic string, deadline time.Time) (Signal, error) {
	if deadline.IsZero() || deadline.After(x.deadline) {
		deadline = x.deadline
	}
	for {
		part := deadline
		if !x.overTold && !x.phaseEnds.IsZero() && x.phaseEnds.After(x.now) && x.phaseEnds.Before(deadline) {
			part = x.phaseEnds
		}
		s, err := x.engine.Await(ctx, x.name(topic+"/answer"), topic, part)
		if err != nil {
			return Signal{}, err
		}
		if !s.Expired {
			x.advance(s.At)
			return s, nil
		}
		x.advance(part)
		if err := x.tellOverrun(ctx); err != nil {
			return Signal{}, err
		}
		if part.Equal(deadline) {
			return s, nil
		}
	}
}

// sleepStep makes a [Sleep].
func (x *interpreter) sleepStep(ctx context.Context, spec StepSpec) (Outcome, error) {
	x.visit(spec)
	began := x.now
	if x.planning {
		return Outcome{Status: Done, Began: began, Ended: began}, nil
	}
	until := x.now.Add(time.Duration(spec.For))
	short := !until.Before(x.deadline)
	if short {
		until = x.deadline
	}
	if err := x.sleepUntil(ctx, spec.ID+"/sleep", until); err != nil {
		return Outcome{}, err
	}
	if short {
		return Outcome{Status: Failed, Code: codeLate, Message: "the time of the run is over", Began: began, Ended: x.now}, nil
	}
	return Outcome{Status: Done, Began: began, Ended: x.now}, nil
}

// visit notes that a step is made, and returns the id of what it does.
func (x *interpreter) visit(spec StepSpec) string {
	x.visits[spec.ID]++
	n := x.visits[spec.ID]
	if s := x.at(spec.ID); s != nil {
		s.State, s.Visits, s.Tries, s.Began, s.Ended = StepRunning, n, 0, x.now, time.Time{}
		s.Code, s.Message, s.Output = "", "", nil
	}
	if n > 1 {
		return fmt.Sprintf("%s@%d", spec.ID, n)
	}
	return spec.ID
}
