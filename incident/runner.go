package incident

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"strings"
	"sync"
	"time"
)

// PlaybookProgram is the name of the [Program] of playbooks.
const PlaybookProgram = "playbook"

// A Runner plans, starts and follows runs of playbooks, and takes the answers of people.
// Make one with [NewRunner]. All methods are safe for concurrent use; several processes
// that share Runs and Store may each have one.
//
// Every command names who gives it, and is recorded in the chain "audit" of the store
// before it has an effect.
type Runner struct {
	cfg       RunnerConfig
	playbooks map[string]Playbook

	mu sync.Mutex
	// progress is what steps do just now, of the runs that this process carries out.
	progress map[string]map[string]string
	changed  chan struct{}
}

// RunnerConfig says what a [Runner] has to do with.
type RunnerConfig struct {
	// Playbooks are the playbooks, of all environments. At least one.
	Playbooks []Playbook
	// Runs keeps the runs. Required. Its programs must have [Runner.Program] under the
	// name [PlaybookProgram].
	Runs Runs
	// Store keeps approvals, the timeline and the audit record. Required.
	Store Store
	// Approvals says who may approve. Nil means everybody with a name but who started the
	// run.
	Approvals Approvals
	// Permit says whether a run that no person started may make an action now; see
	// [Automation]. Nil means that it may not.
	Permit func(ctx context.Context, a AutomaticAction) error
	// OnEvent is told what happens in runs, also what is asked of people, whom it should
	// notify. It is called in the middle of the run, and must not block for long. Nil is
	// allowed.
	OnEvent func(ctx context.Context, e Event)
	// Logger is told what goes wrong. Nil means slog.Default().
	Logger *slog.Logger
}

// Approvals says who may approve.
type Approvals interface {
	// MayApprove returns nil if somebody may answer a question with approval, an error
	// that wraps [ErrNotPermitted] and says why if not, and another one if that cannot be
	// told. It may be called concurrently.
	MayApprove(ctx context.Context, actor string, a Approval) error
}

// A Request is what somebody wants to be run.
type Request struct {
	// ID is that of the run, to start it once however often it is asked for. Empty means
	// a new one.
	ID string `json:"id,omitempty"`
	// Environment and Playbook name the playbook. Required.
	Environment string `json:"environment"`
	Playbook    string `json:"playbook"`
	// Parameters are its parameters.
	Parameters map[string]string `json:"parameters,omitempty"`
	// Incident is the incident to which the run belongs; empty if to none.
	Incident string `json:"incident,omitempty"`
	// By is who wants it, by name. Required, unless Automatic, which says that no person
	// does.
	By        string `json:"by"`
	Automatic bool   `json:"automatic,omitempty"`
	// Plan is the hash of the plan that was agreed to. The run begins only if it would do
	// that still. Empty means that no plan was.
	Plan string `json:"plan,omitempty"`
	// Only are the ids of steps to make; the others are left out, but for approvals before
	// them if they change something. None means all.
	Only []string `json:"only,omitempty"`
	// Refuse refuses the run if another one works on the same environment. Else it waits
	// for its turn.
	Refuse bool `json:"refuse,omitempty"`
}

// NewRunner returns a Runner, or all problems of cfg, those of its playbooks included.
func NewRunner(cfg RunnerConfig) (*Runner, error) {
	r := &Runner{cfg: cfg, playbooks: make(map[string]Playbook), progress: make(map[string]map[string]string), changed: make(chan struct{})}
	var errs []error
	if len(cfg.Playbooks) == 0 {
		errs = append(errs, errors.New("playbooks are required"))
	}
	for _, p := range cfg.Playbooks {
		key := p.Environment + "/" + p.Name
		if _, twice := r.playbooks[key]; twice {
			errs = append(errs, fmt.Errorf("there are two playbooks %s of %s", p.Name, p.Environment))
		}
		r.playbooks[key] = p
		errs = append(errs, p.Validate())
	}
	if cfg.Runs == nil {
		errs = append(errs, errors.New("runs are required"))
	}
	if cfg.Store == nil {
		errs = append(errs, errors.New("a store is required"))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("incident: runner: %w", err)
	}
	if cfg.Logger == nil {
		r.cfg.Logger = slog.Default()
	}
	return r, nil
}

