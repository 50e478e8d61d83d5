package railway

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/railway/internal/gql"
)

// StagedChanges are changes of an environment that somebody prepared, in the
// dashboard for example, and that were not committed yet. Committing commits them
// all, whoever made them.
type StagedChanges struct {
	// ID names the set of changes.
	ID string
	// Paths are what is changed, in order, each as a path into the configuration of
	// the environment: "services.<id>.variables.LOG_LEVEL". It has no values.
	Paths []string
	// fields are what Railway said, as a func so that no formatter shows the values of
	// variables in it.
	fields func() *gql.PatchFields
}

// IsEmpty reports that nothing is staged.
func (s StagedChanges) IsEmpty() bool { return len(s.Paths) == 0 }

func (s StagedChanges) raw() json.RawMessage {
	if s.fields == nil {
		return nil
	}
	return s.fields().Patch
}

// rejected is why an earlier commit was rejected; it may have values.
func (s StagedChanges) rejected() string {
	if s.fields == nil {
		return ""
	}
	return gql.Text(s.fields().LastAppliedError)
}

// Same reports whether two sets change the same.
func (s StagedChanges) Same(t StagedChanges) bool {
	return slices.Equal(s.Paths, t.Paths) && sameJSON(s.raw(), t.raw())
}

// StagedChanges returns what is staged and not committed.
func (e *Environment) StagedChanges(ctx context.Context) (StagedChanges, error) {
	return e.staged(ctx, e.c.hiding("read the staged changes of environment %s", e))
}

func (e *Environment) staged(ctx context.Context, o op) (StagedChanges, error) {
	got, err := gql.StagedChanges(ctx, o, e.id)
	if err != nil {
		return StagedChanges{}, err
	}
	return stagedOf(got.EnvironmentStagedChanges), nil
}

func stagedOf(p *gql.PatchFields) StagedChanges {
	s := StagedChanges{ID: p.Id, fields: func() *gql.PatchFields { return p }}
	// One of a status that is not known may still be committed.
	if p.Status != gql.EnvironmentPatchStatusApplying && p.Status != gql.EnvironmentPatchStatusCommitted {
		s.Paths = patchPaths(p.Patch)
	}
	return s
}

// patchPaths returns the paths of the leaves of a patch, in order.
func patchPaths(patch json.RawMessage) (paths []string) {
	var tree map[string]any // null is nothing
	if json.Unmarshal(patch, &tree) != nil {
		return []string{"(not understood)"}
	}
	var walk func(prefix string, node any)
	walk = func(prefix string, node any) {
		children, ok := node.(map[string]any)
		if !ok || isLeaf(prefix, children) {
			if prefix != "" {
				paths = append(paths, prefix)
			}
			return
		}
		for name, child := range children {
			walk(strings.TrimPrefix(prefix+"."+name, "."), child)
		}
	}
	walk("", tree)
	slices.Sort(paths)
	return paths
}

// isLeaf reports whether an object is one value: that of a variable, or an empty one
// within the patch.
func isLeaf(path string, children map[string]any) bool {
	parts := strings.Split(path, ".")
	n := len(parts)
	return path != "" && len(children) == 0 || n >= 2 && (parts[n-2] == "variables" || parts[n-2] == "sharedVariables")
}

func sameJSON(a, b json.RawMessage) bool {
	var x, y any
	if json.Unmarshal(a, &x) != nil || json.Unmarshal(b, &y) != nil {
		return bytes.Equal(a, b)
	}
	p, errP := json.Marshal(x)
	q, errQ := json.Marshal(y)
	return errP == nil && errQ == nil && bytes.Equal(p, q)
}

// CommitStaged commits what is staged, if it still is what was approved, and follows
// the commit to its end. The error is an incident.ErrStale if something else is
// staged by now. With skipDeploys nothing is deployed.
func (e *Environment) CommitStaged(ctx context.Context, approved StagedChanges, message string, skipDeploys bool) error {
	o := e.c.hiding("commit the staged changes of environment %s", e)
	now, err := e.staged(ctx, o)
	if err != nil {
		return err
	}
	if now.IsEmpty() {
		return o.refuse(incident.ErrStale, "nothing is staged any more: somebody committed or discarded it")
	}
	if !now.Same(approved) {
		return o.refuse(incident.ErrStale, "something else is staged by now: %s", list(now.Paths))
	}
	return e.commitStaged(ctx, o, now, message, skipDeploys)
}

