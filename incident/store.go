package incident

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"time"
)

// A Store keeps incidents, approvals and switches, which change, as documents; and
// timelines and the audit record, which only grow, as chains of entries. It knows
// nothing of their meaning. [MemoryStore] lives as long as the process; package sqlstore
// keeps them in a database.
//
// Methods may be called concurrently, by any number of processes that share a store.
// No error has the content of a document in it. With a read-only context Commit and Delete
// refuse with runbook.ErrReadOnly before anything else.
type Store interface {
	// Document returns a document. The error is [ErrNotFound] if there is none.
	Document(ctx context.Context, kind, id string) (Document, error)
	// Documents returns documents, the one that was changed last first; of those that
	// were changed at the same time, that with the greater ID first. While they are read
	// others may be written, also by who reads them: each that is there, and is chosen,
	// from the beginning to the end comes once.
	Documents(ctx context.Context, query DocumentQuery) iter.Seq2[Document, error]
	// Commit makes all of a change or nothing. When it returns without an error it
	// survives a crash of the program and of the machine. The documents come back with
	// their new versions, and the entries as they are in their chains. A document may take
	// the key of another one that gives it up in the same change.
	//
	// The error is [ErrStale] if the version of a document is not the newest, and else
	// [ErrTaken] if another open document has the key of one; nothing was changed then, nor
	// if [Change.Validate] has objections, which Commit returns.
	// After other errors it is not known, unless runbook.SafeToRetry says so.
	Commit(ctx context.Context, c Change) (Change, error)
	// Entries returns the entries of a chain in order, those after a number. A chain that
	// nobody wrote to is empty. Others may write meanwhile, also who reads them.
	Entries(ctx context.Context, chain string, after int64) iter.Seq2[Entry, error]
	// Delete removes a document and a whole chain, for retention: kind, id and chain may
	// be empty. It is no error if there is nothing. Both can be made anew: the document
	// from version 1, the chain from entry 1.
	Delete(ctx context.Context, kind, id, chain string) error
}

// ErrTaken means that another open document has the same key: there is such an incident
// already.
var ErrTaken = errors.New("there is one already")

// A Document is something in a [Store] that changes.
type Document struct {
	// Kind and ID name it: ASCII letters, digits, -, _ and dots, at most 30 and 100.
	Kind, ID string
	// Version counts its changes, from 1. In a change it is the version that was read;
	// zero means that there is none yet.
	Version int64
	// Key is that of what it is about, at most 200 characters. Of the open documents of
	// a kind, only one has it; empty is no key.
	Key string
	// Open says that it still matters.
	Open bool
	// Changed is when it was changed last, as the writer said, in UTC; what is less than a
	// microsecond is cut off. Required.
	Changed time.Time
	// Data is the document, JSON of at most 1 MiB, kept as it is. Required.
	Data json.RawMessage
}

// A DocumentQuery chooses documents.
type DocumentQuery struct {
	// Kind is theirs. Required.
	Kind string
	// Key is theirs, if it is not empty.
	Key string
	// Open chooses those that are open only.
	Open bool
	// Since is when they were changed at the earliest, to the microsecond.
	Since time.Time
	// Limit is how many, at most. Zero means all.
	Limit int
}

// A Change is what [Store.Commit] does.
type Change struct {
	// Documents are written. Each is in it once.
	Documents []Document
	// Entries are added to their chains, in this order. One whose Key is in its chain
	// already is not added again: it comes back as it is there.
	Entries []Entry
}

// An Entry is something that happened: a link of a chain that can only grow. Each has
// the hash of the one before, so that a change, or a hole, shows: see [VerifyChain].
type Entry struct {
	// Chain is where it belongs: "incident/" with an ID, or "audit". It is a name, or two
	// with a slash between, like those of documents. Required.
	Chain string `json:"chain"`
	// Seq counts the entries of the chain, from 1. Given by the store.
	Seq int64 `json:"seq"`
	// Key makes it one: the same entry is added once. Optional; at most 200 characters.
	Key string `json:"key,omitempty"`
	// At is when it happened, in UTC; what is less than a microsecond is cut off. Required.
	At time.Time `json:"at"`
	// Kind says what happened: "acknowledged", "step ended". Required; at most 100
	// characters.
	Kind string `json:"kind"`
	// Actor is who did it: a person by name, or a part of the program. Of more than 200
	// characters the rest is cut off.
	Actor string `json:"actor,omitempty"`
	// Text says it in a sentence, without secrets. Of more than 4,000 characters the rest is
	// cut off.
	Text string `json:"text"`
	// Data is more of it: JSON of at most 64 KiB, kept as it is.
	Data json.RawMessage `json:"data,omitempty"`
	// Salt is random, so that nobody finds out from Content what was redacted. Content is
	// empty, or what is left of Text, Data and Salt that were redacted: their hash. Given
	// by the store.
	Salt    string `json:"salt,omitempty"`
	Content string `json:"content,omitempty"`
	// Prior is the hash of the entry before, empty for the first. Hash is that of this
	// one. Given by the store.
	Prior string `json:"prior,omitempty"`
	Hash  string `json:"hash"`
}

