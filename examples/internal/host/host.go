package host

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/alert/schedule"
	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/playbooks"
)

// A Host watches environments and carries out the runbook. Make one with [New]. Its methods
// are safe for concurrent use.
type Host struct {
	cfg          Config
	environments []*reached
	users        *reached // the environment of the users
	usable       map[string][]string
	lacks        error

	monitor     *health.Monitor
	engine      *alert.Engine
	feed        atomic.Pointer[feed] // nil as long as nothing is judged
	router      *alert.Router
	manager     *incident.Manager
	automation  *incident.Automation
	runner      *incident.Runner
	escalations *incident.Escalations
	scheduler   *schedule.Scheduler
	canvas      *canvasWindows

	mu       sync.Mutex
	watching bool
	started  bool
	life     context.Context // of what goes on in the background
	end      context.CancelFunc
	working  sync.WaitGroup
	ways     sync.Map // of whom the operators were told who waits for them
	given    sync.Map // the runs that a person has given up
}

// New makes a host, or returns everything that is wrong with cfg. Where a connection names
// parts of its platform and does not give their ids, the platform is asked for them. Nothing
// is watched and nobody is told before Start.
func New(ctx context.Context, cfg Config) (*Host, error) {
	errs := cfg.complete()
	h := &Host{cfg: cfg, usable: make(map[string][]string)}
	for _, c := range cfg.Connections {
		r, err := c.reach(ctx)
		errs = append(errs, err)
		h.environments = append(h.environments, r)
		if h.users == nil || r.Name == "production" {
			h.users = r
		}
	}
	if h.users == nil {
		h.users = &reached{}
	}
	h.users.users = true
	var err error
	h.router, err = h.newRouter()
	errs = append(errs, err)
	errs = append(errs, h.makePeople())
	errs = append(errs, h.makePlaybooks())
	h.manager, err = incident.NewManager(h.managerConfig())
	errs = append(errs, err)
	if err == nil {
		errs = append(errs, h.manager.Validate(slices.Sorted(maps.Keys(h.usable))))
	}
	h.engine, err = alert.NewEngine(h.engineConfig(nil))
	errs = append(errs, err)
	h.monitor, err = health.New(h.monitorConfig())
	errs = append(errs, err)
	if err == nil {
		errs = append(errs, h.watchItself())
	}
	h.canvas = newCanvasWindows(h)
	h.scheduler, err = schedule.New(schedule.Config{Schedules: h.schedules(), Zone: cfg.Zone, Ledger: cfg.Ledger, Logger: cfg.Logger, OnRun: h.scheduled})
	errs = append(errs, err)
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("host: %w", err)
	}
	return h, nil
}

// makePeople makes what calls people.
func (h *Host) makePeople() (err error) {
	c := h.cfg.callPeople()
	post := func(ctx context.Context, p alert.Post, targets ...string) error {
		return h.router.Post(ctx, p, targets...)
	}
	policy := c.policy(&h.cfg, h.users.Name, post)
	if len(c.errs) > 0 {
		return errors.Join(c.errs...)
	}
	h.escalations, err = incident.NewEscalations(incident.EscalationsConfig{
		Runs: h.cfg.Runs, Policies: []incident.EscalationPolicy{policy}, Channels: c.channels, OnCall: c.rota,
		Calendars: map[string]incident.Calendar{calendarName: h.cfg.Calendar}, Acknowledge: h.cfg.Acknowledge, Logger: h.cfg.Logger,
		Hooks: incident.EscalationHooksOf(func() *incident.Manager { return h.manager }),
	})
	return err
}

// makePlaybooks makes the playbooks that can be carried out, of all environments, and what
// carries them out.
func (h *Host) makePlaybooks() error {
	var usable []incident.Playbook
	var lacks []error
	for _, r := range h.environments {
		r.Defaults, r.Zone = h.cfg.Defaults, h.cfg.Zone
		r.Tell = func(ctx context.Context, p alert.Post) error { return h.Post(ctx, p) }
		r.Inform = func(ctx context.Context, m incident.Message) error { return h.inform(ctx, r.Name, m) }
		r.Draft = h.draft
		r.Defect = func(ctx context.Context, m incident.Message) error { return h.defect(ctx, r.Name, m) }
		r.Runs = func(ctx context.Context, q incident.RunQuery) iter.Seq2[incident.Run, error] {
			return h.runner.Runs(ctx, q)
		}
	}
	for _, r := range h.environments {
		surroundings := h.surroundings(r)
		all := slices.DeleteFunc(playbooks.All(r.Environment, surroundings), func(p incident.Playbook) bool {
			return p.Name == "dependency-update" && r == h.environments[0] && r != h.users // an update begins there, and comes from nowhere
		})
		if h.cfg.Playbooks != nil {
			all = append(all, h.cfg.Playbooks(r.Environment)...)
		}
		can, cannot := playbooks.Usable(all)
		usable, lacks = append(usable, can...), append(lacks, cannot)
		for _, p := range can {
			h.usable[p.Name] = append(h.usable[p.Name], r.Name)
		}
	}
	h.lacks = errors.Join(lacks...)
	var err1, err2 error
	h.automation, err1 = incident.NewAutomation(incident.AutomationConfig{Store: h.cfg.Store, Policies: h.cfg.Policies, KillFile: h.cfg.KillFile})
	permit := func(ctx context.Context, a incident.AutomaticAction) error { return h.automation.Permit(ctx, a) }
	h.runner, err2 = incident.NewRunner(incident.RunnerConfig{
		Playbooks: usable, Runs: h.cfg.Runs, Store: h.cfg.Store, Approvals: approvers(h.cfg.People), Permit: permit, OnEvent: h.onEvent, Logger: h.cfg.Logger,
	})
	return errors.Join(err1, err2)
}

