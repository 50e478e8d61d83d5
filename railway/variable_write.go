package railway

import (
	"context"
	"slices"

	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/railway/internal/gql"
	"go.acu.edu.au/runbook/railway/internal/scalar"
)

// set writes a batch. What is sealed has to be known before, so that it stays so,
// and a lost answer is decided by what was there before and what is after.
func (v variableScope) set(ctx context.Context, b incident.VariableBatch) (incident.PendingVariables, error) {
	o := v.env.c.hiding("set %s", v.what)
	if err := checkBatch(o, b); err != nil {
		return incident.PendingVariables{}, err
	}
	before, err := v.read(ctx, o)
	if err != nil {
		return incident.PendingVariables{}, err
	}
	w := writeOf(b, before)
	switch {
	case w.needsPatch:
		err = v.env.changeAlone(ctx, o, v.patch(w), "set variables: "+list(b.Names()))
	case len(b.Set) > 0:
		var got *gql.VariablesUpsertResponse
		got, err = gql.VariablesUpsert(ctx, o, v.env.project, v.env.id, v.service, w.plain, true)
		err = o.answered(got.VariableCollectionUpsert, err)
	}
	if maybeRun(err) {
		err = v.decide(ctx, o, b, before, err)
	}
	if err != nil && !maybeRun(err) {
		return incident.PendingVariables{}, err
	}
	return incident.PendingVariables{Names: b.Names()}, err
}

func checkBatch(o op, b incident.VariableBatch) error {
	if err := b.Validate(); err != nil {
		return &Error{Op: o.name, refused: true, cause: err}
	}
	for _, name := range b.Names() {
		if isOwn(name) {
			return o.refuse(nil, "%s is made by Railway itself", printable(name, 100))
		}
	}
	if b.Base != "" {
		return o.refuse(incident.ErrUnsupported, "Railway compares versions only in changes that deploy")
	}
	return nil
}

// A write is what a batch comes to.
type write struct {
	plain scalar.Values // all that is set
	// patch is the change as a patch, by name: nil deletes.
	patch map[string]any
	// needsPatch says that an ordinary write would not do.
	needsPatch bool
}

// writeOf compares a batch with what is configured. What is not there need not be
// deleted, and what is so already is not in the patch: Railway drops it, and the
// staged changes would not be what was asked for.
func writeOf(b incident.VariableBatch, before scalar.Values) write {
	w := write{plain: make(scalar.Values, len(b.Set)), patch: make(map[string]any)}
	for _, name := range b.Delete {
		if _, ok := before[name]; ok {
			w.patch[name], w.needsPatch = nil, true
		}
	}
	for name, secret := range b.Set {
		value := secret.Reveal()
		w.plain[name] = &value
		now, exists := before[name]
		seal := slices.Contains(b.Seal, name) || exists && now == nil
		switch {
		case seal:
			w.patch[name], w.needsPatch = map[string]any{"value": value, "isSealed": true}, true
		case !exists || *now != value:
			w.patch[name] = map[string]any{"value": value}
		}
	}
	return w
}

// patch puts a write where its variables are in the configuration.
func (v variableScope) patch(w write) any {
	if v.service == nil {
		return map[string]any{"sharedVariables": w.patch}
	}
	return map[string]any{"services": map[string]any{*v.service: map[string]any{"variables": w.patch}}}
}

// decide reads the variables after an answer was lost. Since a batch is written all
// or nothing, one name that shows it is enough; one that was sealed before shows
// nothing.
func (v variableScope) decide(ctx context.Context, o op, b incident.VariableBatch, before scalar.Values, cause error) error {
	const advice = "read the variables later; setting the same ones again is safe"
	if !tells(b, before) {
		return o.unknown(cause, "whether a sealed variable was set cannot be seen; "+advice)
	}
	return o.confirm(ctx, cause, advice, func(ctx context.Context) (bool, error) {
		now, err := v.read(ctx, o)
		return err == nil && shows(b, before, now), err
	})
}

// tells reports whether reading can tell that a batch was written: it sets nothing
// that was sealed before, or changes something else that can be seen.
func tells(b incident.VariableBatch, before scalar.Values) bool {
	blind := false
	for name := range b.Set {
		if now, exists := before[name]; exists && now == nil {
			blind = true
		}
	}
	return !blind || !shows(b, before, before)
}

// shows reports whether a set is as the batch makes it, as far as that can be seen.
func shows(b incident.VariableBatch, before, now scalar.Values) bool {
	for _, name := range b.Delete {
		if _, ok := now[name]; ok {
			return false
		}
	}
	for name, secret := range b.Set {
		value, exists := now[name]
		was, existed := before[name]
		switch {
		case !exists:
			return false
		case slices.Contains(b.Seal, name) || existed && was == nil:
			if value != nil {
				return false
			}
		case value == nil || *value != secret.Reveal():
			return false
		}
	}
	return true
}