// DiscardStaged removes what is staged, if it still is what was approved. The error
// is an incident.ErrStale if it is not.
func (e *Environment) DiscardStaged(ctx context.Context, approved StagedChanges) error {
	o := e.c.hiding("discard the staged changes of environment %s", e)
	now, err := e.staged(ctx, o)
	switch {
	case err != nil:
		return err
	case now.IsEmpty():
		return nil
	case !now.Same(approved):
		return o.refuse(incident.ErrStale, "something else is staged by now: %s", list(now.Paths))
	}
	_, err = gql.StagedReplace(ctx, o, e.id, json.RawMessage(`{}`))
	if err != nil && !maybeRun(err) {
		return err
	}
	return o.confirm(ctx, err, "look at the staged changes", func(ctx context.Context) (bool, error) {
		now, err := e.staged(ctx, o)
		return now.IsEmpty(), err
	})
}

// stageAlone stages a patch while nothing else is staged, and makes sure that it is
// alone. Paths that are staged by others are an incident.ErrBusy: a commit would
// commit them too.
func (e *Environment) stageAlone(ctx context.Context, o op, patch any) (now StagedChanges, err error) {
	if err := e.nothingStaged(ctx, o); err != nil {
		return now, err
	}
	body, err := json.Marshal(patch)
	if err != nil {
		return now, o.refuse(nil, "the change cannot be encoded")
	}
	ours := patchPaths(body)
	got, err := gql.StageChanges(ctx, o, e.id, body)
	switch {
	case maybeRun(err):
		watch(ctx, outliving, func(ctx context.Context) (_ bool, err error) {
			now, err = e.staged(ctx, o)
			return !now.IsEmpty(), err
		})
		if !slices.Equal(now.Paths, ours) {
			return now, o.unknown(err, "nothing was committed; look whether the change is staged, and discard it")
		}
	case err != nil:
		return now, err
	default:
		now = stagedOf(got.EnvironmentStageChanges)
	}
	if !slices.Equal(now.Paths, ours) {
		return now, o.refuse(incident.ErrBusy, "somebody else staged changes at the same time: %s; nothing was committed, and ours (%s) are still staged: commit or discard them",
			list(now.Paths), list(ours))
	}
	return now, nil
}

// nothingStaged is an incident.ErrBusy if somebody has staged changes, which a commit
// would sweep along.
func (e *Environment) nothingStaged(ctx context.Context, o op) error {
	staged, err := e.staged(ctx, o)
	if err != nil {
		return err
	}
	return staged.busy(o)
}

func (s StagedChanges) busy(o op) error {
	if s.IsEmpty() {
		return nil
	}
	return o.refuse(incident.ErrBusy, "changes of somebody else are staged and would be committed too: %s; commit or discard them first", list(s.Paths))
}

// changeAlone stages a patch while nothing else is staged and commits it, all or
// nothing, without deploying. If it was certainly not committed, it is not left
// staged either.
//
// Railway has no way to commit one's own changes only without deploying: what
// somebody stages in the moment between the two calls is committed along.
func (e *Environment) changeAlone(ctx context.Context, o op, patch any, message string) error {
	staged, err := e.stageAlone(ctx, o, patch)
	if err != nil {
		return err
	}
	err = e.commitStaged(ctx, o, staged, message, true)
	if err == nil || maybeRun(err) {
		return err
	}
	return e.takeBack(ctx, o, patch, err)
}

// takeBack removes a patch of ours that is still staged, and nothing else is. It
// returns the error for which it is taken back.
func (e *Environment) takeBack(ctx context.Context, o op, patch any, why error) error {
	after, cancel := watching(ctx, outliving)
	defer cancel()
	body, err := json.Marshal(patch)
	if err != nil {
		return why
	}
	now, err := e.staged(after, o)
	if err == nil && slices.Equal(now.Paths, patchPaths(body)) {
		_, err = gql.StagedReplace(after, o, e.id, json.RawMessage(`{}`))
		now.Paths = nil
	}
	if known, ok := errors.AsType[*Error](why); ok && (err != nil || !now.IsEmpty()) {
		known.Message = strings.TrimPrefix(known.Message+"; the change may still be staged: look, and discard it", "; ")
	}
	return why
}

// commitStaged commits what is staged and follows the commit to its end. After a
// lost answer it looks whether it is still staged.
func (e *Environment) commitStaged(ctx context.Context, o op, staged StagedChanges, message string, skipDeploys bool) error {
	got, err := gql.CommitStaged(ctx, o, e.id, &message, skipDeploys)
	if maybeRun(err) {
		return e.seenCommitted(ctx, o, staged, err)
	}
	if err != nil {
		return err
	}
	return rejected(e.c.follow(ctx, o, got.EnvironmentPatchCommitStaged, commitLimit))
}

