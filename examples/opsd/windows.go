package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/incident"
)

// A maintenance is a time in which something is worked on: its checks are made, and nobody
// is told of what they find.
type maintenance struct {
	ID          string    `json:"id"`
	Environment string    `json:"environment,omitempty"` // all of its checks
	Check       string    `json:"check,omitempty"`       // or only this one
	From        time.Time `json:"from"`
	To          time.Time `json:"to"`
	By          string    `json:"by"`
	Comment     string    `json:"comment"`
}

// kindMaintenance is the kind of their documents.
const kindMaintenance = "opsd-maintenance"

// windows keep the maintenances with the incidents, and tell the monitor of this replica.
type windows struct {
	store   incident.Store
	monitor *health.Monitor
	logger  *slog.Logger
	mu      sync.Mutex
	known   []maintenance
	set     map[string]int // how many windows of ours each check has, at the end of its list
}

// validate returns what is wrong with a maintenance.
func (m maintenance) validate(monitor *health.Monitor) error {
	var errs []error
	bad := func(when bool, format string, args ...any) {
		if when {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	bad((m.Environment == "") == (m.Check == ""), "give an environment, or a check")
	bad(!m.To.After(m.From), "it must end after it begins")
	bad(m.To.Sub(m.From) > 7*24*time.Hour, "it may last a week at most")
	bad(!m.To.After(time.Now()), "it is over already")
	bad(strings.TrimSpace(m.Comment) == "", "a comment that says why is required: others will ask")
	bad(len(m.checks(monitor)) == 0, "there are no checks of %s", m.Environment+m.Check)
	return errors.Join(errs...)
}

// checks are the names of the checks that it is about.
func (m maintenance) checks(monitor *health.Monitor) []string {
	var names []string
	for _, c := range monitor.Snapshot().Checks {
		if c.Name == m.Check || m.Environment != "" && c.Labels["environment"] == m.Environment {
			names = append(names, c.Name)
		}
	}
	return names
}

// add keeps a maintenance, with who wanted it on the record.
func (w *windows) add(ctx context.Context, m maintenance) (maintenance, error) {
	m.ID = fmt.Sprintf("m-%d", time.Now().UnixMilli())
	return m, w.write(ctx, m, 0, true, "maintenance planned", fmt.Sprintf("%s is in maintenance from %s to %s: %s", m.Environment+m.Check, m.From.UTC().Format(time.RFC3339), m.To.UTC().Format(time.RFC3339), m.Comment), m.By)
}

// end ends a maintenance now.
func (w *windows) end(ctx context.Context, id, by string) error {
	d, err := w.store.Document(ctx, kindMaintenance, id)
	if err != nil {
		return &unsent{err}
	}
	var m maintenance
	if err := json.Unmarshal(d.Data, &m); err != nil {
		return &unsent{fmt.Errorf("opsd: the maintenance %s cannot be read: %w", id, err)}
	}
	return w.write(ctx, m, d.Version, false, "maintenance ended", fmt.Sprintf("the maintenance of %s was ended", m.Environment+m.Check), by)
}

func (w *windows) write(ctx context.Context, m maintenance, version int64, open bool, kind, text, by string) error {
	data, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("opsd: a maintenance: %w", err)
	}
	now := time.Now().UTC()
	_, err = w.store.Commit(ctx, incident.Change{
		Documents: []incident.Document{{Kind: kindMaintenance, ID: m.ID, Version: version, Open: open, Changed: now, Data: data}},
		Entries:   []incident.Entry{{Chain: "audit", At: now, Kind: kind, Actor: by, Text: text}},
	})
	if err != nil {
		return err
	}
	// It is done: that it cannot be read again now, which follow repeats, does not undo it.
	if err := w.load(ctx); err != nil {
		w.logger.Warn("the maintenances cannot be read again, and hold as they were until they can", "error", err)
	}
	return nil
}

// list are those that are under way or planned.
func (w *windows) list() []maintenance {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.known)
}

// load reads the maintenances, and tells the monitor. What others have set stays.
func (w *windows) load(ctx context.Context) error {
	var known []maintenance
	for d, err := range w.store.Documents(ctx, incident.DocumentQuery{Kind: kindMaintenance, Open: true}) {
		if err != nil {
			return fmt.Errorf("opsd: the maintenances: %w", err)
		}
		var m maintenance
		if err := json.Unmarshal(d.Data, &m); err != nil {
			return fmt.Errorf("opsd: the maintenance %s cannot be read: %w", d.ID, err)
		}
		if m.To.After(time.Now()) {
			known = append(known, m)
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.known = known
	ours := make(map[string][]health.Window)
	for _, m := range known {
		for _, name := range m.checks(w.monitor) {
			ours[name] = append(ours[name], health.Window{Name: "opsd " + m.ID, Start: m.From, End: m.To})
		}
	}
	var errs []error
	for _, c := range w.monitor.Snapshot().Checks {
		if len(ours[c.Name]) == 0 && w.set[c.Name] == 0 {
			continue
		}
		errs = append(errs, w.monitor.ChangeMaintenance(c.Name, func(all []health.Window) []health.Window {
			others := slices.DeleteFunc(all, func(x health.Window) bool { return strings.HasPrefix(x.Name, "opsd ") })
			return append(others, ours[c.Name]...)
		}))
		if w.set == nil {
			w.set = make(map[string]int)
		}
		w.set[c.Name] = len(ours[c.Name])
	}
	return errors.Join(errs...)
}

// follow looks now and then whether another replica has changed them.
func (w *windows) follow(ctx context.Context) {
	ticker := time.NewTicker(15 * time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			_ = w.load(ctx) // the ones that are known hold until the store is back
		case <-ctx.Done():
			return
		}
	}
}