// Playbooks returns the playbooks, by environment and name.
func (r *Runner) Playbooks() []Playbook {
	var all []Playbook
	for _, key := range sortedNames(r.playbooks) {
		all = append(all, r.playbooks[key])
	}
	return all
}

// Playbook returns a playbook; the error wraps [ErrNotFound] if there is none.
func (r *Runner) Playbook(environment, name string) (Playbook, error) {
	p, ok := r.playbooks[environment+"/"+name]
	if !ok {
		return Playbook{}, fmt.Errorf("incident: playbook %q of %q: %w", name, environment, ErrNotFound)
	}
	return p, nil
}

// Program is what carries out runs of playbooks, for the programs of [Runs].
func (r *Runner) Program() Program {
	return func(ctx context.Context, e Engine, start RunStart) (json.RawMessage, error) {
		in, err := readInput(start.Input)
		if err != nil {
			return nil, fmt.Errorf("incident: run %s: %w", start.ID, err)
		}
		x := newInterpreter(start, in, e, r)
		// A playbook that is gone has no steps: the run asks a person at its next one.
		x.steps = r.playbooks[in.Environment+"/"+in.Playbook].index()
		r.mu.Lock()
		r.progress[start.ID] = make(map[string]string)
		r.mu.Unlock()
		defer func() {
			r.mu.Lock()
			delete(r.progress, start.ID)
			r.mu.Unlock()
		}()
		return x.run(ctx)
	}
}

// input returns what a run is started with, or everything that is wrong with the
// request.
func (r *Runner) input(q Request) (runInput, Playbook, error) {
	p, err := r.Playbook(q.Environment, q.Playbook)
	if err != nil {
		return runInput{}, p, err
	}
	values, err := p.values(q.Parameters)
	errs := []error{err}
	if (q.By == "") != q.Automatic {
		errs = append(errs, errors.New("who wants it is required, unless it is automatic, and nobody does"))
	}
	if q.By != "" {
		errs = append(errs, wrongName(q.By))
	}
	if q.Incident != "" && !isStoreName(q.Incident, maxDocumentID) {
		errs = append(errs, fmt.Errorf("incident %.60q is not the ID of one", q.Incident))
	}
	only, err := p.only(q.Only)
	errs = append(errs, err)
	if err := errors.Join(errs...); err != nil {
		return runInput{}, p, fmt.Errorf("incident: run %s of %s: %w", q.Playbook, q.Environment, err)
	}
	in := runInput{
		Interpreter: interpreterVersion, Playbook: p.Name, Title: p.Title, Environment: p.Environment, Severity: p.Severity,
		Parameters: values, Incident: q.Incident, Automatic: q.Automatic, Plan: q.Plan, Only: only,
		Steps: p.Specs(), Timeout: Interval(or(p.Timeout, 24*time.Hour)), Escalation: p.Escalation,
	}
	for _, ph := range p.Phases {
		in.Phases = append(in.Phases, phase{ph.Name, Interval(ph.Budget)})
	}
	return in, p, nil
}

// Plan returns what a run would do now. Its checks are made, in a context in which
// nothing may be changed, see runbook.ReadOnly; nothing is recorded. That a check fails
// is no error: it is in the plan.
func (r *Runner) Plan(ctx context.Context, q Request) (Plan, error) {
	in, _, err := r.input(q)
	if err != nil {
		return Plan{}, err
	}
	return r.planRun(ctx, RunStart{ID: or(q.ID, "plan"), Program: PlaybookProgram, By: q.By, At: wallTime()}, in)
}

func (r *Runner) planRun(ctx context.Context, start RunStart, in runInput) (Plan, error) {
	x := newInterpreter(start, in, planEngine{}, r)
	x.steps, x.planning = r.playbooks[in.Environment+"/"+in.Playbook].index(), true
	x.now = wallTime()
	return makePlan(ctx, x)
}

