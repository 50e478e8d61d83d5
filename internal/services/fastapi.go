//go:build unix

package services

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// What StartApplication configures where the test does not.
const (
	// OpsToken opens the application's detail and admin endpoints.
	OpsToken = "ops-token-of-the-tests"
	// SecretKey signs its sessions.
	SecretKey = "a secret key of the tests, 32 and more"
	// DemoPassword logs anyone in with POST /sessions.
	DemoPassword = "password of the tests"
)

// Application says how to run the application of examples/sidecar/app.
type Application struct {
	// Env is the application's environment; examples/sidecar/app/README.md
	// says what each variable does. DATABASE_URL and REDIS_URL have no
	// default. OPS_TOKEN, SECRET_KEY, DEMO_PASSWORD have the constants of this
	// package as theirs, ALLOW_DRILLS is true, ENVIRONMENT is "test". PORT is
	// always a free one. A variable with an empty value is left out.
	Env map[string]string
}

// RunningApplication is an application that a test started, ended with the
// test. Its methods belong to the goroutine of the test.
type RunningApplication struct {
	t       testing.TB
	python  string
	folder  string
	env     map[string]string
	port    int
	output  *tail
	process *process
}

// StartApplication starts the application under the Python of [Python] and
// waits until GET /health answers, whatever it says: PostgreSQL and Redis may
// be away. What it logged is shown where the test fails.
func StartApplication(t testing.TB, application Application) *RunningApplication {
	t.Helper()
	a := &RunningApplication{
		t: t, python: Need(t, Python), folder: filepath.Join(moduleRoot(t), "examples", "sidecar"),
		output: new(tail), env: map[string]string{
			"OPS_TOKEN": OpsToken, "SECRET_KEY": SecretKey, "DEMO_PASSWORD": DemoPassword,
			"ALLOW_DRILLS": "true", "ENVIRONMENT": "test",
		},
	}
	maps.Copy(a.env, application.Env)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the application said:\n%s", a.output)
		}
	})
	t.Cleanup(a.Kill)
	if err := startOnFreePort(t, func(port int) error { a.port = port; return a.start() }); err != nil {
		t.Fatal(err)
	}
	return a
}

// URL is the application's address without a final slash, the same after a
// restart.
func (a *RunningApplication) URL() string { return "http://" + address(a.port) }

// Log is the end of what the application has logged, all of its runs together.
func (a *RunningApplication) Log() string { return a.output.String() }

// Kill ends the application as a crash would. One that has ended is left.
func (a *RunningApplication) Kill() {
	if a.process != nil {
		a.process.kill()
	}
}

// Stop asks the application to end, by SIGTERM, and waits for it.
func (a *RunningApplication) Stop() {
	a.t.Helper()
	if err := a.process.stop(syscall.SIGTERM, 15*time.Second); err != nil {
		a.t.Fatal(err)
	}
}

// Restart starts the application again, after stopping it where it runs, with
// the variables of env over those that it had, and waits as StartApplication.
func (a *RunningApplication) Restart(env map[string]string) {
	a.t.Helper()
	if a.process.running() {
		a.Stop()
	}
	maps.Copy(a.env, env)
	if err := a.start(); err != nil {
		a.t.Fatal(err)
	}
}

func (a *RunningApplication) start() error {
	cmd := exec.CommandContext(context.WithoutCancel(a.t.Context()), a.python, "-m", "app")
	cmd.Dir = a.folder
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "LC_ALL=C.UTF-8", "PYTHONUNBUFFERED=1", "PYTHONDONTWRITEBYTECODE=1",
	}
	for name, value := range a.env {
		if value != "" {
			cmd.Env = append(cmd.Env, name+"="+value)
		}
	}
	cmd.Env = append(cmd.Env, "HOST=127.0.0.1", "PORT="+strconv.Itoa(a.port))
	var err error
	if a.process, err = startProcess(cmd, "the application", a.output); err != nil {
		return err
	}
	if err := a.process.ready(30*time.Second, a.answers); err != nil {
		a.process.kill()
		return err
	}
	return nil
}

func (a *RunningApplication) answers() bool {
	ctx, cancel := context.WithTimeout(a.t.Context(), 3*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, a.URL()+"/health", nil)
	if err != nil {
		return false
	}
	// A client of its own, whose connections do not outlive the question.
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		return false
	}
	defer response.Body.Close()
	_, err = io.Copy(io.Discard, response.Body)
	return err == nil
}

// moduleRoot is the nearest folder above the test's that has a go.mod.
func moduleRoot(t testing.TB) string {
	t.Helper()
	folder, err := os.Getwd()
	if err != nil {
		t.Fatalf("find the module: %v", err)
	}
	for {
		_, err := os.Stat(filepath.Join(folder, "go.mod"))
		if err == nil {
			return folder
		}
		if parent := filepath.Dir(folder); parent != folder && errors.Is(err, fs.ErrNotExist) {
			folder = parent
			continue
		}
		t.Fatalf("find the module above the test: %v", err)
	}
}
