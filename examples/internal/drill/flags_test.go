package drill_test

import (
	"bytes"
	"flag"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/examples/internal/drill"
	"go.acu.edu.au/runbook/examples/internal/world"
)

func TestFlags(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"unknown scenario":      {[]string{"-scenario", "bad-day"}, `there is no scenario "bad-day"; -list shows those there are`},
		"too many arguments":    {[]string{"bad-deploy"}, `unexpected argument "bad-deploy"`},
		"negative pairs":        {[]string{"-pairs", "-1"}, "must not be negative"},
		"a pair not drawn":      {[]string{"-pairs", "2", "-scenario", "pair-003"}, `there is no pair "pair-003": the 2 that are drawn are pair-001 to pair-002`},
		"pairs of scenarios":    {[]string{"-pairs", "2", "-scenario", "bad-deploy"}, `there is no pair "bad-deploy"`},
		"everything, for hours": {[]string{"-realtime"}, "choose one with -scenario"},
		"unknown flag":          {[]string{"-fast"}, "flag provided but not defined"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := drill.Parse(c.args, new(bytes.Buffer))
			assert.ErrorContains(t, err, c.want)
		})
	}
	var help bytes.Buffer
	_, err := drill.Parse([]string{"-h"}, &help)
	assert.ErrorIs(t, err, flag.ErrHelp)
	for _, want := range []string{"-scenario", "-seed", "-realtime", "-json", "-html", "-list", "-pairs", "Exit status"} {
		assert.Contains(t, help.String(), want)
	}
}

// One pair of many is named by its number, with or without its faults, and is the one that it
// is among all of them, however many are drawn.
func TestChoosePairs(t *testing.T) {
	t.Parallel()
	all := drill.Pairs(1002, 7, drill.Kinds())
	for _, name := range []string{"pair-059", all[58].Name} {
		o, err := drill.Parse([]string{"-pairs", "200", "-seed", "7", "-scenario", "pair-002, " + name}, new(bytes.Buffer))
		require.NoError(t, err)
		assert.Equal(t, []string{all[1].Name, all[58].Name}, drill.Chosen(o))
	}
	o, err := drill.Parse([]string{"-pairs", "1002", "-seed", "7", "-scenario", "pair-100,pair-1002"}, new(bytes.Buffer))
	require.NoError(t, err)
	assert.Equal(t, []string{all[99].Name, all[1001].Name}, drill.Chosen(o))
}

// Scenarios are data with all that they need; their names are theirs alone.
func TestScenarios(t *testing.T) {
	t.Parallel()
	seen := make(map[string]bool)
	known := make(map[string]bool)
	for _, kind := range append(append(drill.Changes(), drill.Says()...), drill.Tells()...) {
		known[kind] = true
	}
	faults := make(map[string]bool)
	for _, kind := range world.Kinds() { // pairs leave out what is planned
		faults[kind] = true
	}
	for _, s := range drill.Scenarios() {
		assert.False(t, seen[s.Name], "%s is there twice", s.Name)
		seen[s.Name] = true
		assert.NotEmpty(t, s.Title, s.Name)
		assert.Positive(t, s.Watch, s.Name)
		for _, f := range s.Faults {
			assert.True(t, faults[f.Kind], "%s: the world has no fault %q", s.Name, f.Kind)
		}
		for _, rules := range [][]drill.Rule{s.Oracle.Required, s.Oracle.Allowed, s.Oracle.Forbidden} {
			for _, r := range rules {
				assert.True(t, known[r.Kind], "%s: there is no act of the kind %q", s.Name, r.Kind)
			}
		}
	}
	assert.GreaterOrEqual(t, len(seen), 20)
}

// A seed draws the same again, another one something else, within what the scenario says.
func TestSeed(t *testing.T) {
	t.Parallel()
	s := scenarioOf("canvas-down-and-bad-deploy")
	first := drill.DrawFrom(s, 1)
	assert.Empty(t, cmp.Diff(first, drill.DrawFrom(s, 1)))
	orders := make(map[string]bool)
	for seed := range uint64(40) {
		d := drill.DrawFrom(s, seed)
		require.Len(t, d.Faults, 2)
		assert.Zero(t, d.Faults[0].After)
		assert.LessOrEqual(t, d.Faults[1].After, 25*time.Minute)
		assert.GreaterOrEqual(t, d.Faults[1].After, time.Duration(0))
		orders[d.Faults[0].Kind] = true
	}
	assert.Len(t, orders, 2, "the order varies")
}
