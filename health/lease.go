package health

import (
	"context"
	"errors"
	"time"
)

// ErrLeaseLost means that a result was not shared because another replica has
// taken over the check.
var ErrLeaseLost = errors.New("the lease is held by another replica")

// Lease lets replicas that have the same checks share them: each check is run
// by one replica at a time, the others take over its result, and a check whose
// replica has died is taken over when its lease ends. Package sqlhealth keeps
// leases in a database.
//
// A Lease belongs to one replica, the holder. Implementations must be safe for
// concurrent use and honour the context. A [Monitor] that cannot reach its
// Lease runs the checks itself: to probe twice is better than not at all.
type Lease interface {
	// Acquire asks to run the check for the next ttl. It is granted if no other
	// replica holds the check, and extends the lease if this one does. Of
	// several replicas that ask at the same time, one gets it.
	Acquire(ctx context.Context, check string, ttl time.Duration) (Grant, error)

	// Publish shares a result with the other replicas. If this replica does not
	// hold the check any more it shares nothing and returns ErrLeaseLost.
	Publish(ctx context.Context, check string, r Result) error

	// Release gives up all that this replica holds, so that others take over at
	// once.
	Release(ctx context.Context) error
}

// A Grant is the answer to [Lease.Acquire].
type Grant struct {
	// Held reports whether the asking replica is to run the check.
	Held bool
	// Holder names the replica that holds the lease.
	Holder string
	// Result is the result shared last for the check, by whichever replica. Its
	// Time is zero if there is none.
	Result Result
}
