package incident_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"filippo.io/age"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/incidenttest"
)

const day = 24 * time.Hour

// archive is where evidence is kept, and the rule.
type archive struct {
	*testing.T
	*scene
	bundles *incidenttest.EvidenceStore
	rule    incident.Retention
}

// kept runs a test in virtual time on an archive with the evidence of incidents, all taken at
// its beginning.
func kept(t *testing.T, incidents []string, test func(a *archive)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := &archive{T: t, scene: newScene(t), bundles: new(incidenttest.EvidenceStore)}
		a.rule = incident.Retention{Store: a.store, Evidence: a.bundles}
		for _, name := range incidents {
			a.keep(name)
		}
		test(a)
	})
}

// keep takes evidence of an incident, whole and as a copy.
func (a *archive) keep(name string) (whole, less incident.EvidenceReceipt) {
	a.Helper()
	e := a.evidence
	e.Incident, e.Pseudonyms = name, runbook.NewSecret("a key of pseudonyms")
	n := incident.NewEvidenceName(e)
	err := a.bundles.Keep(a.Context(), n.Copy().String(), func(copied io.Writer) error {
		return a.bundles.Keep(a.Context(), n.String(), func(w io.Writer) (err error) {
			whole, less, err = e.CollectRedacted(a.Context(), w, copied)
			return err
		})
	})
	require.NoError(a, err)
	return whole, less
}

// names are what is kept, short.
func (a *archive) names() string {
	var all []string
	for _, text := range a.bundles.Names() {
		n, err := incident.ParseEvidenceName(text)
		require.NoError(a, err)
		what := "whole"
		if n.Redacted {
			what = "redacted"
		}
		all = append(all, n.Incident+" "+what)
	}
	return strings.Join(all, ", ")
}

// record are the entries about retention.
func (a *archive) record() (all []incident.Entry) {
	a.Helper()
	for e, err := range a.store.Entries(a.Context(), "audit", 0) {
		require.NoError(a, err)
		if strings.HasPrefix(e.Kind, "retention") {
			all = append(all, e)
		}
	}
	return all
}

// The copy has what is worth to be kept, and nobody's name or address; it verifies, as the
// bundle does, and names it.
func TestCollectRedacted(t *testing.T) {
	kept(t, nil, func(a *archive) {
		whole, less := a.keep("INC-7")
		for i, name := range a.bundles.Names() { // "redacted" is sorted before "whole"
			bundle := a.bundles.Bundle(name)
			got, err := incident.VerifyEvidence(bytes.NewReader(bundle))
			require.NoError(a, err)
			if i == 1 {
				assert.Equal(a, whole.SHA256, got.SHA256)
				assert.Contains(a, string(bundle), "203.0.113.9")
				continue
			}
			assert.Equal(a, less.SHA256, got.SHA256)
			assert.Equal(a, whole.SHA256, got.Manifest.CopyOf)
			assert.True(a, got.Manifest.Redacted)
			for _, personal := range []string{"203.0.113.9", `"42"`, "hunter2", "looks into", "Two | bars", "used by somebody"} {
				assert.NotContains(a, string(bundle), personal)
			}
			assert.Contains(a, string(bundle), `"action":"login","actor":"person-`)
			assert.Contains(a, string(bundle), `"commit":"1c9e"`)
			assert.Contains(a, string(bundle), `"metric":"cpu"`)
			assert.Contains(a, strings.Join(got.Manifest.Missing(), "\n"), "web-log: left out of the redacted copy, since it is free text")
			assert.Contains(a, strings.Join(got.Manifest.Missing(), "\n"), "timeline: left out")
		}
		again, err := incident.VerifyEvidence(bytes.NewReader(a.bundles.Bundle(a.bundles.Names()[1])))
		require.NoError(a, err)
		assert.Len(a, again.Manifest.Missing(), 0)
	})
}