// Follow returns the entry as it stands in its chain after another one; the zero
// entry is the beginning. Stores call it. What is no text in Actor and Text becomes
// U+FFFD, so that whatever a provider said can be kept.
func (e Entry) Follow(last Entry) Entry {
	e.At = e.At.UTC().Truncate(time.Microsecond)
	e.Actor, e.Text = storeText(e.Actor, maxEntryActor), storeText(e.Text, maxEntryText)
	if e.says() {
		e.Content = ""
		e.Salt = cmp.Or(e.Salt, rand.Text())
	}
	e.Seq, e.Prior, e.Hash = last.Seq+1, last.Hash, ""
	e.Hash = e.digest()
	return e
}

// says reports whether the entry has what can be redacted.
func (e Entry) says() bool { return e.Text != "" || len(e.Data) > 0 || e.Salt != "" }

// Redacted returns the entry without Text, Data and Salt. Its hash stays, so that the chain
// is whole still: [VerifyChain] checks it as any other. What they were is not to be found
// out from it. One without a Salt is returned as it is: there is nothing in it, or it was
// written before there were salts.
func (e Entry) Redacted() Entry {
	if e.Salt != "" {
		e.Content = e.content()
		e.Text, e.Data, e.Salt = "", nil, ""
	}
	return e
}

// content returns the hash of what can be redacted. Data counts in the form that
// json.Marshal gives it: an entry that was exported as JSON, and read again, has the same
// one.
func (e Entry) content() string { return hashOf(e.Salt, e.Text, string(plainJSON(e.Data))) }

// digest returns the hash of everything in the entry but the hash. One that is redacted, and
// says something, has none.
func (e Entry) digest() string {
	said := []string{e.Content}
	switch {
	case e.Content == "" && e.Salt == "": // there was no salt, or nothing to hide
		said = []string{e.Text, string(plainJSON(e.Data))}
	case e.Content == "":
		said = []string{e.content()}
	case e.says():
		return ""
	}
	parts := []string{e.Chain, fmt.Sprint(e.Seq), e.Key, e.At.UTC().Format(time.RFC3339Nano), e.Kind, e.Actor}
	return hashOf(append(append(parts, said...), e.Prior)...)
}

// hashOf returns the hash of parts, each with its length.
func hashOf(parts ...string) string {
	h := sha256.New()
	for _, part := range parts {
		fmt.Fprintf(h, "%d:%s,", len(part), part)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// An EntryRedactor is a [Store] that can redact entries, for retention.
type EntryRedactor interface {
	// RedactEntries makes entries of a chain, by their numbers, what [Entry.Redacted]
	// returns, all of them or none, and returns how many of them it changed. What is not
	// there, or was redacted before, is none of them. What they said is in no answer of
	// the store afterwards. A read-only context is refused with runbook.ErrReadOnly.
	RedactEntries(ctx context.Context, chain string, numbers ...int64) (int, error)
}

// ErrBroken means that a chain was changed after it was written, or that a part of it is
// missing.
var ErrBroken = errors.New("the record was changed")

// Follows reports whether the entry is as it was written, and stands after another one; the
// zero entry is the beginning.
func (e Entry) Follows(last Entry) bool {
	return e.Seq == last.Seq+1 && e.Prior == last.Hash && e.Hash == e.digest()
}

// VerifyChain returns how many entries a chain has, and its last hash. The error wraps
// [ErrBroken] and says where, if an entry is not as it was written, or is missing in the
// middle. That the end was cut off shows only to who has kept a later hash. An entry that was
// redacted is as it was written but for what it said: that it was redacted shows, since it has
// Content, and not by whom. Whoever can write to the store can redact, and can not put
// anything else in its place.
func VerifyChain(entries iter.Seq2[Entry, error]) (last Entry, err error) {
	for e, err := range entries {
		if err != nil {
			return last, err
		}
		if !e.Follows(last) {
			return last, fmt.Errorf("%w: chain %s, entry %d, after entry %d", ErrBroken, e.Chain, e.Seq, last.Seq)
		}
		last = e
	}
	return last, nil
}
