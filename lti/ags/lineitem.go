package ags

import (
	stdjson "encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// A LineItem is a column of the gradebook (AGS 2.0, section 3.2).
type LineItem struct {
	// ID is its address, by which it is read, changed and given scores. The
	// platform makes it.
	ID string
	// ScoreMaximum is the highest score. It must be above 0.
	ScoreMaximum float64
	// Label is what people see. Required.
	Label string
	// ResourceID is the tool's name for what is graded, and Tag says more about
	// it. The platform keeps both, also in copies of the course.
	ResourceID, Tag string
	// ResourceLinkID is the link that it belongs to. Empty means none. It cannot
	// be changed.
	ResourceLinkID string
	// Start and End are when work can be handed in. Zero means not limited.
	Start, End time.Time
	// GradesReleased is whether students may see grades. Nil leaves it to the
	// platform.
	GradesReleased *bool
	// Extra has everything else, by name: extensions, whose names are addresses.
	// An update sends it back, since the platform replaces the whole item.
	Extra map[string]stdjson.RawMessage
}

// wireLineItem is a line item as it is sent. Times are texts: platforms write "",
// and worse.
type wireLineItem struct {
	ID             string                        `json:"id,omitzero"`
	ScoreMaximum   float64                       `json:"scoreMaximum"`
	Label          string                        `json:"label"`
	ResourceID     string                        `json:"resourceId,omitzero"`
	Tag            string                        `json:"tag,omitzero"`
	ResourceLinkID string                        `json:"resourceLinkId,omitzero"`
	Start          string                        `json:"startDateTime,omitzero"`
	End            string                        `json:"endDateTime,omitzero"`
	GradesReleased *bool                         `json:"gradesReleased,omitzero"`
	Extra          map[string]stdjson.RawMessage `json:",embed"`
}

// UnmarshalJSON reads a line item. A time that cannot be read is in Extra.
func (l *LineItem) UnmarshalJSON(data []byte) error {
	var in wireLineItem
	if err := json.Unmarshal(data, &in, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)); err != nil {
		return errors.New("not a line item")
	}
	*l = LineItem{
		ID: in.ID, ScoreMaximum: in.ScoreMaximum, Label: in.Label, ResourceID: in.ResourceID, Tag: in.Tag,
		ResourceLinkID: in.ResourceLinkID, GradesReleased: in.GradesReleased, Extra: in.Extra,
	}
	for _, f := range [...]struct {
		name, text string
		into       *time.Time
	}{{"startDateTime", in.Start, &l.Start}, {"endDateTime", in.End, &l.End}} {
		var ok bool
		if *f.into, ok = readTime(f.text); ok {
			continue
		}
		raw, err := json.Marshal(f.text, jsontext.AllowInvalidUTF8(true))
		if err != nil {
			continue
		}
		if l.Extra == nil {
			l.Extra = make(map[string]stdjson.RawMessage)
		}
		l.Extra[f.name] = raw
	}
	return nil
}

// MarshalJSON writes a line item. Extra does not replace what has a field.
func (l LineItem) MarshalJSON() ([]byte, error) {
	out := wireLineItem{
		ID: l.ID, ScoreMaximum: l.ScoreMaximum, Label: l.Label, ResourceID: l.ResourceID, Tag: l.Tag,
		ResourceLinkID: l.ResourceLinkID, Start: writeTime(l.Start), End: writeTime(l.End), GradesReleased: l.GradesReleased,
		Extra: maps.Clone(l.Extra),
	}
	for _, name := range [...]string{"id", "scoreMaximum", "label", "resourceId", "tag", "resourceLinkId", "gradesReleased"} {
		delete(out.Extra, name)
	}
	if out.Start != "" {
		delete(out.Extra, "startDateTime")
	}
	if out.End != "" {
		delete(out.Extra, "endDateTime")
	}
	return json.Marshal(out, json.Deterministic(true))
}

// body returns what is sent. The ID is the address already.
func (l LineItem) body() ([]byte, error) {
	l.ID = ""
	return encode(l)
}

// check returns everything that is wrong with a line item to be sent.
func (l *LineItem) check() error {
	var problems []error
	if strings.TrimSpace(l.Label) == "" {
		problems = append(problems, errors.New("the Label is empty"))
	}
	if !(l.ScoreMaximum > 0) || math.IsInf(l.ScoreMaximum, 1) {
		problems = append(problems, fmt.Errorf("the ScoreMaximum is %v, and must be above 0", l.ScoreMaximum))
	}
	if !l.Start.IsZero() && !l.End.IsZero() && l.End.Before(l.Start) {
		problems = append(problems, errors.New("the End is before the Start"))
	}
	return errors.Join(problems...)
}

// readTime reads a time of ISO 8601 as platforms write it. Empty is no time.
func readTime(text string) (time.Time, bool) {
	if text == "" {
		return time.Time{}, true
	}
	for _, layout := range [...]string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999Z0700", "2006-01-02T15:04:05.999999999Z07"} {
		if t, err := time.Parse(layout, text); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}

func writeTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}