// Under one key somebody is the same in all copies, and under another one somebody else.
func TestPseudonyms(t *testing.T) {
	kept(t, nil, func(a *archive) {
		actor := func(key string) string {
			e := a.evidence
			e.Pseudonyms = runbook.NewSecret(key)
			var copied bytes.Buffer
			_, _, err := e.CollectRedacted(a.Context(), io.Discard, &copied)
			require.NoError(a, err)
			_, after, found := strings.Cut(copied.String(), `"actor":"`)
			require.True(a, found)
			name, _, _ := strings.Cut(after, `"`)
			return name
		}
		first := actor("the first key of them")
		assert.Equal(a, first, actor("the first key of them"))
		assert.NotEqual(a, first, actor("another key of them all"))
		e := a.evidence
		for _, short := range []runbook.Secret{{}, runbook.NewSecret("too short")} {
			e.Pseudonyms = short
			_, _, err := e.CollectRedacted(a.Context(), io.Discard, io.Discard)
			assert.ErrorContains(a, err, "a key of at least 16 bytes")
		}
	})
}

// A copy is sealed as its bundle is, and a writer that fails makes neither.
func TestCollectRedactedSealedAndFailing(t *testing.T) {
	kept(t, nil, func(a *archive) {
		identity, err := age.GenerateX25519Identity()
		require.NoError(a, err)
		e := a.evidence
		e.Pseudonyms = runbook.NewSecret("a key of pseudonyms")
		e.Seal = func(w io.Writer) (io.WriteCloser, error) { return age.Encrypt(w, identity.Recipient()) }
		var whole, copied bytes.Buffer
		_, less, err := e.CollectRedacted(a.Context(), &whole, &copied)
		require.NoError(a, err)
		plain, err := age.Decrypt(&copied, identity)
		require.NoError(a, err)
		got, err := incident.VerifyEvidence(plain)
		require.NoError(a, err)
		assert.Equal(a, less.SHA256, got.SHA256)
		for _, fails := range []int{0, 1} {
			w := []io.Writer{io.Discard, io.Discard}
			w[fails] = brokenWriter{}
			_, _, err := e.CollectRedacted(a.Context(), w[0], w[1])
			assert.ErrorContains(a, err, "the disk is full")
		}
	})
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, errors.New("the disk is full") }

// By the defaults evidence is whole for 90 days, a redacted copy for two years, and then it
// is gone; the record says how many, and nothing of what.
func TestRetention(t *testing.T) {
	kept(t, []string{"INC-7", "INC-8"}, func(a *archive) {
		apply := func(want incident.Retained) {
			a.Helper()
			got, err := a.rule.Apply(a.Context())
			require.NoError(a, err)
			assert.Equal(a, want, got)
		}
		time.Sleep(90*day - time.Second)
		apply(incident.Retained{})
		assert.Equal(a, "INC-7 redacted, INC-8 redacted, INC-7 whole, INC-8 whole", a.names())
		assert.Empty(a, a.record(), "nothing was due")
		time.Sleep(time.Second)
		apply(incident.Retained{Redacted: 2})
		assert.Equal(a, "INC-7 redacted, INC-8 redacted", a.names())
		apply(incident.Retained{})
		time.Sleep(640 * day)
		apply(incident.Retained{Deleted: 2})
		assert.Empty(a, a.names())

		record := a.record()
		require.Len(a, record, 4)
		assert.Equal(a, "by the rule of retention: 2 bundles of evidence were replaced by their redacted copies; 0 were deleted; 0 entries were redacted; 0 runs, 0 incidents and 0 approvals were deleted", record[1].Text)
		assert.JSONEq(a, `{"redacted": 0, "deleted": 2, "entries": 0, "runs": 0, "incidents": 0, "approvals": 0, "held": 0, "strange": 0}`, string(record[3].Data))
		for _, e := range record {
			assert.NotContains(a, e.Text+string(e.Data), "INC-")
		}
		_, err := incident.VerifyChain(a.store.Entries(a.Context(), "audit", 0))
		assert.NoError(a, err, "the record is one chain still")
	})
}

