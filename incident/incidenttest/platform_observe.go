package incidenttest

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"

	"go.acu.edu.au/runbook/incident"
)

// Print adds log lines. A line without a time is printed now, one without a
// deployment by the current one.
func (p *Platform) Print(lines ...incident.LogLine) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, l := range lines {
		if l.Time.IsZero() {
			l.Time = now(l.Time)
		}
		if l.Deployment == "" {
			l.Deployment = p.current
		}
		l.Attributes = maps.Clone(l.Attributes)
		p.logs = append(p.logs, l)
	}
	p.wake()
}

// Logs implements [incident.Logs]. All lines are of the kind runtime, and in the
// order in which they were printed.
func (p *Platform) Logs(ctx context.Context, q incident.LogQuery) iter.Seq2[incident.LogLine, error] {
	return func(yield func(incident.LogLine, error) bool) {
		if err := q.Validate(); err != nil {
			yield(incident.LogLine{}, err)
			return
		}
		lines, _, _, err := p.lines(ctx, "Logs", q, 0)
		pass(ctx, lines, err, yield)
	}
}

// FollowLogs implements [incident.LogFollower].
func (p *Platform) FollowLogs(ctx context.Context, q incident.LogQuery) iter.Seq2[incident.LogLine, error] {
	return func(yield func(incident.LogLine, error) bool) {
		if err := q.ValidateFollow(); err != nil {
			yield(incident.LogLine{}, err)
			return
		}
		from := 0
		if q.Tail == 0 && q.From.IsZero() {
			p.mu.Lock()
			from = len(p.logs)
			p.mu.Unlock()
		}
		for {
			lines, end, next, err := p.lines(ctx, "FollowLogs", q, from)
			if !pass(ctx, lines, err, yield) {
				return
			}
			from, q.Tail = end, 0
			select {
			case <-next:
			case <-ctx.Done():
				yield(incident.LogLine{}, fmt.Errorf("incidenttest: follow logs: %w", ctx.Err()))
				return
			}
		}
	}
}

// pass yields lines, and then an error if there is one. It reports whether to go on.
func pass(ctx context.Context, lines []incident.LogLine, err error, yield func(incident.LogLine, error) bool) bool {
	for _, l := range lines {
		if err := ctx.Err(); err != nil {
			yield(incident.LogLine{}, fmt.Errorf("incidenttest: logs: %w", err))
			return false
		}
		if !yield(l, nil) {
			return false
		}
	}
	if err != nil {
		yield(incident.LogLine{}, err)
	}
	return err == nil
}

// lines returns those from an index on that the query wants, the index after the
// last one, and what is closed when there may be more.
func (p *Platform) lines(ctx context.Context, method string, q incident.LogQuery, from int) (lines []incident.LogLine, end int, next <-chan struct{}, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if before, after := p.begin(ctx, method); before != nil || after != nil {
		return nil, 0, nil, errors.Join(before, after)
	}
	if q.Kind != incident.LogRuntime {
		return nil, 0, nil, fmt.Errorf("incidenttest: logs of kind %q: %w", string(q.Kind), incident.ErrUnsupported)
	}
	id := q.Deployment
	if id == "" {
		if id = p.current; id == "" && len(p.deployments) > 0 {
			id = p.deployments[len(p.deployments)-1].ID
		}
	} else if p.find(id) < 0 {
		return nil, 0, nil, noSuch("deployment", id)
	}
	for _, l := range p.logs[from:] {
		if l.Deployment == id && q.Wants(l) {
			l.Attributes = maps.Clone(l.Attributes)
			lines = append(lines, l)
		}
	}
	if q.Tail > 0 && len(lines) > q.Tail {
		lines = lines[len(lines)-q.Tail:]
	}
	return lines, len(p.logs), p.nextChange(), nil
}

// Measure adds series. A metric without any is one that the platform does not
// measure.
func (p *Platform) Measure(series ...incident.Series) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range series {
		p.series = append(p.series, cloneSeries(s))
	}
}

func cloneSeries(s incident.Series) incident.Series {
	s.Labels, s.Points = maps.Clone(s.Labels), slices.Clone(s.Points)
	if s.Unit == "" {
		s.Unit = s.Metric.Unit()
	}
	return s
}

// Metrics implements [incident.Metrics].
func (p *Platform) Metrics(ctx context.Context, q incident.MetricQuery) ([]incident.Series, error) {
	if err := q.Validate(); err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if before, after := p.begin(ctx, "Metrics"); before != nil || after != nil {
		return nil, errors.Join(before, after)
	}
	var out []incident.Series
	for _, m := range q.Metrics {
		had := len(out)
		for _, s := range p.series {
			if s.Metric == m {
				s = cloneSeries(s)
				s.Points = slices.DeleteFunc(s.Points, func(at incident.Point) bool {
					return at.Time.Before(q.From) || !q.To.IsZero() && !at.Time.Before(q.To)
				})
				out = append(out, s)
			}
		}
		if len(out) == had {
			return nil, fmt.Errorf("incidenttest: metric %q: %w", string(m), incident.ErrUnsupported)
		}
	}
	return out, nil
}
