// Package story is one night of an operator, told to a notifier: what the golden texts of
// the notifiers are made of. It is for tests.
package story

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/health"
)

// Night tells of an application that is slow, and whose checks then fail; of which
// somebody is reminded, who takes care of it; and which recovers. After each message show
// is called with its kind. The messages are those of the router, to the letter.
func Night(t testing.TB, to alert.Notifier, show func(step string)) {
	t.Helper()
	var prior alert.Receipt
	for _, s := range Steps() {
		s.Prior = prior
		receipt, err := to.Notify(t.Context(), s.Notification)
		if err != nil {
			t.Fatalf("%s: %v", s.Name, err)
		}
		prior = receipt
		show(s.Name)
	}
}

// A Step is one message of the night.
type Step struct {
	// Name is what happened.
	Name string
	alert.Notification
}

// Steps returns the messages of the night.
func Steps() []Step {
	began := time.Date(2026, time.October, 5, 3, 12, 0, 0, time.UTC)
	slow, down := Slow(began), Down(began.Add(time.Minute))
	ack := &alert.Acknowledgement{By: "Ana Silva", At: began.Add(66 * time.Minute), Comment: "I roll back the release of 02:55"}
	slowTaken, downTaken := slow, down
	slowTaken.Acknowledged, downTaken.Acknowledged = ack, ack
	slowOver, downOver := slowTaken, downTaken
	downOver.State, downOver.Ended = alert.Resolved, began.Add(69*time.Minute)
	slowOver.State, slowOver.Ended = alert.Resolved, began.Add(68*time.Minute)
	steps := []Step{
		{"firing", note(alert.KindFiring, alert.High, began.Add(30*time.Second), firing, slow)},
		{"update", note(alert.KindUpdate, alert.Critical, began.Add(time.Minute), update, down, slow)},
		{"reminder", note(alert.KindReminder, alert.Critical, began.Add(time.Hour+30*time.Second), reminder, down, slow)},
		{"acknowledged", note(alert.KindUpdate, alert.Critical, began.Add(66*time.Minute), acknowledged, downTaken, slowTaken)},
		{"partly over", note(alert.KindUpdate, alert.Critical, began.Add(68*time.Minute+30*time.Second), partlyOver, downTaken, slowOver)},
		{"resolved", note(alert.KindResolved, alert.Critical, began.Add(69*time.Minute), resolved, downOver)},
	}
	for i := range steps {
		steps[i].Seq = i + 1
	}
	return steps
}

func note(kind alert.Kind, severity alert.Severity, at time.Time, text string, alerts ...alert.Alert) alert.Notification {
	title, _, _ := strings.Cut(text, "\n")
	return alert.Notification{
		Key: "9f86d081884c7d659a2feaa0c55ad015", Kind: kind, Severity: severity, Environment: "production",
		Title: title, Text: text, Alerts: alerts, At: at,
	}
}

// Slow is an alert of severity high.
func Slow(began time.Time) alert.Alert {
	return alert.Alert{
		Key: alert.Key("response_time", "production", "app", alert.Failing), Rule: "response_time", Environment: "production", Entity: "app",
		Severity: alert.High, Summary: "Response time of app is 7.2 s", Playbook: "performance-degradation", State: alert.Firing,
		Value: 7.2, Limit: 5, Peak: 9.1, Unit: health.Seconds, Began: began.Add(-5 * time.Minute), Fired: began,
	}
}

// Down is an alert of severity critical, with a text from outside.
func Down(began time.Time) alert.Alert {
	return alert.Alert{
		Key: alert.Key("failed_checks", "production", "app", alert.Failing), Rule: "failed_checks", Environment: "production", Entity: "app",
		Severity: alert.Critical, Summary: "app has failed 3 checks in a row", Detail: `GET /health: status 503: {"error": "no free connection"} <b>[~admin] *all* {code}`,
		Playbook: "https://runbook.example.edu/application-down", Affected: []string{"grade sync", "LTI launches"}, State: alert.Firing,
		Value: 3, Limit: 3, Peak: 3, Began: began.Add(-90 * time.Second), Fired: began,
	}
}

// Golden compares text with the file testdata/name, which it writes if UPDATE_GOLDEN is
// set.
func Golden(t testing.TB, name, text string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(want) != text {
		t.Errorf("%s differs; with UPDATE_GOLDEN=1 it is written anew. Now it is:\n%s", file, text)
	}
}