// A hold keeps everything of its incident until it is lifted.
func TestRetentionHold(t *testing.T) {
	kept(t, []string{"INC-7", "INC-8"}, func(a *archive) {
		closed := time.Now()
		for _, d := range []incident.Document{
			{Kind: "incident", ID: "INC-7", Changed: closed, Data: json.RawMessage(`{}`)},
			{Kind: "incident", ID: "INC-8", Changed: closed, Data: json.RawMessage(`{}`)},
			{Kind: "approval", ID: "a7", Changed: closed, Data: json.RawMessage(`{"incident": "INC-7"}`)},
			{Kind: "approval", ID: "a8", Changed: closed, Data: json.RawMessage(`{"incident": "INC-8"}`)},
		} {
			_, err := a.store.Commit(a.Context(), incident.Change{Documents: []incident.Document{d}})
			require.NoError(a, err)
		}
		require.NoError(a, incident.SetLegalHold(a.Context(), a.store, incident.LegalHold{Incident: "INC-7", By: "Dev Patel", Reason: "the police ask for it"}))
		holds, err := incident.LegalHolds(a.Context(), a.store)
		require.NoError(a, err)
		assert.Equal(a, "the police ask for it", holds["INC-7"].Reason)
		time.Sleep(3 * 365 * day)
		got, err := a.rule.Apply(a.Context())
		require.NoError(a, err)
		assert.Equal(a, incident.Retained{Deleted: 2, Incidents: 1, Approvals: 1, Held: 2}, got)
		assert.Equal(a, "INC-7 redacted, INC-7 whole", a.names())
		last, err := incident.VerifyChain(a.store.Entries(a.Context(), "incident/INC-7", 0))
		require.NoError(a, err)
		assert.Positive(a, last.Seq, "its timeline is there, and whole")
		last, err = incident.VerifyChain(a.store.Entries(a.Context(), "incident/INC-8", 0))
		require.NoError(a, err)
		assert.Zero(a, last.Seq)

		require.NoError(a, incident.LiftLegalHold(a.Context(), a.store, "INC-7", "Dev Patel", "it is over"))
		assert.ErrorIs(a, incident.LiftLegalHold(a.Context(), a.store, "INC-7", "Dev Patel", "again"), incident.ErrNotFound)
		got, err = a.rule.Apply(a.Context())
		require.NoError(a, err)
		assert.Equal(a, incident.Retained{Deleted: 2, Incidents: 1, Approvals: 1}, got)
		assert.Empty(a, a.names())
		_, err = incident.VerifyChain(a.store.Entries(a.Context(), "audit", 0))
		assert.NoError(a, err)
	})
}

// A hold that is set after it was looked at what is due counts still.
func TestRetentionHoldMeanwhile(t *testing.T) {
	kept(t, []string{"INC-7", "INC-8"}, func(a *archive) {
		a.bundles.OnDelete = func(string) error {
			return incident.SetLegalHold(a.Context(), a.store, incident.LegalHold{Incident: "INC-8", By: "Dev Patel", Reason: "the police ask for it"})
		}
		time.Sleep(91 * day)
		got, err := a.rule.Apply(a.Context())
		require.NoError(a, err)
		assert.Equal(a, incident.Retained{Redacted: 1, Held: 1}, got)
		assert.Equal(a, "INC-7 redacted, INC-8 redacted, INC-8 whole", a.names())
	})
}

// Nothing is removed of an incident that is not over, nor of one that was merged into it or
// into one with a hold.
func TestRetentionKeepsWhatIsNotOver(t *testing.T) {
	kept(t, []string{"INC-1", "INC-2", "INC-3", "INC-4", "INC-5"}, func(a *archive) {
		put := func(id string, open bool, data string) {
			_, err := a.store.Commit(a.Context(), incident.Change{Documents: []incident.Document{{Kind: "incident", ID: id, Open: open, Changed: time.Now(), Data: json.RawMessage(data)}}})
			require.NoError(a, err)
		}
		put("INC-1", true, `{}`)
		put("INC-2", false, `{"merged_into": "INC-1"}`)
		put("INC-3", false, `{}`)
		put("INC-4", false, `{"merged_into": "INC-3"}`)
		put("INC-5", false, `{}`)
		require.NoError(a, incident.SetLegalHold(a.Context(), a.store, incident.LegalHold{Incident: "INC-3", By: "Dev Patel", Reason: "the police ask for it"}))
		time.Sleep(90*day + time.Hour)
		got, err := a.rule.Apply(a.Context())
		require.NoError(a, err)
		assert.Equal(a, incident.Retained{Redacted: 1, Held: 4}, got)
		assert.NotContains(a, a.names(), "INC-5 whole")
		for _, id := range []string{"INC-1", "INC-2", "INC-3", "INC-4"} {
			assert.Contains(a, a.names(), id+" whole")
		}
	})
}

