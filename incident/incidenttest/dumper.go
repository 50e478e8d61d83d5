package incidenttest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"testing"

	"go.acu.edu.au/runbook/incident"
)

// DumperCase is a database with data in it, and others to load a dump into, for one
// test.
type DumperCase struct {
	Faults
	// Dumper is the implementation. If it implements DumpLoader, that is tested too.
	Dumper incident.Dumper
	// Tables is how many tables the database has: at least one.
	Tables int
	// Empty and Full are names of targets, Missing one that there is none of.
	Empty, Full, Missing string
	// Data returns what is in a target, as the database knows it, in a form in which
	// Source, what is in the database that is dumped, is the same text.
	Data   func(target string) string
	Source func() string
	// Spoil changes what is in a target, so that another plan is needed. Nil
	// declines.
	Spoil func(target string)
	// Secret is a text in the data that an encrypted dump must not show. Empty
	// declines.
	Secret string
}

// DumperHarness is what [TestDumper] needs of an implementation. Of its faults,
// those of a change are for Load.
type DumperHarness struct {
	// New returns fresh databases.
	New func(t testing.TB) DumperCase
	// Run runs each test; for what goes by package time it may be synctest.Test. Nil
	// means directly.
	Run Runner
}

// TestDumper checks what [incident.Dumper] and [incident.DumpLoader] ask of an
// implementation.
func TestDumper(t *testing.T, h DumperHarness) {
	h.Run.sub(t, "dump", func(t *testing.T) {
		c := h.New(t)
		dump, r := c.dump(t)
		sum := sha256.Sum256(dump)
		if err := r.Validate(); err != nil || r.Size != int64(len(dump)) || r.SHA256 != hex.EncodeToString(sum[:]) || r.Tables != c.Tables {
			t.Errorf("receipt %+v, error %v; want %d bytes with hash %x, %d tables", r, err, len(dump), sum, c.Tables)
		}
		if r.Encrypted && c.Secret != "" && bytes.Contains(dump, []byte(c.Secret)) {
			t.Error("the dump is said to be encrypted, and can be read")
		}
		effects(t, c.Faults, 0)
	})
	h.Run.sub(t, "a writer that fails", func(t *testing.T) {
		c := h.New(t)
		full := errors.New("disk full")
		if r, err := c.Dumper.Dump(t.Context(), failingWriter{full}); !errors.Is(err, full) {
			t.Errorf("receipt %+v, error %v; want that of the writer", r, err)
		}
	})
	h.Run.sub(t, "dump with an ended context", func(t *testing.T) {
		c := h.New(t)
		if r, err := c.Dumper.Dump(ended(t), io.Discard); !errors.Is(err, context.Canceled) {
			t.Errorf("receipt %+v, error %v; want that of the context", r, err)
		}
	})
	h.Run.sub(t, "plan", func(t *testing.T) { testPlanLoad(t, h.New(t)) })
	t.Run("load", func(t *testing.T) { testChange(t, h.Run, h.New, loadDump) })
	h.Run.sub(t, "what is not what the receipt says", func(t *testing.T) { testDamagedDump(t, h.New(t)) })
	h.Run.sub(t, "stale plans", func(t *testing.T) { testStaleLoad(t, h.New(t)) })
}

// loader returns the implementation as a DumpLoader, or skips the test.
func (c DumperCase) loader(t testing.TB) incident.DumpLoader {
	t.Helper()
	l, ok := c.Dumper.(incident.DumpLoader)
	if !ok {
		t.Skip("declined")
	}
	return l
}

// failingWriter fails.
type failingWriter struct{ err error }

func (w failingWriter) Write([]byte) (int, error) { return 0, w.err }

// failingReader fails after a few bytes.
type failingReader struct{ *bytes.Reader }

func (r failingReader) Read(b []byte) (int, error) {
	if r.Len() < int(r.Size()) {
		return 0, errors.New("connection lost")
	}
	return r.Reader.Read(b[:min(len(b), 3)])
}

// WriteTo hides that of the reader inside, which does not fail.
func (r failingReader) WriteTo(w io.Writer) (int64, error) {
	return io.Copy(w, struct{ io.Reader }{r})
}

