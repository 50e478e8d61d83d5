package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.acu.edu.au/runbook/canvas/canvasprobe"
	"go.acu.edu.au/runbook/examples/internal/config"
	"go.acu.edu.au/runbook/examples/internal/estate"
	"go.acu.edu.au/runbook/health"
)

// The checks of one Canvas share a client, and so its throttle; those of
// another environment do not, though the address and the token were the same.
func TestChecksOfOneCanvasShareAClient(t *testing.T) {
	t.Parallel()
	text := `
environments:
  - name: test
    secrets: {canvas: {env: TOKEN}}
  - name: beta
    secrets: {canvas: {env: TOKEN}, other: {env: TOKEN}}
checks:
  - {name: up, url: "https://canvas.example.com", canvas: up, auth: {bearer: canvas}}
  - {name: token, url: "https://canvas.example.com", canvas: token, auth: {bearer: canvas}}
  - {name: quota, url: "https://canvas.example.com", canvas: quota, auth: {bearer: canvas}}
  - {name: other, url: "https://canvas.example.com", canvas: token, auth: {bearer: other}, only: [beta]}
`
	s, file := load(config.Source{Name: "f.yaml", Text: []byte(text), Getenv: func(string) string { return "a-token" }})
	shared := newCanvases(s, file, nil)
	for i := range s.Environments {
		for j := range s.Checks {
			if len(s.Checks[j].Only) > 0 && i == 0 {
				continue
			}
			b := &builder{file: file, path: "checks", told: make(map[string]bool), env: &s.Environments[i], canvases: shared}
			prober, target := b.prober(&s.Checks[j], nil)
			assert.NotNil(t, prober)
			assert.Equal(t, "https://canvas.example.com"+canvasPaths[s.Checks[j].Canvas], target)
		}
	}
	require.NoError(t, file.Err())
	assert.Len(t, shared.instances, 3)
}

// A token without a permission is not one that is refused, nor an outage.
func TestCanvasCausesHaveAdvice(t *testing.T) {
	t.Parallel()
	l := line{check: &check{}, target: "https://canvas.example.com/api/v1/users/self", next: map[string]string{otherwise: "call somebody"}}
	for _, cause := range []health.Cause{canvasprobe.CausePermission, canvasprobe.CauseKeyGone} {
		assert.Contains(t, causes, cause)
		assert.NotEqual(t, "call somebody", advice(l, health.Result{Status: health.Unhealthy, Cause: cause}))
		l.next[string(cause)] = "as configured"
		assert.Equal(t, "as configured", advice(l, health.Result{Status: health.Unhealthy, Cause: cause}))
	}
}

// A page as in maintenance is an outage if nobody announced a maintenance, and if
// it cannot be known.
func TestUnannouncedMaintenance(t *testing.T) {
	t.Parallel()
	const key = "status_page: https://status.instructure.com"
	for name, page := range map[string]string{"no status page": "", "the page is gone": "status_page: https://status.invalid"} {
		r := rehearse(t, estate.Config{Scenario: estate.CanvasMaintenance}, 15*time.Second, key, page)
		assert.Equal(t, exitDown, r.ExitCode, name)
		c := r.Environments[2].Checks[4]
		assert.Equal(t, "canvas", c.Name)
		assert.Equal(t, health.Unhealthy, c.Status, name)
		assert.Equal(t, health.CauseMaintenance, c.Cause, name)
	}
}
