package host

import (
	"context"
	"errors"
	"fmt"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/incident"
)

// Watch begins to watch, and nothing else: for a replica that shares the checks with
// others, see Config.Lease, and is not in charge. Start takes charge later.
func (h *Host) Watch(ctx context.Context) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.watch(ctx)
}

func (h *Host) watch(ctx context.Context) error {
	if h.watching {
		return nil
	}
	if err := h.monitor.Start(ctx); err != nil {
		return fmt.Errorf("host: %w", err)
	}
	h.watching = true
	h.canvas.begin(ctx)
	return nil
}

// Start takes up what there was before, and begins. A host is started once. After an error
// it is to be stopped.
func (h *Host) Start(ctx context.Context) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.started {
		return errors.New("host: it was started before")
	}
	h.started = true
	h.life, h.end = context.WithCancel(context.WithoutCancel(ctx))
	if err := h.router.Start(ctx); err != nil {
		return fmt.Errorf("host: %w", err)
	}
	var open []alert.Alert
	for _, s := range h.router.Alerts() {
		open = append(open, s.Alert)
	}
	engine, err := alert.NewEngine(h.engineConfig(open))
	if err != nil {
		return fmt.Errorf("host: %w", err)
	}
	h.engine = engine
	programs := map[string]incident.Program{incident.PlaybookProgram: h.runner.Program(), incident.EscalationProgram: h.escalations.Program()}
	if told := h.cfg.Hooks.Program; told != nil {
		programs[incident.PlaybookProgram] = told(programs[incident.PlaybookProgram])
	}
	for _, begin := range []func() error{
		func() error { return h.expectWorkers(engine) },
		func() error { return engine.Start(ctx) },
		func() error { return h.cfg.Runs.Launch(ctx, programs) },
		func() error { return h.runner.Reconcile(ctx) },
		func() error { h.background(ctx, "finish what was cut off", h.tend); return nil },
		func() error { return h.manager.Start(ctx) },
		func() error { return h.scheduler.Start(ctx) },
		func() error { h.feed.Store(newFeed(engine)); return h.watch(ctx) },
	} {
		if err := begin(); err != nil {
			return fmt.Errorf("host: %w", err)
		}
	}
	h.canvas.leading.Store(true)
	return nil
}

// Stop ends the host: nothing new begins, and what is under way is waited for until ctx
// ends. What was not told stays in the store of alerts, and runs that have not ended go on
// when a host with the same runs starts. A host that was not started is stopped too: its
// Runs are closed.
func (h *Host) Stop(ctx context.Context) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.started {
		h.end()
		defer h.working.Wait()
	}
	h.canvas.stop()
	return errors.Join(h.scheduler.Stop(ctx), h.monitor.Stop(ctx), h.engine.Stop(ctx), h.manager.Stop(ctx), h.cfg.Runs.Close(ctx), h.router.Stop(ctx))
}

// Kill ends the host as if its process had died: steps that are under way are cut off and
// nothing is waited for. What they did by then is done, and nobody recorded it.
func (h *Host) Kill() {
	h.mu.Lock()
	life, end := h.life, h.end
	h.mu.Unlock()
	if life == nil { // it was not started
		return
	}
	end()
	_ = h.cfg.Runs.Close(life)
	_ = h.Stop(life)
}

// background does something that takes its time, until it is done or the host stops.
func (h *Host) background(ctx context.Context, what string, do func(ctx context.Context) error) {
	if h.life.Err() != nil {
		return
	}
	h.working.Go(func() {
		if err := do(h.life); err != nil && h.life.Err() == nil {
			h.cfg.Logger.WarnContext(ctx, "the host could not do something", "what", what, "error", err)
		}
	})
}
