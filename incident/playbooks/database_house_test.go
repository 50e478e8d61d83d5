package playbooks_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
	"sync"
	"testing"
	"time"

	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/incidenttest"
	"go.acu.edu.au/runbook/incident/playbooks"
)

// vault keeps dumps off the platform, in memory.
type vault struct {
	mu    sync.Mutex
	dumps []playbooks.Dump // the oldest first
	bytes map[string][]byte
	ledger
	// broken is what keeping a dump fails with.
	broken error
}

// ledger keeps effects that are not those of the platform, and when they came.
type ledger struct {
	lock    sync.Mutex
	effects []kept
	// done is how many effects there were on the platform until now.
	done func() int
}

// kept is an effect, after so many on the platform.
type kept struct {
	effect string
	after  int
}

func (l *ledger) add(effect string) {
	l.lock.Lock()
	defer l.lock.Unlock()
	l.effects = append(l.effects, kept{effect, l.done()})
}

// among puts the effects among those on the platform, in order.
func (l *ledger) among(platform []string) (all []string) {
	l.lock.Lock()
	defer l.lock.Unlock()
	rest := l.effects
	for i, e := range platform {
		for len(rest) > 0 && rest[0].after <= i {
			all, rest = append(all, rest[0].effect), rest[1:]
		}
		all = append(all, e)
	}
	for _, k := range rest {
		all = append(all, k.effect)
	}
	return all
}

func (v *vault) keeping() playbooks.Dumps {
	return playbooks.Dumps{
		List: func(context.Context) ([]playbooks.Dump, error) {
			v.mu.Lock()
			defer v.mu.Unlock()
			list := slices.Clone(v.dumps)
			slices.Reverse(list)
			return list, nil
		},
		Keep: v.keep,
		Open: func(_ context.Context, name string) (io.ReadSeekCloser, error) {
			v.mu.Lock()
			defer v.mu.Unlock()
			data, ok := v.bytes[name]
			if !ok {
				return nil, fmt.Errorf("dump %s: %w", name, incident.ErrNotFound)
			}
			return nopCloser{bytes.NewReader(data)}, nil
		},
		Live: "live", Rehearsal: "rehearsal",
	}
}

func (v *vault) keep(_ context.Context, name string, write func(io.Writer) (incident.DumpReceipt, error)) error {
	var b bytes.Buffer
	receipt, err := write(&b)
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.broken != nil {
		return v.broken
	}
	if err != nil {
		return err
	}
	if v.bytes == nil {
		v.bytes = make(map[string][]byte)
	}
	v.dumps = append(slices.DeleteFunc(v.dumps, func(d playbooks.Dump) bool { return d.Name == name }), playbooks.Dump{Name: name, Receipt: receipt})
	v.bytes[name] = b.Bytes()
	v.add("Keep " + name)
	return nil
}

type nopCloser struct{ *bytes.Reader }

func (nopCloser) Close() error { return nil }

// dataHouse is a house with a database of which there are backups and dumps, and with a
// platform of its own for the service of the database.
type dataHouse struct {
	*house
	t      testing.TB
	vault  *vault
	server *incidenttest.Platform
	// larger means that a person made the disk larger.
	larger bool
	// from are the effects by which the world was made.
	from []string
}

// newDataHouse returns one in which everything is well: a backup and a dump were made two
// hours ago.
func newDataHouse(t testing.TB) *dataHouse {
	t.Helper()
	h := &dataHouse{house: newHouse(t), t: t, vault: new(vault), server: new(incidenttest.Platform)}
	h.vault.done = func() int { return len(h.platform.Effects()) }
	h.server.Deploy(incident.Deployment{Image: "postgres:15", Status: incident.DeploymentSucceeded})
	h.platform.Write("accounts\ntasks\n")
	h.Environment.Backups, h.Dumper, h.Migrator = h.platform, h.platform, h.platform
	h.Database, h.DatabaseScaler = h.server, h.server
	if _, err := h.platform.CreateBackup(t.Context(), "daily"); err != nil {
		t.Fatal(err)
	}
	err := h.vault.keep(t.Context(), "nightly", func(w io.Writer) (incident.DumpReceipt, error) { return h.platform.Dump(t.Context(), w) })
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.server.SetScale(t.Context(), incident.Scale{Regions: []incident.RegionScale{{Replicas: 1}}, Memory: 2 << 30}); err != nil {
		t.Fatal(err)
	}
	time.Sleep(2 * time.Hour)
	h.begin()
	return h
}

// begin says that what was done until now belongs to the world, and not to the playbook.
func (h *dataHouse) begin() { h.from = h.all() }

// all are all effects: those on the platform, on the service of the database, on the vault.
func (h *dataHouse) all() []string {
	all := h.vault.among(h.platform.Effects())
	for _, e := range h.server.Effects() {
		all = append(all, "server: "+e)
	}
	return all
}

// effects are those of the playbook.
func (h *dataHouse) effects() []string {
	before := slices.Clone(h.from)
	return slices.DeleteFunc(h.all(), func(e string) bool {
		i := slices.Index(before, e)
		if i >= 0 {
			before = slices.Delete(before, i, i+1)
		}
		return i >= 0
	})
}

// reads says what the server of the database measures.
func reads(status health.Status, cause health.Cause, message string, numbers map[string]float64) func() health.Result {
	return func() health.Result {
		r := health.Result{Status: status, Cause: cause, Message: message}
		for _, name := range []string{"connections_used", "pool_used", "blocked_queries", "longest_blocked", "disk_used"} {
			if v, ok := numbers[name]; ok {
				r.Measurements = append(r.Measurements, health.Measurement{Name: name, Value: v})
			}
		}
		return r
	}
}

// until says one thing until something is so, and then that it is well.
func until(so func() bool, is func() health.Result) func() health.Result {
	return func() health.Result {
		if so() {
			return health.Result{Status: health.Healthy}
		}
		return is()
	}
}

// stepsOf says how far the steps of a run are.
func stepsOf(run incident.Run) (text string) {
	for _, s := range run.Steps {
		text += fmt.Sprintf("%-20s %-8s %s %s\n", s.ID, s.State, s.Message, s.Output)
	}
	return text
}
