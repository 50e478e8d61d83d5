package world

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.acu.edu.au/runbook/canvas/canvastest"
	"go.acu.edu.au/runbook/railway/railwaytest"
)

// The kinds of faults. [Kinds] lists them; the package comment says what each is.
const (
	AnswerLost        = "answer-lost"
	BadDeploy         = "bad-deploy"
	BlockedQueries    = "blocked-queries"
	CanvasAccount     = "canvas-account"
	CanvasAnnounced   = "canvas-maintenance-announced"
	CanvasDown        = "canvas-down"
	CanvasMaintenance = "canvas-maintenance"
	CanvasThrottled   = "canvas-throttled"
	ClockSkew         = "clock-skew"
	ConnectionStorm   = "connection-storm"
	CrashLoop         = "crash-loop"
	DatabaseDown      = "database-down"
	DiskFilling       = "disk-filling"
	ErrorBurst        = "error-burst"
	KeyExpired        = "key-expired"
	KeyRevoked        = "key-revoked"
	KeysRotated       = "keys-rotated"
	LeakedCredential  = "leaked-credential"
	MailDown          = "mail-down"
	MemoryLeak        = "memory-leak"
	Overload          = "overload"
	RailwayIncident   = "railway-incident"
	RedisDown         = "redis-down"
	SlackDown         = "slack-down"
	SlowTasks         = "slow-tasks"
	StaleBackup       = "stale-backup"
	WebsocketProxy    = "websocket-proxy"
)

// Kinds returns all kinds of faults, in the order of the alphabet.
func Kinds() []string {
	var all []string
	for kind := range kinds() {
		all = append(all, kind)
	}
	slices.Sort(all)
	return all
}

// A Fault is something that goes wrong in production.
type Fault struct {
	// Kind is which of [Kinds].
	Kind string
	// For is how long it lasts if nobody removes the cause. Zero means what the seed draws,
	// or until the cause is removed where time alone does not.
	For time.Duration
	// Param leaves less to the seed: "variant" says which of the causes that such a fault
	// can have it is. Unknown names are errors.
	Param map[string]string
}

// kind is what a kind of fault is made of.
type kind struct {
	// variants are the causes that it can have; the seed draws one. named are more of them,
	// which it has only if it is asked for.
	variants, named []string
	// least and most are between which the seed draws how long it lasts; zero means until
	// its cause is removed.
	least, most time.Duration
	// begin makes it begin, end takes away what is left of it when it is over. Nil means
	// that the model asks for the fault itself.
	begin, end func(f *fault)
	// removed reports whether its cause is no longer there. Nil means that only time or
	// [World.Mend] ends it.
	removed func(f *fault) bool
}

// fault is one that is there, or was.
type fault struct {
	Fault
	kind
	w        *World
	e        *environment
	variant  string
	strength float64 // from 0 to 1
	began    time.Time
	until    time.Time // zero: no time ends it
	over     time.Time // zero: it is there
	// What it has to do with: a deployment, a commit, a value, an incident of a status page.
	deployment, commit, value, page string
	seen                            bool // the commit has run
	mended                          bool
	late                            time.Duration // until others say so
	from, to                        time.Time     // when a maintenance is announced for
	changed                         bool          // what was announced
}

func minutes(n int) time.Duration { return time.Duration(n) * time.Minute }

