package health_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/health"
)

// Several who each have windows of their own do not undo each other's, also at once.
func TestChangeMaintenance(t *testing.T) {
	t.Parallel()
	m, err := health.New(health.Config{Checks: []health.Check{{Name: "canvas", Prober: health.ProberFunc(func(context.Context) health.Result { return health.Result{Status: health.Healthy} })}}})
	require.NoError(t, err)
	from := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	require.NoError(t, m.SetMaintenance("canvas", health.Window{Name: "configured", Start: from, End: from.Add(time.Hour)}))
	var all sync.WaitGroup
	for _, who := range []string{"a", "b"} {
		all.Go(func() {
			for i := range 200 {
				assert.NoError(t, m.ChangeMaintenance("canvas", func(now []health.Window) []health.Window {
					now = slices.DeleteFunc(now, func(w health.Window) bool { return strings.HasPrefix(w.Name, who) })
					return append(now, health.Window{Name: fmt.Sprint(who, i), Start: from, End: from.Add(time.Hour)})
				}))
			}
		})
	}
	all.Wait()
	names := func() (list []string) {
		windows, err := m.Maintenance("canvas")
		require.NoError(t, err)
		for _, w := range windows {
			list = append(list, w.Name)
		}
		slices.Sort(list)
		return list
	}
	assert.Equal(t, []string{"a199", "b199", "configured"}, names())
	require.Error(t, m.ChangeMaintenance("canvas", func([]health.Window) []health.Window { return []health.Window{{Start: from, End: from}} }))
	assert.Equal(t, []string{"a199", "b199", "configured"}, names(), "what is wrong changes nothing")
	assert.ErrorIs(t, m.ChangeMaintenance("studio", func(now []health.Window) []health.Window { return now }), health.ErrNoCheck)
}