// Start starts a run, or queues it, and returns it as it is then. The error wraps
// [ErrBusy] if it is to be refused because another run works on the same environment. An
// ID that there is already with another request is [ErrStale].
func (r *Runner) Start(ctx context.Context, q Request) (Run, error) {
	start, err := r.starting(q)
	if err != nil {
		return Run{}, err
	}
	text := fmt.Sprintf("starts %s in %s as run %s", q.Playbook, q.Environment, start.ID)
	data := marshal(q)
	q.Parameters = nil // the key stays when what was asked is redacted, so it has nothing of it
	// The same request again is the same command.
	key := "run started/" + start.ID + "/" + digestOf(start.By, string(marshal(q)))
	if err := r.audit(ctx, Entry{Key: key, Kind: "run started", Actor: start.By, Text: text, Data: data}); err != nil {
		return Run{}, err
	}
	record, err := r.cfg.Runs.Start(ctx, start)
	if err != nil {
		return Run{}, fmt.Errorf("incident: start %s in %s: %w", q.Playbook, q.Environment, err)
	}
	return ViewRun(ctx, record, time.Now())
}

// starting returns the run of a request, or everything that is wrong with it.
func (r *Runner) starting(q Request) (RunStart, error) {
	in, p, err := r.input(q)
	if err != nil {
		return RunStart{}, err
	}
	start := RunStart{
		ID: or(q.ID, newRunID()), Program: PlaybookProgram, Input: marshal(in), Lock: p.lock(), Refuse: q.Refuse, By: or(q.By, program), At: wallTime(),
		Labels: map[string]string{"playbook": p.Name, "environment": p.Environment},
	}
	if q.Incident != "" {
		start.Labels["incident"] = q.Incident
	}
	return start, nil
}

// newRunID returns an ID that sorts by time.
func newRunID() string {
	return fmt.Sprintf("run-%s-%s", time.Now().UTC().Format("20060102-150405"), strings.ToLower(rand.Text()[:6]))
}

// Run returns a run. The error wraps [ErrNotFound] if there is none.
func (r *Runner) Run(ctx context.Context, id string) (Run, error) {
	record, err := r.record(ctx, id)
	if err != nil {
		return Run{}, fmt.Errorf("incident: run %s: %w", id, err)
	}
	return r.view(ctx, record)
}

// record returns the record of a run of a playbook. A run of another program, such as an
// escalation, is none.
func (r *Runner) record(ctx context.Context, id string) (RunRecord, error) {
	record, err := r.cfg.Runs.Record(ctx, id, -1)
	if err == nil && record.Program != PlaybookProgram {
		return RunRecord{}, fmt.Errorf("it is a run of %s and of no playbook: %w", record.Program, ErrNotFound)
	}
	return record, err
}

// view returns a run, with what its steps do just now in this process.
func (r *Runner) view(ctx context.Context, record RunRecord) (Run, error) {
	view, err := ViewRun(ctx, record, time.Now())
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.progress[record.ID]
	for i := range view.Steps {
		if s := &view.Steps[i]; s.State == StepRunning {
			s.Progress = now[s.ID]
		}
	}
	return view, err
}

// Runs returns runs of playbooks, the newest first. The program of the query does not
// matter. Of a run that this program cannot read, since another version made it, there
// is what is known without, and its Text says why.
func (r *Runner) Runs(ctx context.Context, query RunQuery) iter.Seq2[Run, error] {
	query.Program = PlaybookProgram
	return func(yield func(Run, error) bool) {
		for record, err := range r.cfg.Runs.List(ctx, query) {
			if err != nil {
				yield(Run{}, fmt.Errorf("incident: runs: %w", err))
				return
			}
			whole, err := r.cfg.Runs.Record(ctx, record.ID, -1)
			if errors.Is(err, ErrNotFound) {
				continue // it was removed meanwhile
			}
			if err != nil {
				yield(Run{}, fmt.Errorf("incident: run %s: %w", record.ID, err))
				return
			}
			view, err := r.view(ctx, whole)
			if err != nil && ctx.Err() == nil {
				view, err = unreadable(whole, err), nil
			}
			if !yield(view, err) || err != nil {
				return
			}
		}
	}
}