// kinds are all kinds.
func kinds() map[string]kind {
	restarted := func(f *fault) bool { return f.e.app.run.began.After(f.began) }
	return map[string]kind{
		AnswerLost: {begin: func(f *fault) {
			f.w.railway.Fail(railwaytest.Fault{Op: "deploymentRollback", Kind: railwaytest.LoseAnswer})
		}, removed: func(f *fault) bool { return f.w.since("rollback", f.began) }},
		BadDeploy: {variants: []string{"errors", "silent"}, named: []string{"database"}, begin: func(f *fault) { f.push("Reports in colour") }, removed: deployedAway},
		BlockedQueries: {removed: func(f *fault) bool {
			return restarted(f) || f.w.since("restart-database", f.began)
		}},
		CanvasAccount:     {begin: func(f *fault) { f.stranger() }, removed: func(f *fault) bool { return !f.e.keyOn() }},
		CanvasAnnounced:   {least: minutes(60), most: minutes(90), variants: []string{announcedKept}, named: []string{announcedOver, announcedOff, announcedMoved, announcedLonger}, begin: beginAnnounced, end: endAnnounced},
		CanvasDown:        {least: minutes(20), most: minutes(50), variants: []string{"500", "503"}, begin: beginCanvasDown, end: endCanvas},
		CanvasMaintenance: {least: minutes(40), most: minutes(90), begin: beginMaintenance, end: endCanvas},
		CanvasThrottled: {least: minutes(50), most: minutes(90), begin: func(f *fault) {
			f.e.app.waiting += 6000 + 3000*f.strength
		}},
		ClockSkew:       {least: minutes(60), most: minutes(120), begin: func(f *fault) { f.deployment = f.e.app.run.deployment }, removed: func(f *fault) bool { return f.e.app.run.deployment != f.deployment }},
		ConnectionStorm: {removed: func(f *fault) bool { return restarted(f) }},
		CrashLoop: {variants: []string{"state", "deploy"}, begin: beginCrashLoop, removed: deployedAway, end: func(f *fault) {
			if f.e.app.crashed {
				f.w.railway.SetStatus(f.e.app.run.deployment, "SUCCESS")
			}
		}},
		DatabaseDown: {begin: func(f *fault) { f.e.database.crash() }, removed: func(f *fault) bool { return f.e.database.up }, end: func(f *fault) {
			if !f.e.database.up {
				f.w.railway.SetStatus(f.e.database.deployment, "SUCCESS")
			}
		}},
		DiskFilling: {begin: func(f *fault) { f.e.database.disk = 80 + 5*f.strength }, end: func(f *fault) { f.e.database.disk = 45 }},
		ErrorBurst:  {least: minutes(10), most: minutes(20)},
		KeyExpired: {begin: func(f *fault) { f.value = f.e.app.privateKey(); f.e.app.sign = signing{} },
			removed: func(f *fault) bool { return f.e.app.privateKey() != f.value }, end: func(f *fault) { f.e.app.sign = signing{} }},
		KeyRevoked: {begin: func(f *fault) { f.e.switchKey(false) }, removed: func(f *fault) bool { return f.e.keyOn() }, end: func(f *fault) { f.e.switchKey(true) }},
		KeysRotated: {begin: func(f *fault) {
			for range 3 {
				f.e.platform.RotateKeys()
			}
		}, removed: restarted, end: func(f *fault) { f.e.app.sign = signing{} }},
		LeakedCredential: {begin: func(f *fault) {
			f.value = f.e.app.run.variables["SECRET_KEY"]
		}, removed: func(f *fault) bool { return !f.e.app.accepts(f.value) }},
		MailDown:   {least: minutes(20), most: minutes(60)},
		MemoryLeak: {begin: func(f *fault) { f.commit = f.e.app.run.commit }, removed: func(f *fault) bool { return f.e.app.run.commit != f.commit }},
		Overload:   {least: minutes(60), most: minutes(120)},
		RailwayIncident: {least: minutes(20), most: minutes(45), begin: func(f *fault) {
			f.w.railway.SetPlatformStatus(false, "Networking: requests to applications fail")
		}, end: func(f *fault) { f.w.railway.SetPlatformStatus(true, "") }},
		RedisDown: {least: minutes(10), most: minutes(25), begin: func(f *fault) { f.w.railway.SetStatus(f.e.redis.deployment, "CRASHED"); f.e.redis.up = false },
			removed: func(f *fault) bool { return f.e.redis.up }, end: func(f *fault) {
				if !f.e.redis.up {
					f.w.railway.SetStatus(f.e.redis.deployment, "SUCCESS")
				}
			}},
		SlackDown: {least: minutes(20), most: minutes(60)},
		SlowTasks: {least: minutes(120), most: minutes(240), variants: []string{"batch", "parallel", "progress", "content"}},
		StaleBackup: {begin: beginStaleBackup, removed: func(f *fault) bool {
			return f.w.since("backup", f.began) && f.e.newestBackup().After(f.began)
		}, end: func(f *fault) { f.e.backup(time.Now(), "") }},
		WebsocketProxy: {least: minutes(30), most: minutes(60), variants: []string{"edge", "hub"}, removed: func(f *fault) bool { return f.variant == "hub" && restarted(f) }},
	}
}

