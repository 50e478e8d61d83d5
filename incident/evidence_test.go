package incident_test

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"filippo.io/age"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/incidenttest"
)

// scene is what evidence is taken from.
type scene struct {
	platform *incidenttest.Platform
	audit    *incidenttest.AuditLog
	store    *incident.MemoryStore
	runs     *incident.MemoryRuns
	evidence incident.Evidence
}

// newScene makes one; in a bubble its times are fixed.
func newScene(t testing.TB) *scene {
	t.Helper()
	s := &scene{platform: new(incidenttest.Platform), audit: new(incidenttest.AuditLog), store: new(incident.MemoryStore), runs: incident.NewMemoryRuns(incident.MemoryRunsConfig{})}
	began := time.Now().UTC()
	s.platform.Deploy(incident.Deployment{Commit: "1c9e", Message: "Two | bars"})
	s.platform.Print(incident.LogLine{Time: began, Message: "login of jane with password hunter2", Level: "info", Attributes: map[string]string{"token": "hunter2", "path": "/login"}})
	s.platform.Print(incident.LogLine{Time: began, Message: "nothing special"})
	s.platform.Measure(incident.Series{Metric: incident.MetricCPU, Unit: incident.UnitCores, Points: []incident.Point{{Time: began, Value: 0.5}}})
	s.audit.Add(incident.AuditEvent{ID: "7", Time: began, Kind: incident.AuditAuthentication, Action: "login", Actor: "42", Address: "203.0.113.9"})
	note := func(chain, text string, after time.Duration) {
		_, err := s.store.Commit(t.Context(), incident.Change{Entries: []incident.Entry{{Chain: chain, At: began.Add(after), Kind: "note", Actor: "jane", Text: text, Data: json.RawMessage(`{"a": "<b>"}`)}}})
		require.NoError(t, err)
	}
	note("audit", "before the incident", 0)
	note("audit", "jane looks into INC-7", time.Minute)
	note("incident/INC-7", "opened", time.Minute)
	note("incident/INC-7", "tokens were revoked", 2*time.Minute)
	s.evidence = incident.Evidence{
		Incident: "INC-7", By: "jane", Reason: "tokens were used by somebody else", From: began, To: began.Add(time.Hour),
		Sources: []incident.EvidenceSource{
			incident.LogEvidence("web-log", s.platform, incident.LogQuery{}),
			incident.MetricEvidence("web-metrics", s.platform, incident.MetricCPU),
			incident.AuditEvidence("canvas-audit", s.audit, incident.AuditQuery{}),
			incident.DeploymentEvidence("deployments", s.platform, 10),
			incident.TimelineEvidence(s.store, "INC-7"),
			incident.DecisionEvidence(s.store),
			incident.RunEvidence(s.runs, "run-1"),
		},
	}
	require.NoError(t, s.runs.Launch(t.Context(), map[string]incident.Program{"nothing": func(context.Context, incident.Engine, incident.RunStart) (json.RawMessage, error) {
		return nil, nil
	}}))
	_, err := s.runs.Start(t.Context(), incident.RunStart{ID: "run-1", Program: "nothing", At: time.Now()})
	require.NoError(t, err)
	require.NoError(t, s.runs.Close(context.WithoutCancel(t.Context())))
	return s
}

// collect makes a bundle.
func (s *scene) collect(t testing.TB) ([]byte, incident.EvidenceReceipt) {
	t.Helper()
	var b bytes.Buffer
	receipt, err := s.evidence.Collect(t.Context(), &b)
	require.NoError(t, err)
	return b.Bytes(), receipt
}

// unpack returns the files of a bundle.
func unpack(t testing.TB, bundle []byte) map[string]string {
	t.Helper()
	all := make(map[string]string)
	r := tar.NewReader(bytes.NewReader(bundle))
	for {
		h, err := r.Next()
		if err == io.EOF {
			return all
		}
		require.NoError(t, err)
		content, err := io.ReadAll(r)
		require.NoError(t, err)
		all[h.Name] = string(content)
	}
}

// item returns what was had from a source.
func item(t testing.TB, m incident.EvidenceManifest, name string) incident.EvidenceItem {
	t.Helper()
	for _, i := range m.Items {
		if i.Name == name {
			return i
		}
	}
	require.Fail(t, "there is no item "+name)
	return incident.EvidenceItem{}
}

