package incident

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"

	"go.acu.edu.au/runbook"
)

// Evidence says what is kept of an incident, outside of the systems that it is about,
// before they forget it: logs, measurements, what a platform noted of who did what,
// deployments, the timeline and the decisions, the records of runs.
//
//	evidence := incident.Evidence{
//		Incident: "INC-7", By: "jane", Reason: "tokens were used by somebody else",
//		From: began, To: time.Now(),
//		Sources: []incident.EvidenceSource{
//			incident.LogEvidence("web-log", service, incident.LogQuery{}),
//			incident.AuditEvidence("canvas-audit", canvas, incident.AuditQuery{}),
//			incident.TimelineEvidence(store, "INC-7"),
//			incident.DecisionEvidence(store),
//		},
//		Seal: func(w io.Writer) (io.WriteCloser, error) { return age.Encrypt(w, recipients...) },
//	}
//	receipt, err := evidence.Collect(ctx, file) // keep the receipt elsewhere: on the timeline
//
// The bundle is a tar file, or what Seal makes of it: a file for each source, in parts if
// it is large, and at its end manifest.json, which has the hash of each, where it came
// from, who took it, and what could not be had and why. [VerifyEvidence] checks all of it.
// What nothing in the bundle can show is that it was made anew as a whole: that shows only
// the receipt, to whoever kept it.
type Evidence struct {
	// Incident names the incident. Required.
	Incident string
	// By is who takes it, by name; Reason is why. By is required.
	By, Reason string
	// From is the first moment, To the first one after the span. Required.
	From, To time.Time
	// Sources are asked one after another: first those that forget first, by their Keeps,
	// and then as they are given. At least one.
	Sources []EvidenceSource
	// Redact returns a text of a log line without what nobody may keep: the message, or a
	// value of the fields. It is called for each. Nil leaves them as they are; secrets
	// and personal data in them cannot be found reliably, so that the bundle is to be
	// sealed in any case.
	Redact func(text []byte) []byte
	// Seal returns a writer that encrypts what is written to it, and ends that when it is
	// closed. Nil means that the bundle is not encrypted.
	Seal func(w io.Writer) (io.WriteCloser, error)
	// MostEach and MostAll are how many bytes of one source, and of all together, are
	// kept. Zero means 256 MiB and 2 GiB. What is beyond is noted as missing.
	MostEach, MostAll int64
	// Timeout limits each source. Zero means 5 minutes.
	Timeout time.Duration
	// Pseudonyms is the key by which ids of persons become pseudonyms in the copy that
	// CollectRedacted makes. Whoever has it can find out whose a pseudonym is; under one
	// key a person has one pseudonym in all copies. At least 16 bytes; CollectRedacted
	// requires it.
	Pseudonyms runbook.Secret
}

// An EvidenceSource is something that evidence is taken from. See [LogEvidence],
// [MetricEvidence], [AuditEvidence], [DeploymentEvidence], [TimelineEvidence],
// [DecisionEvidence] and [RunEvidence]; hosts make others.
type EvidenceSource struct {
	// Name names it, and its file: letters, digits, - and _, up to 60; no other source has
	// it. Required.
	Name string
	// About says in a line what it is and where it comes from.
	About string
	// Ext is how the name of its file ends: "jsonl", "txt". Empty means "jsonl".
	Ext string
	// Keeps is how long it keeps what it has: logs perhaps 30 days. What it had forgotten
	// before it was asked is noted as missing. Zero means for ever, or that nobody knows.
	Keeps time.Duration
	// Collect writes what there is. What it has written before an error is kept, and the
	// error is noted. Required.
	Collect func(ctx context.Context, w *EvidenceWriter) error
	// Less returns what the copy without personal data has of a line of JSON, with the
	// ids of persons as pseudonyms: see [Evidence.CollectRedacted]. Nil means that the
	// copy has nothing of this source, which is right for whatever people or programs
	// wrote freely.
	Less func(line []byte, pseudonym func(id string) string) (any, error)
}

// manifestName is the last file of a bundle, chainExt how the names of files end that are
// chains of entries.
const (
	manifestName = "manifest.json"
	chainExt     = "chain.jsonl"
)

// evidenceFormat names the form of a bundle.
const evidenceFormat = "runbook evidence 1"

