package incidenttest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"go.acu.edu.au/runbook/incident"
)

// Approvals is an [incident.Approvals] in memory: who is named may approve, and nobody
// else. The zero value lets nobody. It is safe for concurrent use.
type Approvals struct {
	mu    sync.Mutex
	may   map[string][]string
	errs  []error
	asked []string
}

var _ incident.Approvals = (*Approvals)(nil)

// Let lets somebody approve what asks for one of the roles, or for none if there are
// none. Roles replace those that the person had.
func (a *Approvals) Let(actor string, roles ...string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.may == nil {
		a.may = make(map[string][]string)
	}
	a.may[actor] = roles
}

// Fail makes the next calls fail with these errors, one each.
func (a *Approvals) Fail(errs ...error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.errs = append(a.errs, errs...)
}

// Asked returns the names of those about whom it was asked, in order.
func (a *Approvals) Asked() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.asked)
}

// MayApprove implements [incident.Approvals].
func (a *Approvals) MayApprove(ctx context.Context, actor string, what incident.Approval) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.asked = append(a.asked, actor)
	if len(a.errs) > 0 {
		err := a.errs[0]
		a.errs = a.errs[1:]
		return err
	}
	roles, known := a.may[actor]
	switch {
	case !known:
		return fmt.Errorf("%s is not one of those who approve: %w", actor, incident.ErrNotPermitted)
	case len(what.Question.Roles) > 0 && !slices.ContainsFunc(what.Question.Roles, func(role string) bool { return slices.Contains(roles, role) }):
		return fmt.Errorf("%s has none of the roles %v: %w", actor, what.Question.Roles, incident.ErrNotPermitted)
	}
	return nil
}

// ApprovalsHarness is what [TestApprovals] needs of an implementation.
type ApprovalsHarness struct {
	// New returns an implementation, for one test.
	New func(t testing.TB) incident.Approvals
	// May is somebody who may approve What, MayNot somebody who may not.
	May, MayNot string
	What        incident.Approval
	// Break makes the implementation unable to tell from now on. Nil declines.
	Break func(a incident.Approvals)
}

// TestApprovals checks what [incident.Approvals] asks of an implementation.
func TestApprovals(t *testing.T, h ApprovalsHarness) {
	t.Run("somebody may", func(t *testing.T) {
		if err := h.New(t).MayApprove(t.Context(), h.May, h.What); err != nil {
			t.Errorf("%s may not: %v", h.May, err)
		}
	})
	for name, actor := range map[string]string{"somebody may not": h.MayNot, "nobody knows them": "nobody-of-this-name", "no name": ""} {
		t.Run(name, func(t *testing.T) {
			err := h.New(t).MayApprove(t.Context(), actor, h.What)
			if !errors.Is(err, incident.ErrNotPermitted) {
				t.Errorf("error %v; want that it is not permitted", err)
			} else if err.Error() == incident.ErrNotPermitted.Error() {
				t.Error("the error does not say why")
			}
		})
	}
	t.Run("it cannot be told", func(t *testing.T) {
		if h.Break == nil {
			t.Skip("declined")
		}
		a := h.New(t)
		h.Break(a)
		if err := a.MayApprove(t.Context(), h.May, h.What); err == nil || errors.Is(err, incident.ErrNotPermitted) {
			t.Errorf("error %v; want one that does not say no", err)
		}
	})
	t.Run("ended context", func(t *testing.T) {
		if err := h.New(t).MayApprove(ended(t), h.May, h.What); errors.Is(err, incident.ErrNotPermitted) {
			t.Errorf("error %v; who is not answered was not refused", err)
		}
	})
	t.Run("concurrently", func(t *testing.T) {
		a := h.New(t)
		each(8, func(int) {
			if err := a.MayApprove(t.Context(), h.May, h.What); err != nil {
				t.Error(err)
			}
		})
	})
}
