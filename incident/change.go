package incident

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// What a [Store] keeps, at most. Names are in bytes, of which they have one a character;
// keys, kinds, actors and texts are in characters.
const (
	maxDocumentKind = 30
	maxDocumentID   = 100
	maxDocumentData = 1 << 20
	maxStoreKey     = 200
	maxEntryKind    = 100
	maxEntryActor   = 200
	maxEntryText    = 4000
	maxEntryData    = 64 << 10
)

// Validate returns everything that a [Store] does not accept of a change, or nil. Stores
// call it before they do anything. Its error has names in it, and nothing of what is in
// documents and entries.
func (c Change) Validate() error {
	var problems []error
	wrong := func(what, format string, args ...any) {
		problems = append(problems, fmt.Errorf("incident: %s: %s", what, fmt.Sprintf(format, args...)))
	}
	seen := make(map[[2]string]bool)
	for i, d := range c.Documents {
		name := [2]string{d.Kind, d.ID}
		what := fmt.Sprintf("document %d, %.30q %.100q", i+1, d.Kind, d.ID)
		if !isStoreName(d.Kind, maxDocumentKind) || !isStoreName(d.ID, maxDocumentID) {
			wrong(what, "a kind has 1 to %d, and an ID 1 to %d letters, digits, -, _ and dots", maxDocumentKind, maxDocumentID)
		} else if seen[name] {
			wrong(what, "it is in the change twice")
		}
		seen[name] = true
		if d.Version < 0 {
			wrong(what, "the version %d is negative", d.Version)
		}
		validateStored(what, wrong, d.Key, d.Changed)
		if len(d.Data) == 0 {
			wrong(what, "it has no data")
		} else if problem := wrongJSON(d.Data, maxDocumentData); problem != "" {
			wrong(what, "its data %s", problem)
		}
	}
	for i, e := range c.Entries {
		what := fmt.Sprintf("entry %d, of chain %.131q", i+1, e.Chain)
		if !isChain(e.Chain) {
			wrong(what, `a chain is a name, or two with a slash between: "audit", "incident/INC-1"`)
		}
		if e.Kind == "" || !isStoreText(e.Kind, maxEntryKind) {
			wrong(what, "its kind must be 1 to %d characters of valid text", maxEntryKind)
		}
		validateStored(what, wrong, e.Key, e.At)
		if problem := wrongJSON(e.Data, maxEntryData); len(e.Data) > 0 && problem != "" {
			wrong(what, "its data %s", problem)
		}
	}
	return errors.Join(problems...)
}

// validateStored looks at what documents and entries have in common.
func validateStored(what string, wrong func(what, format string, args ...any), key string, at time.Time) {
	if !isStoreText(key, maxStoreKey) {
		wrong(what, "its key must be at most %d characters of valid text", maxStoreKey)
	}
	switch year := at.UTC().Year(); {
	case at.IsZero():
		wrong(what, "its time is missing")
	case year < 1 || year > 9999:
		wrong(what, "the year of its time, %d, is not one of 1 to 9999", year)
	}
}

// Validate returns what is wrong with the query, or nil.
func (q DocumentQuery) Validate() error {
	var problems []error
	if q.Kind == "" {
		problems = append(problems, errors.New("incident: documents: Kind is missing"))
	}
	if q.Limit < 0 {
		problems = append(problems, fmt.Errorf("incident: documents: Limit is %d; 0 means all", q.Limit))
	}
	return errors.Join(problems...)
}

// Matches reports whether the query chooses the document, if there is room for it within
// the limit.
func (q DocumentQuery) Matches(d Document) bool {
	return d.Kind == q.Kind && (q.Key == "" || d.Key == q.Key) && (!q.Open || d.Open) && !d.Changed.Before(q.Since.Truncate(time.Microsecond))
}

// isStoreName reports whether a text is 1 to most letters, digits, -, _ and dots.
func isStoreName(name string, most int) bool {
	const allowed = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_."
	return name != "" && len(name) <= most && strings.Trim(name, allowed) == ""
}

// isChain reports whether a text is the name of a chain.
func isChain(chain string) bool {
	kind, id, two := strings.Cut(chain, "/")
	return isStoreName(kind, maxDocumentKind) && (!two || isStoreName(id, maxDocumentID))
}

// isStoreText reports whether any database can keep a text: PostgreSQL takes valid UTF-8
// without NUL.
func isStoreText(text string, most int) bool {
	return utf8.RuneCountInString(text) <= most && utf8.ValidString(text) && !strings.ContainsRune(text, 0)
}

// wrongJSON says what is wrong with data, or nothing.
func wrongJSON(data json.RawMessage, most int) string {
	switch {
	case len(data) > most:
		return fmt.Sprintf("is %d bytes; at most %d are kept", len(data), most)
	case !json.Valid(data) || !utf8.Valid(data):
		return "is not JSON in UTF-8"
	}
	return ""
}

// storeText returns a text as a chain keeps it. What comes from outside, and what went
// wrong somewhere, must not keep an entry from being written: bytes that are no text
// become U+FFFD, and what is too long is cut.
func storeText(text string, most int) string {
	text = strings.ReplaceAll(strings.ToValidUTF8(text, "\uFFFD"), "\x00", "\uFFFD")
	if utf8.RuneCountInString(text) > most {
		text = string([]rune(text)[:most-1]) + "…"
	}
	return text
}

// plainJSON returns data in the form that json.Marshal gives it, so that an entry that
// was written to a file as JSON still has the hash that it had.
func plainJSON(data json.RawMessage) []byte {
	var compact, plain bytes.Buffer
	if len(data) == 0 || json.Compact(&compact, data) != nil {
		return data
	}
	json.HTMLEscape(&plain, compact.Bytes())
	return plain.Bytes()
}
