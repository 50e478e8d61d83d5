package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// A deadline outlives its incident, and everybody who asks what is open is told of it, until a
// person settles it.
func TestDeadlines(t *testing.T) {
	t.Parallel()
	address := served(t)
	id := "INC-" + time.Now().UTC().Format("2006") + "-0001"
	step := func(code int, args ...string) string {
		t.Helper()
		got, out, errs := execute(t, nil, append(args, "-server", address)...)
		assert.Equal(t, code, got, "%v: %s%s", args, out, errs)
		return out + errs
	}
	assert.Contains(t, step(exitDone, "deadline"), "There is no open deadline.")
	step(exitDone, "open", "Somebody is in", "-severity", "high")
	due := time.Now().Add(30*24*time.Hour - time.Hour)
	set := []string{"deadline", "set", id, "notify", "-what", "tell the Commissioner", "-tell", "the privacy officer", "-due", due.Format(time.RFC3339)}
	assert.Contains(t, step(exitDone, set...), "in 29 days")
	step(exitDone, "resolve", id, "-cause", "a password that was guessed")
	for _, args := range [][]string{{"deadline"}, {"incidents"}, {"incidents", "-all"}, {"incidents", id}} {
		assert.Contains(t, step(exitDone, args...), "notify by "+due.Local().Format("Mon 2 Jan 2006 15:04 MST")+", in 29 days", args)
	}
	assert.Contains(t, step(exitDone, "incidents"), "There is no open incident.")
	assert.Contains(t, step(exitDone, "incidents", "-json"), `"deadlines":`)
	assert.Contains(t, step(exitCouldNot, "deadline", "settle", id, "notify"), "what was done, or found, is missing")
	assert.Contains(t, step(exitCouldNot, "deadline", "settle", id), "the name of a deadline")
	assert.Contains(t, step(exitCouldNot, "deadline", "set", id, "file"), "-due until when")
	step(exitNot, "deadline", "settle", id, "pay", "-reason", "done")
	assert.Contains(t, step(exitDone, "deadline", "settle", id, "notify", "-reason", "no personal data", "-void"), "is settled")
	step(exitNot, "deadline", "settle", id, "notify", "-reason", "another")
	assert.Contains(t, step(exitDone, "deadline"), "There is no open deadline.")
	assert.Contains(t, step(exitDone, "report", id), "| did not apply |")
}