// An EvidenceManifest says what is in a bundle.
type EvidenceManifest struct {
	// Format is the form of the bundle.
	Format string `json:"format"`
	// Incident, By, Reason, From and To are those of [Evidence].
	Incident string    `json:"incident"`
	By       string    `json:"by"`
	Reason   string    `json:"reason,omitempty"`
	From     time.Time `json:"from"`
	To       time.Time `json:"to"`
	// Began and Ended are when it was taken.
	Began time.Time `json:"began"`
	Ended time.Time `json:"ended"`
	// Redacted means that log lines went through Redact.
	Redacted bool `json:"redacted"`
	// CopyOf is the SHA256 of the receipt of the bundle that this is a copy of, without
	// personal data; empty if it is none.
	CopyOf string `json:"copy_of,omitempty"`
	// Items are the sources, in the order in which they were asked.
	Items []EvidenceItem `json:"items"`
	// Digest is the SHA-256 of the manifest without this.
	Digest string `json:"digest,omitempty"`
}

// An EvidenceItem is what was had from one source.
type EvidenceItem struct {
	// Name and About are those of the source.
	Name  string `json:"name"`
	About string `json:"about,omitempty"`
	// Began and Ended are when it was asked.
	Began time.Time `json:"began"`
	Ended time.Time `json:"ended"`
	// Complete means that everything of the span was had. If not, Missing says what went
	// wrong, or what the source had forgotten already.
	Complete bool   `json:"complete"`
	Missing  string `json:"missing,omitempty"`
	// Lines is how many lines there are, if it is made of lines, and Redacted how many of
	// them were changed by Redact.
	Lines    int64 `json:"lines,omitempty"`
	Redacted int64 `json:"redacted,omitempty"`
	// Files are its files, in order: parts of one text. None means that there was nothing.
	Files []EvidenceFile `json:"files,omitempty"`
	// Chain is what a chain of entries proves, if it is one.
	Chain *EvidenceChain `json:"chain,omitempty"`
}

// An EvidenceFile is a file in a bundle.
type EvidenceFile struct {
	// Name is its name, Bytes its size, and SHA256 its hash in lower-case hexadecimal.
	Name   string `json:"name"`
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"`
}

// An EvidenceChain says which part of a chain of a [Store] was taken.
type EvidenceChain struct {
	// Chain is its name.
	Chain string `json:"chain"`
	// First and Last are the numbers of its first and last entry here; zero if it has
	// none. Prior is the hash before the first, Head that of the last.
	First int64  `json:"first"`
	Last  int64  `json:"last"`
	Prior string `json:"prior,omitempty"`
	Head  string `json:"head,omitempty"`
	// Broken says what was wrong with it already when it was taken. It is kept as it was.
	Broken string `json:"broken,omitempty"`
}

// Missing returns what could not be had, a line each.
func (m EvidenceManifest) Missing() []string {
	var all []string
	for _, i := range m.Items {
		if !i.Complete {
			all = append(all, i.Name+": "+i.Missing)
		}
	}
	return all
}

// An EvidenceReceipt proves that a bundle is the one that was made. It is kept elsewhere
// than the bundle.
type EvidenceReceipt struct {
	// Manifest is that of the bundle.
	Manifest EvidenceManifest `json:"manifest"`
	// Bytes and SHA256 are the size and the hash of the tar file.
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"`
	// SealedBytes and SealedSHA256 are those of what Seal made of it; zero if it was not
	// sealed.
	SealedBytes  int64  `json:"sealed_bytes,omitempty"`
	SealedSHA256 string `json:"sealed_sha256,omitempty"`
}

// Validate returns everything that is wrong with what is to be collected, or nil.
func (e Evidence) Validate() error {
	var errs []error
	must := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf("incident: evidence: "+format, args...))
		}
	}
	must(e.Incident != "" && e.By != "", "of which incident it is, and who takes it, are required")
	must(!e.From.IsZero() && e.From.Before(e.To), "From and To are required, and From must be before To")
	must(len(e.Sources) > 0, "sources are required")
	must(e.MostEach >= 0 && e.MostAll >= 0 && e.Timeout >= 0, "MostEach, MostAll and Timeout must not be negative")
	names := map[string]bool{"manifest": true}
	for _, s := range e.Sources {
		name := strings.ToLower(s.Name) // some systems do not tell the case of files
		must(isName.MatchString(s.Name) && !names[name], "source %q: a name that no other has is required, of letters, digits, - and _", s.Name)
		must(s.Ext == "" || s.Ext == chainExt || isName.MatchString(s.Ext), "source %q: %q is not how a name ends", s.Name, s.Ext)
		must(s.Keeps >= 0, "source %q: Keeps must not be negative", s.Name)
		must(s.Collect != nil, "source %q: Collect is required", s.Name)
		names[name] = true
	}
	return errors.Join(errs...)
}

