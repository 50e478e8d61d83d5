package incident

import (
	"archive/tar"
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"regexp"
	"slices"
)

// Limits of what is read of a bundle.
const (
	maxManifest = 32 << 20
	maxFiles    = 100_000
	maxLineSize = 1 << 20 // of an entry of a chain
)

// VerifyEvidence reads a bundle, not sealed any more, to its end, and checks that all of
// it is as it was written: each file by its hash, every byte around them by the only form
// that a bundle has, the manifest, and the links of the chains of entries in it. It
// returns what it read, also with an error as far as it came.
//
// The error wraps [ErrBroken] if anything was changed, cut off or added, or if a chain
// was not whole already when it was taken, which the manifest says too; other errors are
// those of r. Whoever made a bundle could make another one that is whole in itself: the
// receipt that was kept elsewhere tells, of which SHA256 must be the same.
func VerifyEvidence(r io.Reader) (EvidenceReceipt, error) {
	v := newEvidenceVerifier(r)
	err := v.read()
	receipt := EvidenceReceipt{Manifest: v.manifest, Bytes: v.raw.count, SHA256: v.raw.digest()}
	if err == nil {
		return receipt, nil
	}
	if v.failed != nil {
		return receipt, fmt.Errorf("incident: verify evidence: read it: %w", v.failed)
	}
	return receipt, fmt.Errorf("incident: verify evidence: %w", err)
}

// broken is what is wrong with a bundle.
func broken(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrBroken, fmt.Sprintf(format, args...))
}

// evidenceVerifier reads a bundle.
type evidenceVerifier struct {
	source   io.Reader
	failed   error // of source
	raw      *counted
	manifest EvidenceManifest
	// form is the hash of the bundle as it would be written with the files in it.
	form  hash.Hash
	tar   *tar.Writer
	files []EvidenceFile
	times []int64 // of the files
	// chains are those that were read, by the name of the item.
	chains map[string]*chainReader
}

func newEvidenceVerifier(r io.Reader) *evidenceVerifier {
	v := &evidenceVerifier{source: r, raw: newCounted(io.Discard), form: sha256.New(), chains: make(map[string]*chainReader)}
	v.tar = tar.NewWriter(v.form)
	return v
}

// Read reads the source, and keeps its error: that of who reads may say less.
func (v *evidenceVerifier) Read(p []byte) (int, error) {
	n, err := v.source.Read(p)
	if n < 0 || n > len(p) {
		n, err = 0, errors.New("the reader returned an impossible count")
	}
	_, _ = v.raw.Write(p[:n])
	if err != nil && err != io.EOF && v.failed == nil {
		v.failed = err
	}
	return n, err
}

func (v *evidenceVerifier) read() error {
	files := tar.NewReader(v)
	done := false
	for {
		h, err := files.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return broken("after %d bytes it is no bundle: %v", v.raw.count, err)
		}
		if done || len(v.files) == maxFiles {
			return broken("file %.80q is behind the manifest, or one too many", h.Name)
		}
		if done = h.Name == manifestName; done {
			err = v.readManifest(h, files)
		} else {
			err = v.readFile(h, files)
		}
		if err != nil {
			return err
		}
	}
	if !done {
		return broken("it has no manifest: it was cut off, or never came to its end")
	}
	if _, err := io.Copy(io.Discard, v); err != nil { // what is behind the end
		return err
	}
	if err := v.tar.Close(); err != nil {
		return broken("its end: %v", err)
	}
	if !bytes.Equal(v.form.Sum(nil), v.raw.hash.Sum(nil)) {
		return broken("something between the files, or at its end, is not as it was written")
	}
	return v.compare()
}

// begin checks the head of a file, and writes it as it must be.
func (v *evidenceVerifier) begin(h *tar.Header) error {
	if err := v.tar.WriteHeader(header(h.Name, h.Size, h.ModTime)); err != nil {
		return broken("file %.80q: %v", h.Name, err)
	}
	v.times = append(v.times, h.ModTime.Unix())
	return nil
}

// chainFile are the files of chains: the name of the item, and which part it is.
var chainFile = regexp.MustCompile(`^([A-Za-z0-9_-]+)\.[0-9]{4,}\.` + regexp.QuoteMeta(chainExt) + `$`)

func (v *evidenceVerifier) readFile(h *tar.Header, content io.Reader) error {
	if err := v.begin(h); err != nil {
		return err
	}
	sum := sha256.New()
	to := io.MultiWriter(v.tar, sum)
	if m := chainFile.FindStringSubmatch(h.Name); m != nil {
		c := v.chains[m[1]]
		if c == nil {
			c = new(chainReader)
			v.chains[m[1]] = c
		}
		to = io.MultiWriter(v.tar, sum, c)
	}
	n, err := io.Copy(to, content)
	if err != nil {
		return broken("file %.80q ends after %d bytes of %d: %v", h.Name, n, h.Size, err)
	}
	v.files = append(v.files, EvidenceFile{Name: h.Name, Bytes: n, SHA256: hex.EncodeToString(sum.Sum(nil))})
	return nil
}

