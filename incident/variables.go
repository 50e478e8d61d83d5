package incident

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.acu.edu.au/runbook"
)

// Variables reads and writes the variables of one service in one environment. A
// change has three parts, and only the third one shows that it reached the
// application:
//
//	pending, err := v.SetVariables(ctx, batch)        // written; nothing runs with it
//	_, err = deployer.Redeploy(ctx)                   // a restart would not do
//	proof, err := v.ProveVariables(ctx, pending)      // what the deployment really got
//
// Its methods may be called concurrently. No error has a value in it. Variables
// that several services share are a Variables of their own.
type Variables interface {
	// Variables returns what is configured, which is not always what runs. Values
	// are raw: references to other variables are not replaced by what they stand
	// for, so that they can be written back. The error is ErrNotPermitted if we
	// may not read them. Everything in the set belongs to the caller.
	Variables(ctx context.Context) (VariableSet, error)

	// SetVariables writes a batch, all or nothing, and deploys nothing. It returns
	// what is pending then: the names of the batch, also those whose value was the
	// same, in order. Of two batches with the same Base, one succeeds.
	//
	// A batch that is invalid is an error without a call. The errors
	// ErrNotPermitted, ErrStale (Base is not the newest version), ErrUnsupported
	// (the platform cannot compare versions, or seal, or write without deploying)
	// and ErrBusy (changes of other people would be written along) mean that
	// nothing was written. If the answer is lost, the implementation reads the
	// variables; if that does not tell, the error is ErrOutcomeUnknown, and the
	// result names what may be pending. Setting the same values again is then
	// safe. A context that has ended before changes nothing.
	SetVariables(ctx context.Context, b VariableBatch) (PendingVariables, error)

	// ProveVariables compares what the current deployment got with what is
	// configured now; references are compared by what they stand for. It reads what
	// the platform keeps of that deployment, and changes nothing. The error is
	// ErrNotFound if nothing is deployed, and ErrUnsupported if the platform does
	// not keep it.
	ProveVariables(ctx context.Context, p PendingVariables) (VariableProof, error)
}

// VariableSet is what is configured.
type VariableSet struct {
	// Values are those that can be read, by name.
	Values map[string]runbook.Secret
	// Sealed are the names, in order, of those that are there and that nobody can
	// read. They are not in Values, so that Values can be written back.
	Sealed []string
	// Version names this state, for [VariableBatch.Base]. Empty means that the
	// platform has no versions.
	Version string
}

// Names returns the names of all variables, sealed or not, in order.
func (s VariableSet) Names() []string {
	names := slices.Clone(s.Sealed)
	for name := range s.Values {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// VariableBatch is a change of any number of variables. What it does not name
// stays as it is.
type VariableBatch struct {
	// Set are the values to write, raw, by name. A variable that is sealed stays
	// so.
	Set map[string]runbook.Secret
	// Delete are the names to remove. It is no error if there is none of a name.
	Delete []string
	// Seal are names of Set that nobody can read from then on. It cannot be taken
	// back.
	Seal []string
	// Base is the version that the change is based on; if it is not the newest,
	// nothing is written. Empty means to write in any case.
	Base string
}

// Names returns the names that the batch changes, in order.
func (b VariableBatch) Names() []string {
	names := slices.Clone(b.Delete)
	for name := range b.Set {
		names = append(names, name)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Validate returns everything that is wrong with the batch, or nil.
func (b VariableBatch) Validate() error {
	var problems []error
	names := b.Names()
	if len(names) == 0 {
		problems = append(problems, errors.New("incident: variables: the batch is empty"))
	}
	for _, name := range names {
		if name == "" || strings.ContainsAny(name, "= \t\r\n\x00") {
			problems = append(problems, fmt.Errorf("incident: variables: name %q: must be neither empty nor have spaces, = or zero bytes", name))
		}
	}
	for _, name := range b.Delete {
		if _, set := b.Set[name]; set {
			problems = append(problems, fmt.Errorf("incident: variables: %q is to be set and to be deleted", name))
		}
	}
	for _, name := range b.Seal {
		if _, set := b.Set[name]; !set {
			problems = append(problems, fmt.Errorf("incident: variables: %q is to be sealed and is not set", name))
		}
	}
	return errors.Join(problems...)
}

// PendingVariables are variables that were written, and of which nothing says yet
// that anything runs with them. Only [Variables.ProveVariables] does; that a
// service was restarted does not. It has no values in it and may be kept.
type PendingVariables struct {
	// Names are the variables, in order. None means all that are configured.
	Names []string
}

// VariableProof is what the current deployment got, by name. It has no values in
// it and may be kept.
type VariableProof struct {
	// Deployment is the ID of the deployment that was looked at.
	Deployment string
	// Applied are the names of those that it got as they are configured now; also
	// those that are not configured and that it did not get. Pending are those of
	// which it has another value, or none, or one that was deleted since. Hidden
	// are those that cannot be compared because they are sealed. All are in order,
	// and none is in two.
	Applied, Pending, Hidden []string
}

// Proven reports whether the current deployment got all of them. Those that are
// hidden are not proven: what the application does has to tell.
func (p VariableProof) Proven() bool {
	return p.Deployment != "" && len(p.Pending) == 0 && len(p.Hidden) == 0
}
