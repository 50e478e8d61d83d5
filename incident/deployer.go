package incident

import (
	"context"
	"errors"
	"time"
)

// Deployer acts on the deployments of one service in one environment.
//
// Its methods may be called concurrently, and each change that is asked for may
// take effect: that only one runs at a time is the caller's matter. A change is
// sent once and never repeated. If the answer is lost, or ctx ends when the
// request may have been sent, the implementation reads the state, for which it
// may outlive ctx by a few seconds; what it observed is the result. If that does
// not tell, the error is [ErrOutcomeUnknown]: asking again could do it twice. A
// context that has ended before changes nothing.
//
// The other errors mean that nothing was changed: [ErrNotPermitted]; [ErrBusy] if
// the platform refuses because of what is under way; those named below. That a
// deployment did not succeed is no error: it is in the deployment.
//
// What else a platform can do is in optional interfaces, which the same value
// implements: [DeploymentWaiter], [SourceDeployer], [DeploymentCanceller],
// [DeploymentApprover].
type Deployer interface {
	// Deployments returns the newest deployments, the newest first by Created, in
	// any status, at most limit. The last good one is often "removed". A service
	// that was never deployed has none, which is no error. A limit below 1 is an
	// error without a call. The slice belongs to the caller.
	Deployments(ctx context.Context, limit int) ([]Deployment, error)

	// Rollback deploys what to deployed, without building it, and returns the
	// deployment that was observed afterwards: on most platforms a new one, with
	// an ID of its own, which may not be settled yet. It is never built from what
	// was asked for. The configured variables and the source stay as they are, so
	// that the next deployment brings them back; whether to has its own
	// variables is the platform's matter.
	//
	// Only the ID of to counts. The error is ErrNotFound if there is no such
	// deployment, and ErrUnsupported if it cannot be rolled back to: its image is
	// no longer kept, or it is the current one.
	Rollback(ctx context.Context, to Deployment) (Deployment, error)

	// Restart starts the processes of the current deployment again and returns it
	// as it was observed afterwards: after it was seen to change, or once the time
	// is over in which a change would have shown. Nothing is built, and no
	// variable that was changed since is applied: that takes a Redeploy. The error
	// is ErrNotFound if nothing is deployed.
	Restart(ctx context.Context) (Deployment, error)

	// Redeploy deploys what is deployed now once more, with the variables as they
	// are configured now, and returns the new deployment as it was observed, which
	// may not be settled yet. The error is ErrNotFound if nothing is deployed.
	Redeploy(ctx context.Context) (Deployment, error)
}

// DeploymentWaiter is a [Deployer] that can wait.
type DeploymentWaiter interface {
	// WaitDeployment returns the deployment when its status is settled, at once if
	// it is already. It spares the platform: asking is paced, or the platform
	// tells by itself. Unless it is nil, progress is called for the first look and
	// for each change that was seen, by the calling goroutine, one at a time, never
	// after the return; it must not block.
	//
	// If ctx ends, the error is that of ctx, and the deployment is what was seen
	// last. The error is ErrNotFound if there is no such deployment.
	WaitDeployment(ctx context.Context, id string, progress func(Deployment)) (Deployment, error)
}

// SourceDeployer is a [Deployer] that can deploy something else than what is
// deployed now.
type SourceDeployer interface {
	// DeploySource deploys from and returns the new deployment as it was observed;
	// its Commit and Image are what the platform says that it deploys, and not
	// what was asked for, so that the caller can compare. Errors are those of
	// Deployer; ErrNotFound means that there is no such commit or image, and
	// ErrUnsupported that this sort of source cannot be deployed.
	DeploySource(ctx context.Context, from DeploymentSource) (Deployment, error)
}

// DeploymentCanceller is a [Deployer] that can end a deployment under way.
type DeploymentCanceller interface {
	// CancelDeployment ends a deployment that is not settled and returns it as it
	// was observed. One that is settled is returned and left alone. Errors are
	// those of Deployer, and ErrNotFound. Asking again is safe.
	CancelDeployment(ctx context.Context, id string) (Deployment, error)
}

// DeploymentApprover is a [Deployer] whose deployments may wait for approval.
type DeploymentApprover interface {
	// ApproveDeployment lets a deployment that needs approval go on and returns it
	// as it was observed. Any other is returned and left alone. Errors are those
	// of Deployer, and ErrNotFound. Asking again is safe.
	ApproveDeployment(ctx context.Context, id string) (Deployment, error)
}