// unreadable is what is known of a run whose record cannot be read.
func unreadable(record RunRecord, why error) Run {
	state := map[RunStatus]RunState{
		RunQueued: StateQueued, RunRunning: StateRunning, RunFinished: StateSucceeded, RunFailed: StateFailed, RunCancelled: StateCancelled, RunStranded: StateStranded,
	}[record.Status]
	var end ended
	if record.Status == RunFinished && json.Unmarshal(record.Result, &end) == nil {
		state = or(end.State, state)
	}
	return Run{
		ID: record.ID, Playbook: record.Labels["playbook"], Title: record.Labels["playbook"], Environment: record.Labels["environment"], Incident: record.Labels["incident"],
		By: record.By, State: state, Text: fmt.Sprintf("is %s, and cannot be shown here: %v", state, why), Reason: end.Reason,
		Started: record.At, Began: record.Began, Ended: record.Ended, Attention: record.Attention, Process: record.Process,
		Held: record.Held, Cancelled: record.Cancelled, Fork: record.Fork, ForkStep: record.ForkStep, Revision: record.Revision,
	}
}

// Follow returns a run as it is now, and again after each change, until it has ended,
// which is the last. The end of ctx is yielded as an error.
func (r *Runner) Follow(ctx context.Context, id string) iter.Seq2[Run, error] {
	return func(yield func(Run, error) bool) {
		revision := int64(-1)
		for {
			record, err := r.next(ctx, id, revision)
			if err != nil {
				yield(Run{}, fmt.Errorf("incident: follow run %s: %w", id, err))
				return
			}
			view, err := r.view(ctx, record)
			if !yield(view, err) || err != nil || record.Status.Ended() {
				return
			}
			revision = record.Revision
		}
	}
}

// next waits for a change of a run, or of what a step of it says that it does.
func (r *Runner) next(ctx context.Context, id string, revision int64) (RunRecord, error) {
	r.mu.Lock()
	changed := r.changed
	r.mu.Unlock()
	if revision < 0 {
		return r.record(ctx, id)
	}
	wait, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := make(chan struct{})
	defer close(stop)
	go func() {
		select {
		case <-changed:
			cancel()
		case <-stop:
		}
	}()
	record, err := r.cfg.Runs.Record(wait, id, revision)
	if err != nil && ctx.Err() == nil && wait.Err() != nil {
		return r.cfg.Runs.Record(ctx, id, -1)
	}
	return record, err
}

// Pause keeps a run from beginning anything new.
func (r *Runner) Pause(ctx context.Context, id, by, reason string) error {
	return r.control(ctx, id, Control{By: by, Reason: reason}, "paused", r.cfg.Runs.Hold)
}

// Resume lets a paused run go on.
func (r *Runner) Resume(ctx context.Context, id, by, reason string) error {
	return r.control(ctx, id, Control{By: by, Reason: reason}, "resumed", r.cfg.Runs.Release)
}

// Cancel ends a run for good, also in the middle of a step. What was done stays as it
// is; of an action that was under way nobody knows whether it was done.
func (r *Runner) Cancel(ctx context.Context, id, by, reason string) error {
	if err := r.control(ctx, id, Control{By: by, Reason: reason}, "cancelled", r.cfg.Runs.Cancel); err != nil {
		return err
	}
	if err := r.closeApprovals(ctx, id); err != nil {
		r.cfg.Logger.WarnContext(ctx, "what a cancelled run had asked is still listed, until Reconcile", "run", id, "error", err)
	}
	return nil
}

