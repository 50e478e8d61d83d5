package incidenttest

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/incident"
)

var (
	_ incident.Diagnoser = (*Diagnoser)(nil)
	_ incident.Nonces    = (*Nonces)(nil)
)

// Diagnoser is an [incident.Diagnoser] that says what it was told.
type Diagnoser struct {
	mu        sync.Mutex
	diagnosis incident.Diagnosis
	script    script
}

// Set changes what is said. The findings are put in order.
func (d *Diagnoser) Set(diagnosis incident.Diagnosis) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.diagnosis = cloneDiagnosis(diagnosis)
	d.diagnosis.Sort()
}

// Fail makes the next calls fail, one with each error; nil lets one pass.
func (d *Diagnoser) Fail(errs ...error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.script.errors = append(d.script.errors, errs...)
}

// Diagnose implements [incident.Diagnoser]. What was not told is: "a diagnosis in
// memory" in which everything is right.
func (d *Diagnoser) Diagnose(ctx context.Context) (incident.Diagnosis, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.script.next(ctx); err != nil {
		return incident.Diagnosis{}, err
	}
	out := cloneDiagnosis(d.diagnosis)
	if out.Time.IsZero() {
		out.Time = time.Now()
	}
	if out.Subject == "" {
		out.Subject = "a diagnosis in memory"
	}
	if len(out.Findings)+len(out.Checked)+len(out.NotChecked) == 0 {
		out.Checked = []string{"everything"}
	}
	return out, nil
}

func cloneDiagnosis(d incident.Diagnosis) incident.Diagnosis {
	d.Findings, d.Checked, d.NotChecked = slices.Clone(d.Findings), slices.Clone(d.Checked), slices.Clone(d.NotChecked)
	for i := range d.Findings {
		d.Findings[i].Evidence = slices.Clone(d.Findings[i].Evidence)
	}
	return d
}

// DiagnoserCase is something that is diagnosed, for one test.
type DiagnoserCase struct {
	// Diagnoser is the implementation.
	Diagnoser incident.Diagnoser
	// Findings are the IDs of findings that there must be, in this order; there
	// may be others between them. None means that nothing is wrong, so that there
	// must be no finding.
	Findings []string
	// Secrets are texts that no diagnosis may contain: the keys and tokens that the
	// implementation knows, names of people.
	Secrets []string
	// State describes what is diagnosed, to see that nothing is changed. Nil
	// declines.
	State func() string
}

// DiagnoserHarness is what [TestDiagnoser] needs of an implementation.
type DiagnoserHarness struct {
	// Well returns something with which nothing is wrong, and all of which can be
	// looked at.
	Well func(t testing.TB) DiagnoserCase
	// Sick returns something with at least one thing wrong.
	Sick func(t testing.TB) DiagnoserCase
	// Silent returns something that does not answer, or that we may not look at,
	// and of which nothing is known to be wrong. Nil declines.
	Silent func(t testing.TB) DiagnoserCase
}

// TestDiagnoser checks what [incident.Diagnoser] asks of an implementation.
func TestDiagnoser(t *testing.T, h DiagnoserHarness) {
	t.Run("well", func(t *testing.T) {
		c := h.Well(t)
		d := c.diagnose(t)
		if len(d.Findings) > 0 || len(d.Checked) == 0 {
			t.Errorf("diagnosis is\n%v\nwant no finding, and something that is right", d)
		}
	})
	t.Run("sick", func(t *testing.T) {
		c := h.Sick(t)
		if len(c.Findings) == 0 {
			t.Fatal("the harness names no finding")
		}
		d := c.diagnose(t)
		want := c.Findings
		for _, f := range d.Findings {
			if len(want) > 0 && f.ID == want[0] {
				want = want[1:]
			}
		}
		if len(want) > 0 {
			t.Errorf("diagnosis is\n%v\nwant findings %q in this order", d, c.Findings)
		}
	})
	t.Run("silence is no finding", func(t *testing.T) {
		if h.Silent == nil {
			t.Skip("declined")
		}
		c := h.Silent(t)
		d, err := c.Diagnoser.Diagnose(t.Context())
		if err != nil {
			return // nothing at all could be looked at
		}
		if len(d.Findings) > 0 || len(d.NotChecked) == 0 {
			t.Errorf("diagnosis is\n%v\nwant no finding, and what could not be looked at", d)
		}
		c.look(t, d)
	})
	t.Run("ended context", func(t *testing.T) {
		c := h.Well(t)
		began := time.Now()
		d, err := c.Diagnoser.Diagnose(ended(t))
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("it took %v", took)
		}
		switch {
		case err != nil && !errors.Is(err, context.Canceled):
			t.Errorf("error %v; want that of the context, or none", err)
		case err == nil && len(d.Findings) > 0:
			t.Errorf("diagnosis is\n%v\nwant no finding: what was not looked at is not wrong", d)
		case err == nil:
			c.look(t, d)
		}
	})
	t.Run("concurrently", func(t *testing.T) {
		c := h.Sick(t)
		each(4, func(int) {
			if d, err := c.Diagnoser.Diagnose(t.Context()); err != nil || len(d.Findings) == 0 {
				t.Errorf("diagnosis %v, error %v; want findings", d, err)
			}
		})
	})
}