// Inject lets a fault begin now, in production.
func (w *World) Inject(given Fault) error {
	k, known := kinds()[given.Kind]
	if !known {
		return fmt.Errorf("world: there is no kind of fault %q; there are %s", given.Kind, strings.Join(Kinds(), ", "))
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	w.advance(now)
	f := &fault{Fault: given, kind: k, w: w, e: w.production, began: now, strength: w.rng.Float64()}
	drawn := w.rng.Float64()
	for name, value := range given.Param {
		if all := slices.Concat(k.variants, k.named); name != "variant" || !slices.Contains(all, value) {
			return fmt.Errorf("world: %s has no parameter %s=%s; variants are %q", given.Kind, name, value, all)
		}
		f.variant = value
	}
	if f.variant == "" && len(k.variants) > 0 {
		f.variant = k.variants[int(w.rng.Float64()*float64(len(k.variants)))]
	}
	if w.active(given.Kind) != nil {
		return fmt.Errorf("world: %s is there already", given.Kind)
	}
	if lasts := cmp.Or(given.For, k.least+time.Duration(drawn*float64(k.most-k.least)).Round(time.Second)); lasts > 0 {
		f.until = now.Add(lasts)
	}
	w.faults = append(w.faults, f)
	if k.begin != nil {
		k.begin(f)
	}
	w.production.stir()
	return nil
}

// Mend removes the cause of a fault, as somebody outside does whom a person has called: a
// provider, a colleague. It is no act of whoever is rehearsed.
func (w *World) Mend(kind string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.advance(time.Now())
	f := w.active(kind)
	if f == nil {
		return fmt.Errorf("world: there is no %s to be mended", kind)
	}
	w.act(f.e.name, "mended", kind)
	f.mended = true
	f.finish(time.Now())
	return nil
}

// active returns the fault of a kind that is there, or was at the step that is made; nil if
// there is none. The lock is held.
func (w *World) active(kind string) *fault {
	for _, f := range w.faults {
		switch {
		case f.Kind != kind:
		case w.at.IsZero() && f.over.IsZero(), !w.at.IsZero() && !w.at.Before(f.began) && (f.over.IsZero() || w.at.Before(f.over)):
			return f
		}
	}
	return nil
}

// fault returns the fault of a kind that is there in this environment.
func (e *environment) fault(kind string) *fault {
	if f := e.w.active(kind); f != nil && f.e == e {
		return f
	}
	return nil
}

// since reports whether there was an act of a kind after a time.
func (w *World) since(kind string, after time.Time) bool {
	return slices.ContainsFunc(w.acts, func(a Act) bool { return a.Kind == kind && a.At.After(after) })
}

// settle ends the fault if it is over. A commit that has it brings it back when it is
// deployed again.
func (f *fault) settle(now time.Time) {
	switch {
	case !f.over.IsZero():
		if f.commit != "" && !f.mended && f.e.app.run.commit == f.commit {
			f.over = time.Time{}
			if f.Kind == CrashLoop {
				f.w.railway.SetStatus(f.e.app.run.deployment, "CRASHED")
				f.e.stir()
			}
		}
	case f.removed != nil && f.removed(f):
		f.finish(now)
	case !f.until.IsZero() && !now.Before(f.until):
		f.finish(f.until)
	}
}

// finish ends the fault.
func (f *fault) finish(at time.Time) {
	f.over = at
	f.e.stir()
	if f.end != nil {
		f.end(f)
	}
}

// push deploys a commit that has the fault.
func (f *fault) push(message string) {
	f.commit = fmt.Sprintf("bad%09x", uint64(f.strength*(1<<36)))
	f.w.railway.Push(f.e.id, f.e.service("app"), f.commit, message)
}

// deployedAway reports whether the commit, or the state, that has the fault runs no more.
func deployedAway(f *fault) bool {
	if f.commit == "" {
		return f.e.app.up && f.e.app.run.began.After(f.began)
	}
	if f.e.app.run.commit == f.commit {
		f.seen = true
		return false
	}
	return f.seen || time.Since(f.began) > minutes(5)
}

func beginCrashLoop(f *fault) {
	if f.variant == "deploy" {
		if !f.e.frozen {
			f.w.railway.NextDeployments("CRASHED")
		}
		f.push("Newer libraries")
		return
	}
	f.w.railway.SetStatus(f.e.app.run.deployment, "CRASHED")
	f.e.app.up, f.e.app.crashed = false, true
	f.e.print(f.e.app.run.deployment, "RuntimeError: state file /tmp/queue is damaged", "error")
	f.e.print(f.e.app.run.deployment, "the process ended 10 times within a minute; it is not started again", "error")
}

func beginCanvasDown(f *fault) {
	status := 503
	if f.variant == "500" {
		status = 500
	}
	f.e.canvas.Inject(canvastest.Fault{Status: status, HTML: status == 500, Times: -1})
	// Its makers say so a while later.
	f.late = time.Duration(120+360*f.strength) * time.Second
}

func beginMaintenance(f *fault) {
	f.e.canvas.SetMaintenance(true)
	f.page = f.w.production.canvas.StatusPage.Add(canvastest.Incident{
		Name: "Scheduled maintenance of Canvas", Status: "in_progress", Components: []string{"Canvas"},
		ScheduledFor: f.began.Add(-time.Minute).Truncate(time.Minute), ScheduledUntil: f.until.Add(10 * time.Minute).Truncate(time.Minute),
	})
	f.w.production.canvas.StatusPage.SetComponent(canvastest.Component{Name: "Canvas", Status: "under_maintenance"})
}

func endCanvas(f *fault) {
	page := &f.w.production.canvas.StatusPage
	if f.Kind == CanvasMaintenance {
		f.e.canvas.SetMaintenance(false)
		page.Update(f.page, "completed", "The maintenance is complete.")
	} else {
		f.e.canvas.ClearFaults()
		if f.page != "" {
			page.Update(f.page, "resolved", "This incident has been resolved.")
		}
	}
	status := "operational"
	switch {
	case f.w.active(CanvasMaintenance) != nil, f.e.announcedAway():
		status = "under_maintenance"
	case f.w.active(CanvasDown) != nil:
		status = "major_outage"
	}
	page.SetComponent(canvastest.Component{Name: "Canvas", Status: status})
}
