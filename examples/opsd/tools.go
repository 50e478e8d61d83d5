package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/incident/playbooks"
)

// An invocation is a program with its arguments. No shell reads it.
type invocation []string

// mostOutput is how much of what a program prints is kept: the end of it.
const mostOutput = 64 << 10

// tail keeps the end of what is written to it.
type tail struct{ b []byte }

func (t *tail) Write(p []byte) (int, error) {
	t.b = append(t.b, p...)
	if over := len(t.b) - mostOutput; over > 0 {
		t.b = append(t.b[:0], t.b[over:]...)
	}
	return len(p), nil
}

// run runs it in a folder, and returns the last lines that it printed and its exit code; the
// error says that it could not be run. It gets the path and the home of opsd, and nothing
// else of its environment, in which the secrets are. That keeps them out of what it prints
// and hands on; it is no wall against a program that wants them, which is of the same user.
func (c invocation) run(ctx context.Context, in string, more ...string) (lines []string, code int, err error) {
	cmd := exec.CommandContext(ctx, c[0], c[1:]...) //nolint:gosec // whoever writes the configuration may run programs
	cmd.Dir, cmd.WaitDelay = in, 5*time.Second
	cmd.Env = append(more, "PATH="+os.Getenv("PATH"), "HOME="+os.Getenv("HOME"), "LANG=C.UTF-8")
	out := &tail{}
	cmd.Stdout, cmd.Stderr = out, out
	err = cmd.Run()
	for line := range bytes.Lines(out.b) {
		if text := strings.TrimSpace(string(line)); text != "" {
			lines = append(lines, strings.ToValidUTF8(text, "\ufffd"))
		}
	}
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && ctx.Err() == nil && exit.Exited() {
		return lines, exit.ExitCode(), nil
	}
	if err != nil {
		return lines, -1, fmt.Errorf("opsd: %s could not be run to its end: %w", filepath.Base(c[0]), err)
	}
	return lines, 0, nil
}

// toolchain is what can be done with the source of the application.
func (t *toolchainSettings) toolchain() playbooks.Toolchain {
	if t == nil {
		return playbooks.Toolchain{}
	}
	tools := playbooks.Toolchain{SecurityTests: t.securityTests}
	if len(t.Audit) > 0 {
		tools.Audit = func(ctx context.Context) ([]string, error) { return found(invocation(t.Audit).run(ctx, t.Source)) }
	}
	return tools
}

// found is what a tool has found: nothing if it ended well, and else what it printed last.
func found(lines []string, code int, err error) ([]string, error) {
	switch {
	case err != nil:
		return nil, err
	case code == 0:
		return nil, nil
	case len(lines) == 0:
		return []string{fmt.Sprintf("it ended with %d, and printed nothing", code)}, nil
	}
	return lines, nil
}

// securityTests runs the tests of a commit in a copy of the source that is removed again.
func (t *toolchainSettings) securityTests(ctx context.Context, commit string) (failed []string, err error) {
	if !commitForm.MatchString(commit) {
		return nil, errors.New("opsd: the commit is none: it is 7 to 64 hexadecimal digits")
	}
	folder, err := os.MkdirTemp("", "opsd-source-")
	if err != nil {
		return nil, fmt.Errorf("opsd: a folder for the source: %w", err)
	}
	copied := filepath.Join(folder, "source")
	git := func(args ...string) error {
		lines, code, err := invocation(append([]string{"git"}, args...)).run(ctx, t.Source)
		if err == nil && code != 0 {
			err = fmt.Errorf("opsd: git %s ended with %d: %s", args[0], code, strings.Join(lines, "; "))
		}
		return err
	}
	defer func() {
		removed := os.RemoveAll(folder)
		ctx = context.WithoutCancel(ctx)
		err = errors.Join(err, removed, git("worktree", "prune"))
	}()
	if git("cat-file", "-e", commit+"^{commit}") != nil { // it is newer than what there is
		if err := git("fetch", "--quiet", "--all"); err != nil {
			return nil, err
		}
	}
	if err := git("worktree", "add", "--quiet", "--detach", copied, commit); err != nil {
		return nil, err
	}
	return found(invocation(t.SecurityTests).run(ctx, copied))
}

// task is a probe that runs a small QA task: a program that ends with 0 if it worked, 75 if
// the application begins none on purpose, and anything else if it did not. What it prints
// last says why.
func (e environment) task() health.Prober {
	if len(e.Task) == 0 {
		return nil
	}
	address := "APPLICATION=" + strings.TrimSuffix(e.Application, "/")
	return health.ProberFunc(func(ctx context.Context) health.Result {
		began := time.Now()
		lines, code, err := invocation(e.Task).run(ctx, "", address, "TOKEN="+e.Token.Reveal())
		r := health.Result{Duration: time.Since(began)}
		if len(lines) > 0 {
			r.Message = "task: " + redacted(lines[len(lines)-1], e.Token)
		}
		switch {
		case ctx.Err() != nil:
			r.Status, r.Cause, r.Message = health.Unhealthy, health.CauseTimeout, "task: it did not end in time"
		case err != nil:
			r.Status, r.Message = health.Unknown, "task: "+err.Error()
		case code == exitMaintenance:
			r.Status, r.Cause = health.Maintenance, health.CauseMaintenance
		case code != 0:
			r.Status, r.Cause = health.Unhealthy, health.CauseFailed
		default:
			r.Status = health.Healthy
			r.Measurements = []health.Measurement{{Name: "test_task_duration", Value: r.Duration.Seconds(), Unit: health.Seconds}}
		}
		return r
	})
}

// exitMaintenance is EX_TEMPFAIL of sysexits.
const exitMaintenance = 75

// redacted is a text without a secret.
func redacted(text string, secret runbook.Secret) string {
	if s := secret.Reveal(); s != "" {
		text = strings.ReplaceAll(text, s, "[redacted]")
	}
	return text
}