// What is recorded of an incident that is over loses what may be about somebody, and stays one
// chain that is proven: what happened, when, and who did it.
func TestRetentionOfWhatIsRecorded(t *testing.T) {
	kept(t, nil, func(a *archive) {
		note := func(chain, kind, text, data string) {
			e := incident.Entry{Chain: chain, At: time.Now(), Kind: kind, Actor: "Ana Silva", Text: text}
			if data != "" {
				e.Data = json.RawMessage(data)
			}
			_, err := a.store.Commit(a.Context(), incident.Change{Entries: []incident.Entry{e}})
			require.NoError(a, err)
		}
		for _, id := range []string{"INC-1", "INC-2"} {
			note("incident/"+id, "step ended", "traces: done", `{"actors": [{"name": "42"}]}`)
			note("incident/"+id, "waiting", "addresses that were not there before: 203.0.113.9, and 2001:db8::1", "")
			note("incident/"+id, "note", "jane@example.edu says that it was her", "")
			note("incident/"+id, "note", "at 10:42 it was version 1.2.3 again", `{"waited": 12.5}`)
			note("audit", "note", id+": people are told: 203.0.113.9 was it", "")
			_, err := a.store.Commit(a.Context(), incident.Change{Documents: []incident.Document{{Kind: "incident", ID: id, Changed: time.Now(), Data: json.RawMessage("{}")}}})
			require.NoError(a, err)
		}
		require.NoError(a, incident.SetLegalHold(a.Context(), a.store, incident.LegalHold{Incident: "INC-2", By: "Dev Patel", Reason: "the police ask for it"}))
		time.Sleep(90*day + time.Second)
		for _, want := range []int{4, 0} {
			got, err := a.rule.Apply(a.Context())
			require.NoError(a, err)
			assert.Equal(a, incident.Retained{Entries: want}, got)
		}
		texts := func(chain string) (all []string) {
			last, err := incident.VerifyChain(func(yield func(incident.Entry, error) bool) {
				for e, err := range a.store.Entries(a.Context(), chain, 0) {
					all = append(all, e.Actor+": "+e.Text+string(e.Data))
					if !yield(e, err) {
						return
					}
				}
			})
			require.NoError(a, err)
			assert.Len(a, all, int(last.Seq))
			return all
		}
		assert.Equal(a, []string{"Ana Silva: ", "Ana Silva: ", "Ana Silva: ", `Ana Silva: at 10:42 it was version 1.2.3 again{"waited": 12.5}`}, texts("incident/INC-1"))
		assert.Contains(a, strings.Join(texts("incident/INC-2"), "\n"), "203.0.113.9", "it is held")
		record := strings.Join(texts("audit"), "\n")
		assert.NotContains(a, record, "INC-1: people")
		assert.Contains(a, record, "INC-2: people are told: 203.0.113.9 was it")
	})
}

// Records of runs that ended long ago are deleted; those of an incident with a hold stay.
func TestRetentionOfRuns(t *testing.T) {
	kept(t, nil, func(a *archive) {
		runs := incident.NewMemoryRuns(incident.MemoryRunsConfig{})
		program := func(ctx context.Context, e incident.Engine, start incident.RunStart) (json.RawMessage, error) {
			if start.ID == "waits" {
				_, err := e.Await(ctx, "await", "never", time.Time{})
				return nil, err
			}
			return nil, nil
		}
		require.NoError(a, runs.Launch(a.Context(), map[string]incident.Program{"p": program}))
		start := func(id, of string) {
			_, err := runs.Start(a.Context(), incident.RunStart{ID: id, Program: "p", At: time.Now(), Labels: map[string]string{"incident": of}})
			require.NoError(a, err)
		}
		start("old", "INC-1")
		start("held", "INC-2")
		start("waits", "INC-1")
		require.NoError(a, incident.SetLegalHold(a.Context(), a.store, incident.LegalHold{Incident: "INC-2", By: "Dev Patel", Reason: "the police ask for it"}))
		time.Sleep(91 * day)
		start("new", "INC-1")
		synctest.Wait()
		require.ErrorIs(a, runs.Forget(a.Context(), "waits"), incident.ErrBusy)
		require.ErrorIs(a, runs.Forget(runbook.ReadOnly(a.Context()), "old"), runbook.ErrReadOnly)
		rule := a.rule
		rule.Runs = runs
		for _, want := range []int{1, 0} {
			got, err := rule.Apply(a.Context())
			require.NoError(a, err)
			assert.Equal(a, incident.Retained{Runs: want}, got)
		}
		_, err := runs.Record(a.Context(), "old", -1)
		require.ErrorIs(a, err, incident.ErrNotFound)
		for _, id := range []string{"held", "waits", "new"} {
			_, err := runs.Record(a.Context(), id, -1)
			assert.NoError(a, err, id)
		}
		start("old", "INC-1") // its name is free
		require.NoError(a, runs.Close(context.WithoutCancel(a.Context())))
	})
}

