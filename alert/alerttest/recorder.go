package alerttest

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/alert"
)

// A Recorder is a notifier that keeps what it was told. The zero value is ready to use.
// It must not be copied after first use.
type Recorder struct {
	mu   sync.Mutex
	errs []error
	got  []alert.Notification
}

var _ alert.Notifier = (*Recorder)(nil)

// Fail makes the next notifications fail, one with each error; nil lets one pass. A
// notification that fails is not kept, unless its outcome is unknown: an error that says
// neither that it was refused nor that it was not sent comes after the effect.
func (r *Recorder) Fail(errs ...error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.errs = append(r.errs, errs...)
}

// Notify implements [alert.Notifier].
func (r *Recorder) Notify(ctx context.Context, n alert.Notification) (alert.Receipt, error) {
	if err := ctx.Err(); err != nil {
		return "", &alert.Error{Service: "recorder", Op: "record", Unsent: true, Err: err}
	}
	if runbook.IsReadOnly(ctx) {
		return "", &alert.Error{Service: "recorder", Op: "record", Unsent: true, Err: runbook.ErrReadOnly}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	var err error
	if len(r.errs) > 0 {
		err, r.errs = r.errs[0], r.errs[1:]
	}
	if err != nil && happened(err) || err == nil {
		r.got = append(r.got, n)
	}
	if err != nil {
		return "", err
	}
	if n.Prior != "" {
		return n.Prior, nil
	}
	return alert.Receipt(fmt.Sprintf("message-%d", len(r.got))), nil
}

// happened reports whether an error leaves open whether something was sent.
func happened(err error) bool {
	e, ok := err.(interface{ SafeToRetry() bool })
	return !ok || !e.SafeToRetry()
}

// Notifications returns what it was told, in order.
func (r *Recorder) Notifications() []alert.Notification {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.got)
}