// Forgets returns when the first of the sources begins to forget what the evidence is to
// have, and which one that is: until then it must have been collected. A time that has
// passed means that it is forgetting already, the zero time that none forgets.
func (e Evidence) Forgets() (at time.Time, source string) {
	order := e.inOrder()
	if len(order) == 0 || order[0].Keeps == 0 {
		return time.Time{}, ""
	}
	return e.From.Add(order[0].Keeps), order[0].Name
}

// inOrder returns the sources as they are asked.
func (e Evidence) inOrder() []EvidenceSource {
	return slices.SortedStableFunc(slices.Values(e.Sources), compareKeeps)
}

// compareKeeps orders sources by how soon they forget; those that never do come last.
func compareKeeps(a, b EvidenceSource) int {
	forgets := func(s EvidenceSource) time.Duration { return cmp.Or(s.Keeps, math.MaxInt64) }
	return cmp.Compare(forgets(a), forgets(b))
}

// Collect writes a bundle to w and returns its receipt. It ends with an error only if
// what is to be collected is not valid, or w or Seal fails; what it has written then is
// no bundle. That something could not be had is no error: it is in the manifest, see
// [EvidenceManifest.Missing]. When ctx ends, what was had so far becomes a bundle, and
// the rest is missing. Nothing but a few megabytes is held in memory, and w is not
// closed.
func (e Evidence) Collect(ctx context.Context, w io.Writer) (EvidenceReceipt, error) {
	if err := e.Validate(); err != nil {
		return EvidenceReceipt{}, err
	}
	receipt, err := e.limited().write(ctx, w)
	if err != nil {
		return EvidenceReceipt{}, fmt.Errorf("incident: evidence of %s: %w", e.Incident, err)
	}
	return receipt, nil
}

// limited is the evidence with its limits.
func (e Evidence) limited() Evidence {
	e.MostEach, e.MostAll, e.Timeout = cmp.Or(e.MostEach, 256<<20), cmp.Or(e.MostAll, 2<<30), cmp.Or(e.Timeout, 5*time.Minute)
	return e
}

func (e Evidence) write(ctx context.Context, w io.Writer) (EvidenceReceipt, error) {
	out, err := e.open(w)
	if err != nil {
		return EvidenceReceipt{}, err
	}
	b := newBundle(out.plain, e)
	for _, s := range e.inOrder() {
		if err := b.take(ctx, s); err != nil {
			return EvidenceReceipt{}, err
		}
	}
	return out.close(b)
}

// evidenceOutput is where a bundle goes: what it is itself, and what Seal makes of it.
type evidenceOutput struct {
	outer, plain *counted
	sealed       io.WriteCloser
}

func (e Evidence) open(w io.Writer) (*evidenceOutput, error) {
	o := &evidenceOutput{outer: newCounted(w)}
	o.plain = o.outer
	if e.Seal != nil {
		var err error
		if o.sealed, err = e.Seal(o.outer); err != nil {
			return nil, fmt.Errorf("it cannot be sealed: %w", err)
		}
		o.plain = newCounted(o.sealed)
	}
	return o, nil
}

// close ends a bundle, and returns its receipt.
func (o *evidenceOutput) close(b *bundle) (EvidenceReceipt, error) {
	if err := b.close(); err != nil {
		return EvidenceReceipt{}, err
	}
	receipt := EvidenceReceipt{Manifest: b.manifest, Bytes: o.plain.count, SHA256: o.plain.digest()}
	if o.sealed != nil {
		if err := o.sealed.Close(); err != nil {
			return EvidenceReceipt{}, fmt.Errorf("its end could not be sealed: %w", err)
		}
		receipt.SealedBytes, receipt.SealedSHA256 = o.outer.count, o.outer.digest()
	}
	return receipt, nil
}