// An entry that was redacted cannot be made to say something else, and what it said cannot be
// put to the test without its salt.
func TestRedactedEntry(t *testing.T) {
	t.Parallel()
	whole := stored(2)
	less := []incident.Entry{whole[0].Redacted(), whole[1]}
	assert.Equal(t, less[0], less[0].Redacted())
	_, err := incident.VerifyChain(sequence(less))
	require.NoError(t, err)
	assert.NotEqual(t, stored(1)[0].Redacted().Content, less[0].Content, "the same text has another hash each time")
	for name, change := range map[string]func(e *incident.Entry){
		"another text": func(e *incident.Entry) { e.Text = "line 0" },
		"more data":    func(e *incident.Entry) { e.Data = json.RawMessage("{}") },
		"a salt":       func(e *incident.Entry) { e.Salt = "salt" },
		"content":      func(e *incident.Entry) { e.Content = strings.Repeat("0", 64) },
		"no content":   func(e *incident.Entry) { e.Content = "" },
		"an actor":     func(e *incident.Entry) { e.Actor = "ben" },
	} {
		t.Run(name, func(t *testing.T) {
			changed := append([]incident.Entry{}, less...)
			change(&changed[0])
			_, err := incident.VerifyChain(sequence(changed))
			assert.ErrorIs(t, err, incident.ErrBroken)
		})
	}
}

// A process that dies in the middle has said before what it was about to do; the next one
// does the rest. What cannot be deleted keeps nothing else from it.
func TestRetentionCrash(t *testing.T) {
	kept(t, []string{"INC-7", "INC-8", "INC-9"}, func(a *archive) {
		time.Sleep(91 * day)
		ctx, die := context.WithCancel(a.Context())
		n := 0
		a.bundles.OnDelete = func(string) error {
			if n++; n == 2 {
				die() // with it all that is asked afterwards
				return ctx.Err()
			}
			return nil
		}
		_, err := a.rule.Apply(ctx)
		require.ErrorIs(a, err, context.Canceled)
		assert.Equal(a, "INC-7 redacted, INC-8 redacted, INC-9 redacted, INC-8 whole, INC-9 whole", a.names())
		require.Len(a, a.record(), 1, "a beginning without an end")
		assert.Contains(a, a.record()[0].Text, "3 bundles of evidence of which redacted copies stay")

		a.bundles.OnDelete = func(name string) error {
			if strings.HasSuffix(name, "INC-8") {
				return errors.New("the bucket is read-only")
			}
			return nil
		}
		got, err := a.rule.Apply(a.Context())
		require.ErrorContains(a, err, "the bucket is read-only")
		assert.Equal(a, incident.Retained{Redacted: 1}, got)
		assert.Contains(a, a.record()[2].Text, "not all that was due")
		a.bundles.OnDelete = nil
		got, err = a.rule.Apply(a.Context())
		require.NoError(a, err)
		assert.Equal(a, incident.Retained{Redacted: 1}, got)
		assert.Equal(a, "INC-7 redacted, INC-8 redacted, INC-9 redacted", a.names())
	})
}

// What is none of evidence is left alone, and a bundle without a copy goes as a whole.
func TestRetentionStrange(t *testing.T) {
	kept(t, []string{"INC-7"}, func(a *archive) {
		for _, name := range []string{"somebodys-file", "evidence-20001399T000000Z-whole-INC-1"} {
			require.NoError(a, a.bundles.Keep(a.Context(), name, func(io.Writer) error { return nil }))
		}
		require.NoError(a, a.bundles.Delete(a.Context(), a.bundles.Names()[0])) // the copy
		time.Sleep(91 * day)
		got, err := a.rule.Apply(a.Context())
		require.NoError(a, err)
		assert.Equal(a, incident.Retained{Deleted: 1, Strange: 2}, got)
		assert.Len(a, a.bundles.Names(), 2)
	})
}

