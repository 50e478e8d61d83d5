package railway

import (
	"context"
	"slices"
	"strings"
	"time"

	"go.acu.edu.au/runbook/railway/internal/gql"
)

// A BackupSchedule is how often Railway backs up a volume by itself.
type BackupSchedule string

// The schedules that Railway has (https://docs.railway.com/volumes/backups).
const (
	// BackupDaily makes one each day and keeps it for 6 days.
	BackupDaily BackupSchedule = "DAILY"
	// BackupWeekly makes one each week and keeps it for a month.
	BackupWeekly BackupSchedule = "WEEKLY"
	// BackupMonthly makes one each month and keeps it for three months.
	BackupMonthly BackupSchedule = "MONTHLY"
)

// Schedules returns how often the volume is backed up, in order of name; none is no
// error. A schedule that did not exist yesterday is kept as it is.
func (v *Volume) Schedules(ctx context.Context) ([]BackupSchedule, error) {
	o := v.s.c.op("read the backup schedules of service %s", v.s)
	f, err := v.find(ctx, o)
	if err != nil {
		return nil, err
	}
	return schedulesOf(ctx, o, f.Id)
}

func schedulesOf(ctx context.Context, o op, instance string) (kinds []BackupSchedule, err error) {
	got, err := gql.BackupSchedules(ctx, o, instance)
	if err != nil {
		return nil, err
	}
	for _, s := range got.VolumeInstanceBackupScheduleList {
		kinds = append(kinds, BackupSchedule(s.Kind))
	}
	slices.Sort(kinds)
	return slices.Compact(kinds), nil
}

// SetSchedules sets the full set of schedules; what is not named ends, and none ends
// all. Backups that are there stay. Setting the same again is safe.
func (v *Volume) SetSchedules(ctx context.Context, kinds ...BackupSchedule) error {
	o := v.s.c.op("set the backup schedules of service %s", v.s)
	want := slices.Clone(kinds)
	slices.Sort(want)
	want = slices.Compact(want)
	send := make([]gql.VolumeInstanceBackupScheduleKind, 0, len(want)) // not nil, which is null
	for _, kind := range want {
		if kind != BackupDaily && kind != BackupWeekly && kind != BackupMonthly {
			return o.refuse(nil, "%q is no schedule; they are DAILY, WEEKLY and MONTHLY", string(kind))
		}
		send = append(send, gql.VolumeInstanceBackupScheduleKind(kind))
	}
	f, err := v.find(ctx, o)
	if err != nil {
		return err
	}
	got, err := gql.BackupScheduleUpdate(ctx, o, f.Id, send)
	err = o.answered(got.VolumeInstanceBackupScheduleUpdate, err)
	if err != nil && !maybeRun(err) {
		return err
	}
	return o.confirm(ctx, err, "look at the schedules, and set them again", func(ctx context.Context) (bool, error) {
		now, err := schedulesOf(ctx, o, f.Id)
		return err == nil && slices.Equal(now, want), err
	})
}

// RecoverTo makes a new service with the data as it was at a time, by point-in-time
// recovery, which has to be switched on for the database before. The service that
// it comes from runs on untouched, and what uses it has to be pointed at the new one
// afterwards. The new service may still be deploying when the call returns.
//
// The error is an incident.ErrOutcomeUnknown if the end of Railway's job is not
// seen: it goes on by itself. A name that is taken is an error before anything is
// tried.
func (v *Volume) RecoverTo(ctx context.Context, at time.Time, name string) (*Service, error) {
	o := v.s.c.op("recover service %s to %s as %q", v.s, at.UTC().Format(time.RFC3339), printable(name, 100))
	switch {
	case strings.TrimSpace(name) == "":
		return nil, o.refuse(nil, "the new service needs a name, to be found again")
	case at.IsZero() || at.After(time.Now()):
		return nil, o.refuse(nil, "the time must be in the past")
	}
	there, taken, err := existing(o, "service", name, v.s.c.services(ctx, o, v.s.project))
	switch {
	case err != nil:
		return nil, err
	case taken:
		return nil, o.refuse(nil, "there is a service of that name, %s; use another name", there.ID)
	}
	f, err := v.find(ctx, o)
	if err != nil {
		return nil, err
	}
	if err := idle(o, f); err != nil {
		return nil, err
	}
	got, err := gql.PointInTimeRestore(ctx, o, f.Id, at.UTC(), &name)
	if maybeRun(err) {
		return nil, v.s.recoveryBegun(ctx, o, err, name)
	}
	if err != nil {
		return nil, err
	}
	if id := gql.Text(got.VolumeInstancePITRRestore.WorkflowId); id == "" {
		return nil, v.s.recoveryBegun(ctx, o, nil, name)
	} else if err := o.c.follow(ctx, o, id, restoreLimit); err != nil {
		return nil, err
	}
	made, err := v.s.env.awaitService(ctx, o, name)
	if err != nil {
		return nil, err
	}
	return &Service{c: v.s.c, env: v.s.env, project: v.s.project, environment: v.s.environment, id: made.ID, name: made.Name}, nil
}

// recoveryBegun says what can be seen of a recovery that cannot be followed.
func (s *Service) recoveryBegun(ctx context.Context, o op, cause error, name string) error {
	made, err := s.env.awaitService(ctx, o, name)
	if err != nil {
		return o.unknown(cause, "no service of that name is there yet; look for it in a few minutes")
	}
	return o.unknown(cause, "it was begun, service "+made.ID+" is there; whether it has all of its data yet has to be seen there")
}
