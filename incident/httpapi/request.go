package httpapi

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/incident"
)

// planBody is what somebody wants to be run.
type planBody struct {
	Environment string            `json:"environment" api:"required,line" about:"That of the playbook."`
	Playbook    string            `json:"playbook" api:"required,line" about:"The name of the playbook."`
	Parameters  map[string]string `json:"parameters" api:"max=1000" about:"Its parameters. Those that are left out have their defaults."`
	Incident    string            `json:"incident" api:"id" about:"The incident to which the run belongs. Left out if to none."`
	Only        []string          `json:"only" api:"line" about:"The ids of the steps to make; the others are left out. None means all."`
}

// startBody starts a run.
type startBody struct {
	planBody
	ID     string `json:"id" api:"run" about:"That of the run, so that it is started once however often it is asked for. Left out, it is made of the Idempotency-Key, or new."`
	Plan   string `json:"plan" api:"line" about:"The hash of the plan that was agreed to: the run begins only if it would still do that."`
	Refuse bool   `json:"refuse" about:"Refuses the run if another one works on the same environment. Else it waits for its turn."`
}

// suggestBody asks people whether to start a run.
type suggestBody struct {
	planBody
	ID        string            `json:"id" api:"run" about:"That of the run, so that it is suggested once."`
	Approvers int               `json:"approvers" api:"min=1,max=20" about:"How many must approve. Left out, 1."`
	Within    incident.Interval `json:"within" about:"How long there is. Left out, 30 minutes."`
}

// request returns what somebody wants to be run, as the core has it, or everything that is
// wrong with it.
func (c *call) request(b planBody, id, plan string) (incident.Request, error) {
	q := incident.Request{
		ID: id, Environment: b.Environment, Playbook: b.Playbook, Parameters: b.Parameters, Incident: b.Incident, By: c.actor.Name, Plan: plan, Only: b.Only,
	}
	p, err := c.a.cfg.Runner.Playbook(b.Environment, b.Playbook)
	if errors.Is(err, incident.ErrNotFound) {
		return q, invalid(FieldProblem{Pointer: "#/playbook", Detail: "there is no such playbook in this environment"})
	}
	if err != nil {
		return q, err
	}
	errs := parameterProblems(p, b.Parameters)
	for i, step := range b.Only {
		if !slices.ContainsFunc(p.Steps, func(s incident.Step) bool { return s.ID == step }) {
			errs = append(errs, FieldProblem{Pointer: "#/only/" + strconv.Itoa(i), Detail: "there is no such step"})
		}
	}
	if b.Incident != "" && c.a.cfg.Manager != nil {
		_, err := c.a.cfg.Manager.Incident(c.ctx, b.Incident)
		if errors.Is(err, incident.ErrNotFound) {
			errs = append(errs, FieldProblem{Pointer: "#/incident", Detail: "there is no such incident"})
		} else if err != nil {
			return q, err
		}
	}
	if len(errs) > 0 {
		return q, invalid(errs...)
	}
	return q, nil
}

// parameterProblems returns what is wrong with the parameters of a playbook.
func parameterProblems(p incident.Playbook, given map[string]string) (errs []FieldProblem) {
	for _, parameter := range p.Parameters {
		value, ok := given[parameter.Name]
		at := "#/parameters/" + pointer(parameter.Name)
		switch {
		case !ok && parameter.Default != "", value == "" && parameter.Optional:
		case value == "":
			errs = append(errs, FieldProblem{Pointer: at, Detail: "a value is required"})
		default:
			if wrong := parameterProblem(parameter, value); wrong != "" {
				errs = append(errs, FieldProblem{Pointer: at, Detail: wrong})
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		if !slices.ContainsFunc(p.Parameters, func(q incident.Parameter) bool { return q.Name == name }) {
			errs = append(errs, FieldProblem{Pointer: "#/parameters/" + pointer(name), Detail: "there is no such parameter"})
		}
	}
	return errs
}

// parameterProblem says what is wrong with a value. What a parameter may be is known to the
// core alone; it says so of a default, when a playbook is validated.
func parameterProblem(p incident.Parameter, value string) string {
	p.Default = value
	probe := incident.Playbook{
		Name: "probe", Environment: "probe", Title: "probe", Severity: alert.Low, Parameters: []incident.Parameter{p},
		Steps: []incident.Step{{ID: "probe", Title: "probe", Do: incident.Sleep{For: 1}}},
	}
	err := probe.Validate()
	if err == nil {
		return ""
	}
	_, text, _ := strings.Cut(err.Error(), "its default: ")
	return cmp.Or(strings.TrimPrefix(text, "parameter "+p.Name+": "), "it is not a value of this parameter")
}

// idempotencyKey returns the ID of the run that an Idempotency-Key stands for: another one
// for each person. Without the header it is empty.
func (c *call) idempotencyKey() (string, error) {
	keys := c.r.Header.Values("Idempotency-Key")
	if len(keys) == 0 {
		return "", nil
	}
	key := strings.Trim(keys[0], `"`) // it is written as "…", or as it is
	if len(keys) > 1 || key == "" || utf8.RuneCountInString(key) > 255 || strings.ContainsFunc(key, func(r rune) bool { return r < ' ' || r > '~' }) {
		return "", invalid(FieldProblem{Parameter: "Idempotency-Key", Detail: "must be there once, of 1 to 255 printable ASCII characters"})
	}
	sum := sha256.Sum256([]byte(c.actor.Name + "\n" + key))
	return "run-" + hex.EncodeToString(sum[:12]), nil
}
