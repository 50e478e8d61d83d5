package incident

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"
)

// Mode is how much automation may do in an environment by itself.
type Mode string

// The modes.
const (
	// Observe puts on the timeline what it would do.
	Observe Mode = "observe"
	// Suggest asks people whether to start the playbook, and shows them its plan.
	Suggest Mode = "suggest"
	// Act starts it.
	Act Mode = "act"
)

// An AutomationPolicy is what automation may do in one environment.
type AutomationPolicy struct {
	// Environment is the one. Required; letters, digits, - and _.
	Environment string
	// Mode is how much. Empty means Observe.
	Mode Mode
	// PerHour is how many automatic actions there may be in an hour, of all runs
	// together; after that a person is asked. That a playbook begins again since its
	// incident was reopened counts as one too. Zero means 5.
	PerHour int
	// Playbooks are the names of those that may act by themselves. None means every one
	// that is bound as automatic.
	Playbooks []string
}

// An AutomaticAction is an action that a run wants to make which no person started.
type AutomaticAction struct {
	// Environment, Playbook, Run, Step and Incident say which.
	Environment, Playbook, Run, Step, Incident string
	// Call names the attempt within the run: the same one again, after a crash, has the
	// same. Empty means that Step is enough.
	Call StepID
}

// AutomationConfig says what automation may do.
type AutomationConfig struct {
	// Store keeps the switch and the budget, which all processes share. Required.
	Store Store
	// Policies are those of the environments. One that has none is only observed.
	Policies []AutomationPolicy
	// KillFile is the path of a file that stops all automatic actions of this process
	// while it exists, for the moment in which nothing else can be reached. It is read
	// before each action; that it cannot be read stops them too. Empty means none.
	KillFile string
}

// Automation decides what is done without a person. It fails towards people: when it
// cannot tell whether it may, it may not. All methods are safe for concurrent use.
type Automation struct {
	cfg      AutomationConfig
	policies map[string]AutomationPolicy
}

// NewAutomation returns an Automation, or all problems of cfg.
func NewAutomation(cfg AutomationConfig) (*Automation, error) {
	a := &Automation{cfg: cfg, policies: make(map[string]AutomationPolicy)}
	var errs []error
	if cfg.Store == nil {
		errs = append(errs, errors.New("a store is required"))
	}
	for _, p := range cfg.Policies {
		p.Mode, p.PerHour = or(p.Mode, Observe), or(p.PerHour, 5)
		if _, twice := a.policies[p.Environment]; twice || !isName.MatchString(p.Environment) {
			errs = append(errs, fmt.Errorf("environment %q: a name of letters, digits, - and _ is required that no other policy has", p.Environment))
		}
		if !oneOf(p.Mode, Observe, Suggest, Act) {
			errs = append(errs, fmt.Errorf("environment %s: mode %q is none of observe, suggest and act", p.Environment, p.Mode))
		}
		if p.PerHour < 0 || p.PerHour > 1000 {
			errs = append(errs, fmt.Errorf("environment %s: %d actions an hour are not from 1 to 1,000", p.Environment, p.PerHour))
		}
		a.policies[p.Environment] = p
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("incident: automation: %w", err)
	}
	return a, nil
}

// kindAutomation is the kind of documents of automation: "switch", and a "budget." for
// each environment.
const kindAutomation = "automation"

// A KillSwitch says whether automatic actions are stopped, everywhere.
type KillSwitch struct {
	// Stopped says so. By, Reason and At say who did it last, why and when.
	Stopped bool      `json:"stopped"`
	By      string    `json:"by,omitempty"`
	Reason  string    `json:"reason,omitempty"`
	At      time.Time `json:"at,omitzero"`
}

// Switch returns the state of the switch. A file that stops this process is shown as
// the actor "file".
func (a *Automation) Switch(ctx context.Context) (KillSwitch, error) {
	if a.cfg.KillFile != "" {
		switch _, err := os.Stat(a.cfg.KillFile); {
		case err == nil:
			return KillSwitch{Stopped: true, By: "file", Reason: "the file " + a.cfg.KillFile + " exists"}, nil
		case !errors.Is(err, fs.ErrNotExist):
			return KillSwitch{Stopped: true, By: "file", Reason: "whether the file that stops automation exists cannot be read: " + err.Error()}, nil
		}
	}
	var s KillSwitch
	doc, err := a.cfg.Store.Document(ctx, kindAutomation, "switch")
	if errors.Is(err, ErrNotFound) {
		return s, nil
	}
	if err != nil {
		return KillSwitch{Stopped: true}, fmt.Errorf("incident: automation: the switch cannot be read, so nothing is done: %w", err)
	}
	return s, decode(doc.Data, &s)
}

