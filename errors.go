package runbook

// SafeToRetry reports whether it is proven that the failed operation did
// nothing, so that doing it again cannot do it twice. Unknown means false: a
// timeout after a request was sent, or a 502 from a proxy, proves nothing.
//
// It asks the first error in err's chain that has a method
// SafeToRetry() bool. Of errors joined together, all must say so. An error
// without that method anywhere in its chain is not safe, and neither is nil,
// which is no failure.
//
// An idempotent call may be repeated as well; but that is a property of the
// call, not of its error.
func SafeToRetry(err error) bool {
	for err != nil {
		if s, ok := err.(interface{ SafeToRetry() bool }); ok {
			return s.SafeToRetry()
		}
		switch u := err.(type) {
		case interface{ Unwrap() error }:
			err = u.Unwrap()
		case interface{ Unwrap() []error }:
			branches := u.Unwrap()
			for _, branch := range branches {
				if !SafeToRetry(branch) {
					return false
				}
			}
			return len(branches) > 0
		default:
			return false
		}
	}
	return false
}

// notDone marks an error of an operation that certainly did nothing.
type notDone struct{ cause error }

func (e *notDone) Error() string     { return e.cause.Error() }
func (e *notDone) Unwrap() error     { return e.cause }
func (e *notDone) SafeToRetry() bool { return true }
