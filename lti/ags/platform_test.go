package ags_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/lti/ags"
	"go.acu.edu.au/runbook/lti/internal/servicetest"
)

type platform = servicetest.Platform

var newService = servicetest.NewService

const (
	lineItems = "https://school.instructure.com/api/lti/courses/1/line_items"
	lineItem  = lineItems + "/7"
)

// newClient returns a client for a launch that offers everything.
func newClient(t testing.TB, p *platform, change func(*ags.Config)) *ags.Client {
	t.Helper()
	service, err := newService(p)
	require.NoError(t, err)
	cfg := ags.Config{
		Service: service, LineItems: lineItems, LineItem: lineItem,
		Scopes: []string{ags.ScopeLineItem, ags.ScopeLineItemReadOnly, ags.ScopeResultReadOnly, ags.ScopeScore, "https://example.org/other"},
	}
	if change != nil {
		change(&cfg)
	}
	client, err := ags.New(cfg)
	require.NoError(t, err)
	return client
}
