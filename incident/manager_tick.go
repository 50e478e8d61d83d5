package incident

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"
)

// Tick brings all incidents up to the present: acknowledgements that have expired make
// their incident triggered again; half, four fifths and all of a time having passed goes
// on the timeline, with the time at which it was, and so do the marks of deadlines, also of
// incidents that were closed long ago; and what other parts were not told yet, they are
// told. It depends on what is stored only, so it does not matter which process calls it, how
// many do, or how long none did. An incident that fails does not keep the others from it; the
// errors are joined.
func (m *Manager) Tick(ctx context.Context) error {
	var problems []error
	now := m.now()
	seen := make(map[string]bool)
	for _, documents := range []iter.Seq2[Document, error]{
		m.cfg.Store.Documents(ctx, DocumentQuery{Kind: incidentKind, Open: true}),
		m.cfg.Store.Documents(ctx, DocumentQuery{Kind: incidentKind, Since: now.Add(-settleFor)}),
		m.owing(ctx),
	} {
		for doc, err := range documents {
			if err != nil {
				problems = append(problems, fmt.Errorf("incident: look for incidents: %w", err))
				break
			}
			if seen[doc.ID] {
				continue
			}
			seen[doc.ID] = true
			if err := m.tick(ctx, doc, now); err != nil {
				problems = append(problems, err)
			}
		}
	}
	return errors.Join(problems...)
}

// tick brings one incident up to the present.
func (m *Manager) tick(ctx context.Context, doc Document, now time.Time) error {
	inc, was, err := decodeIncident(doc)
	if err != nil {
		return err
	}
	d := m.draft(inc, was, ours)
	d.advance()
	switch {
	case d.changed():
		// What it is by now is read again: somebody may have changed it.
		if inc, err = m.write(ctx, inc.ID, ours, func(*draft) error { return nil }); err != nil {
			return err
		}
	case now.Sub(doc.Changed) < settleAfter:
		return nil
	}
	_, err = m.settle(ctx, inc, byOthers)
	return err
}

// Start calls [Manager.Tick] again and again, at once for the first time, until
// [Manager.Stop], also after ctx has ended. Several processes may do so.
func (m *Manager) Start(ctx context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.stopped != nil {
		return errors.New("incident: the manager was started before")
	}
	life, stop := context.WithCancel(context.WithoutCancel(ctx))
	m.stop, m.stopped = stop, make(chan struct{})
	go m.run(life)
	return nil
}

// Stop ends what [Manager.Start] began, and waits for it until ctx ends. A manager that
// was not started is stopped already. Everything else goes on working.
func (m *Manager) Stop(ctx context.Context) error {
	m.mu.Lock()
	stop, stopped := m.stop, m.stopped
	m.mu.Unlock()
	if stop == nil {
		return nil
	}
	stop()
	select {
	case <-stopped:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// complainEvery is how often the log says that ticks fail.
const complainEvery = 5 * time.Minute

func (m *Manager) run(ctx context.Context) {
	defer close(m.stopped)
	ticker := time.NewTicker(m.cfg.Every)
	defer ticker.Stop()
	var complained time.Time
	for {
		var err error
		if !m.guard("Tick", func() { err = m.Tick(ctx) }) {
			err = errors.New("incident: the store panicked")
		}
		if now := time.Now(); err != nil && ctx.Err() == nil && (complained.IsZero() || now.Sub(complained) >= complainEvery) {
			complained = now
			m.cfg.Logger.Warn("incident: incidents are not all up to date; it is tried again", "error", err)
		} else if err == nil {
			complained = time.Time{}
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}
