package incident

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
)

// CollectRedacted is [Evidence.Collect] that writes a copy without personal data beside the
// bundle, from the same answers of the sources: what stays when the bundle is removed by the
// rule of [Retention]. It is made now, since a bundle that is sealed can be opened by those
// alone who have the key.
//
// The copy has the measurements; the events of audit logs and page views with pseudonyms in
// place of persons, and without ids, addresses and browsers; and the deployments without
// what people wrote. Of whatever is free text, logs, timelines, records of runs, it has
// nothing, and its manifest says so. It is sealed as the bundle is, [VerifyEvidence] checks
// it as any other, and its manifest names the bundle.
//
// An error of either writer ends both: neither is a bundle then.
func (e Evidence) CollectRedacted(ctx context.Context, w, redacted io.Writer) (whole, less EvidenceReceipt, err error) {
	if err := e.Validate(); err != nil {
		return whole, less, err
	}
	if len(e.Pseudonyms.Reveal()) < shortestKey {
		return whole, less, fmt.Errorf("incident: evidence of %s: a key of at least %d bytes for pseudonyms is required: without it ids could be guessed", e.Incident, shortestKey)
	}
	whole, less, err = e.limited().writeBoth(ctx, w, redacted)
	if err != nil {
		return EvidenceReceipt{}, EvidenceReceipt{}, fmt.Errorf("incident: evidence of %s: %w", e.Incident, err)
	}
	return whole, less, nil
}

// shortestKey is how many bytes a key of pseudonyms has at least.
const shortestKey = 16

func (e Evidence) writeBoth(ctx context.Context, w, redacted io.Writer) (whole, less EvidenceReceipt, err error) {
	out, err := e.open(w)
	if err != nil {
		return whole, less, err
	}
	lesser, err := e.open(redacted)
	if err != nil {
		return whole, less, err
	}
	b := newBundle(out.plain, e)
	b.less = newBundle(lesser.plain, e)
	b.less.manifest.Began = b.manifest.Began
	b.less.manifest.Reason = "" // it may name somebody
	for _, s := range e.inOrder() {
		if err := b.take(ctx, s); err != nil {
			return whole, less, err
		}
	}
	if whole, err = out.close(b); err != nil {
		return whole, less, err
	}
	b.less.manifest.Redacted, b.less.manifest.CopyOf = true, whole.SHA256
	less, err = lesser.close(b.less)
	return whole, less, err
}

// lesserWriter takes what the copy has of one source.
type lesserWriter struct {
	w         *EvidenceWriter // that of the copy
	of        func(line []byte, pseudonym func(id string) string) (any, error)
	pseudonym func(id string) string
}

// copied returns what takes the copy of a source; nil if none is made.
func (w *EvidenceWriter) copied(s EvidenceSource) *lesserWriter {
	lesser := w.bundle.less
	if lesser == nil {
		return nil
	}
	item := w.item
	return &lesserWriter{of: s.Less, pseudonym: pseudonyms(w.bundle.evidence.Pseudonyms.Reveal()), w: &EvidenceWriter{From: w.From, To: w.To, bundle: lesser, left: w.left, item: item, ext: w.ext}}
}

// line puts what the copy has of a line into it.
func (l *lesserWriter) line(line []byte) error {
	if l == nil || l.of == nil {
		return nil
	}
	less, err := l.of(line, l.pseudonym)
	if err != nil {
		return fmt.Errorf("incident: evidence: a line cannot be redacted: %w", err)
	}
	return l.w.Line(less)
}

// endCopy ends the copy of a source. An error is that of the writer of the copy.
func (w *EvidenceWriter) endCopy(s EvidenceSource) error {
	if w.less == nil {
		return nil
	}
	c := w.less.w
	if c.broken == nil {
		c.flush()
	}
	if c.broken != nil {
		return c.broken
	}
	c.item.Ended, c.item.Complete, c.item.Missing = w.item.Ended, w.item.Complete, w.item.Missing
	switch {
	case s.Less == nil:
		c.item.Complete, c.item.Missing = false, "left out of the redacted copy, since it is free text"
	case !c.item.Complete:
		c.item.Missing = "not all of it could be had" // the reason may name somebody
	}
	w.bundle.less.manifest.Items = append(w.bundle.less.manifest.Items, c.item)
	return nil
}

// pseudonyms returns what makes pseudonyms of ids: the same of the same id, from which
// nobody finds the id without the key.
func pseudonyms(key string) func(id string) string {
	return func(id string) string {
		if id == "" {
			return ""
		}
		mac := hmac.New(sha256.New, []byte(key))
		mac.Write([]byte(id))
		return "person-" + hex.EncodeToString(mac.Sum(nil)[:8])
	}
}

// asItIs is for lines that have no personal data.
func asItIs(line []byte, _ func(string) string) (any, error) { return json.RawMessage(line), nil }

// lessOfEvent is an event without whose it was and from where it came. What it was done to
// stays unless it is a user, who becomes a pseudonym too; the id of the event would lead
// back to it at the platform.
func lessOfEvent(line []byte, pseudonym func(string) string) (any, error) {
	var e evidenceEvent
	if err := json.Unmarshal(line, &e); err != nil {
		return nil, errors.New("it is no event")
	}
	e.ID, e.Address, e.Agent = "", "", ""
	e.Actor = pseudonym(e.Actor)
	kind, id, found := strings.Cut(e.Object, " ")
	switch {
	case strings.HasPrefix(e.Object, "/"): // the path of a request
		path, _, _ := strings.Cut(e.Object, "?")
		e.Object = userInPath.ReplaceAllStringFunc(path, func(part string) string {
			at := strings.LastIndexByte(part, '/') + 1
			return part[:at] + pseudonym(part[at:])
		})
	case found && strings.EqualFold(kind, "user"):
		e.Object = kind + " " + pseudonym(id)
	case !found:
		e.Object = pseudonym(e.Object) // it may be anybody
	}
	return e, nil
}

// userInPath is where paths of Canvas name a person.
var userInPath = regexp.MustCompile(`(?i)/(users|profile|about|submissions|grades|students|graders|observees|observers|accounts/[^/]+/users)/[^/]+`)

// lessOfDeployment is a deployment without what people wrote.
func lessOfDeployment(line []byte, _ func(string) string) (any, error) {
	var d evidenceDeployment
	if err := json.Unmarshal(line, &d); err != nil {
		return nil, errors.New("it is no deployment")
	}
	d.Message, d.Reason = "", ""
	return d, nil
}
