package incident

import "context"

// Stopper takes one service in one environment off the network and back, to
// isolate it. A deployment starts it again: whoever isolates it freezes automatic
// deployments first, by a [DeployFreezer].
//
// Its methods may be called concurrently; calls may take effect in any order. If
// an answer is lost, the implementation reads the state; if that fails too, the
// error is [ErrOutcomeUnknown]. Asking for the same again is then safe. The other
// errors mean that nothing was changed: [ErrNotPermitted], [ErrNotFound] if
// nothing is deployed, [ErrBusy]. A context that has ended before changes nothing.
type Stopper interface {
	// Stopped returns the state.
	Stopped(ctx context.Context) (StopState, error)
	// Stop ends all processes of the service, without deleting anything, and
	// returns the state that was observed afterwards. Stopping what is stopped is
	// no error and does nothing.
	Stop(ctx context.Context) (StopState, error)
	// Start makes the service run again what it ran before Stop, and returns the
	// state that was observed afterwards. Starting what runs is no error and does
	// nothing. A platform may have to deploy it again for that, with the variables
	// as they are then.
	Start(ctx context.Context) (StopState, error)
}

// StopState says whether a service is stopped.
type StopState struct {
	// Stopped is true if no process of the service runs any more. It is false
	// while some are still ending: the caller reads again.
	Stopped bool
	// Deployment is the ID of the one that is stopped, or that runs.
	Deployment string
	// Reason says why the service is not in the state that was asked for; empty
	// otherwise.
	Reason string
}
