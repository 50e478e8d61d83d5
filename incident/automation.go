package incident

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Consider decides what is done about an incident that was opened, or reopened, and does
// it: start the playbook, suggest it, or put on the timeline what would be done. automatic
// says whether the binding of the incident lets the playbook start by itself. It returns
// what it did, in words. Calling it again for the same incident does nothing twice; once it
// has been reopened, it is considered anew. It is what a host calls in OnOpened and
// OnReopened of [ManagerHooks].
//
// What is reopened was not mended by what was done. So its playbook does not begin beside a
// run of it that is still under way, nor is it suggested while people are asked that
// already; that it begins again is one of the automatic actions of the hour, see
// [AutomationPolicy].PerHour, and once those are used up people are asked. That it does not
// do the same thing for ever is up to the playbook, which can look at its own runs.
func (a *Automation) Consider(ctx context.Context, r *Runner, i Incident, automatic bool) (string, error) {
	if i.Playbook == "" {
		return "no playbook is bound", nil
	}
	mode, why, err := a.mode(ctx, i, automatic)
	if err != nil {
		return "", err
	}
	q := Request{
		ID: strings.ToLower(fmt.Sprintf("auto-%s-%d", i.ID, i.from().Unix())), Environment: i.Environment, Playbook: i.Playbook,
		Incident: i.ID, Automatic: true,
	}
	did, err := a.begin(ctx, r, q, i, mode, why)
	if err != nil {
		return "", err
	}
	entry := Entry{Chain: "incident/" + i.ID, Key: "automation/" + q.ID, At: wallTime(), Kind: "automation", Actor: program, Text: did}
	if _, err := a.cfg.Store.Commit(ctx, Change{Entries: []Entry{entry}}); err != nil {
		return did, fmt.Errorf("incident: automation: %s, which is not on the timeline: %w", did, err)
	}
	return did, nil
}

// mode returns how much may be done about an incident by itself, and why.
func (a *Automation) mode(ctx context.Context, i Incident, automatic bool) (Mode, string, error) {
	p := a.policies[i.Environment]
	mode := or(p.Mode, Observe)
	s, err := a.Switch(ctx)
	switch {
	case err != nil:
		return Observe, "", err
	case mode != Act:
	case s.Stopped:
		return Suggest, "automatic actions are stopped", nil
	case !automatic:
		return Suggest, "the binding does not let it start by itself", nil
	case len(p.Playbooks) > 0 && !slices.Contains(p.Playbooks, i.Playbook):
		return Suggest, "the policy does not let this playbook act by itself", nil
	}
	return mode, fmt.Sprintf("the policy of %s is to %s", i.Environment, mode), nil
}

// begin starts or suggests a run, unless it was started before, and says what it did.
func (a *Automation) begin(ctx context.Context, r *Runner, q Request, i Incident, mode Mode, why string) (string, error) {
	if _, err := r.cfg.Runs.Record(ctx, q.ID, -1); err == nil {
		return "started " + i.Playbook, nil // before
	} else if !errors.Is(err, ErrNotFound) {
		return "", fmt.Errorf("incident: automation: %w", err)
	}
	again := ""
	if i.Reopens > 0 && mode != Observe {
		again = " again, since the incident was reopened"
		going, err := a.going(ctx, r, q)
		if going != "" || err != nil {
			return going, err
		}
	}
	if mode == Act && again != "" {
		var over *overBudget
		err := a.spend(ctx, a.policies[i.Environment], AutomaticAction{Environment: q.Environment, Playbook: q.Playbook, Run: q.ID, Step: "begin", Incident: i.ID})
		switch {
		case errors.As(err, &over):
			mode, why = Suggest, over.Error()
		case err != nil:
			return "", err
		}
	}
	switch mode {
	case Act:
		_, err := r.Start(ctx, q)
		return "started " + i.Playbook + again, err
	case Suggest:
		_, err := r.Suggest(ctx, q, 1, 0)
		return fmt.Sprintf("suggested %s%s; %s", i.Playbook, again, why), err
	}
	return fmt.Sprintf("would start %s; %s", i.Playbook, why), nil
}

// going says which run of the playbook is under way for the same incident, or that people
// are asked whether to begin one. Empty means neither.
func (a *Automation) going(ctx context.Context, r *Runner, q Request) (string, error) {
	active := RunQuery{
		Program: PlaybookProgram, Labels: map[string]string{"incident": q.Incident, "playbook": q.Playbook, "environment": q.Environment},
		Statuses: []RunStatus{RunQueued, RunRunning, RunStranded}, Limit: 1,
	}
	for record, err := range r.cfg.Runs.List(ctx, active) {
		if err != nil {
			return "", fmt.Errorf("incident: automation: whether %s is under way cannot be read: %w", q.Playbook, err)
		}
		return fmt.Sprintf("%s is still under way, as run %s", q.Playbook, record.ID), nil
	}
	open, err := r.Approvals(ctx)
	if err != nil {
		return "", err
	}
	for _, o := range open {
		if o.Start != nil && o.Start.ID != q.ID && o.Incident == q.Incident && o.Playbook == q.Playbook && o.Question.Deadline.After(wallTime()) {
			return fmt.Sprintf("people are still asked whether to start %s", q.Playbook), nil
		}
	}
	return "", nil
}
