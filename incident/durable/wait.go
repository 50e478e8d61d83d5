package durable

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"time"

	"go.acu.edu.au/runbook/incident"
)

// Sleep implements [incident.Engine].
func (e *execution) Sleep(_ context.Context, id incident.StepID, until time.Time) error {
	until = until.UTC().Truncate(time.Microsecond)
	entry, err := e.wait(incident.RunWait{ID: id, Until: until}, func() (*incident.RunEntry, error) { return nil, nil })
	if err == nil && entry.Slept.IsZero() {
		err = e.differs(id)
	}
	return err
}

// Await implements [incident.Engine].
func (e *execution) Await(_ context.Context, id incident.StepID, topic string, deadline time.Time) (incident.Signal, error) {
	if topic == "" {
		return incident.Signal{}, errors.New("durable: a signal of no topic is awaited; name one")
	}
	if !deadline.IsZero() {
		deadline = deadline.UTC().Truncate(time.Microsecond)
	}
	entry, err := e.wait(incident.RunWait{ID: id, Topic: topic, Until: deadline}, func() (*incident.RunEntry, error) {
		s, err := e.next(topic, deadline)
		if s == nil || err != nil {
			return nil, err
		}
		return &incident.RunEntry{ID: id, Signal: s}, nil
	})
	if err == nil && entry.Signal == nil {
		err = e.differs(id)
	}
	if err != nil {
		return incident.Signal{}, err
	}
	if !entry.Signal.Expired {
		if e.consumed[topic] == nil {
			e.consumed[topic] = make(map[string]struct{})
		}
		e.consumed[topic][entry.Signal.ID] = struct{}{}
	}
	return *entry.Signal, nil
}

// wait is a call that waits until look finds something, or until a time, as its one step.
// What was waited for is in the outcome of the step and nowhere else, so that a crash
// can neither lose nor repeat it.
func (e *execution) wait(w incident.RunWait, look func() (*incident.RunEntry, error)) (incident.RunEntry, error) {
	if e.runs.isClosing() {
		return incident.RunEntry{}, e.stop(errClosing)
	}
	if err := e.use(w.ID); err != nil {
		return incident.RunEntry{}, err
	}
	return e.record(w.ID, func(context.Context) incident.RunEntry {
		if seed, ok := e.seeds[w.ID]; ok {
			return seed
		}
		if err := e.may(false); err != nil {
			panic(leave{err})
		}
		wake, end := e.runs.hub.subscribe(e.id)
		defer end()
		said := false
		for {
			entry := e.look(w, look)
			if entry != nil {
				return *entry
			}
			if !said {
				said = true
				e.say(w)
			}
			e.pause(wake, e.until(w))
			if err := e.stopped(); err != nil {
				panic(leave{err})
			}
		}
	})
}

// look returns the entry if the wait is over. A time is compared with the clock on the
// wall: one that jumped, or stood still while the machine slept, does not move it.
func (e *execution) look(w incident.RunWait, look func() (*incident.RunEntry, error)) (entry *incident.RunEntry) {
	passed := (w.Topic == "" || !w.Until.IsZero()) && !e.runs.now().Before(w.Until)
	err := e.retry("look for a signal", func() (err error) {
		entry, err = look()
		return err
	})
	switch {
	case err != nil:
		panic(leave{err})
	case entry != nil || !passed:
		return entry
	case w.Topic == "":
		return &incident.RunEntry{ID: w.ID, Slept: w.Until}
	}
	return &incident.RunEntry{ID: w.ID, Signal: &incident.Signal{At: w.Until, Expired: true}}
}

// until is when to look again although nobody woke us.
func (e *execution) until(w incident.RunWait) time.Time {
	if left := w.Until.Sub(e.runs.now()); (w.Topic == "" || !w.Until.IsZero()) && left < safety {
		return time.Now().Add(left)
	}
	return time.Now().Add(safety)
}

// say records that the run waits, for people. The first time counts.
func (e *execution) say(w incident.RunWait) {
	err := e.retry("record that it waits", func() error {
		return e.runs.write(e.ctx, func(tx *sql.Tx) error {
			result, err := tx.ExecContext(e.ctx, `INSERT INTO runbook_run_waits (run, step, topic, until, since, call)
				SELECT id, $3, $4, $5, $6, $7 FROM runbook_runs WHERE id = $1 AND owner = $2 AND ended = 0
				ON CONFLICT (run, step) DO NOTHING`, e.id, e.owner, string(w.ID), w.Topic, micros(w.Until), micros(time.Now()), e.numberOf(w.ID))
			if err != nil {
				return err
			}
			if n, err := result.RowsAffected(); err != nil || n == 0 {
				return err // it is known since before a crash; or is not ours, as will be seen
			}
			_, err = tx.ExecContext(e.ctx, "UPDATE runbook_runs SET revision = revision + 1 WHERE id = $1", e.id)
			if err == nil {
				err = e.runs.tell(e.ctx, tx, e.id)
			}
			return err
		})
	})
	if err != nil {
		panic(leave{err})
	}
	e.runs.hub.wake(e.id)
}

// next returns the next signal of a topic that came before the deadline, and was not
// returned before. That depends on what the run recorded, and on nothing else.
func (e *execution) next(topic string, deadline time.Time) (_ *incident.Signal, err error) {
	rows, err := e.runs.db.QueryContext(e.ctx, "SELECT id, data, arrived FROM runbook_run_signals WHERE run = $1 AND topic = $2 ORDER BY number", e.id, topic)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var id, data string
		var arrived int64
		if err := rows.Scan(&id, &data, &arrived); err != nil {
			return nil, err
		}
		if _, gone := e.consumed[topic][id]; gone {
			continue
		}
		if !deadline.IsZero() && instant(arrived).After(deadline) {
			return nil, nil
		}
		var s incident.Signal
		if err := json.Unmarshal([]byte(data), &s); err != nil {
			return nil, &final{err}
		}
		return &s, nil
	}
	return nil, rows.Err()
}
