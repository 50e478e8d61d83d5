package incidenttest_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"

	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/incidenttest"
)

func approvals(testing.TB) incident.Approvals {
	a := new(incidenttest.Approvals)
	a.Let("kim", "manager")
	a.Let("lee")
	return a
}

func approvalsHarness() incidenttest.ApprovalsHarness {
	return incidenttest.ApprovalsHarness{
		New: approvals, May: "kim", MayNot: "lee", What: incident.Approval{Question: incident.Question{Roles: []string{"manager"}}},
		Break: func(a incident.Approvals) { a.(*incidenttest.Approvals).Fail(errors.New("the directory is away")) },
	}
}

func TestApprovals(t *testing.T) {
	incidenttest.TestApprovals(t, approvalsHarness())
	a := new(incidenttest.Approvals)
	assert.ErrorIs(t, a.MayApprove(t.Context(), "kim", incident.Approval{}), incident.ErrNotPermitted, "the zero value lets nobody")
	assert.Equal(t, []string{"kim"}, a.Asked())
}

// mistakenApprovals is an implementation that is right where nothing else is said.
type mistakenApprovals func(ctx context.Context, actor string, right error) error

func (m mistakenApprovals) MayApprove(ctx context.Context, actor string, a incident.Approval) error {
	return m(ctx, actor, approvals(nil).MayApprove(context.WithoutCancel(ctx), actor, a))
}

// approvalsMistake makes a mistake of an Approvals.
func approvalsMistake(notices string, m mistakenApprovals) mistake {
	return mistake{notices, func(t *testing.T) {
		h := approvalsHarness()
		h.New, h.Break = func(testing.TB) incident.Approvals { return m }, func(incident.Approvals) {}
		incidenttest.TestApprovals(t, h)
	}}
}
