package incidenttest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/incident"
)

var (
	_ incident.Deployer            = (*Platform)(nil)
	_ incident.DeploymentWaiter    = (*Platform)(nil)
	_ incident.SourceDeployer      = (*Platform)(nil)
	_ incident.DeploymentCanceller = (*Platform)(nil)
	_ incident.DeploymentApprover  = (*Platform)(nil)
	_ incident.Stopper             = (*Platform)(nil)
	_ incident.DeployFreezer       = (*Platform)(nil)
	_ incident.Scaler              = (*Platform)(nil)
	_ incident.Variables           = (*Platform)(nil)
	_ incident.Backups             = (*Platform)(nil)
	_ incident.BackupRestorer      = (*Platform)(nil)
	_ incident.Dumper              = (*Platform)(nil)
	_ incident.DumpLoader          = (*Platform)(nil)
	_ incident.Migrator            = (*Platform)(nil)
	_ incident.Sessions            = (*Platform)(nil)
	_ incident.Logs                = (*Platform)(nil)
	_ incident.LogFollower         = (*Platform)(nil)
	_ incident.Metrics             = (*Platform)(nil)
	_ incident.Provisioner         = (*Platform)(nil)
	_ incident.Disposer            = (*Platform)(nil)
)

// Platform is one service in one environment of a deployment platform, in memory.
// It implements every port that such a platform has. What it does is what careful
// platforms do, and no kinder: variables reach the service by a new deployment and
// not by a restart, a rollback brings the variables of its deployment and leaves
// those that are configured, a restore deletes the newer backups.
//
// The zero value is a service that was never deployed, with nothing in it. A
// Platform is safe for concurrent use, and must not be copied after first use. It
// takes the time from package time, so that it can be used inside
// testing/synctest, and does nothing by itself: a deployment succeeds at once
// unless [Platform.StartAs] says otherwise.
type Platform struct {
	mu      sync.Mutex
	scripts map[string][]error
	effects []string
	refused []string
	changed chan struct{} // closed, and made anew, at each change

	deployments []deployment // the oldest first
	current     string       // the ID of the one that runs
	nextID      int
	startAs     incident.DeploymentStatus
	stopped     bool
	frozen      bool
	scale       incident.Scale

	values  map[string]runbook.Secret
	sealed  map[string]bool
	version int

	data    string
	backups []backup // the oldest first
	targets map[string]string
	loading map[string]bool // the targets that are being loaded
	schema  int
	broken  string // why migrations fail

	logs     []incident.LogLine
	series   []incident.Series
	made     []provisioned
	sessions int
}

// deployment is a deployment with what it got.
type deployment struct {
	incident.Deployment
	got map[string]runbook.Secret
}

// Fail makes the next calls of a method fail, one with each error; nil lets one
// pass. The method is named as its port names it: "Rollback". The empty name means
// the next calls of whichever method has no errors of its own. An
// incident.ErrOutcomeUnknown comes after the change was made.
func (p *Platform) Fail(method string, errs ...error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.scripts == nil {
		p.scripts = make(map[string][]error)
	}
	p.scripts[method] = append(p.scripts[method], errs...)
}

// Effects returns the changes that took effect, in order, each as the name of the
// method and what it changed: "Rollback d3". What changed nothing is not in it,
// whatever the caller was told.
func (p *Platform) Effects() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.effects)
}

// Refused returns the names of the methods that were to change something in a context
// in which nothing may be changed (see runbook.ReadOnly), in order. They were refused
// with runbook.ErrReadOnly; but a playbook of which a plan makes such calls is mistaken,
// whatever it does with the error.
func (p *Platform) Refused() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.refused)
}

// change is the start of every call that changes something.
func (p *Platform) change(ctx context.Context, method string) (before, after error) {
	if runbook.IsReadOnly(ctx) {
		p.refused = append(p.refused, method)
		return refusal(method), nil
	}
	return p.begin(ctx, method)
}

// refusal is the error of a change where nothing may be changed.
func refusal(method string) error {
	return fmt.Errorf("incidenttest: %s: %w", method, runbook.ErrReadOnly)
}

// begin is the start of every call. It returns the error that the call ends with
// before anything happens, and the one that it ends with after its change.
func (p *Platform) begin(ctx context.Context, method string) (before, after error) {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("incidenttest: %s: %w", method, err), nil
	}
	if len(p.scripts[method]) == 0 {
		method = ""
	}
	if script := p.scripts[method]; len(script) > 0 {
		p.scripts[method] = script[1:]
		if isUnknown(script[0]) {
			return nil, script[0]
		}
		return script[0], nil
	}
	return nil, nil
}

// effect notes that something changed, and wakes those that wait.
func (p *Platform) effect(method string, what ...string) {
	p.effects = append(p.effects, strings.Join(append([]string{method}, what...), " "))
	p.wake()
}

func (p *Platform) wake() {
	if p.changed != nil {
		close(p.changed)
		p.changed = nil
	}
}

// nextChange returns a channel that is closed at the next change.
func (p *Platform) nextChange() <-chan struct{} {
	if p.changed == nil {
		p.changed = make(chan struct{})
	}
	return p.changed
}

// id returns a new ID.
func (p *Platform) id(prefix string) string {
	p.nextID++
	return fmt.Sprintf("%s%d", prefix, p.nextID)
}

// now returns the time, later than that of anything before it.
func now(last time.Time) time.Time {
	t := time.Now()
	if !t.After(last) {
		t = last.Add(time.Nanosecond)
	}
	return t
}

func noSuch(what, name string) error {
	return fmt.Errorf("incidenttest: %s %q: %w", what, name, incident.ErrNotFound)
}
