package playbooks

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/incident"
)

// Window is when a maintenance is. Of one that is not planned, To is not known.
type Window struct {
	// From and To bound it.
	From time.Time `json:"from"`
	To   time.Time `json:"to,omitzero"`
	// Key is that of its announcement; empty if it is known by the parameters alone.
	Key string `json:"key,omitempty"`
	// Seen is when the announcement was looked at, and Ahead that it had not begun then.
	Seen  time.Time `json:"seen,omitzero"`
	Ahead bool      `json:"ahead,omitempty"`
	// State is "called off" if it is not announced any more, and "moved" if it is for another
	// time than when the run began. Empty means that it is as it was.
	State string `json:"state,omitempty"`
}

// What a window has become.
const (
	calledOff = "called off"
	movedAway = "moved"
)

// longestMaintenance is how long a maintenance of Canvas may be at most, however often its
// end is put off: a page that says more is not believed.
const longestMaintenance = 48 * time.Hour

// early is how long before its begin a Canvas that is away is taken to be in the maintenance
// already.
const early = 30 * time.Minute

// What users are told by a run, as its parameter users has it.
const (
	usersAll   = "all"   // that it is scheduled, that it begins, and that it is over
	usersBegun = "begun" // that it begins and is over: they know that it is scheduled
	usersOff   = "off"   // that it is called off
	usersNone  = "none"  // nothing
)

func usersAre(s *incident.Scope, what ...string) bool { return slices.Contains(what, s.Text("users")) }

// announcedParameters are those of a maintenance that is announced.
func announcedParameters() []incident.Parameter {
	return []incident.Parameter{
		{Name: "announcement", About: "The key of the announcement that it is about: its times are then those of the status page of Canvas, which is looked at again and again", Optional: true},
		{Name: "users", About: "What users are told: all; begun, if they know that it is scheduled; off, that it is called off; none", Default: usersAll, Choices: []string{usersAll, usersBegun, usersOff, usersNone}},
		{Name: "moved", About: "It was announced for another time before", Type: incident.YesNo, Default: "no"},
	}
}

