package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/examples/internal/host"
	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/incident"
)

// A service is opsd while it runs: a host, its state, and what is served of both.
type service struct {
	settings *settings
	estate   *estate
	state    *state
	host     *host.Host
	server   *web
	journal  *journal
	windows  *windows
	tells    *telemetry // nil without OpenTelemetry
	holder   string
	leading  atomic.Bool
	ending   atomic.Bool
	stop     sync.Once // of the host
	stopped  error
	left     <-chan error // gets how telemetry left the host; nil while that is not stopped
	began    time.Time
	scratch  string // a folder that goes with the process; empty if there is none
}

// stopWithin is how long what is under way may take to end.
const stopWithin = 30 * time.Second

// newService makes it, and begins nothing. What is made is closed again on an error.
func newService(ctx context.Context, s *settings, j *journal) (_ *service, err error) {
	v := &service{settings: s, journal: j, holder: holder(), began: time.Now()}
	j.ends = v.ending.Load
	defer func() {
		if err != nil {
			err = errors.Join(err, v.close(ctx))
		}
	}()
	v.estate, err = reach(s)
	if err != nil {
		return nil, err
	}
	if s.State.Folder == "" && s.State.Postgres.IsZero() {
		v.scratch, err = os.MkdirTemp("", "opsd-")
		if err != nil {
			return nil, fmt.Errorf("opsd: a folder for the state: %w", err)
		}
		s.State.Folder = v.scratch
	}
	v.state, err = openState(ctx, stateConfig{settings: s.State, holder: v.holder, watched: v.estate.watched, zone: s.zone, logger: v.logger()})
	if err != nil {
		return nil, err
	}
	cfg := s.hostConfig(v.estate)
	v.state.fill(&cfg)
	cfg.Channels.StatusPage = posts{v.state.store}
	cfg.Heartbeat = beat(s.Heartbeat, &http.Client{Timeout: 10 * time.Second})
	cfg.Logger = v.logger()
	cfg.Hooks = host.Hooks{OnEvent: j.run, OnIncident: j.incident, OnTransition: j.transition, OnDelivery: j.delivery}
	if s.Telemetry != nil {
		if v.tells, err = startTelemetry(ctx, s.Telemetry, v.holder, j); err != nil {
			return nil, err
		}
	}
	v.tells.tell(&cfg)
	v.host, err = host.New(ctx, cfg)
	if err != nil {
		return nil, err
	}
	if err := v.tells.observe(v.host); err != nil {
		return nil, err
	}
	j.kind = v.kind
	v.windows = &windows{store: v.state.store, monitor: v.host.Monitor(), logger: v.logger()}
	v.server, err = newWeb(v)
	return v, err
}

// kind is the kind of the step of an event.
func (v *service) kind(e incident.Event) incident.Kind {
	b, err := v.host.Runner().Playbook(e.Environment, e.Playbook)
	if err != nil {
		return ""
	}
	var find func(specs []incident.StepSpec) incident.Kind
	find = func(specs []incident.StepSpec) incident.Kind {
		for _, s := range specs {
			if s.ID == e.Step {
				return s.Kind
			}
			if k := find(s.Steps); k != "" {
				return k
			}
		}
		return ""
	}
	return find(b.Specs())
}

// holder names this process, as no other is named.
func holder() string {
	name, err := os.Hostname()
	if err != nil {
		name = "unknown"
	}
	return fmt.Sprintf("%s-%d-%x", name, os.Getpid(), time.Now().UnixNano()&0xffffff)
}

// serve watches and serves until ctx ends, and is then stopped. ready is called with the
// address once it can be asked; it may be nil.
func (v *service) serve(ctx context.Context, ready func(address string)) (err error) {
	listener, err := net.Listen("tcp", v.settings.Server.Listen)
	if err != nil {
		return errors.Join(fmt.Errorf("opsd: server.listen: %w", err), v.close(ctx))
	}
	running, cancel := context.WithCancel(ctx)
	defer cancel()
	context.AfterFunc(running, func() { v.ending.Store(true) })
	server := newServer(unhurried(v.server, bodyWithin))
	server.BaseContext, server.ErrorLog = func(net.Listener) context.Context { return running }, slog.NewLogLogger(v.journal, slog.LevelWarn)
	serving := make(chan error, 1)
	go func() { serving <- server.Serve(listener) }()
	if ready != nil {
		ready("http://" + listener.Addr().String())
	}
	leading := make(chan error, 1)
	go func() { leading <- v.lead(running) }()
	select {
	case <-ctx.Done():
	case err = <-serving:
		err = fmt.Errorf("opsd: it cannot be served any more: %w", err)
	case err = <-leading:
		close(leading)
	}
	cancel() // who follows something is told that it ends
	ending, stop := context.WithTimeout(context.WithoutCancel(ctx), stopWithin)
	defer stop()
	err = errors.Join(err, server.Shutdown(ending))
	<-leading
	return errors.Join(err, v.close(ending))
}

