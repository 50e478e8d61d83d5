package main

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/urfave/cli/v3"
)

// A command is said to be done only if an opsd says so. What could not be sent was not done,
// and of what else answers, or of an answer that is lost, nobody knows.
func TestWhoAnswers(t *testing.T) {
	answer := func(status int, text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			_, _ = io.WriteString(w, text)
		}
	}
	for name, tt := range map[string]struct {
		serve          http.HandlerFunc
		command, query int
	}{
		"a page of another program":    {answer(http.StatusOK, "<html>ok"), exitUnknown, exitCouldNot},
		"nothing, with success":        {answer(http.StatusOK, ""), exitUnknown, exitCouldNot},
		"done":                         {answer(http.StatusNoContent, ""), exitDone, exitCouldNot},
		"a proxy that lost it":         {answer(http.StatusBadGateway, "<html>Application failed to respond"), exitUnknown, exitCouldNot},
		"a proxy that waited too long": {answer(http.StatusGatewayTimeout, ""), exitUnknown, exitCouldNot},
		"a proxy with nothing there":   {answer(http.StatusNotFound, "<html>Not Found"), exitCouldNot, exitCouldNot},
		"a refusal":                    {answer(http.StatusConflict, `{"code":"conflict","title":"No"}`), exitNot, exitNot},
		"half an answer": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, `{"a`)
		}, exitUnknown, exitCouldNot},
		"a connection that breaks": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, exitUnknown, exitCouldNot},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(tt.serve)
			defer server.Close()
			code, out, errs := execute(t, nil, "automation", "stop", "-m", "x", "-server", server.URL)
			assert.Equal(t, tt.command, code, "%s%s", out, errs)
			if code != exitDone {
				assert.Empty(t, out)
			}
			code, out, errs = execute(t, nil, "automation", "-server", server.URL)
			assert.Equal(t, tt.query, code, "%s%s", out, errs)
		})
	}
}

// Who stops waiting for the answer to a command does not know what became of it.
func TestStopWaiting(t *testing.T) {
	for name, tt := range map[string]struct {
		args []string
		code int
	}{
		"command": {[]string{"automation", "stop", "-m", "x"}, exitUnknown},
		"query":   {[]string{"automation"}, exitCouldNot},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			came, hold := make(chan struct{}), make(chan struct{})
			server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				close(came)
				<-hold
			}))
			defer server.Close()
			defer close(hold)
			ctx, stop := context.WithCancel(t.Context())
			var out, errs lockedBuffer
			p := &program{stdin: strings.NewReader(""), stdout: &out, stderr: &errs, width: 100, getenv: func(string) string { return "" }}
			ended := make(chan int, 1)
			go func() { ended <- p.run(ctx, append(tt.args, "-server", server.URL)) }()
			<-came
			stop()
			assert.Equal(t, tt.code, <-ended, "%s%s", out.String(), errs.String())
		})
	}
}

// jsonless are commands whose output is meant for something else than a reader of JSON.
var jsonless = map[string]string{
	"init": "a configuration", "drill": "has its own flag", "serve": "its log is JSON elsewhere", "completion": "a script of a shell",
	"state backup": "tells a folder", "state restore": "tells a folder", "promote": "shown by TestCommands: it needs two environments that differ",
	"rollback": "as restart", "run": "as restart", "rotate": "as restart", "answer": "as approve", "approve": "says nothing", "deny": "says nothing",
	"silence end": "says nothing", "maintenance end": "says nothing", "notify send": "says nothing", "notify discard": "says nothing",
}

// What each command writes with -json can be read as JSON, or there is nothing to read.
func TestEveryCommandHasJSON(t *testing.T) {
	t.Parallel()
	address := served(t)
	id := "INC-" + time.Now().UTC().Format("2006") + "-0001"
	looked := make(map[string]bool)
	for _, args := range [][]string{
		{"check", "application"}, {"doctor"}, {"playbooks"}, {"playbooks", "restart"}, {"plan", "restart"}, {"faults"}, {"logs", "-n", "2"}, {"credentials"},
		{"open", "One"}, {"status"}, {"incidents"}, {"incidents", id}, {"ack", id}, {"update", id, "text"}, {"resolve", id, "-cause", "c"}, {"report", id}, {"report", "morning"},
		{"deadline"}, {"deadline", "set", id, "file", "-what", "x", "-due", "2100-01-01T00:00:00Z"}, {"deadline"}, {"deadline", "settle", id, "file", "-reason", "done"},
		{"approvals"}, {"automation"}, {"automation", "stop", "-m", "x"}, {"automation", "resume", "-m", "x", "-as", "Dev Patel"},
		{"hold"}, {"hold", id, "-m", "x"}, {"hold", "lift", id, "-m", "x"}, {"silence"}, {"silence", "-e", "test", "-rule", "memory", "-m", "x"},
		{"maintenance"}, {"maintenance", "-e", "beta", "-m", "x"}, {"notify", "test", "chat-alerts"}, {"notify", "drafts"},
		{"runs"}, {"restart", "-e", "test", "-id", "r1"}, {"runs", "r1"}, {"backup", "-e", "test", "-id", "b1"}, {"deploy", "-commit", "5d0e4b1c77a2", "-id", "d1", "-detach"},
		{"pause", "d1", "-m", "x"}, {"resume", "d1", "-m", "x"}, {"cancel", "d1", "-m", "x"},
	} {
		name := args[0]
		if len(args) > 1 && isSub(args) {
			name += " " + args[1]
		}
		looked[args[0]], looked[name] = true, true
		code, out, errs := execute(t, nil, append(args, "-json", "-server", address)...)
		assert.Contains(t, []int{exitDone, exitNot}, code, "%v: %s", args, errs)
		d := json.NewDecoder(strings.NewReader(out))
		for d.More() {
			var v any
			require.NoError(t, d.Decode(&v), "%v writes %q", args, out)
			assert.NotNil(t, v, "%v: a list of nothing is [], or no line", args)
		}
	}
	for _, name := range commandNames("", (&program{getenv: func(string) string { return "" }}).commands()) {
		assert.True(t, looked[name] || jsonless[name] != "", "no case tries -json of %s", name)
	}
}

// isSub reports whether the second word is that of a command too.
func isSub(args []string) bool {
	return map[string]bool{"lift": true, "settle": true, "set": args[0] == "deadline", "test": args[0] == "notify", "drafts": true, "stop": true, "resume": args[0] == "automation"}[args[1]]
}

// commandNames are those of the commands that do something.
func commandNames(before string, c *cli.Command) (all []string) {
	for _, s := range c.Commands {
		below := commandNames(before+s.Name+" ", s)
		if len(below) == 0 || s.Name != "state" && s.Name != "notify" {
			all = append(all, before+s.Name)
		}
		all = append(all, below...)
	}
	return all
}