func (r *Runner) control(ctx context.Context, id string, c Control, what string, do func(context.Context, string, Control) error) error {
	if c.By == "" || c.Reason == "" {
		return fmt.Errorf("incident: run %s: who wants it to be %s, and why, are required", id, what)
	}
	if err := wrongName(c.By); err != nil {
		return fmt.Errorf("incident: run %s: %w", id, err)
	}
	record, err := r.record(ctx, id)
	if err != nil {
		return fmt.Errorf("incident: run %s: %w", id, err)
	}
	c.At = wallTime()
	text := fmt.Sprintf("run %s is %s: %s", id, what, c.Reason)
	if err := r.audit(ctx, Entry{Kind: "run " + what, Actor: c.By, Text: fmt.Sprintf("run %s is to be %s: %s", id, what, c.Reason)}); err != nil {
		return err
	}
	if err := do(ctx, id, c); err != nil {
		return fmt.Errorf("incident: run %s was not %s: %w", id, what, err)
	}
	if in, err := readInput(record.Input); err == nil {
		key := fmt.Sprintf("%s/%d", what, c.At.UnixMicro())
		r.emit(ctx, record.RunStart, in, Event{Key: key, Kind: EventControl, Actor: c.By, Text: text})
	}
	return nil
}

// Fork starts a new run from a step of one that has ended: what was recorded before
// that step is taken over, and it and all after are made anew: from where the flow came
// to the step the last time. That is how a run that failed is gone on with from where it
// did.
//
// A run is forked once from a step: asked for again by the same person with the same
// reason, because an answer was lost or a button was pressed twice, it is the same run. If
// that one has failed too, it is the one to fork.
//
// The error wraps [ErrNotFound] if the run never came to the step; [ErrStale] if something
// was taken back since that the run would take for done, or if somebody has forked it from
// there; and [ErrNotPermitted] if it would do again, under an approval that it had, what
// was done under it.
func (r *Runner) Fork(ctx context.Context, id, step, by, reason string) (Run, error) {
	if by == "" || reason == "" {
		return Run{}, fmt.Errorf("incident: fork run %s: who wants it, and why, are required", id)
	}
	if err := wrongName(by); err != nil {
		return Run{}, fmt.Errorf("incident: fork run %s: %w", id, err)
	}
	record, err := r.record(ctx, id)
	if err != nil {
		return Run{}, fmt.Errorf("incident: fork run %s: %w", id, err)
	}
	from, err := forkAt(ctx, record, step)
	if err != nil {
		return Run{}, fmt.Errorf("incident: fork run %s: %w", id, err)
	}
	fork := RunFork{ID: forkID(id, step), By: by, Reason: reason}
	text := fmt.Sprintf("forks run %s from step %s as run %s: %s", id, step, fork.ID, reason)
	if err := r.audit(ctx, Entry{Kind: "run forked", Actor: by, Text: text}); err != nil {
		return Run{}, err
	}
	forked, err := r.cfg.Runs.Fork(ctx, id, from, fork)
	if errors.Is(err, ErrStale) {
		err = fmt.Errorf("it was forked from step %s before, as run %s; go on with that one: %w", step, fork.ID, err)
	}
	if err != nil {
		return Run{}, fmt.Errorf("incident: fork run %s: %w", id, err)
	}
	return ViewRun(ctx, forked, time.Now())
}

// forkID returns the id of the fork of a run from a step.
func forkID(run, step string) string {
	return "fork-" + digestOf(run, step)
}

// digestOf returns 24 characters that stand for texts.
func digestOf(texts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(texts, "\n")))
	return hex.EncodeToString(sum[:12])
}

