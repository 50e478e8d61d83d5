package incident

import "context"

// DeployFreezer keeps a platform from deploying by itself, when a branch moves or
// an image is pushed, one service in one environment. What is asked for by
// [Deployer] is deployed all the same.
type DeployFreezer interface {
	// DeployFreeze returns the state. It may be called concurrently. Errors are
	// those of SetDeployFreeze.
	DeployFreeze(ctx context.Context) (FreezeState, error)
	// SetDeployFreeze freezes or unfreezes, and returns the state that was observed
	// afterwards, not the one that was asked for. Asking for the state that there
	// is, is no error. It may be called concurrently; calls may take effect in any
	// order. A deployment that is under way goes on.
	//
	// The error is ErrNotPermitted, and nothing was changed. If the answer is lost,
	// the implementation reads the state; if that fails too, the error is
	// ErrOutcomeUnknown. Setting the same state again is then safe. A context that
	// has ended before changes nothing.
	SetDeployFreeze(ctx context.Context, frozen bool) (FreezeState, error)
}

// FreezeState says whether a platform deploys by itself.
type FreezeState struct {
	// Frozen is true if nothing is deployed unless it is asked for.
	Frozen bool
	// Reason says why it is frozen for another reason than SetDeployFreeze, so that
	// unfreezing does not help: there is no branch to follow. Empty otherwise.
	Reason string
}
