// Command demo serves the dashboard over a bad night in memory, on loopback: to look at it,
// and for the tests with a browser.
//
//	go run ./examples/internal/dashboard/demo -as ana
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"time"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/examples/internal/dashboard"
	"go.acu.edu.au/runbook/examples/internal/dashboard/scene"
	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/httpapi"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

func run() error {
	address := flag.String("listen", "127.0.0.1:0", "the address, which is printed")
	who := flag.String("as", "ana", "who is signed in: ana (administrator), ben (operator), chloe (approver), val (viewer)")
	pace := flag.Duration("pace", 2*time.Second, "how long a slow step takes")
	broken := flag.Bool("broken", false, "the store of incidents fails")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	logger := slog.New(slog.NewTextHandler(os.Stderr, nil))
	s, err := scene.New(ctx, *pace, logger)
	if err != nil {
		return err
	}
	if err := begin(ctx, s); err != nil {
		return err
	}
	actor := scene.People()[*who]
	zone, err := health.LoadZone("Australia/Sydney")
	if err != nil {
		return err
	}
	board, err := dashboard.New(dashboard.Config{
		Title: "QA automation", Actor: func(*http.Request) (httpapi.Actor, error) { return actor, nil }, Store: s.Store, Runner: s.Runner,
		Manager: s.Manager, Automation: s.Automation, Escalations: s.Escalations, Replicas: s.Replicas, Monitor: s.Monitor,
		Links: []dashboard.Link{{Text: "Status page", URL: "/status/"}}, Location: zone, Logger: logger, Every: time.Second, Timeout: 2 * time.Second,
	})
	if err != nil {
		return err
	}
	if *broken {
		for range 10000 {
			s.Store.Fail("Documents", errors.New("the database does not answer"))
		}
	}
	mux := http.NewServeMux()
	mux.Handle("/ops/", http.StripPrefix("/ops", board))
	mux.Handle("/{$}", http.RedirectHandler("/ops/", http.StatusSeeOther))
	listener, err := net.Listen("tcp", *address)
	if err != nil {
		return err
	}
	fmt.Printf("http://%s/ops/\n", listener.Addr())
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	go func() {
		<-ctx.Done()
		_ = server.Close()
	}()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// begin makes the night.
func begin(ctx context.Context, s *scene.Scene) error {
	if err := s.Monitor.Start(ctx); err != nil {
		return err
	}
	s.Platform.Fail("SetScale", errors.New("the platform answered 503")) // the restart in beta meets it
	_, _, err := s.Begin(ctx)
	other, e1 := s.Manager.Open(ctx, incident.Opening{
		By: "Ben Okafor", Title: "Canvas answers slowly in beta", Environment: "beta", Severity: alert.Medium, Triggered: time.Now().Add(-95 * time.Minute),
	})
	_, e2 := s.Manager.Acknowledge(ctx, other.ID, incident.Ack{By: "Ben Okafor", Comment: "the maintenance window, I think"})
	_, e3 := s.Runner.Start(ctx, incident.Request{ID: "run-restart", Environment: "beta", Playbook: "restart", Incident: other.ID, By: "Ben Okafor"})
	_, e4 := s.Runner.Start(ctx, incident.Request{ID: "run-look", Environment: "test", Playbook: "comprehensive-check", By: "Chloe Nguyen"})
	over, e5 := s.Manager.Open(ctx, incident.Opening{By: "alerts", Title: "The certificate ends in 9 days", Environment: "production", Severity: alert.Low, NoEscalation: true, Triggered: time.Now().Add(-5 * time.Hour)})
	_, e6 := s.Manager.Resolve(ctx, over.ID, incident.Resolution{By: "Chloe Nguyen", Resolution: "renewed"})
	return errors.Join(err, e1, e2, e3, e4, e5, e6)
}
