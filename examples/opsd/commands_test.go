package main

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/examples/internal/config"
	"go.acu.edu.au/runbook/incident"
)

// A server that redirects is no opsd: a command that is sent on would become a question, and
// be said to be done.
func TestRedirectsAreRefused(t *testing.T) {
	t.Parallel()
	asked := make(chan string, 10)
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- r.Method
		_, _ = w.Write([]byte("{}"))
	}))
	t.Cleanup(other.Close)
	for _, status := range []int{http.StatusMovedPermanently, http.StatusSeeOther, http.StatusTemporaryRedirect} {
		from := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, other.URL+r.URL.Path, status)
		}))
		t.Cleanup(from.Close)
		code, out, errs := execute(t, nil, "automation", "stop", "-m", "we look", "-server", from.URL)
		assert.Equal(t, exitCouldNot, code, "%d: %s", status, out)
		assert.Empty(t, out)
		assert.Contains(t, errs, "redirects to "+other.URL)
		assert.Contains(t, errs, "-server")
	}
	assert.Empty(t, asked, "nothing is sent on")
}

// What serve refuses of the ways to tell people the doctor finds, without telling anybody.
func TestTheDoctorMakesTheChannels(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ to, want string }{
		"well":            {`"+61290101299"`, ""},
		"number of phone": {`"0290101299"`, "twilio: From"},
		"placeholder":     {`"+61270101299"`, "twilio: From"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// The numbers of the configuration are those of novels, which package twilio refuses.
			text := strings.NewReplacer(`"+61270101299"`, c.to, "+6127", "+6129", "{account: {env: TOKEN}", "{account: {env: ACCOUNT}").Replace(smallConfig)
			values := map[string]string{"TOKEN": "token-of-the-tests", "ACCOUNT": "AC" + strings.Repeat("0123", 8), "KEY": strings.Repeat("k", 32), "HOOK": "hook-of-the_tests"}
			s := load(config.Source{Name: "opsd.yaml", Text: []byte(text), Getenv: func(name string) string { return values[name] }})
			require.NoError(t, s.problems())
			h, e, err := look(t.Context(), s)
			if c.want != "" {
				require.ErrorContains(t, err, c.want)
				return
			}
			require.NoError(t, err)
			require.NoError(t, h.Stop(t.Context()))
			require.NoError(t, e.close())
		})
	}
}

// A run in this process whose opsd ends by itself ends with it, and says why.
func TestRunHereEndsWithItsService(t *testing.T) {
	t.Parallel()
	folder := filepath.Join(t.TempDir(), "state")
	s, err := openState(t.Context(), stateConfig{settings: stateSettings{Folder: folder}, holder: "test", zone: time.UTC})
	require.NoError(t, err)
	_, err = s.store.Commit(t.Context(), incident.Change{Documents: []incident.Document{{Kind: kindMaintenance, ID: "m-1", Open: true, Changed: time.Now(), Data: []byte("[]")}}})
	require.NoError(t, err)
	require.NoError(t, s.runs.Close(t.Context()))
	require.NoError(t, s.closePools())
	path := filepath.Join(t.TempDir(), "opsd.yaml")
	require.NoError(t, os.WriteFile(path, []byte("people: [{name: Ana Silva, mail: ana@example.edu, on_call: true}]\nsecurity_contact: security@example.edu\nembedded_estate: {seed: 1}\nstate: {folder: "+folder+"}\n"), 0o600))
	ended := make(chan struct{})
	ctx, stop := context.WithCancel(t.Context())
	t.Cleanup(stop)
	var out, errs lockedBuffer
	p := &program{stdin: strings.NewReader(""), stdout: &out, stderr: &errs, width: 100, getenv: func(string) string { return "" }}
	code := exitDone
	go func() {
		defer close(ended)
		code = p.run(ctx, []string{"run", "-here", "restart", "-e", "test", "-config", path})
	}()
	select {
	case <-ended:
	case <-time.After(30 * time.Second):
		stop()
		<-ended
		require.Fail(t, "it waits for an opsd that has ended")
	}
	assert.Equal(t, exitCouldNot, code)
	assert.Contains(t, errs.String(), "the maintenance m-1 cannot be read")
}

// What is promoted is what the opsd says that is asked to deploy it, and nothing of the embedded
// estate; and it is said where what is shown is of the embedded estate.
func TestTheEmbeddedEstateIsNotTakenForAnother(t *testing.T) {
	t.Parallel()
	code, out, errs := execute(t, nil, "promote", "-server", "http://127.0.0.1:1")
	assert.Equal(t, exitCouldNot, code)
	assert.Empty(t, out)
	assert.Contains(t, errs, "nothing answers at http://127.0.0.1:1")
	commands := make(chan string, 10)
	real := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if r.Method == http.MethodGet {
			if r.URL.Path == "/api/host/deployed/beta" {
				_, _ = w.Write([]byte(`{"environment":"beta","deployment":{"id":"d9","commit":"feedfacecafe","message":"of the real estate","current":true}}`))
				return
			}
			w.WriteHeader(http.StatusNotFound)
			return
		}
		body, _ := io.ReadAll(r.Body)
		commands <- string(body)
		w.WriteHeader(http.StatusForbidden)
		_, _ = w.Write([]byte(`{"code":"not-permitted","detail":"no"}`))
	}))
	t.Cleanup(real.Close)
	_, out, _ = execute(t, nil, "promote", "-server", real.URL, "-detach")
	assert.Contains(t, out, "beta runs commit feedfacecafe (of the real estate), which is deployed to production.")
	if assert.Len(t, commands, 1) {
		assert.Contains(t, <-commands, "feedfacecafe")
	}
	// One that does not say it is asked for nothing more.
	_, out, errs = execute(t, nil, "promote", "-from", "test", "-server", real.URL, "-detach")
	assert.Empty(t, out)
	assert.NotEmpty(t, errs)
	assert.Empty(t, commands)
	for _, args := range [][]string{{"logs", "-n", "3"}, {"playbooks"}} {
		code, out, errs := execute(t, nil, args...)
		require.Equal(t, exitDone, code, "%s", errs)
		assert.True(t, strings.HasPrefix(out, "Embedded estate: nothing real was asked."), "%v: %s", args, out)
		_, out, _ = execute(t, nil, append(args, "-json")...)
		assert.NotContains(t, out, "Embedded")
	}
}

// Nothing that others wrote commands the terminal of who reads it.
func TestLinesCommandNoTerminal(t *testing.T) {
	t.Parallel()
	assert.Equal(t, "# A title\n\n- one ]0;owned[31mtwo\n", lines("# A title\n\n- one\t\x1b]0;owned\x07\x1b[31m\u009btwo\r\n"))
}
