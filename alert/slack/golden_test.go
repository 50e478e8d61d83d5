package slack_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/alert/alerttest"
)

var update = flag.Bool("update", false, "write golden files")

// golden compares what people see with a file.
func golden(t *testing.T, name string, m alerttest.SlackMessage) {
	t.Helper()
	var b strings.Builder
	if m.ThreadTS != "" {
		b.WriteString("in the thread")
		if m.Broadcast {
			b.WriteString(", and in the channel")
		}
		b.WriteString("\n")
	}
	fmt.Fprintf(&b, "# %s\n%s|%s\n", m.Header, m.Color, strings.ReplaceAll("\n"+m.Body, "\n", "\n| ")[1:])
	for _, button := range m.Buttons {
		fmt.Fprintf(&b, "[%s]\n", button.Label)
	}
	fmt.Fprintf(&b, "on the phone: %s\n", strings.SplitN(m.Notice, "\n", 2)[0])
	file := filepath.Join("testdata", name+".txt")
	if *update {
		require.NoError(t, os.WriteFile(file, []byte(b.String()), 0o600))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	if diff := cmp.Diff(string(want), b.String()); diff != "" {
		t.Errorf("%s: (-want +got)\n%s", file, diff)
	}
}

// TestTexts compares what people see of each kind of message with golden files.
func TestTexts(t *testing.T) {
	acked := firing()
	acked.Acknowledged = &alert.Acknowledgement{By: "ana", At: at.Add(3 * time.Minute)}
	over := firing()
	over.State, over.Ended = alert.Resolved, at.Add(12*time.Minute)
	other := firing()
	other.Key, other.Entity, other.Severity = "other", "worker", alert.High
	flapping := firing()
	flapping.Flapping = true
	const lines = "\nWhat is wrong:\n- CRITICAL production app: app has failed 3 checks in a row\n  since 03:10 UTC, for 1 min; now 3, limit 3\n  GET /health: status 503\n  fails because of it: grading, sync\n"
	repeat := note(alert.KindFiring, 1, "CRITICAL: production: app has failed 3 checks in a row", lines, firing())
	repeat.PossibleRepeat = true
	post := alert.Notification{Key: "post", Seq: 1, Kind: alert.KindPost, At: at, Post: &alert.Post{
		ID: "incident-7", Title: "QA automation is not available", Status: "identified", By: "ana",
		Body:       "Checks of courses do not start since 13:10. Nothing is lost: they will run later.\n\nNext update at 14:30.",
		Components: map[string]string{"Course checks": "major_outage", "Reports": "operational"},
	}}
	planned := alert.Notification{Key: "plan", Seq: 1, Kind: alert.KindPost, At: at, Post: &alert.Post{
		ID: "m", Title: "Maintenance on Sunday", Status: "scheduled", Body: "Reports are not available.", From: at, To: at.Add(2 * time.Hour),
	}}
	for name, n := range map[string]alert.Notification{
		"firing":          note(alert.KindFiring, 1, "CRITICAL: production: app has failed 3 checks in a row", lines+"\nWhat to do: playbook https://wiki.example.com/runbook?page=application-down&v=2\nNobody has acknowledged it yet.\n", firing()),
		"firing_group":    note(alert.KindFiring, 1, "CRITICAL: production: 2 alerts, the worst: app has failed 3 checks in a row", lines, firing(), other),
		"acknowledged":    note(alert.KindUpdate, 2, "CRITICAL, update: production: app has failed 3 checks in a row", "\nChanged:\n- CRITICAL production app: app has failed 3 checks in a row\n  ana takes care of it since 03:15 UTC\n", acked),
		"reminder":        note(alert.KindReminder, 3, "STILL CRITICAL after 1 h: production: app has failed 3 checks in a row", lines, firing()),
		"resolved":        note(alert.KindResolved, 4, "RESOLVED after 13 min: production: app has failed 3 checks in a row", "\nIt was:\n- CRITICAL production app: app has failed 3 checks in a row\n  from 03:10 UTC to 03:24 UTC, 13 min; at worst 3, limit 3\n", over),
		"flapping":        note(alert.KindFlapping, 2, "CRITICAL, comes and goes: production: app has failed 3 checks in a row", lines, flapping),
		"digest":          note(alert.KindDigest, 1, "CRITICAL, alert storm: production: 412 alerts, the worst: app has failed 3 checks in a row", lines+"and 411 more: 11 high, 400 medium\n", firing(), other),
		"notice":          {Key: "n", Seq: 1, Kind: alert.KindNotice, At: at, Title: "Silenced until 05:00 UTC: environment=test", Text: "Silenced until 05:00 UTC: environment=test\nana: load test\n"},
		"test":            {Key: "t", Seq: 1, Kind: alert.KindTest, Severity: alert.Low, At: at, Title: "Test message", Text: "This is a test of target slack, sent by ana at 2026-10-05T03:12:00Z.\nNothing is wrong, and nothing is to be done.\n"},
		"possible_repeat": repeat,
		"post":            post,
		"maintenance":     planned,
	} {
		t.Run(name, func(t *testing.T) {
			s, n2 := newSlack(t, buttons)
			if n.Seq > 1 {
				prior, err := n2.Notify(t.Context(), note(alert.KindFiring, 1, "CRITICAL: first", "", firing()))
				require.NoError(t, err)
				n.Prior = prior
			}
			_, err := n2.Notify(t.Context(), n)
			require.NoError(t, err)
			all := s.Messages()
			golden(t, name, all[len(all)-1])
			if n.Seq > 1 {
				golden(t, name+"_first", all[0])
			}
		})
	}
}
