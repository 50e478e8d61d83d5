package incident

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"time"
)

// LogEvidence takes the lines of a log, one a line, after Redact. The span of the query
// is that of the evidence.
func LogEvidence(name string, logs Logs, query LogQuery) EvidenceSource {
	return EvidenceSource{Name: name, About: "log lines of kind " + cmp.Or(string(query.Kind), "runtime"), Collect: func(ctx context.Context, w *EvidenceWriter) error {
		if logs == nil {
			return errors.New("there are no logs to ask")
		}
		query.From, query.To = w.From, w.To
		for l, err := range logs.Logs(ctx, query) {
			if err != nil {
				return err
			}
			if err := w.Line(w.logLine(l)); err != nil {
				return err
			}
		}
		return ctx.Err()
	}}
}

// evidenceLine is a log line in a bundle.
type evidenceLine struct {
	Time       time.Time         `json:"time"`
	Level      string            `json:"level,omitempty"`
	Message    string            `json:"message"`
	Deployment string            `json:"deployment,omitempty"`
	Instance   string            `json:"instance,omitempty"`
	Attributes map[string]string `json:"attributes,omitempty"`
}

// logLine returns a log line as it is kept.
func (w *EvidenceWriter) logLine(l LogLine) evidenceLine {
	out := evidenceLine{l.Time, l.Level, l.Message, l.Deployment, l.Instance, l.Attributes}
	if w.redact == nil {
		return out
	}
	changed := false
	clean := func(text string) string {
		redacted := w.redact([]byte(text))
		changed = changed || !bytes.Equal(redacted, []byte(text))
		return string(redacted)
	}
	out.Message, out.Attributes = clean(l.Message), maps.Clone(l.Attributes)
	for _, name := range sortedNames(l.Attributes) {
		out.Attributes[name] = clean(l.Attributes[name])
	}
	if changed {
		w.item.Redacted++
	}
	return out
}

// MetricEvidence takes what was measured, a series a line.
func MetricEvidence(name string, m Metrics, metrics ...Metric) EvidenceSource {
	return EvidenceSource{Name: name, About: "measurements", Collect: func(ctx context.Context, w *EvidenceWriter) error {
		if m == nil {
			return errors.New("there are no metrics to ask")
		}
		series, err := m.Metrics(ctx, MetricQuery{Metrics: metrics, From: w.From, To: w.To})
		if err != nil {
			return err
		}
		for _, s := range series {
			out := evidenceSeries{s.Metric, s.Unit, s.Labels, make([]evidencePoint, 0, len(s.Points))}
			for _, p := range s.Points {
				out.Points = append(out.Points, evidencePoint(p))
			}
			if err := w.Line(out); err != nil {
				return err
			}
		}
		return nil
	}, Less: asItIs}
}

// evidenceSeries is a series in a bundle.
type evidenceSeries struct {
	Metric Metric            `json:"metric"`
	Unit   Unit              `json:"unit"`
	Labels map[string]string `json:"labels,omitempty"`
	Points []evidencePoint   `json:"points"`
}

type evidencePoint struct {
	Time  time.Time `json:"time"`
	Value float64   `json:"value"`
}

// AuditEvidence takes what a platform noted of who did what, an event a line, the newest
// first. The span of the query is that of the evidence.
func AuditEvidence(name string, log AuditLog, query AuditQuery) EvidenceSource {
	return EvidenceSource{Name: name, About: "what the platform noted of who did what", Collect: func(ctx context.Context, w *EvidenceWriter) error {
		if log == nil {
			return errors.New("there is no audit log to ask")
		}
		query.From, query.To = w.From, w.To
		for e, err := range log.AuditEvents(ctx, query) {
			if err != nil {
				return err
			}
			if err := w.Line(evidenceEvent(e)); err != nil {
				return err
			}
		}
		return ctx.Err()
	}, Less: lessOfEvent}
}

// evidenceEvent is an [AuditEvent] in a bundle.
type evidenceEvent struct {
	ID      string    `json:"id"`
	Time    time.Time `json:"time"`
	Kind    AuditKind `json:"kind"`
	Action  string    `json:"action"`
	Actor   string    `json:"actor,omitempty"`
	Object  string    `json:"object,omitempty"`
	Source  string    `json:"source,omitempty"`
	Address string    `json:"address,omitempty"`
	Agent   string    `json:"agent,omitempty"`
}