// diagnose makes a diagnosis, and checks its form and that nothing is changed.
func (c DiagnoserCase) diagnose(t testing.TB) incident.Diagnosis {
	t.Helper()
	before := ""
	if c.State != nil {
		before = c.State()
	}
	d, err := c.Diagnoser.Diagnose(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if c.State != nil && c.State() != before {
		t.Errorf("what is diagnosed was %s and is %s; want no change", before, c.State())
	}
	c.look(t, d)
	return d
}

// look checks what holds for every diagnosis.
func (c DiagnoserCase) look(t testing.TB, d incident.Diagnosis) {
	t.Helper()
	if err := d.Validate(); err != nil {
		t.Error(err)
	}
	text := d.String()
	for i, secret := range c.Secrets {
		if secret != "" && strings.Contains(text, secret) {
			t.Errorf("the diagnosis contains secret %d", i)
		}
	}
}

// Nonces is an [incident.Nonces] that has as many nonces as it was given.
type Nonces struct {
	mu            sync.Mutex
	live, expired int
	script        script
}

// Add adds nonces.
func (n *Nonces) Add(live, expired int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.live, n.expired = n.live+live, n.expired+expired
}

// Fail makes the next calls fail, one with each error; nil lets one pass.
func (n *Nonces) Fail(errs ...error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.script.errors = append(n.script.errors, errs...)
}

// Live returns how many live nonces there are.
func (n *Nonces) Live() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.live
}

// PurgeExpired implements [incident.Nonces].
func (n *Nonces) PurgeExpired(ctx context.Context) (removed int, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if err := n.script.change(ctx, "PurgeExpired"); err != nil {
		return 0, err
	}
	removed, n.expired = n.expired, 0
	return removed, nil
}

// NoncesCase is a store of nonces, for one test.
type NoncesCase struct {
	// Nonces is the implementation.
	Nonces incident.Nonces
	// Expired is how many nonces are in it whose time is over: at least one.
	Expired int
	// Live returns how many of the live ones are still there: at least one at the
	// beginning.
	Live func() int
}

// NoncesHarness is what [TestNonces] needs of an implementation.
type NoncesHarness struct {
	// New returns a fresh store.
	New func(t testing.TB) NoncesCase
}

// TestNonces checks what [incident.Nonces] asks of an implementation.
func TestNonces(t *testing.T, h NoncesHarness) {
	t.Run("expired ones only", func(t *testing.T) {
		c := h.New(t)
		live := c.Live()
		if live == 0 || c.Expired == 0 {
			t.Fatal("the harness has no live nonce, or none that expired")
		}
		for _, want := range []int{c.Expired, 0} {
			if removed, err := c.Nonces.PurgeExpired(t.Context()); err != nil || removed != want {
				t.Errorf("removed %d, error %v; want %d", removed, err, want)
			}
		}
		if now := c.Live(); now != live {
			t.Errorf("%d of %d live nonces are left", now, live)
		}
	})
	t.Run("read-only context", func(t *testing.T) {
		c := h.New(t)
		removed, err := c.Nonces.PurgeExpired(runbook.ReadOnly(t.Context()))
		isReadOnly(t, err)
		after, err := c.Nonces.PurgeExpired(t.Context())
		if err != nil || removed != 0 || after != c.Expired {
			t.Errorf("removed %d, then %d, error %v; want none, then %d", removed, after, err, c.Expired)
		}
	})
	t.Run("concurrently", func(t *testing.T) {
		c := h.New(t)
		live := c.Live()
		each(4, func(int) {
			if _, err := c.Nonces.PurgeExpired(t.Context()); err != nil {
				t.Error(err)
			}
		})
		if now := c.Live(); now != live {
			t.Errorf("%d of %d live nonces are left", now, live)
		}
	})
}
