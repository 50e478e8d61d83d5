package railway

import (
	"context"
	"errors"
	"io"
	"maps"
	"net/url"
	"os/exec"
	"reflect"
	"slices"
	"strings"
	"time"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/railway/internal/gql"
	"go.acu.edu.au/runbook/railway/internal/scalar"
)

// A Command is a program of this machine that runs with the variables of a service.
type Command struct {
	// Name is the program, as for [exec.Command]. Required.
	Name string
	// Args are its arguments.
	Args []string
	// Dir is its working directory; empty means that of this program.
	Dir string
	// Env is what it gets beside the variables of the service, each "NAME=value":
	// os.Environ(), or a part of it. A variable of the service wins over one of the
	// same name. What is sealed is not a variable that can be read, so that a value
	// for it may be given here.
	Env []string
	// Stdin is what it reads; nil means nothing.
	Stdin io.Reader
	// Stdout and Stderr are where its output goes; nil means nowhere. Values of
	// variables are replaced in it by [redacted] on the way.
	Stdout, Stderr io.Writer
	// Show are the names of variables whose values may be in the output.
	Show []string
	// OnStart is called before the program starts, with what is known by then; nil
	// means that nothing is. An error of it keeps the program from being started.
	OnStart func(RunReport) error
	// Grace is how long the program has after ctx has ended and it was killed, until
	// its output is no longer waited for: what it started may still hold it. Zero
	// means 5 s.
	Grace time.Duration
}

// A RunReport says what a [Command] ran with. It has no values in it.
type RunReport struct {
	// Variables are the names of the variables that it got from the service, in order.
	Variables []string
	// Sealed are the names of those that it did not get, because nobody can read
	// them, in order. They are not empty: they are not there.
	Sealed []string
	// Private are the names of those that have a host of Railway's private network in
	// them, *.railway.internal, in order. From here such a host is not found: take a
	// public address instead, such as DATABASE_PUBLIC_URL.
	Private []string
	// Code is what the program ended with; -1 if it did not start, or was killed.
	Code int
}

// shortest is how long a value is at least that is replaced in output. A shorter one
// is as likely to be "true", "info" or a port, and would spoil what is printed.
const shortest = 6

// Run runs a program of this machine with the variables that a deployment of the
// service made now would get, with their references replaced, among them those that
// Railway makes itself. It takes one call.
//
// In the output of the program, values of at least six bytes are replaced, as they
// are and line by line, and also a password within a URL. That is a precaution
// against accidents: a program that encodes a value, or colours a part of it, still
// shows it. Whoever can choose the program can read the variables.
//
// The program is killed when ctx ends. The error wraps an [exec.ExitError] if the
// program ended with another code than 0.
func (s *Service) Run(ctx context.Context, c Command) (RunReport, error) {
	o := s.c.hiding("run %s with the variables of service %s", printable(c.Name, 100), s)
	report := RunReport{Code: -1}
	if c.Name == "" {
		return report, o.refuse(nil, "the program has no name")
	}
	if runbook.IsReadOnly(ctx) { // who knows what it does
		return report, &Error{Op: o.name, unrun: true, cause: runbook.ErrReadOnly}
	}
	got, err := gql.RenderedVariables(ctx, o, s.project, s.environment, s.id)
	if err != nil {
		return report, err
	}
	values := got.VariablesForServiceDeployment
	report.take(values)
	if c.OnStart != nil {
		if err := c.OnStart(report); err != nil {
			return report, &Error{Op: o.name, unrun: true, cause: err}
		}
	}
	err = s.start(ctx, c, values)
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		report.Code = exit.ExitCode()
	}
	if err != nil {
		return report, &Error{Op: o.name, cause: err}
	}
	report.Code = 0
	return report, nil
}

func (r *RunReport) take(values scalar.Values) {
	for _, name := range slices.Sorted(maps.Keys(values)) {
		value := values[name]
		if value == nil {
			r.Sealed = append(r.Sealed, name)
			continue
		}
		r.Variables = append(r.Variables, name)
		if strings.Contains(*value, ".railway.internal") {
			r.Private = append(r.Private, name)
		}
	}
}

// start runs the program to its end.
func (s *Service) start(ctx context.Context, c Command, values scalar.Values) error {
	cmd := exec.CommandContext(ctx, c.Name, c.Args...)
	cmd.Dir, cmd.Stdin, cmd.WaitDelay = c.Dir, c.Stdin, c.Grace
	if cmd.WaitDelay <= 0 {
		cmd.WaitDelay = 5 * time.Second
	}
	cmd.Env = slices.Clone(c.Env)
	if cmd.Env == nil {
		cmd.Env = []string{} // nil would be all that this program has
	}
	for name, value := range values {
		if value != nil {
			cmd.Env = append(cmd.Env, name+"="+*value)
		}
	}
	secrets := secretsIn(values, c.Show)
	var out, errs *redactor
	if c.Stdout != nil {
		out = newRedactor(c.Stdout, secrets)
		cmd.Stdout = out
	}
	switch {
	case c.Stderr != nil && sameWriter(c.Stdout, c.Stderr):
		cmd.Stderr = out // in the order in which it is written
	case c.Stderr != nil:
		errs = newRedactor(c.Stderr, secrets)
		cmd.Stderr = errs
	}
	err := cmd.Run()
	if ctx.Err() != nil {
		err = errors.Join(ctx.Err(), err)
	}
	return errors.Join(err, out.Close(), errs.Close())
}

// sameWriter reports whether two writers are one. Some cannot be compared.
func sameWriter(a, b io.Writer) bool {
	return a != nil && reflect.TypeOf(a).Comparable() && a == b
}

// secretsIn returns what must not be shown, the longest first. What Railway makes
// itself is no secret.
func secretsIn(values scalar.Values, show []string) []string {
	var secrets []string
	for name, value := range values {
		if value == nil || isOwn(name) || slices.Contains(show, name) {
			continue
		}
		secrets = append(secrets, *value)
		for line := range strings.Lines(*value) {
			secrets = append(secrets, strings.TrimRight(line, "\r\n"))
		}
		if u, err := url.Parse(*value); err == nil && u.User != nil {
			password, _ := u.User.Password()
			secrets = append(secrets, password)
		}
	}
	secrets = slices.DeleteFunc(secrets, func(s string) bool { return len(s) < shortest })
	slices.SortFunc(secrets, func(a, b string) int {
		if len(a) != len(b) {
			return len(b) - len(a)
		}
		return strings.Compare(a, b)
	})
	return slices.Compact(secrets)
}