// lead watches, and takes charge when it may: at once where there is one process. It returns
// when ctx has ended and the host is stopped, or it cannot go on.
func (v *service) lead(ctx context.Context) (err error) {
	// The host is stopped in order when ctx ends, and not all of it at once; only while it
	// starts does the end of ctx end that.
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	starting := context.AfterFunc(ctx, end)
	defer func() {
		if ctx.Err() != nil {
			err = nil // it was stopped meanwhile
		}
		err = errors.Join(err, v.stopHost(ctx))
	}()
	if err := v.windows.load(ctx); err != nil {
		return err
	}
	go v.windows.follow(ctx)
	if v.state.shared {
		if err := v.host.Watch(life); err != nil {
			return err
		}
		v.journal.say("it watches together with the other replicas, and waits to be in charge")
	}
	lost, release, err := v.state.lead(ctx)
	if err != nil {
		return err
	}
	defer release()
	if err := v.host.Start(life); err != nil {
		return err
	}
	if !starting() {
		return ctx.Err()
	}
	if err := v.server.begin(ctx); err != nil {
		return err
	}
	v.leading.Store(true)
	defer v.leading.Store(false)
	if v.state.shared {
		v.journal.say("it is in charge: it tells people, and carries out playbooks")
	}
	select {
	case <-ctx.Done():
	case <-lost:
		err = errors.New("opsd: the database of the state was away, so another replica may be in charge: this one ends, and is to be started again")
	}
	// In the end the lock is given up after the host has stopped: deferred calls run backwards.
	return errors.Join(err, v.stopHost(ctx))
}

// stopHost stops the host, once.
func (v *service) stopHost(ctx context.Context) error {
	v.stop.Do(func() {
		ending, stop := context.WithTimeout(context.WithoutCancel(ctx), stopWithin)
		defer stop()
		v.left = begun(v.tells.leave, leaveWithin)
		v.stopped = v.host.Stop(ending)
	})
	return v.stopped
}

// leaveWithin is how long the host is kept for a collection of metrics that is under way. A
// collector that is slow would else keep what is under way from ending in its time.
const leaveWithin = time.Second

// begun does something, and waits for it at most that long. What it returns gets the error
// once it is done.
func begun(do func() error, most time.Duration) <-chan error {
	done, result := make(chan struct{}), make(chan error, 1)
	go func() {
		defer close(done)
		result <- do()
	}()
	select {
	case <-done:
	case <-time.After(most):
	}
	return result
}

// close stops what runs, and closes what was opened.
func (v *service) close(ctx context.Context) error {
	var errs []error
	ending, stop := context.WithTimeout(context.WithoutCancel(ctx), stopWithin)
	defer stop()
	switch {
	case v.host != nil:
		errs = append(errs, v.stopHost(ctx))
	case v.host == nil && v.state != nil && v.state.runs != nil:
		errs = append(errs, v.state.runs.Close(ending))
	}
	v.tells.stop(ctx)
	if v.left != nil {
		select {
		case err := <-v.left:
			errs = append(errs, err)
		case <-ending.Done():
			v.journal.warn("it did not end in time")
		}
	}
	if v.state != nil {
		errs = append(errs, v.state.closePools())
	}
	if v.estate != nil {
		errs = append(errs, v.estate.close())
	}
	if v.scratch != "" {
		errs = append(errs, os.RemoveAll(v.scratch))
	}
	return errors.Join(errs...)
}

// greet says what was started, and where to look.
func (v *service) greet(address string) {
	j, s := v.journal, v.settings
	if s.Estate != nil {
		j.say("this is the embedded estate, in memory: nothing real is watched, and nobody real is told")
		if len(s.Estate.Faults) > 0 {
			j.say("what goes wrong there: %s", strings.Join(s.Estate.Faults, ", "))
		}
	}
	checks := len(v.host.Monitor().Snapshot().Checks)
	j.say("%s, %s, %s", count(len(v.host.Environments()), "environment"), count(checks, "check"), count(len(v.host.Runner().Playbooks()), "playbook"))
	if v.host.Lacks() != nil {
		j.say("some playbooks cannot be carried out here: opsd doctor says which, and what they lack")
	}
	j.say("automation: %s", v.automation())
	where := v.state.where
	if v.scratch != "" {
		where += ", which is removed at the end"
	}
	j.say("state: %s", where)
	j.say("%s/ops/        for operators: what is wrong, and what waits for a decision", address)
	j.say("%s/status/     for everybody", address)
	if s.Estate != nil && s.People[0].Token.Equal(runbook.NewSecret(rehearsalToken("Ana Silva"))) {
		j.say("to sign in, and as OPSD_TOKEN: %s (%s)", rehearsalToken("Ana Silva"), "Ana Silva; likewise the others")
	}
}

// automation says what it may do where.
func (v *service) automation() string {
	var parts []string
	for _, e := range v.host.Environments() {
		mode, per := incident.Observe, 0
		for _, p := range v.settings.policies() {
			if p.Environment == e.Name {
				mode, per = p.Mode, p.PerHour
			}
		}
		text := map[incident.Mode]string{incident.Observe: "only observes", incident.Suggest: "suggests", incident.Act: "acts"}[mode]
		if mode == incident.Act {
			if per == 0 {
				per = 5
			}
			text += fmt.Sprintf(" (%d an hour)", per)
		}
		parts = append(parts, e.Name+" "+text)
	}
	return strings.Join(parts, ", ")
}

// count is a number of things in words.
func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// logger takes what the parts warn of.
func (v *service) logger() *slog.Logger { return slog.New(v.journal) }

// discard is a logger for commands that only look, and say themselves what they found.
func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

// look makes a host that is never started, for commands that only look.
func look(ctx context.Context, s *settings) (*host.Host, *estate, error) {
	e, err := reach(s)
	if err != nil {
		return nil, nil, err
	}
	cfg := s.hostConfig(e)
	cfg.Channels = silent(e.channels)
	cfg.Store, cfg.Runs, cfg.Alerts = new(incident.MemoryStore), incident.NewMemoryRuns(incident.MemoryRunsConfig{}), new(alert.MemoryStore)
	cfg.History, cfg.Logger = &health.MemoryHistory{Location: s.zone}, discard()
	h, err := host.New(ctx, cfg)
	if err != nil {
		return nil, nil, errors.Join(err, e.close())
	}
	return h, e, nil
}