func TestEvidence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t)
		bundle, receipt := s.collect(t)
		assert.Empty(t, receipt.Manifest.Missing())
		assert.Equal(t, "jane", receipt.Manifest.By)
		files := unpack(t, bundle)
		assert.JSONEq(t, `{"time":"2000-01-01T00:00:00Z","level":"info","message":"login of jane with password hunter2","deployment":"d1","attributes":{"path":"/login","token":"hunter2"}}`, strings.SplitN(files["web-log.0001.jsonl"], "\n", 2)[0])
		assert.JSONEq(t, `{"metric":"cpu","unit":"cores","points":[{"time":"2000-01-01T00:00:00Z","value":0.5}]}`, files["web-metrics.0001.jsonl"])
		assert.JSONEq(t, `{"id":"7","time":"2000-01-01T00:00:00Z","kind":"authentication","action":"login","actor":"42","address":"203.0.113.9"}`, files["canvas-audit.0001.jsonl"])
		assert.Contains(t, files["deployments.0001.jsonl"], `"message":"Two | bars","current":true`)
		assert.Contains(t, files["runs.0001.jsonl"], `"id":"run-1"`)
		assert.Contains(t, files["timeline.0001.chain.jsonl"], "tokens were revoked")
		assert.Equal(t, int64(2), item(t, receipt.Manifest, "web-log").Lines)
		timeline := item(t, receipt.Manifest, "timeline").Chain
		assert.Equal(t, [2]int64{1, 2}, [2]int64{timeline.First, timeline.Last})
		again, err := incident.VerifyEvidence(bytes.NewReader(bundle))
		require.NoError(t, err)
		assert.Equal(t, receipt, again)
		assert.EqualValues(t, len(bundle), receipt.Bytes)
	})
}

// The audit record is one for all incidents: of it comes what is of the span, with the
// link to what was before.
func TestEvidenceOfAPartOfAChain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t)
		s.evidence.From = s.evidence.From.Add(30 * time.Second)
		bundle, receipt := s.collect(t)
		chain := item(t, receipt.Manifest, "decisions").Chain
		assert.Equal(t, [2]int64{2, 2}, [2]int64{chain.First, chain.Last})
		assert.Len(t, chain.Prior, 64)
		assert.NotContains(t, unpack(t, bundle)["decisions.0001.chain.jsonl"], "before the incident")
		_, err := incident.VerifyEvidence(bytes.NewReader(bundle))
		require.NoError(t, err)
		s.evidence.From = s.evidence.From.Add(10 * time.Minute)
		bundle, receipt = s.collect(t)
		assert.Equal(t, &incident.EvidenceChain{Chain: "audit"}, item(t, receipt.Manifest, "decisions").Chain, "nobody did anything")
		_, err = incident.VerifyEvidence(bytes.NewReader(bundle))
		require.NoError(t, err)
	})
}

// brokenStore has a chain that somebody changed.
type brokenStore struct {
	*incident.MemoryStore
	change func(*incident.Entry)
}

func (b brokenStore) Entries(ctx context.Context, chain string, after int64) iter.Seq2[incident.Entry, error] {
	return func(yield func(incident.Entry, error) bool) {
		for e, err := range b.MemoryStore.Entries(ctx, chain, after) {
			if b.change(&e); e.Seq > 0 && !yield(e, err) {
				return
			}
		}
	}
}

// A chain that was changed before is evidence too: it is taken, and said to be changed.
func TestEvidenceOfAChangedChain(t *testing.T) {
	for name, change := range map[string]func(*incident.Entry){
		"another text":      func(e *incident.Entry) { e.Text = strings.Replace(e.Text, "revoked", "kept", 1) },
		"the first is gone": func(e *incident.Entry) { e.Seq-- },
		"another hash":      func(e *incident.Entry) { e.Hash = "\xff" },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newScene(t)
				s.evidence.Sources = []incident.EvidenceSource{incident.TimelineEvidence(brokenStore{s.store, change}, "INC-7")}
				bundle, receipt := s.collect(t)
				assert.NotEmpty(t, receipt.Manifest.Items[0].Chain.Broken)
				assert.Empty(t, receipt.Manifest.Missing())
				again, err := incident.VerifyEvidence(bytes.NewReader(bundle))
				require.ErrorIs(t, err, incident.ErrBroken)
				require.ErrorContains(t, err, "already when it was taken")
				assert.Equal(t, receipt, again)
			})
		})
	}
}