// can reports whether a playbook can be carried out in an environment.
func (h *Host) can(playbook, environment string) bool {
	return slices.Contains(h.usable[playbook], environment)
}

// comesBack is for how long after it was over something that begins again is the same
// incident: what was done by itself did not mend it. What is done then, procedures say.
const comesBack = 2 * time.Hour

// managerConfig says which alerts become incidents, and what follows.
func (h *Host) managerConfig() incident.ManagerConfig {
	cfg := incident.ManagerConfig{
		Store: h.cfg.Store, Bindings: h.bindings(), SLAs: h.cfg.Defaults.Acknowledge.SLAs(h.cfg.Calendar), AutoResolve: true, ReopenWithin: comesBack, Zone: h.cfg.Zone, Logger: h.cfg.Logger,
		Acknowledger: h.router, Poster: h, Ticketer: h.cfg.Channels.Tickets, Remind: h.remind,
		Hooks: incident.ManagerHooks{OnOpened: h.onOpened, OnReopened: h.onReopened, OnChanged: h.cfg.Hooks.OnIncident, OnClock: h.onClock},
	}
	if h.escalations != nil {
		cfg.Escalator = caller{h.escalations, h}
	}
	return cfg
}

// bindings bind alert, severity and playbook, for each environment. What happens to test
// and beta is at most of medium severity: nobody is woken for them. A playbook that
// cannot be carried out there is left out, and Lacks says why.
func (h *Host) bindings() []incident.Binding {
	var all []incident.Binding
	for _, r := range h.environments {
		severity := func(s alert.Severity) alert.Severity {
			if r.users {
				return s
			}
			return max(s, alert.Medium) // a higher number is less severe
		}
		bind := func(name string, s alert.Severity, playbook string, automatic bool, labels map[string]string) {
			b := incident.Binding{
				Name: name + "-" + r.Name, Severity: severity(s), GroupBy: []string{"environment"},
				Match: alert.Matcher{Environments: []string{r.Name}, Labels: labels},
			}
			if h.can(playbook, r.Name) {
				b.Playbook, b.Automatic = playbook, automatic
			}
			all = append(all, b)
		}
		for _, p := range procedures() {
			bind(p.playbook, p.severity, p.playbook, p.automatic, map[string]string{labelProcedure: p.playbook, "reason": ""})
		}
		bind("measuring", alert.Low, "comprehensive-check", true, map[string]string{"reason": "*"})
	}
	return all
}

// engineConfig says what is judged, after a restart from the alerts that there were.
func (h *Host) engineConfig(restore []alert.Alert) alert.EngineConfig {
	cfg := alert.EngineConfig{Rules: rules(h.cfg.Defaults.WithDefaults(), h.cfg.Beat), Inputs: inputs(), Out: h.router, Restore: restore, Logger: h.cfg.Logger}
	if h.cfg.Beat == 0 {
		cfg.Rules, cfg.Inputs = alert.LeaveOut(cfg.Rules, cfg.Inputs, inputHeartbeat)
	}
	return cfg
}

// expectWorkers begins to wait for the beats of the workers that are known.
func (h *Host) expectWorkers(e *alert.Engine) error {
	for environment, names := range h.cfg.Workers {
		for _, name := range names {
			if _, err := e.Feed(alert.Source{Input: inputHeartbeat, Environment: environment, Entity: name}, nil); err != nil {
				return err
			}
		}
	}
	return nil
}

// monitorConfig says what is watched.
func (h *Host) monitorConfig() health.Config {
	var checks []health.Check
	for _, r := range h.environments {
		checks = append(checks, r.checks(h.cfg.Intervals)...)
	}
	return health.Config{
		Checks: checks, History: h.cfg.History, Lease: h.cfg.Lease, StartSpread: startSpread, Heartbeat: h.cfg.Heartbeat, Logger: h.cfg.Logger,
		Hooks: health.Hooks{
			OnResult: func(ctx context.Context, s health.State) {
				h.feed.Load().result(ctx, s)
				if h.cfg.Hooks.OnResult != nil {
					h.cfg.Hooks.OnResult(ctx, s)
				}
			},
			OnTransition: func(ctx context.Context, t health.Transition) {
				h.feed.Load().transition(ctx, t)
				if h.cfg.Hooks.OnTransition != nil {
					h.cfg.Hooks.OnTransition(ctx, t)
				}
			},
		},
	}
}

// Monitor returns what watches.
func (h *Host) Monitor() *health.Monitor { return h.monitor }

// Engine returns what judges, once the host has started.
func (h *Host) Engine() *alert.Engine {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.engine
}

// Router returns what tells people.
func (h *Host) Router() *alert.Router { return h.router }

// Manager returns what keeps incidents.
func (h *Host) Manager() *incident.Manager { return h.manager }

// Runner returns what carries out playbooks.
func (h *Host) Runner() *incident.Runner { return h.runner }

// Automation returns what decides what is done without a person, with the switch that stops
// it.
func (h *Host) Automation() *incident.Automation { return h.automation }

// Escalations returns what calls people.
func (h *Host) Escalations() *incident.Escalations { return h.escalations }

// Scheduler returns what is done by the clock.
func (h *Host) Scheduler() *schedule.Scheduler { return h.scheduler }

// History returns what the checks found.
func (h *Host) History() health.History { return h.cfg.History }

// Environments returns the environments, as playbooks act on them.
func (h *Host) Environments() []playbooks.Environment {
	var all []playbooks.Environment
	for _, r := range h.environments {
		all = append(all, r.Environment)
	}
	return all
}

// Lacks says which playbooks cannot be carried out where, and what is missing for them; nil
// if all can.
func (h *Host) Lacks() error { return h.lacks }
