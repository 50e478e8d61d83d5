package incidenttest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"go.acu.edu.au/runbook/incident"
)

var _ incident.OnCall = (*OnCall)(nil)

// OnCall is an [incident.OnCall] that says what it was told, at whatever time it is asked
// about.
type OnCall struct {
	mu     sync.Mutex
	teams  map[string][]incident.Person
	asked  []OnCallQuestion
	script script
}

// An OnCallQuestion is what an [OnCall] was asked.
type OnCallQuestion struct {
	// Team is whom it was asked for, At the time that was asked about.
	Team string
	At   time.Time
}

// Set says who is on call for a team from now on: nobody, if there are no people.
func (o *OnCall) Set(team string, people ...incident.Person) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.teams == nil {
		o.teams = make(map[string][]incident.Person)
	}
	o.teams[team] = clonePeople(people)
}

// Fail makes the next questions fail, one with each error; nil lets one pass.
func (o *OnCall) Fail(errs ...error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.script.errors = append(o.script.errors, errs...)
}

// Asked returns what it was asked, in order, also where that failed.
func (o *OnCall) Asked() []OnCallQuestion {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.asked)
}

// OnCall implements [incident.OnCall].
func (o *OnCall) OnCall(ctx context.Context, team string, at time.Time) ([]incident.Person, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.asked = append(o.asked, OnCallQuestion{team, at})
	if err := o.script.next(ctx); err != nil {
		return nil, err
	}
	people, ok := o.teams[team]
	if !ok {
		return nil, fmt.Errorf("incidenttest: on call: team %q: %w", team, incident.ErrNotFound)
	}
	return clonePeople(people), nil
}

func clonePeople(people []incident.Person) []incident.Person {
	out := slices.Clone(people)
	for i := range out {
		out[i].Contacts = slices.Clone(out[i].Contacts)
	}
	return out
}

// OnCallCase is a rota, for one test.
type OnCallCase struct {
	// OnCall is the implementation.
	OnCall incident.OnCall
	// Team is a team for which the people of that name, and nobody else, are on call at
	// the time At.
	Team  string
	At    time.Time
	Names []string
	// Nobody is a team for which nobody is on call at that time. Empty declines the case.
	Nobody string
	// Missing is a team that there is not.
	Missing string
	// Break makes it impossible to find out from now on. Nil declines the case.
	Break func()
}

// OnCallHarness is what [TestOnCall] needs of an implementation.
type OnCallHarness struct {
	// New returns a rota that works.
	New func(t testing.TB) OnCallCase
	// Run runs each test; for what goes by package time it may be synctest.Test. Nil
	// means directly.
	Run Runner
}

// TestOnCall checks what [incident.OnCall] asks of an implementation.
func TestOnCall(t *testing.T, h OnCallHarness) {
	want := func(t *testing.T, c OnCallCase) []incident.Person {
		t.Helper()
		people, err := c.OnCall.OnCall(t.Context(), c.Team, c.At)
		var names []string
		for _, p := range people {
			names = append(names, p.Name)
			if p.Name == "" || len(p.Contacts) == 0 || slices.Contains(p.Contacts, "") {
				t.Errorf("person %+v; want a name, and contacts that have one", p)
			}
		}
		if err != nil || !slices.Equal(names, c.Names) {
			t.Errorf("%q are on call, error %v; want %q", names, err, c.Names)
		}
		return people
	}
	h.Run.sub(t, "somebody", func(t *testing.T) {
		c := h.New(t)
		want(t, c)
		c.At = c.At.In(time.FixedZone("elsewhere", 13*60*60)) // the same instant
		want(t, c)
	})
	h.Run.sub(t, "nobody is no error", func(t *testing.T) {
		c := h.New(t)
		if c.Nobody == "" {
			t.Skip("declined")
		}
		if people, err := c.OnCall.OnCall(t.Context(), c.Nobody, c.At); err != nil || len(people) > 0 {
			t.Errorf("%+v are on call, error %v; want nobody, and no error", people, err)
		}
	})
	h.Run.sub(t, "missing", func(t *testing.T) {
		c := h.New(t)
		if people, err := c.OnCall.OnCall(t.Context(), c.Missing, c.At); !errors.Is(err, incident.ErrNotFound) || len(people) > 0 {
			t.Errorf("%+v are on call, error %v; want ErrNotFound", people, err)
		}
	})
	h.Run.sub(t, "the answer is the caller's", func(t *testing.T) {
		c := h.New(t)
		for _, p := range want(t, c) {
			p.Contacts[0] = "changed by the caller"
		}
		people := want(t, c)
		for i := range people {
			if people[i].Contacts[0] == "changed by the caller" {
				t.Error("a caller changed the rota through what it was told")
			}
			people[i].Name = "changed by the caller"
		}
		want(t, c)
	})
	h.Run.sub(t, "it cannot be found out", func(t *testing.T) {
		c := h.New(t)
		if c.Break == nil {
			t.Skip("declined")
		}
		c.Break()
		if people, err := c.OnCall.OnCall(t.Context(), c.Team, c.At); err == nil || len(people) > 0 || errors.Is(err, incident.ErrNotFound) {
			t.Errorf("%+v are on call, error %v; want an error that does not say that there is no such team", people, err)
		}
	})
	h.Run.sub(t, "ended context", func(t *testing.T) {
		c := h.New(t)
		if people, err := c.OnCall.OnCall(ended(t), c.Team, c.At); !errors.Is(err, context.Canceled) || len(people) > 0 {
			t.Errorf("%+v are on call, error %v; want that of the context", people, err)
		}
	})
	h.Run.sub(t, "concurrently", func(t *testing.T) {
		c := h.New(t)
		each(8, func(int) { want(t, c) })
	})
}