// What cannot be had does not lose the rest, and is noted.
func TestEvidenceThatCannotBeHad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t)
		down := errors.New("the platform does not answer")
		s.platform.Fail("Metrics", incident.ErrNotPermitted)
		s.audit.Fail(down)
		source := func(name string, collect func(ctx context.Context, w *incident.EvidenceWriter) error) incident.EvidenceSource {
			return incident.EvidenceSource{Name: name, Ext: "txt", Collect: collect}
		}
		s.evidence.Sources = append(s.evidence.Sources,
			source("half", func(_ context.Context, w *incident.EvidenceWriter) error {
				_, err := io.WriteString(w, "half of it")
				return errors.Join(err, down)
			}),
			source("panics", func(context.Context, *incident.EvidenceWriter) error { panic("oops") }),
			source("slow", func(ctx context.Context, _ *incident.EvidenceWriter) error { <-ctx.Done(); return ctx.Err() }),
			incident.LogEvidence("no-logs", nil, incident.LogQuery{}), incident.MetricEvidence("no-metrics", nil), incident.AuditEvidence("no-audit", nil, incident.AuditQuery{}),
			incident.DeploymentEvidence("no-deployer", nil, 1),
			source("last", func(_ context.Context, w *incident.EvidenceWriter) error { return w.Line("the last") }),
		)
		s.evidence.Sources[6] = incident.RunEvidence(s.runs, "run-0", "run-1")
		bundle, receipt := s.collect(t)
		assert.Equal(t, []string{
			"web-metrics: not permitted", "canvas-audit: the platform does not answer", `runs: run run-0: incident: read run "run-0": not found`, "half: the platform does not answer",
			"panics: the source panicked: oops", "slow: context deadline exceeded", "no-logs: there are no logs to ask", "no-metrics: there are no metrics to ask",
			"no-audit: there is no audit log to ask", "no-deployer: there are no deployments to ask for",
		}, receipt.Manifest.Missing())
		files := unpack(t, bundle)
		assert.Equal(t, "half of it", files["half.0001.txt"])
		assert.Equal(t, "\"the last\"\n", files["last.0001.txt"])
		assert.Contains(t, files["runs.0001.jsonl"], "run-1")
		assert.Equal(t, 5*time.Minute, item(t, receipt.Manifest, "slow").Ended.Sub(item(t, receipt.Manifest, "slow").Began))
		_, err := incident.VerifyEvidence(bytes.NewReader(bundle))
		require.NoError(t, err)
	})
}

// Evidence is taken before it is forgotten: what forgets first is asked first, it is known
// until when that must be, and what was forgotten before is not taken for everything.
func TestEvidenceThatIsForgotten(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t)
		began := s.evidence.From
		at, _ := s.evidence.Forgets()
		assert.Zero(t, at, "none is known to forget")
		for i, keeps := range map[int]time.Duration{0: 30 * 24 * time.Hour, 2: 365 * 24 * time.Hour, 3: 7 * 24 * time.Hour} {
			s.evidence.Sources[i].Keeps = keeps
		}
		at, which := s.evidence.Forgets()
		assert.Equal(t, began.Add(7*24*time.Hour), at)
		assert.Equal(t, "deployments", which)
		time.Sleep(time.Until(began.Add(8 * 24 * time.Hour)))
		_, receipt := s.collect(t)
		var order []string
		for _, i := range receipt.Manifest.Items {
			order = append(order, i.Name)
		}
		assert.Equal(t, []string{"deployments", "web-log", "canvas-audit", "web-metrics", "timeline", "decisions", "runs"}, order)
		assert.Equal(t, []string{"deployments: it keeps 168h0m0s, so that what was before 2000-01-02T00:00:00Z had been forgotten already"}, receipt.Manifest.Missing())
		assert.NotZero(t, item(t, receipt.Manifest, "deployments").Lines, "what is left is taken")
		s.evidence.Sources[0].Keeps = -1
		assert.ErrorContains(t, s.evidence.Validate(), `source "web-log": Keeps must not be negative`)
	})
}

func TestEvidenceWhenTheTimeIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		stop := incident.EvidenceSource{Name: "stop", Collect: func(context.Context, *incident.EvidenceWriter) error { cancel(); return nil }}
		s.evidence.Sources = append([]incident.EvidenceSource{s.evidence.Sources[0], stop}, s.evidence.Sources[1:]...)
		var b bytes.Buffer
		receipt, err := s.evidence.Collect(ctx, &b)
		require.NoError(t, err)
		assert.Len(t, receipt.Manifest.Missing(), 6)
		assert.True(t, receipt.Manifest.Items[0].Complete)
		_, err = incident.VerifyEvidence(&b)
		require.NoError(t, err)
	})
}

// Of what is larger than may be kept, the beginning is, in whole lines; what is large is
// in parts.
func TestEvidenceLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t)
		line := strings.Repeat("x", 997)
		endless := func(name string, lines int, cares bool) incident.EvidenceSource {
			return incident.EvidenceSource{Name: name, Collect: func(_ context.Context, w *incident.EvidenceWriter) error {
				for range lines {
					if err := w.Line(line); err != nil && cares {
						return err
					}
				}
				return nil
			}}
		}
		whole := incident.EvidenceSource{Name: "whole", Ext: "bin", Collect: func(_ context.Context, w *incident.EvidenceWriter) error {
			_, err := w.Write(make([]byte, 9<<20))
			return err
		}}
		s.evidence.Sources = []incident.EvidenceSource{endless("large", 4_500, true), endless("too-large", 20_000, true), whole, endless("ignores", 20_000, false), endless("after", 1, true)}
		s.evidence.MostEach, s.evidence.MostAll = 9<<20, 24<<20
		bundle, receipt := s.collect(t)
		large := item(t, receipt.Manifest, "large")
		assert.True(t, large.Complete)
		require.Len(t, large.Files, 2)
		assert.Equal(t, "large.0002.jsonl", large.Files[1].Name)
		files := unpack(t, bundle)
		for _, f := range large.Files {
			assert.True(t, strings.HasSuffix(files[f.Name], line+"\"\n"), "%s has whole lines", f.Name)
		}
		assert.Len(t, item(t, receipt.Manifest, "whole").Files, 3)
		for _, name := range []string{"too-large", "ignores"} {
			i := item(t, receipt.Manifest, name)
			assert.False(t, i.Complete)
			assert.Contains(t, i.Missing, "more than is to be kept")
			assert.Less(t, i.Lines, int64(9<<20/1000+1))
		}
		assert.Equal(t, int64(9<<20)/1000, item(t, receipt.Manifest, "too-large").Lines)
		_, err := incident.VerifyEvidence(bytes.NewReader(bundle))
		require.NoError(t, err)
	})
}

func TestEvidenceIsRedacted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t)
		s.evidence.Redact = func(text []byte) []byte { return bytes.ReplaceAll(text, []byte("hunter2"), []byte("[redacted]")) }
		bundle, receipt := s.collect(t)
		assert.NotContains(t, string(bundle), "hunter2")
		assert.Contains(t, string(bundle), "password [redacted]")
		assert.True(t, receipt.Manifest.Redacted)
		assert.EqualValues(t, 1, item(t, receipt.Manifest, "web-log").Redacted)
		assert.EqualValues(t, 2, item(t, receipt.Manifest, "web-log").Lines)

		s.evidence.Redact = func([]byte) []byte { panic("oops") }
		bundle, receipt = s.collect(t)
		assert.NotContains(t, string(bundle), "hunter2", "rather nothing")
		assert.Equal(t, []string{"web-log: the source panicked: oops"}, receipt.Manifest.Missing())
	})
}

