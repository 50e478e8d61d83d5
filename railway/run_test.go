package railway_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/railway"
	"go.acu.edu.au/runbook/railway/railwaytest"
)

// TestRunHelper is no test: it is the program that the tests run. It does what its
// arguments after "--" say.
func TestRunHelper(t *testing.T) {
	at := slices.Index(os.Args, "--")
	if os.Getenv("RUN_HELPER") != "1" || at < 0 {
		t.Skip("it is run by the other tests")
	}
	args := os.Args[at+1:]
	switch args[0] {
	case "env":
		for _, e := range os.Environ() {
			fmt.Println(e)
		}
	case "exit":
		os.Exit(7)
	case "both":
		fmt.Print("out " + os.Getenv("A")[:4])
		fmt.Fprint(os.Stderr, "err ", os.Getenv("A"))
		fmt.Print(os.Getenv("A")[4:])
	case "cat":
		_, _ = io.Copy(os.Stdout, os.Stdin)
	case "wait":
		fmt.Println("waiting")
		time.Sleep(time.Minute)
	}
	os.Exit(0)
}

// helper is the command that runs TestRunHelper.
func helper(t *testing.T, args ...string) railway.Command {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	return railway.Command{Name: self, Args: append([]string{"-test.run=^TestRunHelper$", "--"}, args...), Env: []string{"RUN_HELPER=1"}}
}

// A command gets the variables that a deployment would get. Sealed ones are absent
// and not empty, so that one that is given beside them stays.
//
// Requirement: RW-RUN-SEALED, RW-ASK-SEALED
func TestRunGetsTheVariables(t *testing.T) {
	h := newVars(t)
	h.SetVariable(h.environment, h.service, "URL", "http://${{RAILWAY_PRIVATE_DOMAIN}}/x", false)
	h.SetVariable(h.environment, h.service, "EMPTY", "", false)
	h.SetVariable(h.environment, h.service, "GIVEN", "sealed", true)
	t.Setenv("OF_THE_HOST", "x")
	var out bytes.Buffer
	c := helper(t, "env")
	c.Stdout, c.Show = &out, []string{"URL"}
	c.Env = append(c.Env, "GIVEN=mine", "A=mine")
	var started railway.RunReport
	c.OnStart = func(r railway.RunReport) error { started = r; return nil }
	calls := len(h.Calls())
	report, err := h.svc.Run(t.Context(), c)
	require.NoError(t, err)
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	assert.Contains(t, lines, "A=a", "the service wins")
	assert.Contains(t, lines, "EMPTY=")
	assert.Contains(t, lines, "GIVEN=mine")
	assert.Contains(t, lines, "URL=http://api.railway.internal/x")
	assert.Contains(t, lines, "RAILWAY_SERVICE_ID="+h.service)
	for _, line := range lines {
		assert.False(t, strings.HasPrefix(line, "S="), "a sealed one is not there: %s", line)
		assert.False(t, strings.HasPrefix(line, "OF_THE_HOST="), "what was not given is not there")
	}
	assert.Equal(t, []string{"GIVEN", "S"}, report.Sealed)
	assert.Equal(t, []string{"RAILWAY_PRIVATE_DOMAIN", "URL"}, report.Private)
	assert.Subset(t, report.Variables, []string{"A", "B", "EMPTY", "URL"})
	assert.Zero(t, report.Code)
	assert.Equal(t, -1, started.Code)
	assert.Equal(t, report.Private, started.Private, "the warning comes before the program")
	assert.Len(t, h.Calls(), calls+1)
	assert.Empty(t, h.Effects())
}

// The values of variables are not in the output of a command, also where they are
// written in parts.
//
// Requirement: RW-RUN-SEALED
func TestRunShowsNoValues(t *testing.T) {
	h := newVars(t)
	h.SetVariable(h.environment, h.service, "A", varCanary, false)
	h.SetVariable(h.environment, h.service, "KEY", "-----BEGIN-----\nbody of the key\n-----END-----\n", false)
	h.SetVariable(h.environment, h.service, "DB", "postgres://user:pass%21word@db.railway.internal/x", false)
	h.SetVariable(h.environment, h.service, "LEVEL", "info", false)
	var out, errs bytes.Buffer
	c := helper(t, "both")
	c.Stdout, c.Stderr = &out, &errs
	_, err := h.svc.Run(t.Context(), c)
	require.NoError(t, err)
	assert.Equal(t, "out [redacted]", out.String())
	assert.Equal(t, "err [redacted]", errs.String())

	out.Reset()
	c = helper(t, "cat")
	c.Stdin = strings.NewReader("x " + varCanary + " body of the key, pass!word info " + varCanary[:5])
	c.Stdout, c.Stderr = &out, &out
	report, err := h.svc.Run(t.Context(), c)
	require.NoError(t, err)
	assert.Equal(t, "x [redacted] [redacted], [redacted] info "+varCanary[:5], out.String())
	silent(t, varCanary, report)
}

