package world

import (
	"slices"
	"strings"
	"time"
)

// An Act is something that was changed, or a message that was sent, by whoever it was.
type Act struct {
	// At is when it was done, Environment where; empty for messages.
	At          time.Time
	Environment string
	// Kind is what was done, and Detail to what; see the package comment.
	Kind, Detail string
	// Text is what a message said.
	Text string
}

// Acts returns everything that was changed or sent so far, in order of time.
func (w *World) Acts() []Act {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.advance(time.Now())
	return slices.Clone(w.acts)
}

// act writes an act down. The lock is held.
func (w *World) act(environment, kind, detail string) {
	w.acts = append(w.acts, Act{At: time.Now(), Environment: environment, Kind: kind, Detail: detail})
}

// note is act without the lock.
func (w *World) note(environment, kind, detail string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.act(environment, kind, detail)
}

// collect writes down what took effect at the platform since the last time. by is the
// environment whose client was used last, request what it sent; nil means that nobody asked.
// The lock is held.
func (w *World) collect(by *environment, request string) {
	all := w.railway.Effects()
	for _, text := range all[w.effects:] {
		e := w.environmentOf(text)
		if e == nil {
			e = by
		}
		if e == nil {
			e = w.production
		}
		e.effect(text, request)
	}
	w.effects = len(all)
}

// environmentOf returns the environment that an effect names; nil if it names none.
func (w *World) environmentOf(effect string) *environment {
	for field := range strings.FieldsSeq(effect) {
		for _, e := range w.envs {
			if _, known := e.deployments[field]; known || field == e.id || field == e.volume {
				return e
			}
		}
	}
	return nil
}

// effect writes down one effect in this environment. request is what asked for it.
func (e *environment) effect(text, request string) {
	e.stir()
	op, rest, _ := strings.Cut(text, " ")
	first, second, _ := strings.Cut(rest, " ")
	service := e.services[first]
	if service == "" {
		service = e.deployments[first]
	}
	suffix := ""
	if service == "postgres" {
		suffix = "-database"
	}
	say := func(kind, detail string) { e.w.act(e.name, kind, detail) }
	if strings.Contains(strings.ToLower(op), "deploy") { // what it brings along came before it
		e.variablesChanged("")
	}
	switch op {
	case "deploymentRollback":
		say("rollback", service)
	case "deploymentRestart":
		say("restart"+suffix, service)
	case "deploymentRedeploy", "serviceInstanceRedeploy":
		say("redeploy"+suffix, service)
	case "deploymentStop", "deploymentRemove", "deploymentCancel":
		say("stop", service)
	case "serviceInstanceDeployV2", "serviceInstanceDeploy", "up":
		say("redeploy"+suffix, strings.TrimSpace(service+" "+second))
	case "serviceInstanceAutoDeployUpdate":
		kind := "freeze"
		if second == "true" {
			kind = "unfreeze"
		}
		e.frozen = kind == "freeze"
		say(kind, service)
	case "serviceInstanceLimitsUpdate", "serviceInstanceUpdate":
		say("scale"+suffix, service)
	case "variableDelete":
		e.variablesChanged(second)
	case "variableCollectionUpsert", "variableUpsert":
		e.variablesChanged(second)
	case "environmentApplyChangeSet":
		e.variablesChanged(second)
	case "environmentPatchCommit", "environmentPatchCommitStaged":
		e.variablesChanged(second) // or at a later look: a commit takes a while
		if strings.Contains(request, "multiRegionConfig") {
			say("scale", "replicas")
		}
	case "environmentStageChanges": // changes nothing until it is committed
	case "volumeInstanceBackupCreate":
		say("backup", second)
	case "volumeInstanceBackupRestore", "volumeInstancePITRRestore":
		say("restore", first)
		e.restored(first)
	case "templateDeployV2", "serviceCreate", "serviceDelete":
		e.serviceChanged(op, first, request)
	default:
		say(op, rest)
	}
}

// variablesChanged compares the variables with what they were, and writes down what is
// different. names are those that the effect names, for those that were set to what they
// were.
func (e *environment) variablesChanged(names string) {
	now := e.w.railway.Variables(e.id, e.service("app"))
	named := strings.Split(names, ",")
	all := make(map[string]bool)
	for name := range now {
		all[name] = true
	}
	for name := range e.configured {
		all[name] = true
	}
	for _, name := range sorted(all) {
		before, was := e.configured[name]
		value, is := now[name]
		switch {
		case was && !is:
			e.w.act(e.name, "delete-variable", name)
		case is && (!was || value != before), is && slices.Contains(named, name):
			e.w.act(e.name, "set-variable", name+"="+shown(name, value))
		}
		e.credential(name, before, value)
	}
	e.configured = now
}

// credential writes down how far a rotation of a secret of the application has come.
func (e *environment) credential(name, before, now string) {
	secret, isPrevious := strings.CutSuffix(name, "_PREVIOUS")
	switch {
	case isPrevious && before == "" && now != "":
		e.w.act(e.name, "begin", secret)
	case isPrevious && before != "" && now == "":
		e.w.act(e.name, "end", secret)
	}
}

// proves writes down that somebody has looked at what the processes really got, while a
// secret of theirs is renewed. The lock is held.
func (e *environment) proves() {
	for name, former := range e.configured {
		secret, isPrevious := strings.CutSuffix(name, "_PREVIOUS")
		if !isPrevious || former == "" || e.proven == e.configured[secret] {
			continue
		}
		if now := e.app.run.variables; now[secret] == e.configured[secret] && now[name] == former {
			e.proven = now[secret]
			e.w.act(e.name, "prove", secret)
		}
	}
}

// shown is the value of a variable as it may be written down.
func shown(name, value string) string {
	for _, part := range []string{"KEY", "SECRET", "TOKEN", "PASSWORD", "URL"} {
		if strings.Contains(name, part) {
			return "(hidden)"
		}
	}
	return value
}

func sorted(set map[string]bool) []string {
	var all []string
	for name := range set {
		all = append(all, name)
	}
	slices.Sort(all)
	return all
}
