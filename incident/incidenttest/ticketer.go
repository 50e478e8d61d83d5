package incidenttest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/incident"
)

// A KeptTicket is a ticket as [Tickets] keeps it.
type KeptTicket struct {
	alert.Ticket
	// Key is that of the notifications by which it is kept.
	Key string
	// Said is what was written, in order: the text with which it was opened first.
	Said []string
}

// Tickets is a [incident.Ticketer] in memory. The zero value has no tickets. It must not
// be copied after first use.
type Tickets struct {
	mu     sync.Mutex
	script script
	lose   int
	list   []*KeptTicket
}

var _ incident.Ticketer = (*Tickets)(nil)

// Fail makes the next calls of Notify fail, one with each error, before anything is done;
// nil lets one pass.
func (k *Tickets) Fail(errs ...error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.script.errors = append(k.script.errors, errs...)
}

// LoseAnswer makes the next call of Notify that passes do what it is asked to, and return
// an error that does not say so.
func (k *Tickets) LoseAnswer() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.lose++
}

// Tickets returns the tickets, the oldest first.
func (k *Tickets) Tickets() []KeptTicket {
	k.mu.Lock()
	defer k.mu.Unlock()
	var list []KeptTicket
	for _, t := range k.list {
		kept := *t
		kept.Said = slices.Clone(t.Said)
		list = append(list, kept)
	}
	return list
}

