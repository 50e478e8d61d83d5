package railway

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/railway/internal/gql"
)

// A changeSet is a change of one variable in the words of Railway's infrastructure
// as code, the one form of change that Railway compares with what it is based on
// (https://github.com/railwayapp/cli, src/iac). It is given the name of the service.
type changeSet func(service string) map[string]any

func setVariable(name string, value runbook.Secret) changeSet {
	return func(service string) map[string]any {
		c := variableChange("variable.set", service, name)
		c["summary"], c["severity"] = "Set variable "+service+"."+name, "safe"
		c["after"] = map[string]any{"type": "literal", "value": value.Reveal()}
		return c
	}
}

func deleteVariable(name string) changeSet {
	return func(service string) map[string]any {
		c := variableChange("variable.delete", service, name)
		c["summary"], c["severity"] = "Delete variable "+service+"."+name, "destructive"
		c["previous"] = map[string]any{"type": "preserve"} // a value that is not told
		return c
	}
}

func variableChange(kind, service, name string) map[string]any {
	address := "service." + service
	return map[string]any{
		"kind": kind, "address": address, "variable": name,
		"path": "resources." + address + ".variables." + name, "deployEffect": "deploy",
	}
}

// applyOnce sends a change set and follows it to its end. What the error says:
//
//   - nil: Railway says that it was made;
//   - an errNotApplied: Railway says that it was not, perhaps because of what it is
//     based on;
//   - another one that is safe to retry: it was not made, for a reason that is known;
//   - any other: it is not known.
func (s *Service) applyOnce(ctx context.Context, o op, base *gql.ChangeSetBaseResponse, change changeSet) error {
	input, err := json.Marshal(map[string]any{
		"version": 1, "changes": []any{change(base.ServiceInstance.ServiceName)}, "diagnostics": []any{}, "declared": []any{},
	})
	if err != nil {
		return o.refuse(nil, "the change cannot be encoded")
	}
	message := o.name
	got, err := gql.ApplyChangeSet(ctx, o, s.environment, input, base.Environment.ConfigEtag, &message)
	if err != nil {
		return notApplied(err)
	}
	result := got.EnvironmentApplyChangeSet
	if isApplying(result) {
		within, cancel := context.WithTimeout(ctx, commitLimit)
		defer cancel()
		id := result.Id
		err = poll(within, 250*time.Millisecond, 2*time.Second, func() (bool, error) {
			got, err := gql.ChangeSetApply(within, o, s.environment, id)
			switch {
			case errors.Is(err, incident.ErrNotFound): // right after its start
				return false, nil
			case err != nil:
				return false, err
			}
			result = got.EnvironmentChangeSetApply
			return !isApplying(result), nil
		})
	}
	if err != nil {
		return o.unknown(err, "Railway goes on by itself")
	}
	return outcomeOf(o, result)
}

// outcomeOf reads the end of a change set. One that failed is answered like any
// other, which a program has taken for success
// (https://github.com/railwayapp/cli/issues/1170). Of the states, the names of two
// are known.
func outcomeOf(o op, r *gql.ApplyFields) error {
	failed := strings.EqualFold(r.Status, "failed")
	for _, c := range r.Changes {
		failed = failed || strings.EqualFold(c.Status, "failed")
	}
	switch {
	case failed:
		return &errNotApplied{&Error{Op: o.name, Code: "change set", Message: "Railway did not apply the change", refused: true}}
	case strings.EqualFold(r.Status, "applied"):
		return nil
	}
	return o.unknown(nil, "the change is "+printable(r.Status, 40))
}

// errNotApplied is an error by which Railway says that a change was not made.
type errNotApplied struct{ said *Error }

func (e *errNotApplied) Error() string { return e.said.Error() }
func (e *errNotApplied) Unwrap() error { return e.said }

// notApplied sorts the errors of sending a change set. The error for a change that
// is based on an old state has no text that is known, nor a code.
func notApplied(err error) error {
	e, ok := errors.AsType[*Error](err)
	if !ok || e.unrun || e.refused && e.kind != nil {
		return err
	}
	answered := e.Status == http.StatusOK || e.Status == http.StatusBadRequest
	if answered && !e.gateway && !e.Partial && e.Code != "unreadable" && e.Code != "no data" {
		return &errNotApplied{e}
	}
	return err
}

func isApplying(r *gql.ApplyFields) bool { return strings.EqualFold(r.Status, "applying") }

// A casResult is what became of a compare-and-set.
type casResult struct {
	row     variableRow // as it was before the change, or as it is if there was none
	tried   bool        // the change was sent
	applied bool        // Railway says that it was made
	// doubt is why it is not known whether it was made, if the variable is no longer
	// as it was, and Railway does not say why.
	doubt error
}

// changeTries is how often a change is tried that others got in the way of.
const changeTries = 10

// compareAndSet makes a change while its variable is still as it was. An error means
// that it was not made, unless it is an incident.ErrOutcomeUnknown.
func (s *Service) compareAndSet(ctx context.Context, o op, name string, still func(variableRow) bool, change changeSet) (casResult, error) {
	var r casResult
	for range changeTries {
		base, row, err := s.base(ctx, o, name)
		switch {
		case err != nil && r.tried:
			return r, o.unknown(cmp.Or(r.doubt, err), "read the variable")
		case err != nil:
			return r, err
		}
		r.row = row
		if !still(row) {
			return r, nil
		}
		r.tried = true
		err = s.applyOnce(ctx, o, base, change)
		if err == nil {
			return casResult{row: row, applied: true}, nil
		}
		no, refused := errors.AsType[*errNotApplied](err)
		if !refused && !maybeRun(err) {
			return r, err
		}
		if !refused {
			r.doubt = err
		}
		if moved := s.moved(ctx, o, name, base, still); moved != nil {
			if refused {
				return r, no.said
			}
			return r, o.unknown(err, "read the variable")
		}
	}
	return r, o.refuse(incident.ErrBusy, "the configuration of the environment kept changing")
}

// base reads the state that a change is based on, and then the variable: if the
// variable changes later, so does the state.
func (s *Service) base(ctx context.Context, o op, name string) (*gql.ChangeSetBaseResponse, variableRow, error) {
	base, err := gql.ChangeSetBase(ctx, o, s.environment, s.id)
	if err != nil {
		return nil, variableRow{}, err
	}
	row, err := s.variableRow(ctx, o, name)
	return base, row, err
}

// moved waits until the state is another one than a change was based on, or its
// variable is. A change that was not made by then never will be.
func (s *Service) moved(ctx context.Context, o op, name string, base *gql.ChangeSetBaseResponse, still func(variableRow) bool) error {
	return o.confirm(ctx, nil, "", func(ctx context.Context) (bool, error) {
		now, row, err := s.base(ctx, o, name)
		return err == nil && (now.Environment.ConfigEtag != base.Environment.ConfigEtag || !still(row)), err
	})
}