// seenCommitted waits until what was staged is in the history of the environment,
// after a commit whose answer was lost: that it is no longer staged does not say
// that it was committed, since somebody may have discarded it. That one was rejected
// stays with what is staged: it says something of this one only if it is said anew.
func (e *Environment) seenCommitted(ctx context.Context, o op, staged StagedChanges, cause error) error {
	rejected := false
	seen := watch(ctx, showLimit, func(ctx context.Context) (bool, error) {
		now, err := e.staged(ctx, o)
		if err != nil {
			return false, err
		}
		if rejected = now.rejected() != "" && now.rejected() != staged.rejected(); rejected {
			return true, nil
		}
		got, err := gql.Patches(ctx, o, e.id, newest, nil)
		if err != nil {
			return false, err
		}
		for _, edge := range got.EnvironmentPatches.Edges {
			if edge.Node.Id == staged.ID && edge.Node.Status == gql.EnvironmentPatchStatusCommitted {
				return true, nil
			}
		}
		return false, nil
	})
	switch {
	case rejected:
		return &Error{Op: o.name, Code: "workflow", Message: "the commit was rejected", refused: true}
	case !seen:
		return o.unknown(cause, "look at the staged changes and at the history of the environment")
	}
	return nil
}

// commitPatch commits a patch by itself, past what is staged, and follows the commit
// to its end. It may deploy. The caller looks whether it was made if the error
// leaves that open. One that Railway rejects stays among the staged changes, where
// somebody would commit it unnoticed: it is taken back.
func (e *Environment) commitPatch(ctx context.Context, o op, patch any, message string) error {
	body, err := json.Marshal(patch)
	if err != nil {
		return o.refuse(nil, "the change cannot be encoded")
	}
	got, err := gql.CommitPatch(ctx, o, e.id, body, &message)
	if err != nil {
		return err
	}
	err = rejected(e.c.follow(ctx, o, got.EnvironmentPatchCommit, commitLimit))
	if failed, ok := errors.AsType[*Error](err); ok && failed.Code == "workflow" {
		o.hides = true // what others staged has values
		return e.takeBack(ctx, o, patch, err)
	}
	return err
}

// rejected marks the error of a commit that failed: it is rejected as a whole.
func rejected(err error) error {
	if e, ok := errors.AsType[*Error](err); ok && e.Code == "workflow" {
		e.refused = true
	}
	return err
}

// How long a job of Railway is followed. A commit that copies an environment, or a
// restore, takes minutes.
const (
	commitLimit  = 5 * time.Minute
	restoreLimit = 30 * time.Minute
)

// follow waits for the end of a job of Railway. A job that failed is an [*Error] of
// the code "workflow"; whether it did a part of its work is not said. If its end
// cannot be seen, the error is an incident.ErrOutcomeUnknown: it goes on by itself.
//
// Right after its start a job is not found yet, and its states are written in
// whatever case.
func (c *Client) follow(ctx context.Context, o op, id string, limit time.Duration) error {
	if id == "" {
		return o.unknown(nil, "Railway began a job and did not name it; look at the state")
	}
	within, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	began := time.Now()
	var p patience
	err := poll(within, 250*time.Millisecond, 3*time.Second, func() (bool, error) {
		got, err := gql.Workflow(within, o, id)
		if errors.Is(err, incident.ErrNotFound) {
			return false, nil
		}
		if err != nil {
			return false, p.bear(within, err)
		}
		p = patience{}
		switch strings.ToLower(string(got.WorkflowStatus.Status)) {
		case "complete":
			return true, nil
		case "error":
			why := printable(gql.Text(got.WorkflowStatus.Error), maxText)
			if o.hides || why == "" {
				why = "Railway's job failed"
			}
			return false, &Error{Op: o.name, Code: "workflow", Message: why}
		case "notfound":
			if time.Since(began) > notFoundLimit {
				return false, errors.New("the job that Railway named is not known to it")
			}
		}
		return false, nil
	})
	if failed, ok := errors.AsType[*Error](err); ok && failed.Code == "workflow" {
		return failed
	}
	if err != nil {
		return o.unknown(err, fmt.Sprintf("Railway's job %s goes on by itself; look at the state later", printable(id, 120)))
	}
	return nil
}

// notFoundLimit is for how long a job may not be found after its start.
const notFoundLimit = time.Minute

// list shows some names.
func list(names []string) string {
	const most = 10
	shown := names[:min(most, len(names))]
	text := printable(strings.Join(shown, ", "), 800)
	if len(names) > most {
		text += fmt.Sprintf(" and %d more", len(names)-most)
	}
	return text
}

// String says what the environment is, for messages: its name, or else its ID.
func (e *Environment) String() string {
	if e.name != "" {
		return e.name
	}
	return e.id
}