// A bundle that is sealed shows nothing, and is the same bundle when it was opened.
func TestEvidenceIsSealed(t *testing.T) {
	identity, err := age.GenerateX25519Identity()
	require.NoError(t, err)
	s := newScene(t)
	s.evidence.Seal = func(w io.Writer) (io.WriteCloser, error) { return age.Encrypt(w, identity.Recipient()) }
	sealed, receipt := s.collect(t)
	assert.NotContains(t, string(sealed), "hunter2")
	assert.EqualValues(t, len(sealed), receipt.SealedBytes)
	opened, err := age.Decrypt(bytes.NewReader(sealed), identity)
	require.NoError(t, err)
	again, err := incident.VerifyEvidence(opened)
	require.NoError(t, err)
	assert.Equal(t, receipt.SHA256, again.SHA256)
	assert.Equal(t, receipt.Manifest, again.Manifest)

	opened, err = age.Decrypt(bytes.NewReader(sealed[:len(sealed)-1]), identity)
	require.NoError(t, err)
	_, err = incident.VerifyEvidence(opened)
	require.Error(t, err)
	require.NotErrorIs(t, err, incident.ErrBroken, "what the reader says counts")
	s.evidence.Seal = func(io.Writer) (io.WriteCloser, error) { return nil, errors.New("no recipient") }
	_, err = s.evidence.Collect(t.Context(), io.Discard)
	require.ErrorContains(t, err, "incident: evidence of INC-7: it cannot be sealed: no recipient")
}

// failing is a writer that is full after a while.
type failing struct{ left int }

func (f *failing) Write(p []byte) (int, error) {
	if f.left -= len(p); f.left < 0 {
		return 0, errors.New("the disk is full")
	}
	return len(p), nil
}

func (f *failing) Close() error { return errors.New("the disk is full") }

func TestEvidenceThatCannotBeWritten(t *testing.T) {
	s := newScene(t)
	bundle, _ := s.collect(t)
	for n := 0; n < len(bundle); n += 256 {
		receipt, err := s.evidence.Collect(t.Context(), &failing{left: n})
		require.ErrorContains(t, err, "the disk is full", "%d bytes", n)
		assert.Empty(t, receipt)
	}
	s.evidence.Seal = func(io.Writer) (io.WriteCloser, error) { return &failing{left: 1 << 20}, nil }
	_, err := s.evidence.Collect(t.Context(), io.Discard)
	require.ErrorContains(t, err, "its end could not be sealed: the disk is full")
}

func TestEvidenceProblems(t *testing.T) {
	t.Parallel()
	ok := func(name string) incident.EvidenceSource {
		return incident.EvidenceSource{Name: name, Collect: func(context.Context, *incident.EvidenceWriter) error { return nil }}
	}
	_, err := incident.Evidence{
		From: time.Unix(2, 0), To: time.Unix(1, 0), MostAll: -1,
		Sources: []incident.EvidenceSource{ok("a"), ok("A"), ok("manifest"), ok("../etc"), {Name: "b", Ext: "a/b"}},
	}.Collect(t.Context(), io.Discard)
	for _, want := range []string{
		"of which incident it is, and who takes it, are required", "From must be before To", "MostAll and Timeout must not be negative",
		`source "A": a name that no other has`, `source "manifest"`, `source "../etc"`, `source "b": "a/b" is not how a name ends`, `source "b": Collect is required`,
	} {
		assert.ErrorContains(t, err, want)
	}
	assert.ErrorContains(t, incident.Evidence{}.Validate(), "sources are required")
}

// A bundle of which any byte was changed, or which was cut off anywhere, or has something
// behind its end, is not taken for the one that was made.
func TestEvidenceThatWasChanged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t)
		s.evidence.Incident, s.evidence.Reason = "INC-7\xff", "a \u202e reason\ufffd"
		s.evidence.Sources = s.evidence.Sources[4:5]
		bundle, _ := s.collect(t)
		_, err := incident.VerifyEvidence(bytes.NewReader(bundle))
		require.NoError(t, err)
		check := func(changed []byte, what string, at int) {
			if _, err := incident.VerifyEvidence(bytes.NewReader(changed)); !errors.Is(err, incident.ErrBroken) {
				t.Errorf("%s at byte %d: error %v", what, at, err)
			}
		}
		for i := range bundle {
			changed := bytes.Clone(bundle)
			changed[i] ^= 1
			check(changed, "changed", i)
			if i%8 == 0 || i > len(bundle)-1200 {
				check(bundle[:i], "cut off", i)
			}
		}
		check(append(bytes.Clone(bundle), 0), "a byte more", len(bundle))
		check(append(bytes.Clone(bundle), make([]byte, 1024)...), "zeros more", len(bundle))
		check(append(bytes.Clone(bundle), bundle...), "twice", len(bundle))
		check(nil, "nothing", 0)
	})
}

