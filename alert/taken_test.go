package alert_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"go.acu.edu.au/runbook/alert"
)

func TestTakenBy(t *testing.T) {
	t.Parallel()
	open, over := alert.Alert{State: alert.Firing}, alert.Alert{State: alert.Resolved}
	by := func(name string) alert.Alert {
		return alert.Alert{State: alert.Firing, Acknowledged: &alert.Acknowledgement{By: name}}
	}
	many := func(n int, a alert.Alert, rest ...alert.Alert) (list []alert.Alert) {
		for range n {
			list = append(list, a)
		}
		return append(list, rest...)
	}
	for name, c := range map[string]struct {
		alerts []alert.Alert
		by     []string
		all    bool
	}{
		"nothing":                {nil, nil, false},
		"nobody":                 {[]alert.Alert{open}, nil, false},
		"a part":                 {[]alert.Alert{by("ana"), open}, []string{"ana"}, false},
		"all":                    {[]alert.Alert{by("ana"), by("ben\n"), by("ana"), over}, []string{"ana", "ben"}, true},
		"all over":               {[]alert.Alert{over}, nil, false},
		"there may be more":      {many(30, by("ana")), []string{"ana"}, false},
		"there are no more, but": {many(29, by("ana"), over), []string{"ana"}, true},
	} {
		got, all := alert.Notification{Alerts: c.alerts}.TakenBy()
		assert.Equal(t, c.by, got, name)
		assert.Equal(t, c.all, all, name)
	}
}
