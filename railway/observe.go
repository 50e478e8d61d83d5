package railway

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/railway/internal/gql"
)

// How long is looked for what a change did.
const (
	// showLimit is for a deployment to be listed, and for a change of one to show.
	showLimit = 30 * time.Second
	// settleLimit is the time in which a restart would have shown.
	settleLimit = 15 * time.Second
	// seenLimit is for what a job of Railway made to be listed.
	seenLimit = time.Minute
	// outliving is for what is looked at although the context of the caller has ended.
	outliving = 10 * time.Second
)

// watching returns the context in which the state is read after a change: it ends
// after limit, or a few seconds after ctx, because the caller needs to know.
func watching(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	within, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
	stop := context.AfterFunc(ctx, func() {
		_ = pause(within, outliving)
		cancel()
	})
	return within, func() {
		stop()
		cancel()
	}
}

// watch looks at the state again and again until it is done, or limit is over, and
// reports whether it was done. A look that fails is not the end: another may not.
func watch(ctx context.Context, limit time.Duration, look func(ctx context.Context) (done bool, err error)) (done bool) {
	within, cancel := watching(ctx, limit)
	defer cancel()
	_ = poll(within, 300*time.Millisecond, 5*time.Second, func() (bool, error) {
		was, err := look(within)
		done = err == nil && was
		return done, nil
	})
	return done
}

// confirm reads the state after a change until look says that it shows the change.
// cause is the error of the change if its answer was lost, and nil if it was
// answered: reads lag behind changes. If the state does not show it within a few
// seconds, the error is an incident.ErrOutcomeUnknown with the advice.
func (o op) confirm(ctx context.Context, cause error, advice string, look func(ctx context.Context) (shown bool, err error)) error {
	switch {
	case watch(ctx, showLimit, look):
		return nil
	case cause == nil:
		return o.unknown(nil, "Railway took the change and does not show it; "+advice)
	}
	return o.unknown(cause, advice)
}

// answered turns the answer false into an error. It is looked at what happened all
// the same: false is also what is read of an empty answer.
func (o op) answered(did bool, err error) error {
	if err == nil && !did {
		return &Error{Op: o.name, Code: "declined", Message: "Railway answered that it did not do it"}
	}
	return err
}

// made finds the deployment that a change made, after before was read: the one of
// id, or if it was not named, the newest that is new and that is fits. cause is the
// error of the change, or nil. Somebody else may deploy at the same time, so being
// new is not enough.
func (s *Service) made(ctx context.Context, o op, before history, id string, cause error, is func(*gql.DeploymentFields) bool) (incident.Deployment, error) {
	if cause != nil && !maybeRun(cause) {
		return incident.Deployment{}, cause
	}
	var found incident.Deployment
	seen := watch(ctx, showLimit, func(ctx context.Context) (bool, error) {
		now, err := s.history(ctx, o, newest, nil)
		if err != nil {
			return false, err
		}
		for _, d := range now.newest {
			if id != "" && d.Id == id || id == "" && before.isNew(d) && is(d) {
				found = deploymentOf(d, now.current)
				return true, nil
			}
		}
		return false, nil
	})
	switch {
	case seen:
		return found, nil
	case id != "":
		return incident.Deployment{ID: id}, o.unknown(cause, fmt.Sprintf("Railway named the new deployment %s and does not list it; look at it later", printable(id, 60)))
	case cause == nil:
		return incident.Deployment{}, o.unknown(nil, "Railway accepted it, and no new deployment showed; look at the deployments")
	}
	return incident.Deployment{}, o.unknown(cause, "no new deployment showed; look at the deployments again before asking again")
}

// isNew reports whether a deployment was made after the history was read.
func (h history) isNew(d *gql.DeploymentFields) bool {
	if h.has(d.Id) {
		return false
	}
	// An older one moves up when another is deleted.
	return len(h.newest) == 0 || !d.CreatedAt.Before(h.newest[0].CreatedAt)
}

func (h history) has(id string) bool {
	return slices.ContainsFunc(h.newest, func(d *gql.DeploymentFields) bool { return d.Id == id })
}

// sameVersion returns what reports whether another deployment runs the same.
func sameVersion(a *gql.DeploymentFields) func(*gql.DeploymentFields) bool {
	want := metaOf(a.Meta)
	return func(d *gql.DeploymentFields) bool {
		got := metaOf(d.Meta)
		if want.CommitHash != "" || got.CommitHash != "" {
			return want.CommitHash == got.CommitHash
		}
		return want.Image == got.Image
	}
}

// ofCommit returns what reports whether a deployment is of a commit, whose hash may
// be cut short.
func ofCommit(commit string) func(*gql.DeploymentFields) bool {
	return func(d *gql.DeploymentFields) bool {
		return strings.HasPrefix(strings.ToLower(metaOf(d.Meta).CommitHash), strings.ToLower(commit))
	}
}

func ofImage(image string) func(*gql.DeploymentFields) bool {
	return func(d *gql.DeploymentFields) bool { return metaOf(d.Meta).Image == image }
}

// hasMoved reports whether a deployment is not as it was: another status, or other
// processes.
func hasMoved(was, is *gql.DeploymentFields) bool {
	return was.Status != is.Status || !sameTime(was.StatusUpdatedAt, is.StatusUpdatedAt) || !slices.Equal(instancesOf(was), instancesOf(is))
}

func sameTime(a, b *time.Time) bool {
	return a == nil && b == nil || a != nil && b != nil && a.Equal(*b)
}

func instancesOf(d *gql.DeploymentFields) (list []string) {
	for _, i := range d.Instances {
		list = append(list, i.Id+" "+string(i.Status))
	}
	slices.Sort(list)
	return list
}

// isLive reports whether a process runs, or may run again.
func isLive(s gql.DeploymentInstanceStatus) bool {
	switch s {
	case gql.DeploymentInstanceStatusCrashed, gql.DeploymentInstanceStatusExited, gql.DeploymentInstanceStatusRemoved,
		gql.DeploymentInstanceStatusSkipped, gql.DeploymentInstanceStatusStopped:
		return false
	}
	return true
}

// live returns how many processes of a deployment run, or may run again.
func live(d *gql.DeploymentFields) (n int) {
	for _, i := range d.Instances {
		if isLive(i.Status) {
			n++
		}
	}
	return n
}
