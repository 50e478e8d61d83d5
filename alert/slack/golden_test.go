package slack_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/alert/alerttest"
	"go.acu.edu.au/runbook/alert/internal/story"
)

var update = flag.Bool("update", false, "write golden files")

// golden compares what people see with a file.
func golden(t *testing.T, name string, m alerttest.SlackMessage) {
	t.Helper()
	compare(t, name, seen(m))
}

// seen is what people see of a message.
func seen(m alerttest.SlackMessage) string {
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
	return b.String()
}

func compare(t *testing.T, name, text string) {
	t.Helper()
	file := filepath.Join("testdata", name+".txt")
	if *update {
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	if diff := cmp.Diff(string(want), text); diff != "" {
		t.Errorf("%s: (-want +got)\n%s", file, diff)
	}
}

// TestNight is a thread of a night as the router tells it: each message, and how the first one
// looks then.
func TestNight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, n := newSlack(t, buttons)
		var b strings.Builder
		story.Night(t, n, func(step string) {
			all := s.Messages()
			fmt.Fprintf(&b, "=== %s\n%s", step, seen(all[len(all)-1]))
			if len(all) > 1 {
				fmt.Fprintf(&b, "the first message then: %s %s\n", all[0].Color, all[0].Header)
			}
			time.Sleep(time.Minute) // Slack takes one message a second
		})
		compare(t, "night", b.String())
	})
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
	repeat := note(alert.KindFiring, 1, "CRITICAL production: app has failed 3 checks in a row", lines, firing())
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
		"firing":          note(alert.KindFiring, 1, "CRITICAL production: app has failed 3 checks in a row", lines+"\nWhat to do: playbook https://wiki.example.com/runbook?page=application-down&v=2\nNobody has acknowledged it yet.\n", firing()),
		"firing_group":    note(alert.KindFiring, 1, "CRITICAL production: app has failed 3 checks in a row, and 1 more", lines, firing(), other),
		"acknowledged":    note(alert.KindUpdate, 2, "TAKEN by ana, CRITICAL production: app has failed 3 checks in a row", "\nChanged:\n- CRITICAL production app: app has failed 3 checks in a row\n  ana takes care of it since 03:15 UTC\n", acked),
		"reminder":        note(alert.KindReminder, 3, "STILL CRITICAL after 1 h, production: app has failed 3 checks in a row", lines, firing()),
		"resolved":        note(alert.KindResolved, 4, "RESOLVED after 13 min, production: app has failed 3 checks in a row", "\nIt was:\n- CRITICAL production app: app has failed 3 checks in a row\n  from 03:10 UTC to 03:24 UTC, for 13 min; at worst 3, limit 3\n", over),
		"flapping":        note(alert.KindFlapping, 2, "COMES AND GOES, CRITICAL production: app has failed 3 checks in a row", lines, flapping),
		"digest":          note(alert.KindDigest, 1, "ALERT STORM, CRITICAL production: 412 alerts, the worst: app has failed 3 checks in a row", lines+"and 411 more: 11 high, 400 medium\n", firing(), other),
		"notice":          {Key: "n", Seq: 1, Kind: alert.KindNotice, At: at, Title: "SILENCED until 05:12 UTC: test", Text: "SILENCED until 05:12 UTC: test\n\nNobody is told any more that such an alert begins. Ends of what was told are told.\nBy Ana Silva, from 03:12 UTC to 05:12 UTC: load test\nNothing of it fires now.\n"},
		"test":            {Key: "t", Seq: 1, Kind: alert.KindTest, Severity: alert.Low, At: at, Title: "TEST, nothing is wrong: a message to slack", Text: "TEST, nothing is wrong: a message to slack\n\nAna Silva sent it at 03:12 UTC, to see whether messages arrive.\nThis one did. Nothing is to be done.\n"},
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
