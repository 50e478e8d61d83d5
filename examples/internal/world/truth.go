package world

import (
	"slices"
	"time"
)

// Truth is what is really so in production. It is for those who judge, and never for
// whoever is rehearsed.
type Truth struct {
	// Served says that users are served: most requests are answered, in a bearable time, and
	// launches work. Since is when they ceased to be, zero if they are.
	Served bool
	Since  time.Time
	// Unserved are all times at which they were not. The last one may have no end.
	Unserved []Span
	// Whole says that no data were lost.
	Whole bool
	// Causes are the kinds of the faults that are there, Faults all that there were.
	Causes []string
	Faults []Past
	// SecretValid says that a credential that has leaked is still accepted.
	SecretValid bool
	// SignedOut is when all users were signed out last, by intention or by a secret that was
	// renewed with no overlap. Zero means never.
	SignedOut time.Time
	// Variables are those of the application, as they are configured; Running those that its
	// processes really got. Secrets are hidden.
	Variables, Running map[string]string
	// Commit is what runs, Processes when its processes began.
	Commit    string
	Processes time.Time
	// Frozen says that pushes are not deployed, Stopped that the application was taken off
	// the network.
	Frozen, Stopped bool
	// Backup is when the newest backup was made.
	Backup time.Time
}

// A Span is a time in which something was so. A zero To means that it still is.
type Span struct{ From, To time.Time }

// Past is a fault that there is or was.
type Past struct {
	// Kind is what, Variant which of the causes that it can have.
	Kind, Variant string
	// From is when it began, To when its cause was removed; zero if it is there.
	From, To time.Time
}

// Truth returns what is so now.
func (w *World) Truth() Truth {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.advance(time.Now())
	e := w.production
	t := Truth{
		Served: true, Unserved: slices.Clone(w.unserved), Whole: e.database.lost == "", Variables: visible(w.railway.Variables(e.id, e.service("app"))), Running: visible(e.app.run.variables),
		Commit: e.app.run.commit, Processes: e.app.run.began, Frozen: e.frozen, Stopped: e.app.stopped, Backup: e.newestBackup(), SignedOut: e.app.lost,
	}
	if n := len(w.unserved); n > 0 && w.unserved[n-1].To.IsZero() {
		t.Served, t.Since = false, w.unserved[n-1].From
	}
	for _, f := range w.faults {
		t.Faults = append(t.Faults, Past{f.Kind, f.variant, f.began, f.over})
		if f.over.IsZero() {
			t.Causes = append(t.Causes, f.Kind)
		}
	}
	t.SecretValid = w.active(LeakedCredential) != nil
	return t
}

// serves is called for each step, and keeps when users were not served. The lock is held.
func (e *environment) serves(at time.Time) {
	w := e.w
	m := e.app.at(0)
	refused := e.launchesRefused()
	served := e.app.up && !e.unreachable() && m.errors < 0.3*m.requests && m.latency < 10 && (refused == "" || refused == "expired") && (!e.canvasAway() || e.leavesCanvasAlone())
	n := len(w.unserved)
	open := n > 0 && w.unserved[n-1].To.IsZero()
	switch {
	case served && open:
		w.unserved[n-1].To = at
	case !served && !open:
		w.unserved = append(w.unserved, Span{From: at})
	}
}

// visible are variables with the secrets hidden.
func visible(all map[string]string) map[string]string {
	out := make(map[string]string, len(all))
	for name, value := range all {
		out[name] = shown(name, value)
	}
	return out
}