// repack writes the files of a bundle again, as somebody who knows its form.
func repack(t *testing.T, bundle []byte, change func(name, content string) (string, string, bool)) []byte {
	t.Helper()
	var out bytes.Buffer
	r, w := tar.NewReader(bytes.NewReader(bundle)), tar.NewWriter(&out)
	for {
		h, err := r.Next()
		if err == io.EOF {
			break
		}
		require.NoError(t, err)
		content, err := io.ReadAll(r)
		require.NoError(t, err)
		name, text, keep := change(h.Name, string(content))
		if !keep {
			continue
		}
		h.Name, h.Size = name, int64(len(text))
		require.NoError(t, w.WriteHeader(h))
		_, err = io.WriteString(w, text)
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	return out.Bytes()
}

// Whoever writes a bundle in its own form, and does not make the manifest anew, is found
// out, and told where.
func TestEvidenceThatWasRepacked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bundle, _ := newScene(t).collect(t)
		same := func(name, content string) (string, string, bool) { return name, content, true }
		_, err := incident.VerifyEvidence(bytes.NewReader(repack(t, bundle, same)))
		require.NoError(t, err)
		for what, c := range map[string]struct {
			change func(name, content string) (string, string, bool)
			says   string
		}{
			"a line is gone": {func(name, content string) (string, string, bool) {
				if name == "web-log.0001.jsonl" {
					content = content[strings.IndexByte(content, '\n')+1:]
				}
				return name, content, true
			}, `file "web-log.0001.jsonl" is not the one of the manifest`},
			"a file is gone": {func(name, content string) (string, string, bool) {
				return name, content, name != "canvas-audit.0001.jsonl"
			}, "is not the one of the manifest"},
			"a file has another name": {func(name, content string) (string, string, bool) {
				return strings.Replace(name, "canvas", "other", 1), content, true
			}, "is not the one of the manifest"},
			"a chain has another name": {func(name, content string) (string, string, bool) {
				return strings.Replace(name, "timeline", "time", 1), content, true
			}, "is not the one of the manifest"},
			"no manifest": {func(name, content string) (string, string, bool) { return name, content, name != "manifest.json" }, "no manifest"},
			"another person": {func(name, content string) (string, string, bool) {
				return name, strings.Replace(content, `"by": "jane"`, `"by": "mary"`, 1), true
			}, "the manifest is not as it was written"},
			"another form": {func(name, content string) (string, string, bool) {
				return name, strings.Replace(content, "evidence 1", "evidence 2", 1), true
			}, `it is "runbook evidence 2"`},
			"more in the manifest": {func(name, content string) (string, string, bool) {
				return name, strings.Replace(content, `"by": "jane"`, `"by": "jane", "more": 1`, 1), true
			}, "the manifest cannot be read"},
		} {
			_, err := incident.VerifyEvidence(bytes.NewReader(repack(t, bundle, c.change)))
			require.ErrorIs(t, err, incident.ErrBroken, what)
			require.ErrorContains(t, err, c.says, what)
		}
	})
}

// What the reader says is not said to be a change.
func TestEvidenceThatCannotBeRead(t *testing.T) {
	bundle, _ := newScene(t).collect(t)
	broken := errors.New("the line is dead")
	for n := 0; n <= len(bundle); n += 512 {
		_, err := incident.VerifyEvidence(io.MultiReader(bytes.NewReader(bundle[:n]), readsWith{broken}))
		require.ErrorIs(t, err, broken, "%d bytes", n)
		require.NotErrorIs(t, err, incident.ErrBroken)
	}
}

type readsWith struct{ err error }

func (r readsWith) Read([]byte) (int, error) { return 0, r.err }