// A Deployment is one attempt to run a version of a service, as it was at the
// moment it was read.
type Deployment struct {
	// ID is what the platform calls it.
	ID string
	// Status is how far it is.
	Status DeploymentStatus
	// Reason says in a line why it has this status, if that is not plain: why it
	// failed, what it waits for. Empty if the platform does not say.
	Reason string
	// Created is when it began.
	Created time.Time
	// Commit is the version of the source, Image that of the image it runs; empty
	// if there is none, or the platform does not say.
	Commit, Image string
	// Message is the first line of what the author wrote about the version.
	Message string
	// Current is true for the one that the service runs, or would if it were not
	// stopped. At most one is. While a new one is on its way it is the one before.
	Current bool
	// CanRollback says that the platform still has what it takes to roll back to
	// it. The status does not tell.
	CanRollback bool
}

// DeploymentStatus is how far a deployment is. A platform may have words of its
// own beside the ones here; they are kept as they are, and are not settled.
type DeploymentStatus string

// The statuses.
const (
	DeploymentQueued        DeploymentStatus = "queued"         // for its turn
	DeploymentWaiting       DeploymentStatus = "waiting"        // for something else to end
	DeploymentNeedsApproval DeploymentStatus = "needs approval" // of a person
	DeploymentInitializing  DeploymentStatus = "initializing"   // began
	DeploymentBuilding      DeploymentStatus = "building"       // its image is being made
	DeploymentDeploying     DeploymentStatus = "deploying"      // its processes are being started
	DeploymentSucceeded     DeploymentStatus = "succeeded"      // it was deployed; not that it is healthy now
	DeploymentSleeping      DeploymentStatus = "sleeping"       // it was deployed, and starts with the next request
	DeploymentFailed        DeploymentStatus = "failed"         // it was not deployed
	DeploymentCrashed       DeploymentStatus = "crashed"        // its processes ended with a failure
	DeploymentSkipped       DeploymentStatus = "skipped"        // there was nothing to deploy
	DeploymentRemoving      DeploymentStatus = "removing"       // another one takes its place, or it was cancelled
	DeploymentRemoved       DeploymentStatus = "removed"        // another one took its place, or it was cancelled
)

// Settled reports whether waiting longer changes nothing: it ended, well or not,
// or it waits for a person.
func (s DeploymentStatus) Settled() bool {
	switch s {
	case DeploymentFailed, DeploymentCrashed, DeploymentSkipped, DeploymentRemoved, DeploymentNeedsApproval:
		return true
	}
	return s.Deployed()
}

// Deployed reports whether it was deployed and is still there. Whether the
// service is healthy is for probes to say.
func (s DeploymentStatus) Deployed() bool {
	return s == DeploymentSucceeded || s == DeploymentSleeping
}

// A DeploymentSource is what to deploy. The zero value is the newest that there
// is of what the service is connected to.
type DeploymentSource struct {
	// Commit is a version of the source, Image the name of an image. At most one.
	Commit, Image string
}

// Validate returns what is wrong with the source, or nil.
func (s DeploymentSource) Validate() error {
	if s.Commit != "" && s.Image != "" {
		return errors.New("incident: deployment source: a commit and an image: name one of them")
	}
	return nil
}

// RollbackTarget returns the deployment to roll back to, of a list with the
// newest first, as [Deployer.Deployments] returns it. It is the newest that can be
// rolled back to, was deployed once, and is older than any of the version that is
// current (or newest, if none is current). So a second rollback goes further back,
// and not to the version that the first one left.
//
// False means that there is none in the list; a longer list may have one.
func RollbackTarget(newestFirst []Deployment) (Deployment, bool) {
	if len(newestFirst) == 0 {
		return Deployment{}, false
	}
	from := newestFirst[0]
	for _, d := range newestFirst {
		if d.Current {
			from = d
			break
		}
	}
	oldest := 0 // of the version of from
	for i, d := range newestFirst {
		if d.ID == from.ID || sameVersion(d, from) {
			oldest = i
		}
	}
	for _, d := range newestFirst[oldest+1:] {
		if d.CanRollback && (d.Status.Deployed() || d.Status == DeploymentRemoving || d.Status == DeploymentRemoved) {
			return d, true
		}
	}
	return Deployment{}, false
}

// sameVersion reports whether two deployments are known to run the same.
func sameVersion(a, b Deployment) bool {
	if a.Commit != "" || b.Commit != "" {
		return a.Commit == b.Commit
	}
	return a.Image != "" && a.Image == b.Image
}
