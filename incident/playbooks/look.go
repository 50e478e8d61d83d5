package playbooks

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/incident"
)

// Found is what a probe found, as a step keeps it.
type Found struct {
	// Status, Cause and Message are those of the result.
	Status  health.Status `json:"status"`
	Cause   health.Cause  `json:"cause,omitempty"`
	Message string        `json:"message,omitempty"`
	// Numbers are its measurements that are numbers, Texts those that are not.
	Numbers map[string]float64 `json:"numbers,omitempty"`
	Texts   map[string]string  `json:"texts,omitempty"`
	// Took is how long it took to answer.
	Took time.Duration `json:"took"`
	// Missing means that there is no such probe.
	Missing bool `json:"missing,omitempty"`
}

// down reports whether the thing does not work: that we could not look is no finding.
func (f Found) down() bool { return f.Status == health.Unhealthy }

// String says what was found in a line.
func (f Found) String() string {
	if f.Missing {
		return "not looked at: there is no such probe"
	}
	return strings.TrimSuffix(fmt.Sprintf("%v: %s", f.Status, f.Message), ": ")
}

// found makes of a result what is kept of it.
func found(r health.Result) Found {
	f := Found{Status: r.Status, Cause: r.Cause, Message: r.Message, Took: r.Duration}
	for _, m := range r.Measurements {
		if m.Text != "" {
			if f.Texts == nil {
				f.Texts = make(map[string]string)
			}
			f.Texts[m.Name] = m.Text
			continue
		}
		if f.Numbers == nil {
			f.Numbers = make(map[string]float64)
		}
		f.Numbers[m.Name] = m.Value
	}
	return f
}

// probe makes a probe once.
func probe(ctx context.Context, p health.Prober) Found {
	if p == nil {
		return Found{Missing: true}
	}
	began := time.Now()
	r := p.Probe(ctx)
	if r.Duration == 0 {
		r.Duration = time.Since(began)
	}
	return found(r)
}

// look is a step that makes a probe. What it finds, good or bad, is its output, a
// [Found]; it does not fail.
func look(id, title string, p health.Prober) incident.Step {
	return incident.Step{
		ID: id, Title: title, Timeout: 30 * time.Second, OnFailure: incident.GoOn,
		Do: incident.Check{Run: func(ctx context.Context, _ *incident.Scope) (any, error) { return probe(ctx, p), nil }},
	}
}

// well is a step that waits until a probe is well, several times in a row.
func well(id, title string, within time.Duration, times int, p health.Prober) incident.Step {
	return incident.Step{
		ID: id, Title: title, Timeout: 30 * time.Second,
		When: func(*incident.Scope) (bool, string) { return p != nil, "there is no such probe" },
		Do: incident.Verify{Within: within, Times: times, Run: func(ctx context.Context, _ *incident.Scope) (any, error) {
			f := probe(ctx, p)
			if f.Status != health.Healthy && f.Status != health.Degraded {
				return nil, errors.New(f.String())
			}
			return f, nil
		}},
	}
}

// saw returns what a look found, as missing if it was not made.
func saw(s *incident.Scope, step string) Found {
	f, ok := incident.Result[Found](s, step)
	if !ok {
		return Found{Missing: true}
	}
	return f
}