// Notify implements [incident.Ticketer].
func (k *Tickets) Notify(ctx context.Context, n alert.Notification) (alert.Receipt, error) {
	if err := ctx.Err(); err != nil {
		return "", &alert.Error{Service: "tickets", Op: "notify", Unsent: true, Err: err}
	}
	if runbook.IsReadOnly(ctx) {
		return "", &alert.Error{Service: "tickets", Op: "notify", Unsent: true, Err: runbook.ErrReadOnly}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.script.next(ctx); err != nil {
		return "", err
	}
	receipt, err := k.keep(n)
	if err == nil && k.lose > 0 {
		k.lose--
		return "", &alert.Error{Service: "tickets", Op: "notify", Err: errors.New("the answer was lost")}
	}
	return receipt, err
}

func (k *Tickets) keep(n alert.Notification) (alert.Receipt, error) {
	i := slices.IndexFunc(k.list, func(t *KeptTicket) bool { return string(n.Prior) == t.ID || n.Prior == "" && n.Key == t.Key })
	switch {
	case i < 0 && n.Prior != "":
		return "", &alert.Error{Service: "tickets", Op: "find ticket", Kind: alert.ErrRefused, Err: fmt.Errorf("there is no ticket %q", n.Prior)}
	case i < 0 && n.Kind == alert.KindResolved:
		return "", nil
	case i < 0:
		id := fmt.Sprintf("TICKET-%d", len(k.list)+1)
		k.list = append(k.list, &KeptTicket{
			Ticket: alert.Ticket{ID: id, URL: "https://tickets.example.edu/" + id, State: "open"}, Key: n.Key, Said: []string{n.Text},
		})
		return alert.Receipt(id), nil
	case n.Prior == "" && n.Seq <= 1 && n.Kind != alert.KindResolved:
		return alert.Receipt(k.list[i].ID), nil // it is what is being repeated
	}
	t := k.list[i]
	t.Said = append(t.Said, n.Text)
	if n.Kind == alert.KindResolved {
		t.State, t.Done = "done", true
	}
	return alert.Receipt(t.ID), nil
}

// State implements [incident.Ticketer].
func (k *Tickets) State(ctx context.Context, receipt alert.Receipt) (alert.Ticket, error) {
	if err := ctx.Err(); err != nil {
		return alert.Ticket{}, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, t := range k.list {
		if t.ID == string(receipt) {
			return t.Ticket, nil
		}
	}
	return alert.Ticket{}, &alert.Error{Service: "tickets", Op: "read ticket", Kind: alert.ErrRefused, Err: fmt.Errorf("there is no ticket %q", receipt)}
}

// TicketerCase is a system that keeps tickets, for one test.
type TicketerCase struct {
	// Ticketer is the implementation.
	Ticketer incident.Ticketer
	// Tickets returns how many tickets there are, as people see it.
	Tickets func() int
	// Said returns what is written in all tickets, in order.
	Said func() []string
	// LoseAnswer makes the system carry out the next change and lose the answer. Nil
	// declines.
	LoseAnswer func()
	// Forbid makes the system refuse everything from now on. Nil declines.
	Forbid func()
}

// TicketerHarness is what [TestTicketer] needs of an implementation.
type TicketerHarness struct {
	// New returns a fresh system.
	New func(t testing.TB) TicketerCase
	// Run runs each test; for what goes by package time it may be synctest.Test. Nil
	// means directly.
	Run Runner
}

// TestTicketer checks what [incident.Ticketer] asks of an implementation.
func TestTicketer(t *testing.T, h TicketerHarness) {
	h.Run.sub(t, "from opening to closing", func(t *testing.T) {
		c := h.New(t)
		ticket := c.opened(t)
		c.tell(t, alert.KindUpdate, 2, ticket, "we look into it")
		if s := c.state(t, ticket); s.Done {
			t.Errorf("ticket %+v is done after a comment", s)
		}
		c.tell(t, alert.KindResolved, 3, ticket, "rolled back")
		if s := c.state(t, ticket); !s.Done {
			t.Errorf("ticket %+v is not done after it was closed", s)
		}
		c.shows(t, "it is down", "we look into it", "rolled back")
	})
	h.Run.sub(t, "opened once", func(t *testing.T) {
		c := h.New(t)
		first := c.opened(t)
		n := ticketNote(alert.KindFiring, 1, "", "it is down")
		n.PossibleRepeat = true
		if again, err := c.Ticketer.Notify(t.Context(), n); err != nil || again != first {
			t.Errorf("opened again as %q, error %v; want %q", again, err, first)
		}
		c.shows(t, "it is down")
	})
	h.Run.sub(t, "lost answer", func(t *testing.T) {
		c := h.New(t)
		if c.LoseAnswer == nil {
			t.Skip("declined")
		}
		c.LoseAnswer()
		_, err := c.Ticketer.Notify(t.Context(), ticketNote(alert.KindFiring, 1, "", "it is down"))
		if c.Tickets() > 0 && runbook.SafeToRetry(err) {
			t.Errorf("error %v claims that nothing happened", err)
		}
		c.opened(t)
	})
	h.Run.sub(t, "refused", func(t *testing.T) {
		c := h.New(t)
		if c.Forbid == nil {
			t.Skip("declined")
		}
		c.Forbid()
		if _, err := c.Ticketer.Notify(t.Context(), ticketNote(alert.KindFiring, 1, "", "it is down")); !errors.Is(err, alert.ErrRefused) {
			t.Errorf("error %v; want ErrRefused", err)
		}
		if n := c.Tickets(); n != 0 {
			t.Errorf("there are %d tickets", n)
		}
	})
	h.Run.sub(t, "no such ticket", func(t *testing.T) {
		c := h.New(t)
		if s, err := c.Ticketer.State(t.Context(), "nonsense/1"); !errors.Is(err, alert.ErrRefused) {
			t.Errorf("ticket %+v, error %v; want ErrRefused", s, err)
		}
	})
	h.Run.sub(t, "read only", func(t *testing.T) {
		c := h.New(t)
		_, err := c.Ticketer.Notify(runbook.ReadOnly(t.Context()), ticketNote(alert.KindFiring, 1, "", "it is down"))
		if !errors.Is(err, runbook.ErrReadOnly) || c.Tickets() != 0 {
			t.Errorf("error %v, and %d tickets; want ErrReadOnly, and none", err, c.Tickets())
		}
	})
	h.Run.sub(t, "ended context", func(t *testing.T) {
		c := h.New(t)
		_, err := c.Ticketer.Notify(ended(t), ticketNote(alert.KindFiring, 1, "", "it is down"))
		if !errors.Is(err, context.Canceled) || c.Tickets() != 0 {
			t.Errorf("error %v, and %d tickets; want that of the context, and none", err, c.Tickets())
		}
	})
}

func ticketNote(kind alert.Kind, seq int, prior alert.Receipt, text string) alert.Notification {
	return alert.Notification{
		Key: "INC-2026-0042", Seq: seq, Kind: kind, Severity: alert.High, Environment: "production", Prior: prior,
		Title: "INC-2026-0042: the application is down", Text: "INC-2026-0042: the application is down\n\n" + text + "\n",
		At: time.Date(2026, time.October, 5, 3, 12, 0, 0, time.UTC),
	}
}

// opened opens the ticket, of which there is one.
func (c TicketerCase) opened(t testing.TB) alert.Receipt {
	t.Helper()
	n := ticketNote(alert.KindFiring, 1, "", "it is down")
	n.PossibleRepeat = true
	receipt, err := c.Ticketer.Notify(t.Context(), n)
	if err != nil || receipt == "" {
		t.Fatalf("opened as %q, error %v", receipt, err)
	}
	if s := c.state(t, receipt); s.ID == "" || s.URL == "" || s.State == "" || s.Done {
		t.Errorf("ticket %+v; want an ID, an address and a state that is not done", s)
	}
	if n := c.Tickets(); n != 1 {
		t.Errorf("there are %d tickets; want one", n)
	}
	return receipt
}

func (c TicketerCase) tell(t testing.TB, kind alert.Kind, seq int, ticket alert.Receipt, text string) {
	t.Helper()
	if receipt, err := c.Ticketer.Notify(t.Context(), ticketNote(kind, seq, ticket, text)); err != nil || receipt != ticket {
		t.Fatalf("%s: receipt %q, error %v; want %q", kind, receipt, err, ticket)
	}
}

func (c TicketerCase) state(t testing.TB, ticket alert.Receipt) alert.Ticket {
	t.Helper()
	s, err := c.Ticketer.State(t.Context(), ticket)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// shows checks that people see each text once, in this order.
func (c TicketerCase) shows(t testing.TB, texts ...string) {
	t.Helper()
	all := strings.Join(c.Said(), "\n")
	at := -1
	for _, text := range texts {
		if n := strings.Count(all, text); n != 1 {
			t.Errorf("people see %q %d times in %q; want once", text, n, all)
		}
		i := strings.Index(all, text)
		if i < at {
			t.Errorf("people see %q too early in %q", text, all)
		}
		at = i
	}
}
