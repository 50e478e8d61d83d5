package incident

import (
	"archive/tar"
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"time"
)

// partSize is how large a file of a bundle is before the next one begins: tar wants to
// know the size of a file before its content, so that one is held in memory.
const partSize = 4 << 20

// counted counts and hashes what is written through it.
type counted struct {
	w     io.Writer
	hash  hash.Hash
	count int64
}

func newCounted(w io.Writer) *counted { return &counted{w: w, hash: sha256.New()} }

func (c *counted) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	if n < 0 || n > len(p) {
		return 0, errors.New("the writer returned an impossible count")
	}
	c.hash.Write(p[:n])
	c.count += int64(n)
	if err == nil && n < len(p) {
		err = io.ErrShortWrite
	}
	return n, err
}

func (c *counted) digest() string { return hex.EncodeToString(c.hash.Sum(nil)) }

// bundle writes a bundle.
type bundle struct {
	tar      *tar.Writer
	evidence Evidence
	manifest EvidenceManifest
	left     int64   // of what may be kept of all sources
	less     *bundle // the copy without personal data; nil if none is made
}

func newBundle(w io.Writer, e Evidence) *bundle {
	return &bundle{tar: tar.NewWriter(w), evidence: e, left: e.MostAll, manifest: EvidenceManifest{
		Format: evidenceFormat, Incident: cleanLine(e.Incident), By: cleanLine(e.By), Reason: cleanWords(e.Reason, maxWords),
		From: e.From.UTC().Round(0), To: e.To.UTC().Round(0), Began: wallTime(),
		Redacted: e.Redact != nil, Items: make([]EvidenceItem, 0, len(e.Sources)),
	}}
}

// header is that of a file of a bundle. Everything in it is known to who reads it, so
// that a change of any byte shows.
func header(name string, size int64, began time.Time) *tar.Header {
	return &tar.Header{Typeflag: tar.TypeReg, Name: name, Size: size, Mode: 0o600, ModTime: began.Truncate(time.Second), Format: tar.FormatUSTAR}
}

// file writes a file.
func (b *bundle) file(name string, content []byte) error {
	if err := b.tar.WriteHeader(header(name, int64(len(content)), b.manifest.Began)); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	if _, err := b.tar.Write(content); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}

// take asks a source. An error is that of the writer of the bundle.
func (b *bundle) take(ctx context.Context, s EvidenceSource) error {
	w := &EvidenceWriter{
		From: b.manifest.From, To: b.manifest.To, bundle: b, redact: b.evidence.Redact, left: min(b.evidence.MostEach, b.left),
		item: EvidenceItem{Name: s.Name, About: cleanLine(s.About), Began: wallTime()}, ext: cmp.Or(s.Ext, "jsonl"),
	}
	w.less = w.copied(s)
	err := ctx.Err()
	if err == nil {
		err = w.collect(ctx, s, b.evidence.Timeout)
	}
	if w.broken == nil {
		w.flush()
	}
	if w.broken != nil {
		return w.broken
	}
	if from := w.item.Began.Add(-s.Keeps); s.Keeps > 0 && w.From.Before(from) {
		err = errors.Join(err, fmt.Errorf("it keeps %v, so that what was before %s had been forgotten already", s.Keeps, from.UTC().Format(time.RFC3339)))
	}
	w.item.Ended, w.item.Complete = wallTime(), err == nil
	if err != nil {
		w.item.Missing = cleanWords(err.Error(), maxWords)
	}
	b.manifest.Items = append(b.manifest.Items, w.item)
	return w.endCopy(s)
}

// close writes the manifest and the end.
func (b *bundle) close() error {
	b.manifest.Ended = wallTime()
	b.manifest.Digest = b.manifest.digest()
	text, err := b.manifest.encode()
	if err != nil {
		return err
	}
	if err := b.file(manifestName, text); err != nil {
		return err
	}
	if err := b.tar.Close(); err != nil {
		return fmt.Errorf("write the end: %w", err)
	}
	return nil
}

