// Sidecar is the Go tool beside a FastAPI application: it watches the
// application and what that needs, and serves what it found to an orchestrator,
// to Prometheus, to people, and to the application, which also asks it about
// LTI and the budget of Canvas, and tells it that its workers live (PYTHON.md).
//
//	sidecar            watch until interrupted
//	sidecar -once      look once, print what was found, and end
//
// Its configuration is the environment, with the application's own names; -h
// lists it. The application is in the folder app.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"text/tabwriter"
	"time"

	"go.acu.edu.au/runbook/health"
)

const usage = `Usage: sidecar [-once [-json]]

Watches the application and what it needs. Environment:

  APPLICATION_URL  where the application is (http://127.0.0.1:8000)
  DATABASE_URL     its PostgreSQL
  REDIS_URL        its Redis
  OPS_TOKEN        opens its detail endpoints, and ours; at least 16 characters
  LISTEN           where to serve (127.0.0.1:8080):
                     /ops/livez /ops/readyz /ops/startupz   for an orchestrator
                     /health                                names and states, for anyone
                     /ops/health /metrics                   details, with the token
                     /ops/alerts /ops/lti /ops/lti/token    for the application, with the
                     /ops/canvas/budget /ops/push/          token: see PYTHON.md

  PUBLIC_URL           the application as browsers see it (APPLICATION_URL)
  ENVIRONMENT          its name, in alerts (development)
  ALERT_SLACK_WEBHOOK  tells of alerts in a Slack channel; they are always logged
  WORKERS              workers that must report from the start on: "app-1,app-2"
  WORKER_SILENCE       after which a worker counts as dead (1m)
  QUEUE_LIMIT          above which the queue of tasks is too long (100)

and the CANVAS_ and LTI_ variables of the application, with the same values.

With -once the exit code is 0 healthy or in maintenance, 1 degraded, 2 down,
3 could not check.

`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Getenv, os.Stdout, os.Stderr))
}

// run is main without the process around it.
func run(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("sidecar", flag.ContinueOnError)
	flags.SetOutput(stderr)
	once := flags.Bool("once", false, "look once and end")
	asJSON := flags.Bool("json", false, "with -once: print JSON")
	flags.Usage = func() {
		fmt.Fprint(stderr, usage)
		flags.PrintDefaults()
	}
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return 0
		}
		return 3
	}
	patience := 3
	if *once {
		patience = 1
	}
	tool, err := newTool(getenv, patience, slog.New(slog.NewTextHandler(stderr, nil)))
	if err != nil {
		fmt.Fprintln(stderr, err)
		return 3
	}
	defer tool.close()
	if *once {
		return tool.once(ctx, *asJSON, stdout, stderr)
	}
	if err := tool.serve(ctx, stderr); err != nil {
		fmt.Fprintln(stderr, err)
		return 3
	}
	return 0
}

// once looks at everything once and prints what was found.
func (t *tool) once(ctx context.Context, asJSON bool, stdout, stderr io.Writer) int {
	report, err := t.monitor.Check(ctx)
	if err != nil {
		fmt.Fprintln(stderr, "sidecar: interrupted:", err)
		return 3
	}
	write := printTable
	if asJSON {
		write = printJSON
	}
	if err := write(stdout, report); err != nil {
		fmt.Fprintln(stderr, "sidecar:", err)
		return 3
	}
	switch report.Status {
	case health.Healthy, health.Maintenance:
		return 0
	case health.Degraded:
		return 1
	case health.Unhealthy:
		return 2
	}
	return 3
}

func printTable(w io.Writer, report *health.Report) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, s := range report.Checks {
		message := s.Last.Message
		if s.BlockedBy != "" {
			message = "because of " + s.BlockedBy + "; " + message
		}
		fmt.Fprintf(table, "%v\t%s\t%v\t%s\n", s.Status, s.Name, s.Last.Duration.Round(time.Millisecond), message)
	}
	fmt.Fprintf(table, "together: %v\n", report.Status)
	return table.Flush()
}

func printJSON(w io.Writer, report *health.Report) error {
	type check struct {
		Name         string         `json:"name"`
		Status       health.Status  `json:"status"`
		Cause        health.Cause   `json:"cause,omitempty"`
		Message      string         `json:"message,omitempty"`
		BlockedBy    string         `json:"blocked_by,omitempty"`
		DurationMS   float64        `json:"duration_ms"`
		Measurements map[string]any `json:"measurements,omitempty"`
	}
	out := struct {
		Status health.Status `json:"status"`
		Time   time.Time     `json:"time"`
		Checks []check       `json:"checks"`
	}{Status: report.Status, Time: report.Time}
	for _, s := range report.Checks {
		c := check{
			Name: s.Name, Status: s.Status, Cause: s.Last.Cause, Message: s.Last.Message, BlockedBy: s.BlockedBy,
			DurationMS: float64(s.Last.Duration.Microseconds()) / 1000, Measurements: make(map[string]any),
		}
		for _, m := range s.Last.Measurements {
			if c.Measurements[m.Name] = m.Value; m.Text != "" {
				c.Measurements[m.Name] = m.Text
			}
		}
		out.Checks = append(out.Checks, c)
	}
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(out)
}

// serve watches and answers until ctx ends.
func (t *tool) serve(ctx context.Context, stderr io.Writer) error {
	listener, err := net.Listen("tcp", t.listen)
	if err != nil {
		return fmt.Errorf("sidecar: LISTEN: %w", err)
	}
	handler, err := t.handler()
	if err != nil {
		return err
	}
	if err := errors.Join(t.alerts.start(ctx), t.monitor.Start(ctx)); err != nil {
		return err
	}
	server := &http.Server{
		Handler: handler, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 15 * time.Second,
		WriteTimeout: time.Minute, IdleTimeout: time.Minute, MaxHeaderBytes: 32 << 10,
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	fmt.Fprintf(stderr, "sidecar: watching %s, serving on http://%s\n", t.application, listener.Addr())
	select {
	case err = <-failed:
	case <-ctx.Done():
	}
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	return errors.Join(err, server.Shutdown(ending), t.monitor.Stop(ending), t.alerts.stop(ending))
}