// forkAt returns the call with which the flow came to a step the last time, if a fork may
// begin there.
func forkAt(ctx context.Context, record RunRecord, step string) (StepID, error) {
	in, err := readInput(record.Input)
	if err != nil {
		return "", err
	}
	view, e, err := replay(ctx, record, in, time.Now())
	if err != nil {
		return "", err
	}
	at, ok := e.came[step]
	if !ok || at >= len(e.calls) || e.calls[at] == "run/end" {
		return "", fmt.Errorf("it never came to step %q: %w", step, ErrNotFound)
	}
	approval, again := "", "" // what is not known to be done is a decision of who forks
	for _, s := range view.Steps {
		came, made := e.came[s.ID]
		switch before := came < at; {
		case !made:
		case before && s.Undone != "":
			return "", fmt.Errorf("step %s was taken back since, and the new run would take it for done; fork from it, or from before: %w", s.ID, ErrStale)
		case before && s.Kind == KindApprove && s.State == StepDone:
			approval = s.ID
		case !before && s.Kind == KindAction && oneOf(s.State, StepDone, StepUndone):
			again = or(again, s.ID)
		}
	}
	if approval != "" && again != "" {
		return "", fmt.Errorf("step %s was done under the approval of step %s, which counts once; fork from that, or from before: %w", again, approval, ErrNotPermitted)
	}
	return e.calls[at], nil
}

// audit records a command before it has an effect. If it cannot be recorded, it is not
// carried out.
func (r *Runner) audit(ctx context.Context, e Entry) error {
	e.Chain, e.At, e.Data = "audit", wallTime(), fitData(e.Data)
	if _, err := r.cfg.Store.Commit(ctx, Change{Entries: []Entry{e}}); err != nil {
		return fmt.Errorf("incident: nothing was done, because it could not be recorded: %s: %w", e.Text, err)
	}
	return nil
}

// emit puts what happened on the timeline of the incident, and tells the host. What
// cannot be written is logged: the run itself has it in its record.
func (r *Runner) emit(ctx context.Context, start RunStart, in runInput, e Event) {
	e.Key = start.ID + "/" + e.Key
	e.Run, e.Playbook, e.Environment, e.Incident = start.ID, in.Playbook, in.Environment, in.Incident
	e.Actor = or(e.Actor, program)
	if e.At.IsZero() {
		e.At = wallTime()
	}
	if e.Kind == EventProgress {
		r.progressed(e)
	}
	if ctx.Err() != nil {
		ctx = context.WithoutCancel(ctx) // how something ended is told also when it was cancelled
	}
	if e.Incident != "" && e.Kind != EventProgress {
		r.toTimeline(ctx, e)
	}
	if r.cfg.OnEvent == nil {
		return
	}
	defer func() {
		if p := recover(); p != nil {
			r.cfg.Logger.ErrorContext(ctx, "OnEvent of the host panicked", "run", e.Run, "event", e.Text, "panic", p)
		}
	}()
	r.cfg.OnEvent(ctx, e)
}

// progressed keeps what a step does just now, while this process carries out its run.
func (r *Runner) progressed(e Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.progress[e.Run] == nil {
		return
	}
	r.progress[e.Run][e.Step] = e.Text
	close(r.changed)
	r.changed = make(chan struct{})
}

// toTimeline puts an event on the timeline of its incident. A store that does not answer
// does not hold up the run for long.
func (r *Runner) toTimeline(ctx context.Context, e Event) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	entry := Entry{Chain: "incident/" + e.Incident, Key: keyOf(e.Key), At: e.At, Kind: string(e.Kind), Actor: e.Actor, Text: e.Text, Data: fitData(e.Data)}
	if _, err := r.cfg.Store.Commit(ctx, Change{Entries: []Entry{entry}}); err != nil {
		r.cfg.Logger.WarnContext(ctx, "an event of a run is not on the timeline", "run", e.Run, "event", e.Text, "error", err)
	}
}

// keyOf returns a key that a store takes: a long one by its hash.
func keyOf(key string) string {
	if len(key) <= maxStoreKey {
		return key
	}
	return strings.ToValidUTF8(key[:100], "") + "..." + digestOf(key)
}

// fitData returns the data of an entry, or how much it was if it is too much to be kept.
func fitData(data json.RawMessage) json.RawMessage {
	if len(data) <= maxEntryData {
		return data
	}
	return marshal(map[string]int{"omitted_bytes": len(data)})
}