// encode returns the manifest as it is written, in its only form.
func (m EvidenceManifest) encode() ([]byte, error) {
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("the manifest cannot be written: %w", err)
	}
	return append(text, '\n'), nil
}

// digest returns the hash of the manifest but for its digest.
func (m EvidenceManifest) digest() string {
	m.Digest = ""
	text, err := m.encode()
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// An EvidenceWriter takes what a source has. It belongs to one call of Collect, and to one
// goroutine at a time.
type EvidenceWriter struct {
	// From and To are the span of time that is asked for.
	From, To time.Time

	bundle *bundle
	ext    string
	redact func([]byte) []byte
	item   EvidenceItem
	part   bytes.Buffer
	line   bytes.Buffer // the one that is encoded
	left   int64
	full   bool  // what was over the limit was left out
	broken error // of the writer of the bundle: there is no use in going on
	ended  bool
	less   *lesserWriter // of the copy without personal data; nil if none is made
}

// ErrEvidenceFull means that the rest of a source is left out, because more is not to be
// kept.
var ErrEvidenceFull = errors.New("more than is to be kept")

// Write keeps bytes. The error is [ErrEvidenceFull] when there are more than may be kept,
// or that of the writer of the bundle; the source returns it.
func (w *EvidenceWriter) Write(p []byte) (int, error) {
	switch {
	case w.ended:
		return 0, errors.New("incident: evidence: the time of the source was over")
	case w.broken != nil:
		return 0, w.broken
	case w.full || int64(len(p)) > w.left:
		w.full = true // whole writes only: a line is never cut
		return 0, fmt.Errorf("incident: evidence: %d bytes were kept: %w", w.kept(), ErrEvidenceFull)
	}
	n := len(p)
	w.left -= int64(n)
	w.bundle.left -= int64(n)
	if w.part.Len()+n > partSize {
		w.flush() // so that a line is in one part, if it is no longer than that
	}
	for ; len(p) > partSize && w.broken == nil; p = p[partSize:] {
		w.part.Write(p[:partSize])
		w.flush()
	}
	if w.broken != nil {
		return 0, w.broken
	}
	w.part.Write(p)
	return n, nil
}

// Line keeps a value as a line of JSON.
func (w *EvidenceWriter) Line(v any) error {
	w.line.Reset()
	if err := json.NewEncoder(&w.line).Encode(v); err != nil {
		return fmt.Errorf("incident: evidence: a line cannot be written: %w", err)
	}
	if _, err := w.Write(w.line.Bytes()); err != nil {
		return err
	}
	w.item.Lines++
	return w.less.line(w.line.Bytes())
}

func (w *EvidenceWriter) kept() (n int64) {
	for _, f := range w.item.Files {
		n += f.Bytes
	}
	return n + int64(w.part.Len())
}

// flush writes what is held as a file.
func (w *EvidenceWriter) flush() {
	if w.part.Len() == 0 {
		return
	}
	content := w.part.Bytes()
	name := fmt.Sprintf("%s.%04d.%s", w.item.Name, len(w.item.Files)+1, w.ext)
	sum := sha256.Sum256(content)
	w.item.Files = append(w.item.Files, EvidenceFile{Name: name, Bytes: int64(len(content)), SHA256: hex.EncodeToString(sum[:])})
	w.broken = w.bundle.file(name, content)
	w.part.Reset()
}

// collect calls a source, which may panic.
func (w *EvidenceWriter) collect(ctx context.Context, s EvidenceSource, limit time.Duration) (err error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	defer func() {
		w.ended = true
		if p := recover(); p != nil {
			err = fmt.Errorf("the source panicked: %.200v", p)
		}
	}()
	if err := s.Collect(ctx, w); err != nil {
		return err
	}
	if w.full { // and it said nothing
		return fmt.Errorf("%d bytes were kept: %w", w.kept(), ErrEvidenceFull)
	}
	return nil
}
