package host

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"go.acu.edu.au/runbook/alert/schedule"
	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/playbooks"
)

// schedules are those of the runbook, and the dumps off the platform that its check of the
// backups expects. Each begins a run, once for each date; the run goes on by itself.
func (h *Host) schedules() []schedule.Schedule {
	all := schedule.Runbook(schedule.Jobs{
		MorningSummary:   h.begin("morning-check", h.users),
		EndOfDay:         h.begin("end-of-day-report", h.users),
		WeeklySummary:    h.begin("weekly-report", h.users),
		BackupCheck:      h.begin("backup-verification", h.environments...),
		MonthlyChecklist: h.begin("monthly-checklist", h.users),
	})
	at := h.cfg.Defaults.Reports
	for i, t := range map[string]health.TimeOfDay{"backup-check": at.Backups, "morning-summary": at.Morning, "end-of-day": at.EndOfDay, "weekly-summary": at.Weekly, "monthly-checklist": at.Monthly} {
		if n := slices.IndexFunc(all, func(s schedule.Schedule) bool { return s.Name == i }); n >= 0 {
			all[n].At = t
		}
	}
	for _, r := range h.environments {
		if r.Dumper != nil && r.connection.Dumps.Keep != nil {
			all = append(all, schedule.Schedule{Name: "dump-" + r.Name, At: cmp.Or(r.connection.DumpAt, health.At(2, 0)), Timeout: dumpTime, Do: r.dump})
		}
		if r.configuration != nil && r.connection.KeepConfiguration != nil {
			all = append(all, schedule.Schedule{Name: "configuration-" + r.Name, At: health.At(3, 0), Do: r.keepConfiguration})
		}
	}
	return append(all, schedule.Schedule{Name: "retention", At: health.At(3, 30), Timeout: dumpTime, Do: h.retain})
}

// retain removes what is older than is kept. How much it was is on the record.
func (h *Host) retain(ctx context.Context, _ schedule.Run) error {
	done, err := h.cfg.Retention.Apply(ctx)
	if err == nil && done.Strange > 0 {
		err = fmt.Errorf("host: retention: %d things are where evidence is kept that are none, and were left alone: somebody has to look at them", done.Strange)
	}
	return err
}

// begin returns what begins a playbook where it can be carried out; nil if it can nowhere.
func (h *Host) begin(playbook string, in ...*reached) func(context.Context, schedule.Run) error {
	var where []string
	for _, r := range in {
		if h.can(playbook, r.Name) {
			where = append(where, r.Name)
		}
	}
	if len(where) == 0 {
		return nil
	}
	return func(ctx context.Context, run schedule.Run) error {
		var errs []error
		for _, environment := range where {
			_, err := h.runner.Start(ctx, incident.Request{ID: runOf(run, environment), Environment: environment, Playbook: playbook, Automatic: true})
			if err != nil && !errors.Is(err, incident.ErrStale) { // it was begun before
				errs = append(errs, err)
			}
		}
		return errors.Join(errs...)
	}
}

// dump keeps a dump of the database, under the name of its day.
func (r *reached) dump(ctx context.Context, run schedule.Run) error {
	return r.connection.Dumps.Keep(ctx, r.Name+"-"+run.Date, func(w io.Writer) (incident.DumpReceipt, error) { return r.Dumper.Dump(ctx, w) })
}

// keepConfiguration keeps a copy of the configuration, under the name of its day.
func (r *reached) keepConfiguration(ctx context.Context, run schedule.Run) error {
	return r.connection.KeepConfiguration(ctx, r.Name+"-"+run.Date, r.configuration)
}

// surroundings are what the playbooks of an environment need beside it.
func (h *Host) surroundings(r *reached) playbooks.Surroundings {
	s := playbooks.Surroundings{
		Dumps: r.connection.Dumps, Canvas: r.connection.Compromise, Rebuild: r.connection.Rebuild, Tools: h.cfg.Tools, Desk: h.desk(r), Checks: h.cfg.Acceptance,
	}
	if r != h.users {
		for _, other := range h.environments[:slices.Index(h.environments, r)] {
			s.Promotion.Before = append(s.Promotion.Before, other.Environment)
		}
		return s
	}
	for _, other := range h.environments {
		if other != r {
			s.Others = append(s.Others, other.Environment)
			s.Promotion.Before = append(s.Promotion.Before, other.Environment)
		}
	}
	var watched []string
	for _, c := range r.checks(h.cfg.Intervals) {
		watched = append(watched, c.Name)
	}
	s.Figures = []playbooks.FigureSource{playbooks.HistoryFigures(h.cfg.History, watched...), h.incidentFigures}
	return s
}