func (v *evidenceVerifier) readManifest(h *tar.Header, content io.Reader) error {
	if err := v.begin(h); err != nil {
		return err
	}
	if h.Size > maxManifest {
		return broken("the manifest has %d bytes", h.Size)
	}
	text, err := io.ReadAll(io.TeeReader(content, v.tar))
	if err != nil {
		return broken("the manifest: %v", err)
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	var m EvidenceManifest
	if err := decoder.Decode(&m); err != nil {
		return broken("the manifest cannot be read: %v", err)
	}
	again, err := m.encode()
	switch {
	case err != nil:
		return broken("the manifest: %v", err)
	case m.Format != evidenceFormat:
		return broken("it is %.80q, and not %q", m.Format, evidenceFormat)
	case !bytes.Equal(again, text) || m.Digest != m.digest():
		return broken("the manifest is not as it was written")
	}
	v.manifest = m
	return nil
}

// compare checks that the manifest says of the files what they are.
func (v *evidenceVerifier) compare() error {
	var listed []EvidenceFile
	for _, item := range v.manifest.Items {
		listed = append(listed, item.Files...)
	}
	for i := range max(len(listed), len(v.files)) {
		switch {
		case i >= len(v.files):
			return broken("file %.80q is missing", listed[i].Name)
		case i >= len(listed):
			return broken("file %.80q is not in the manifest", v.files[i].Name)
		case listed[i] != v.files[i]:
			return broken("file %.80q is not the one of the manifest", v.files[i].Name)
		}
	}
	began := v.manifest.Began.Unix()
	if slices.ContainsFunc(v.times, func(t int64) bool { return t != began }) {
		return broken("the time of a file is not that of the manifest")
	}
	seen := 0
	for _, item := range v.manifest.Items {
		if item.Chain == nil {
			continue
		}
		if err := v.compareChain(item); err != nil {
			return err
		}
		if v.chains[item.Name] != nil {
			seen++
		}
	}
	if seen != len(v.chains) {
		return broken("a chain is there that the manifest does not know")
	}
	return nil
}

// compareChain checks that a chain is linked, and is what the manifest says.
func (v *evidenceVerifier) compareChain(item EvidenceItem) error {
	c, want := v.chains[item.Name], *item.Chain
	if c == nil {
		c = new(chainReader)
	}
	if err := c.close(); err != nil {
		return broken("%s: %v", item.Name, err)
	}
	got := EvidenceChain{Chain: want.Chain, Broken: want.Broken}
	c.links.note(&got, "")
	switch {
	case want.Broken != "":
		return broken("%s: the chain %s was not whole already when it was taken: %s", item.Name, want.Chain, want.Broken)
	case c.broken != "":
		return broken("%s: %s", item.Name, c.broken)
	case c.chain != "" && c.chain != want.Chain, got != want:
		return broken("%s: the chain is not the one of the manifest", item.Name)
	}
	return nil
}

// chainReader takes lines that are entries of a chain, in pieces of any size.
type chainReader struct {
	links  chainLinks
	chain  string
	broken string
	rest   []byte
	err    error
}

// Write takes the next piece. It never fails: what is wrong is said at the end.
func (c *chainReader) Write(p []byte) (int, error) {
	n := len(p)
	for c.err == nil {
		line, after, found := bytes.Cut(p, []byte("\n"))
		if len(c.rest)+len(line) > maxLineSize {
			c.err = errors.New("a line is longer than an entry can be")
			break
		}
		if !found {
			c.rest = append(c.rest, line...)
			break
		}
		c.entry(append(c.rest, line...))
		c.rest, p = c.rest[:0], after
	}
	return n, nil
}

func (c *chainReader) entry(line []byte) {
	var e Entry
	if err := json.Unmarshal(line, &e); err != nil {
		c.err = fmt.Errorf("a line is no entry: %w", err)
		return
	}
	broken := c.links.add(e)
	if c.chain == "" {
		c.chain = e.Chain
	} else if e.Chain != c.chain {
		broken = fmt.Sprintf("entry %d is of another chain", e.Seq)
	}
	c.broken = cmp.Or(c.broken, broken)
}

func (c *chainReader) close() error {
	if c.err == nil && len(c.rest) > 0 {
		return errors.New("its last line does not end")
	}
	return c.err
}
