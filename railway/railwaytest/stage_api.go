package railwaytest

import (
	"slices"
)

func environmentStagedChanges(r *request, a args) (any, error) {
	w, e, err := r.env(a.text("environmentId"))
	if err != nil {
		return nil, err
	}
	return w.stagedNow(e).object(), nil
}

func environmentPatches(r *request, a args) (any, error) {
	_, e, err := r.env(a.text("environmentId"))
	if err != nil {
		return nil, err
	}
	newest := slices.Clone(e.patches)
	slices.Reverse(newest)
	return connect(newest, a, func(p *patch) string { return p.id }, (*patch).object)
}

func environmentStageChanges(r *request, a args) (any, error) {
	w, e, err := r.env(a.text("environmentId"))
	if err != nil {
		return nil, err
	}
	t, ok := a["input"].(tree)
	if !ok {
		return nil, badInput("input must be an object")
	}
	p := w.stage(e, plainTree(t), a.flag("merge"))
	r.s.effect("environmentStageChanges %s", e.id)
	return p.object(), nil
}

// environmentPatchCommitStaged commits all that is staged, by whomever.
func environmentPatchCommitStaged(r *request, a args) (any, error) {
	w, e, err := r.env(a.text("environmentId"))
	if err != nil {
		return nil, err
	}
	p := e.staged
	if p == nil || len(p.tree) == 0 {
		return nil, &apiError{message: "No staged changes to commit"}
	}
	e.staged, p.message = nil, a.text("commitMessage")
	f := w.commitLater(e, p, !a.flag("skipDeploys"))
	r.s.effect("environmentPatchCommitStaged %s", e.id)
	return f.id, nil
}

// environmentPatchCommit commits a patch past what is staged.
func environmentPatchCommit(r *request, a args) (any, error) {
	w, e, err := r.env(a.text("environmentId"))
	if err != nil {
		return nil, err
	}
	t, ok := a["patch"].(tree)
	if !ok {
		return nil, badInput("patch must be an object")
	}
	p := w.newPatch(plainTree(t))
	p.message = a.text("commitMessage")
	f := w.commitLater(e, p, true)
	r.s.effect("environmentPatchCommit %s", e.id)
	return f.id, nil
}