func FuzzVerifyEvidence(f *testing.F) {
	s := newScene(f)
	s.evidence.Sources = s.evidence.Sources[2:5]
	bundle, _ := s.collect(f)
	f.Add(bundle)
	f.Add(bundle[:1024])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, other []byte) {
		receipt, err := incident.VerifyEvidence(bytes.NewReader(other))
		assert.LessOrEqual(t, receipt.Bytes, int64(len(other)))
		if err == nil {
			assert.EqualValues(t, len(other), receipt.Bytes, "all of it was read")
			assert.Equal(t, "runbook evidence 1", receipt.Manifest.Format)
		} else {
			require.ErrorIs(t, err, incident.ErrBroken)
		}
	})
}

// Evidence is taken before the systems forget it, checked, and compared with the receipt
// that was kept elsewhere.
func ExampleEvidence() {
	ctx := context.Background()
	service := new(incidenttest.Platform)
	began := time.Date(2026, time.November, 27, 3, 12, 0, 0, time.UTC)
	service.Deploy(incident.Deployment{Commit: "1c9e"})
	service.Print(incident.LogLine{Time: began, Message: "a token was used from 203.0.113.9, key=abc123"})
	audit := new(incidenttest.AuditLog)
	audit.Fail(incident.ErrNotPermitted)

	evidence := incident.Evidence{
		Incident: "INC-7", By: "jane", Reason: "a token was used by somebody else", From: began, To: began.Add(time.Hour),
		Sources: []incident.EvidenceSource{
			incident.LogEvidence("web-log", service, incident.LogQuery{}),
			incident.AuditEvidence("canvas-audit", audit, incident.AuditQuery{}),
		},
		Redact: func(text []byte) []byte { return bytes.ReplaceAll(text, []byte("abc123"), []byte("[redacted]")) },
		// Seal: func(w io.Writer) (io.WriteCloser, error) { return age.Encrypt(w, recipients...) },
	}
	var file bytes.Buffer
	receipt, err := evidence.Collect(ctx, &file)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, missing := range receipt.Manifest.Missing() {
		fmt.Println("missing:", missing)
	}

	again, err := incident.VerifyEvidence(bytes.NewReader(file.Bytes()))
	fmt.Println("verified:", err == nil, again.SHA256 == receipt.SHA256)
	fmt.Println("lines:", again.Manifest.Items[0].Lines, "redacted:", again.Manifest.Items[0].Redacted)
	changed := bytes.Replace(file.Bytes(), []byte("203.0.113.9"), []byte("203.0.113.1"), 1)
	_, err = incident.VerifyEvidence(bytes.NewReader(changed))
	fmt.Println(err)
	// Output:
	// missing: canvas-audit: not permitted
	// verified: true true
	// lines: 1 redacted: 1
	// incident: verify evidence: the record was changed: file "web-log.0001.jsonl" is not the one of the manifest
}

// BenchmarkEvidence takes and checks 100,000 log lines. Target: 25 MB/s for taking and
// 75 MB/s for checking, on one core, so that the limit of a source, 256 MiB, takes seconds
// and not minutes.
func BenchmarkEvidence(b *testing.B) {
	line := map[string]string{"message": strings.Repeat("a log line of usual length ", 5)}
	e := incident.Evidence{Incident: "INC-7", By: "jane", From: time.Unix(1, 0), To: time.Unix(2, 0), Sources: []incident.EvidenceSource{{
		Name: "log", Collect: func(_ context.Context, w *incident.EvidenceWriter) error {
			for range 100_000 {
				if err := w.Line(line); err != nil {
					return err
				}
			}
			return nil
		},
	}}}
	var bundle bytes.Buffer
	_, err := e.Collect(b.Context(), &bundle)
	require.NoError(b, err)
	b.Run("collect", func(b *testing.B) {
		b.SetBytes(int64(bundle.Len()))
		b.ReportAllocs()
		for b.Loop() {
			if _, err := e.Collect(b.Context(), io.Discard); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("verify", func(b *testing.B) {
		b.SetBytes(int64(bundle.Len()))
		b.ReportAllocs()
		for b.Loop() {
			if _, err := incident.VerifyEvidence(bytes.NewReader(bundle.Bytes())); err != nil {
				b.Fatal(err)
			}
		}
	})
}