// announced looks for an announcement. Nil without an error means that it is not on the page
// any more: it is over, or called off.
func (e Environment) announced(ctx context.Context, key string) (*AnnouncedMaintenance, error) {
	all, err := e.Announced(ctx)
	if err != nil {
		return nil, err
	}
	for _, m := range all {
		if m.Key == key && m.To.After(m.From) {
			m.To = earlier(m.To, m.From.Add(longestMaintenance))
			return &m, nil
		}
	}
	return nil, nil
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// window returns when it is: as the parameters tell, and as it is announced if they name an
// announcement. An announcement that cannot be read is as the parameters tell.
func (e Environment) window(ctx context.Context, s *incident.Scope) (any, error) {
	now := time.Now()
	w := windowOf(s, now)
	w.Key = s.Text("announcement")
	if w.Key == "" {
		return w, nil
	}
	w.Seen = now.Truncate(time.Second)
	w.Ahead = s.Duration("in") > 0
	if e.Announced == nil {
		return w, nil
	}
	m, err := e.announced(ctx, w.Key)
	switch {
	case err != nil:
	case m == nil:
		w.State, w.To = calledOff, time.Time{}
	default:
		w.From, w.To = m.From, m.To
		w.Ahead = now.Before(w.From) && !m.Begun
	}
	return w, nil
}

// begins is a step that waits until the maintenance begins: at its time; before that if its
// operator says that it is under way, or if Canvas is away already shortly before. It ends as
// well when the maintenance is called off, or moved: then another run is for it.
func (e Environment) begins(id string) incident.Step {
	return incident.Step{
		ID: id, Title: "Wait until it begins", When: both(decided("degrade"), ahead), Timeout: 2 * time.Minute,
		Do: incident.Wait{Within: 25 * time.Hour, Every: time.Minute, Until: func(ctx context.Context, s *incident.Scope) (any, bool, error) {
			w, _ := incident.Result[Window](s, "window")
			begun := false
			if w.Key != "" && e.Announced != nil {
				w, begun = e.again(ctx, w)
			}
			if now := time.Now(); w.State == "" && !begun && now.Before(w.From) {
				begun = w.From.Sub(now) <= early && w.Key != "" && probe(ctx, e.Probes.CanvasHost).down()
			}
			return w, w.State != "" || begun || !time.Now().Before(w.From), nil
		}},
	}
}

// again looks whether an announcement is still as it was, and whether it has begun. That it is
// gone is looked at twice: what is called off by mistake is not begun again. What cannot be
// read is as it was.
func (e Environment) again(ctx context.Context, w Window) (Window, bool) {
	m, err := e.announced(ctx, w.Key)
	if err == nil && m == nil {
		select {
		case <-time.After(20 * time.Second):
			m, err = e.announced(ctx, w.Key)
		case <-ctx.Done():
			return w, false
		}
	}
	switch {
	case err != nil:
	case m == nil:
		w.State = calledOff
	case !m.From.Equal(w.From) && !m.Begun:
		w.State = movedAway
	default:
		w.To = m.To
		return w, m.Begun
	}
	return w, false
}

// current returns the window as it was known when it began.
func current(s *incident.Scope) Window {
	if w, ok := incident.Result[Window](s, "begin"); ok {
		return w
	}
	w, _ := incident.Result[Window](s, "window")
	return w
}

// stillOn is the condition that it was neither called off nor moved while it was waited for.
func stillOn(s *incident.Scope) (bool, string) {
	w, waited := incident.Result[Window](s, "begin")
	return !waited || w.State == "", "it was " + w.State
}

// isOff is the condition that users are to be told that it is called off.
func isOff(s *incident.Scope) (bool, string) {
	w, _ := incident.Result[Window](s, "window")
	return usersAre(s, usersOff) && w.State == calledOff, "it is not called off"
}

// withinWindow makes a step that waits for Canvas wait for the end of the window too:
// Canvas may still be there when it begins, and come and go while it lasts. The end is the one
// that is announced at the time: later if it was put off, and at once if its operator says
// that it is over.
func (e Environment) withinWindow(s incident.Step) incident.Step {
	do, _ := s.Do.(incident.Verify)
	run := do.Run
	do.Within += longestMaintenance
	do.Run = func(ctx context.Context, s *incident.Scope) (any, error) {
		w := current(s)
		if w.Key != "" && w.State == "" && e.Announced != nil {
			switch m, err := e.announced(ctx, w.Key); {
			case err != nil: // as it was known
			case m == nil, m.From.After(time.Now().Add(early)):
				w.To = time.Time{}
			default:
				w.To = earlier(m.To, w.From.Add(longestMaintenance))
			}
		}
		if time.Now().Before(w.To) {
			return nil, fmt.Errorf("the maintenance lasts until %s", w.To.UTC().Format(time.DateTime))
		}
		return run(ctx, s)
	}
	s.Do = do
	return s
}

// tellUsers is a notice for everyone about the maintenance, with its times for status pages.
// All that is told of one announcement is one thread, whichever run does.
func (e Environment) tellUsers(id, status string, message func(*incident.Scope) incident.Message) incident.Step {
	s := e.tell(id, status, message)
	do, _ := s.Do.(incident.Notice)
	do.Send = func(ctx context.Context, s *incident.Scope, m incident.Message) error {
		w := current(s)
		about := cmp.Or(s.Incident, s.Run)
		if w.Key != "" {
			about = "canvas-maintenance-" + w.Key
		}
		return e.Tell(ctx, alert.Post{ID: about, Title: m.Title, Body: m.Text, Status: status, By: by(s), From: w.From, To: w.To, Last: status == "completed"})
	}
	s.Do = do
	told := func(s *incident.Scope) (bool, string) {
		return !usersAre(s, usersNone), "users are told by others"
	}
	return withWhen(s, told)
}

// calledOffText says that it will not be.
func (e Environment) calledOffText(s *incident.Scope) incident.Message {
	w, _ := incident.Result[Window](s, "window")
	return incident.Message{Title: "The maintenance of Canvas is called off", Text: fmt.Sprintf("It was announced for %s. Everything works as usual then.", e.clock(w.From))}
}