// How a command ends is told, and no error has a value in it.
func TestRunEnds(t *testing.T) {
	h := newVars(t)
	h.SetVariable(h.environment, h.service, "A", varCanary, false)
	report, err := h.svc.Run(t.Context(), helper(t, "exit"))
	var exit *exec.ExitError
	require.ErrorAs(t, err, &exit)
	assert.Equal(t, 7, report.Code)
	silent(t, varCanary, err, report)

	report, err = h.svc.Run(t.Context(), railway.Command{Name: "no-such-program-" + h.service})
	require.ErrorIs(t, err, exec.ErrNotFound)
	assert.Equal(t, -1, report.Code)
	silent(t, varCanary, err, report)

	_, err = h.svc.Run(t.Context(), railway.Command{})
	require.Error(t, err)

	c := helper(t, "exit")
	c.OnStart = func(railway.RunReport) error { return errBroken }
	report, err = h.svc.Run(t.Context(), c)
	require.ErrorIs(t, err, errBroken)
	assert.Equal(t, -1, report.Code, "it was not started")

	c = helper(t, "cat")
	c.Stdin, c.Stdout = strings.NewReader("x"), brokenWriter{}
	_, err = h.svc.Run(t.Context(), c)
	require.ErrorIs(t, err, errBroken)

	h.Forbid(true)
	_, err = h.svc.Run(t.Context(), helper(t, "exit"))
	require.ErrorIs(t, err, incident.ErrNotPermitted)
	assert.NotErrorIs(t, err, errors.ErrUnsupported)
}

// A command ends with its context.
func TestRunEndsWithItsContext(t *testing.T) {
	h := newVars(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	c := helper(t, "wait")
	c.Stdout = writerFunc(func(p []byte) (int, error) {
		cancel()
		return len(p), nil
	})
	report, err := h.svc.Run(ctx, c)
	require.ErrorIs(t, err, context.Canceled)
	assert.Equal(t, -1, report.Code)
}

type writerFunc func(p []byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// However output is cut into pieces, no secret is in what comes out, and all else is
// as it was.
func FuzzRedact(f *testing.F) {
	f.Add("x secret-one y secret-two", uint8(3))
	f.Add("secret-onesecret-one!secret-on", uint8(1))
	f.Add("secret-one-and-more secret-one-and", uint8(7))
	secrets := []string{"secret-one-and-more", "secret-one", "secret-two", "aabaab"}
	f.Fuzz(func(t *testing.T, text string, size uint8) {
		var whole, parts bytes.Buffer
		require.NoError(t, railway.Redact(&whole, secrets, text, len(text)))
		require.NoError(t, railway.Redact(&parts, secrets, text, int(size)))
		assert.Equal(t, whole.String(), parts.String(), "the pieces make no difference")
		for _, s := range secrets {
			assert.NotContains(t, parts.String(), s)
		}
		clean := text
		for _, s := range secrets {
			clean = strings.ReplaceAll(clean, s, "")
		}
		if clean == text {
			assert.Equal(t, text, parts.String())
		}
	})
}

// Output of a command with 50 secrets: at least 50 MB/s.
func BenchmarkRedact(b *testing.B) {
	var secrets []string
	for i := range 50 {
		secrets = append(secrets, fmt.Sprintf("secret-%03d-%s", i, strings.Repeat("x", 30)))
	}
	text := strings.Repeat("2026-11-23T10:00:00Z level=info msg=\"request served\" path=/courses/1 status=200\n", 400)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		if err := railway.Redact(io.Discard, secrets, text, 4096); err != nil {
			b.Fatal(err)
		}
	}
}

func ExampleService_Run() {
	fake := &railwaytest.Server{}
	project := fake.AddProject(fake.AddWorkspace("acu"), "shop")
	environment := fake.AddEnvironment(project, "production")
	id := fake.AddService(environment, railwaytest.Service{
		Name: "api", Variables: map[string]string{"DB": "postgres://db.railway.internal/shop"}, Sealed: map[string]string{"KEY": "k"},
	})
	service, err := exampleService(fake, railway.Target{Project: project, Environment: environment, Service: id})
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = service.Run(context.Background(), railway.Command{
		Name: "psql", Args: []string{"--version"},
		OnStart: func(r railway.RunReport) error {
			return fmt.Errorf("not from here: %s names a private host, and %s cannot be read", r.Private[0], r.Sealed[0])
		},
	})
	fmt.Println(errors.Unwrap(err))
	// Output: not from here: DB names a private host, and KEY cannot be read
}