// Stop stops all automatic actions, in all environments and processes: one that is under
// way comes to its end, and no other begins. Runs that people started go on.
func (a *Automation) Stop(ctx context.Context, by, reason string) error {
	return a.turn(ctx, KillSwitch{Stopped: true, By: by, Reason: reason, At: wallTime()})
}

// Resume allows automatic actions again.
func (a *Automation) Resume(ctx context.Context, by, reason string) error {
	return a.turn(ctx, KillSwitch{By: by, Reason: reason, At: wallTime()})
}

func (a *Automation) turn(ctx context.Context, s KillSwitch) error {
	if s.By == "" || s.Reason == "" {
		return errors.New("incident: automation: who turns the switch, and why, are required")
	}
	if err := wrongName(s.By); err != nil {
		return fmt.Errorf("incident: automation: who turns the switch: %w", err)
	}
	what := map[bool]string{true: "stops automation", false: "allows automation again"}[s.Stopped]
	entry := Entry{Chain: "audit", Kind: "automation", Actor: s.By, At: s.At, Text: what + ": " + s.Reason}
	return a.edit(ctx, "switch", func([]byte) (any, []Entry, error) { return s, []Entry{entry}, nil })
}

// edit changes a document of automation.
func (a *Automation) edit(ctx context.Context, id string, change func(old []byte) (any, []Entry, error)) error {
	err := editDocument(ctx, a.cfg.Store, kindAutomation, id, func(doc Document) (Document, []Entry, error) {
		value, entries, err := change(doc.Data)
		doc.Data = marshal(value)
		return doc, entries, err
	})
	if err != nil {
		return fmt.Errorf("incident: automation: %w", err)
	}
	return nil
}

// Permit returns nil if an action may be made by itself now, which is then counted, and
// else an error that says why not. It is what a [Runner] asks before each action of a run
// that no person started.
func (a *Automation) Permit(ctx context.Context, action AutomaticAction) error {
	s, err := a.Switch(ctx)
	if err != nil {
		return err
	}
	if s.Stopped {
		return fmt.Errorf("automatic actions were stopped by %s%s", s.By, because(s.Reason))
	}
	p, ok := a.policies[action.Environment]
	if !ok || p.Mode != Act {
		return fmt.Errorf("the policy of %s is to %s, and not to act", action.Environment, or(p.Mode, Observe))
	}
	if len(p.Playbooks) > 0 && !slices.Contains(p.Playbooks, action.Playbook) {
		return fmt.Errorf("the policy of %s does not let %s act by itself", p.Environment, action.Playbook)
	}
	return a.spend(ctx, p, action)
}

// budget are the times of the automatic actions of the last hour, each attempt once.
type budget struct {
	Actions map[string]time.Time `json:"actions"`
}

// overBudget means that there were as many automatic actions in an hour as there may be.
type overBudget struct {
	made        int
	environment string
}

func (e *overBudget) Error() string {
	return fmt.Sprintf("%d automatic actions were made in %s within an hour, which is the limit; a person decides", e.made, e.environment)
}

// spend counts an action, unless the budget of the hour is used up. The same action
// again, after a crash, is counted once.
func (a *Automation) spend(ctx context.Context, p AutomationPolicy, action AutomaticAction) error {
	now, name := wallTime(), action.Run+"/"+or(string(action.Call), action.Step)
	return a.edit(ctx, "budget."+p.Environment, func(old []byte) (any, []Entry, error) {
		var b budget
		if len(old) > 0 {
			if err := decode(old, &b); err != nil {
				return nil, nil, err
			}
		}
		if b.Actions == nil {
			b.Actions = make(map[string]time.Time)
		}
		for key, at := range b.Actions {
			if now.Sub(at) >= time.Hour {
				delete(b.Actions, key)
			}
		}
		if _, counted := b.Actions[name]; !counted && len(b.Actions) >= p.PerHour {
			return nil, nil, &overBudget{len(b.Actions), p.Environment}
		}
		b.Actions[name] = now
		text := fmt.Sprintf("automatic action %s of %s in %s", action.Step, action.Playbook, action.Environment)
		entry := Entry{Chain: "audit", Key: keyOf("automatic/" + name), Kind: "automatic action", Actor: program, At: now, Text: text}
		return b, []Entry{entry}, nil
	})
}

// permit asks whether an automatic run may make an action now. What cannot be told in
// time means that it may not.
func (r *Runner) permit(ctx context.Context, in runInput, start RunStart, step string, call StepID) (err error) {
	if r.cfg.Permit == nil {
		return errors.New("no policy says what may be done without a person")
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("whether it may be done without a person could not be told: Permit panicked: %.200v", p)
		}
	}()
	return r.cfg.Permit(ctx, AutomaticAction{Environment: in.Environment, Playbook: in.Playbook, Run: start.ID, Step: step, Incident: in.Incident, Call: call})
}
