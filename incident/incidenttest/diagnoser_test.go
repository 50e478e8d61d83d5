package incidenttest_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/incidenttest"
)

func TestMemoryDiagnoser(t *testing.T) {
	wrong := func(id string, l incident.Likelihood) incident.Finding {
		return incident.Finding{ID: id, Title: "It is " + id, Likelihood: l, Evidence: []string{"seen"}, Remedy: "Mend it."}
	}
	incidenttest.TestDiagnoser(t, incidenttest.DiagnoserHarness{
		Well: func(testing.TB) incidenttest.DiagnoserCase {
			return incidenttest.DiagnoserCase{Diagnoser: &incidenttest.Diagnoser{}}
		},
		Sick: func(testing.TB) incidenttest.DiagnoserCase {
			d := &incidenttest.Diagnoser{}
			d.Set(incident.Diagnosis{Findings: []incident.Finding{wrong("cold", incident.Possible), wrong("broken", incident.Certain)}})
			return incidenttest.DiagnoserCase{Diagnoser: d, Findings: []string{"broken", "cold"}, Secrets: []string{"s3cret"}, State: func() string { return "same" }}
		},
		Silent: func(testing.TB) incidenttest.DiagnoserCase {
			d := &incidenttest.Diagnoser{}
			d.Set(incident.Diagnosis{NotChecked: []incident.NotChecked{{What: "all", Why: "it does not answer"}}})
			return incidenttest.DiagnoserCase{Diagnoser: d}
		},
	})
	d := &incidenttest.Diagnoser{}
	lost := errors.New("lost")
	d.Fail(lost, nil)
	_, err := d.Diagnose(t.Context())
	require.ErrorIs(t, err, lost)
	got, err := d.Diagnose(t.Context())
	require.NoError(t, err)
	assert.True(t, got.Clear())
	port := incident.DiagnoserFunc(d.Diagnose)
	_, err = port.Diagnose(t.Context())
	require.NoError(t, err)
}

func TestMemoryNonces(t *testing.T) {
	incidenttest.TestNonces(t, incidenttest.NoncesHarness{New: func(testing.TB) incidenttest.NoncesCase {
		n := &incidenttest.Nonces{}
		n.Add(3, 2)
		return incidenttest.NoncesCase{Nonces: n, Expired: 2, Live: n.Live}
	}})
	n := &incidenttest.Nonces{}
	n.Fail(context.DeadlineExceeded)
	_, err := n.PurgeExpired(t.Context())
	require.ErrorIs(t, err, context.DeadlineExceeded)
}