// DeploymentEvidence takes the newest deployments, one a line, the newest first: those of
// before the span too, since one of them may be what it began with.
func DeploymentEvidence(name string, d Deployer, limit int) EvidenceSource {
	return EvidenceSource{Name: name, About: fmt.Sprintf("the newest %d deployments", limit), Collect: func(ctx context.Context, w *EvidenceWriter) error {
		if d == nil {
			return errors.New("there are no deployments to ask for")
		}
		list, err := d.Deployments(ctx, limit)
		if err != nil {
			return err
		}
		for _, d := range list {
			if err := w.Line(evidenceDeployment(d)); err != nil {
				return err
			}
		}
		return nil
	}, Less: lessOfDeployment}
}

// evidenceDeployment is a [Deployment] in a bundle.
type evidenceDeployment struct {
	ID          string           `json:"id"`
	Status      DeploymentStatus `json:"status"`
	Reason      string           `json:"reason,omitempty"`
	Created     time.Time        `json:"created"`
	Commit      string           `json:"commit,omitempty"`
	Image       string           `json:"image,omitempty"`
	Message     string           `json:"message,omitempty"`
	Current     bool             `json:"current,omitempty"`
	CanRollback bool             `json:"can_rollback,omitempty"`
}

// TimelineEvidence takes the whole timeline of an incident, with the hashes that prove it.
func TimelineEvidence(store Store, incident string) EvidenceSource {
	return chainEvidence("timeline", "the timeline of the incident", store, timelineOf(incident), nil)
}

// DecisionEvidence takes the audit record, in which commands and decisions of people are,
// from the beginning of the span to its end now, with the hashes that prove it.
func DecisionEvidence(store Store) EvidenceSource {
	return chainEvidence("decisions", "the audit record: commands and decisions of people", store, auditChain, func(e Entry, w *EvidenceWriter) bool { return !e.At.Before(w.From) })
}

// chainEvidence takes a chain from the first entry on that begins it; all of it if begins
// is nil.
func chainEvidence(name, about string, store Store, chain string, begins func(Entry, *EvidenceWriter) bool) EvidenceSource {
	return EvidenceSource{Name: name, About: about, Ext: chainExt, Collect: func(ctx context.Context, w *EvidenceWriter) error {
		if store == nil {
			return errors.New("there is no store to ask")
		}
		w.item.Chain = &EvidenceChain{Chain: chain}
		links := new(chainLinks)
		for e, err := range store.Entries(ctx, chain, 0) {
			if err != nil {
				return err
			}
			if links.first == 0 && begins != nil && !begins(e, w) {
				continue
			}
			broken := links.add(e)
			if begins == nil && links.first != 1 {
				broken = fmt.Sprintf("it begins with entry %d", links.first)
			}
			if err := w.Line(e); err != nil {
				return err
			}
			links.note(w.item.Chain, broken)
		}
		return ctx.Err()
	}}
}

// chainLinks checks a stretch of a chain link by link.
type chainLinks struct {
	first int64
	prior string
	last  Entry
}

// add adds the next entry, and says what is wrong with it; empty if nothing is.
func (c *chainLinks) add(e Entry) (broken string) {
	if c.first == 0 {
		c.first, c.prior = e.Seq, e.Prior
		c.last = Entry{Seq: e.Seq - 1, Hash: e.Prior}
	}
	if e.Seq != c.last.Seq+1 || e.Prior != c.last.Hash || e.Hash != e.digest() || e.Seq == 1 && e.Prior != "" {
		broken = fmt.Sprintf("entry %d, after entry %d, is not as it was written", e.Seq, c.last.Seq)
	}
	c.last = e
	return broken
}

// note puts what is known by now into a manifest.
func (c *chainLinks) note(chain *EvidenceChain, broken string) {
	chain.First, chain.Last = c.first, c.last.Seq
	chain.Prior, chain.Head = cleanWords(c.prior, maxLine), cleanWords(c.last.Hash, maxLine)
	chain.Broken = cmp.Or(chain.Broken, broken)
}

// RunEvidence takes the records of runs, all that was recorded of each, a run a line. One
// that cannot be read does not keep the others from being taken.
func RunEvidence(runs Runs, ids ...string) EvidenceSource {
	return EvidenceSource{Name: "runs", About: "the records of runs", Collect: func(ctx context.Context, w *EvidenceWriter) error {
		if runs == nil {
			return errors.New("there are no runs to ask")
		}
		var errs []error
		for _, id := range ids {
			record, err := runs.Record(ctx, id, -1)
			if err != nil {
				errs = append(errs, fmt.Errorf("run %s: %w", id, err))
				continue
			}
			if err := w.Line(record); err != nil {
				return errors.Join(append(errs, err)...)
			}
		}
		return errors.Join(errs...)
	}}
}