func (c DumperCase) dump(t testing.TB) ([]byte, incident.DumpReceipt) {
	t.Helper()
	var dump bytes.Buffer
	r, err := c.Dumper.Dump(t.Context(), &dump)
	if err != nil {
		t.Fatal(err)
	}
	return dump.Bytes(), r
}

func (c DumperCase) plan(t testing.TB, r incident.DumpReceipt, target string) incident.LoadPlan {
	t.Helper()
	p, err := c.loader(t).PlanLoad(t.Context(), r, target)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func testPlanLoad(t *testing.T, c DumperCase) {
	_, r := c.dump(t)
	before := c.Data(c.Full)
	if p := c.plan(t, r, c.Empty); p.Target != c.Empty || len(p.Destroys) > 0 || p.Receipt != r || p.Server == "" {
		t.Errorf("plan %+v; want one that destroys nothing", p)
	}
	if p := c.plan(t, r, c.Full); len(p.Destroys) == 0 || !p.Same(c.plan(t, r, c.Full)) {
		t.Errorf("plan %+v; want what it destroys, and the same again", p)
	}
	_, err := c.loader(t).PlanLoad(t.Context(), r, c.Missing)
	wants(t, err, incident.ErrNotFound)
	if c.Data(c.Full) != before {
		t.Error("planning changed the target")
	}
	effects(t, c.Faults, 0)
}

// loadDump loads into the target that has something in it. If the platform does not
// answer any more, the dump and the plan cannot be made, and their error is it.
func loadDump(t testing.TB, ctx context.Context, c DumperCase) error {
	loader := c.loader(t)
	var dump bytes.Buffer
	r, err := c.Dumper.Dump(context.WithoutCancel(ctx), &dump)
	if err != nil {
		return err
	}
	p, err := loader.PlanLoad(context.WithoutCancel(ctx), r, c.Full)
	if err != nil {
		return err
	}
	got, err := loader.Load(ctx, p, bytes.NewReader(dump.Bytes()))
	if err != nil {
		return err
	}
	if c.Data(c.Full) != c.Source() || got.Target != c.Full || got.Tables != c.Tables {
		t.Errorf("loaded %+v; want %d tables of %q", got, c.Tables, c.Full)
	}
	return nil
}

func testDamagedDump(t *testing.T, c DumperCase) {
	loader := c.loader(t)
	dump, r := c.dump(t)
	before := c.Data(c.Full)
	changed := bytes.Clone(dump)
	changed[len(changed)/2] ^= 1
	for name, from := range map[string]io.Reader{
		"cut short": bytes.NewReader(dump[:len(dump)-1]), "empty": bytes.NewReader(nil), "one bit changed": bytes.NewReader(changed),
		"something after it": bytes.NewReader(append(bytes.Clone(dump), 0)),
		"read fails":         failingReader{bytes.NewReader(dump)},
	} {
		got, err := loader.Load(t.Context(), c.plan(t, r, c.Full), from)
		if err == nil {
			t.Errorf("%s: loaded %+v", name, got)
		}
		if !isUnknown(err) && c.Data(c.Full) != before {
			t.Errorf("%s: the target was changed, error %v", name, err)
		}
	}
}

func testStaleLoad(t *testing.T, c DumperCase) {
	loader := c.loader(t)
	dump, r := c.dump(t)
	p := c.plan(t, r, c.Full)
	hidden := p
	hidden.Destroys = nil
	_, err := loader.Load(t.Context(), hidden, bytes.NewReader(dump))
	wants(t, err, incident.ErrStale)
	missing := p
	missing.Target = c.Missing
	_, err = loader.Load(t.Context(), missing, bytes.NewReader(dump))
	wants(t, err, incident.ErrNotFound)
	effects(t, c.Faults, 0)
	if c.Spoil == nil {
		return
	}
	c.Spoil(c.Full)
	spoiled := c.Data(c.Full)
	_, err = loader.Load(t.Context(), p, bytes.NewReader(dump))
	wants(t, err, incident.ErrStale)
	if c.Data(c.Full) != spoiled {
		t.Error("a stale plan was carried out")
	}
}