func TestRetentionRefuses(t *testing.T) {
	kept(t, []string{"INC-7"}, func(a *archive) {
		time.Sleep(91 * day)
		_, err := a.rule.Apply(runbook.ReadOnly(a.Context()))
		require.ErrorIs(a, err, runbook.ErrReadOnly)
		assert.Len(a, a.bundles.Names(), 2)
		for want, rule := range map[string]incident.Retention{
			"the store is missing":                             {},
			"must not be negative":                             {Store: a.store, Whole: -1},
			"would be deleted after 24h0m0s, before the whole": {Store: a.store, Redacted: day},
		} {
			_, err := rule.Apply(a.Context())
			assert.ErrorContains(a, err, want)
		}
		rule := a.rule
		rule.Incidents = incident.Forever
		assert.NoError(a, rule.Validate())
	})
}

func FuzzParseEvidenceName(f *testing.F) {
	f.Add("evidence-20261128T065711Z-whole-INC-2026-0007")
	f.Add("evidence-20261128T065711Z-redacted-run-1.a")
	f.Add("evidence-20269928T065711Z-whole-INC")
	f.Add("dump-2026-11-28")
	f.Fuzz(func(t *testing.T, text string) {
		n, err := incident.ParseEvidenceName(text)
		if err != nil {
			return
		}
		if n.String() != text {
			t.Fatalf("%q became %q", text, n.String())
		}
	})
}

// A clock that has jumped ahead removes nothing. Once it is right, or somebody has confirmed
// it, all goes on.
//
// Requirement: INC-RETENTION-CLOCK
func TestRetentionDoesNotTrustAClockThatJumps(t *testing.T) {
	kept(t, []string{"INC-2026-0001"}, func(a *archive) {
		a.rule.MaxGap = 7 * day
		for range 3 {
			_, err := a.rule.Apply(a.Context())
			require.NoError(a, err)
			time.Sleep(day)
		}
		before, right := a.names(), time.Now()
		time.Sleep(10 * 365 * day)
		for range 30 { // it is not trusted because it was asked often
			done, err := a.rule.Apply(a.Context())
			require.ErrorIs(a, err, incident.ErrClock)
			require.ErrorContains(a, err, "last seen at work on 2000-01-03 00:00:00")
			assert.Zero(a, done)
			time.Sleep(day)
		}
		assert.Equal(a, before, a.names())
		assert.Empty(a, a.record(), "nothing was to be removed")

		for what, at := range map[string]time.Time{"before the jump": right, "in the future": time.Now().Add(day)} {
			a.rule.Confirmed = at
			_, err := a.rule.Apply(a.Context())
			require.ErrorIs(a, err, incident.ErrClock, what)
		}
		a.rule.Confirmed = time.Now().Add(-6 * day)
		done, err := a.rule.Apply(a.Context())
		require.NoError(a, err)
		assert.Equal(a, 2, done.Deleted, "it was away for so long")
		time.Sleep(2 * day) // and the confirmation is older than MaxGap
		_, err = a.rule.Apply(a.Context())
		require.NoError(a, err)
	})
}

// The first time there is no mark: what was recorded last says when the host was at work.
func TestRetentionLooksAtTheRecordTheFirstTime(t *testing.T) {
	kept(t, nil, func(a *archive) {
		rule := incident.Retention{Store: new(incident.MemoryStore), MaxGap: 7 * day}
		_, err := rule.Apply(a.Context())
		require.NoError(a, err, "there is nothing that could be lost")
		rule.Store = new(incident.MemoryStore)
		_, err = rule.Store.Commit(a.Context(), incident.Change{Entries: []incident.Entry{{Chain: "audit", At: time.Now(), Kind: "run started", Actor: "kim", Text: "starts"}}})
		require.NoError(a, err)
		time.Sleep(8 * day)
		_, err = rule.Apply(a.Context())
		require.ErrorIs(a, err, incident.ErrClock)
	})
}
