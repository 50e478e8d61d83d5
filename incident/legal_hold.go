package incident

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// A LegalHold keeps everything of an incident from being removed by rule, for as long as somebody
// may have to prove what happened: see [SetLegalHold].
type LegalHold struct {
	// Incident names the incident, or the run of a playbook that belongs to none, as
	// [Evidence] does. Required.
	Incident string `json:"incident"`
	// By is who set it, and Reason why. Required.
	By     string `json:"by"`
	Reason string `json:"reason"`
	// Since is when. Zero means now.
	Since time.Time `json:"since"`
}

// kindHold is the kind of the documents of holds, with the incident as their ID.
const kindHold = "hold"

// SetLegalHold keeps everything of an incident, its evidence, its timeline and what was asked
// about it, until [LiftLegalHold]. It is put on the audit record. Twice is the same as once, with
// the newer words.
func SetLegalHold(ctx context.Context, s Store, h LegalHold) error {
	h.Incident, h.By, h.Reason = cleanLine(h.Incident), cleanLine(h.By), cleanLine(h.Reason)
	if h.Incident == "" || h.By == "" || h.Reason == "" {
		return errors.New("incident: hold: of which incident it is, who sets it and why are required")
	}
	if h.Since.IsZero() {
		h.Since = wallTime()
	}
	data, err := json.Marshal(h)
	if err != nil {
		return fmt.Errorf("incident: hold of %s: %w", h.Incident, err)
	}
	return putHold(ctx, s, h.Incident, data, true, Entry{Kind: "hold set", Actor: h.By, Text: h.Incident + ": nothing of it is removed by rule: " + h.Reason})
}

// LiftLegalHold ends a hold: what is older than the rule says is removed the next time. The error
// is [ErrNotFound] if there is none.
func LiftLegalHold(ctx context.Context, s Store, incident, by, reason string) error {
	by, reason = cleanLine(by), cleanLine(reason)
	if by == "" || reason == "" {
		return errors.New("incident: hold: who lifts it and why are required")
	}
	doc, err := s.Document(ctx, kindHold, incident)
	if err != nil {
		return fmt.Errorf("incident: hold of %s: %w", cleanLine(incident), err)
	}
	if !doc.Open {
		return fmt.Errorf("incident: hold of %s: %w: it was lifted before", incident, ErrNotFound)
	}
	return putHold(ctx, s, incident, doc.Data, false, Entry{Kind: "hold lifted", Actor: by, Text: incident + ": it is removed by rule again: " + reason})
}

// putHold writes the document of a hold, together with what is said about it.
func putHold(ctx context.Context, s Store, incident string, data []byte, open bool, e Entry) error {
	now := wallTime()
	doc, err := s.Document(ctx, kindHold, incident)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return fmt.Errorf("incident: hold of %s: %w", incident, err)
	}
	e.Chain, e.At = auditChain, now
	_, err = s.Commit(ctx, Change{Documents: []Document{{Kind: kindHold, ID: incident, Version: doc.Version, Open: open, Changed: now, Data: data}}, Entries: []Entry{e}})
	if err != nil {
		return fmt.Errorf("incident: hold of %s: %w", incident, err)
	}
	return nil
}

// LegalHolds returns the holds that there are, by incident.
func LegalHolds(ctx context.Context, s Store) (map[string]LegalHold, error) {
	all := make(map[string]LegalHold)
	for doc, err := range s.Documents(ctx, DocumentQuery{Kind: kindHold, Open: true}) {
		if err != nil {
			return nil, fmt.Errorf("incident: holds: %w", err)
		}
		h := LegalHold{Incident: doc.ID}
		if err := json.Unmarshal(doc.Data, &h); err != nil {
			h.Reason = "the document cannot be read"
		}
		h.Incident = doc.ID // whatever the document says: it is held
		all[doc.ID] = h
	}
	return all, nil
}

// isHeld reports whether nothing of an incident may be removed: it has a hold or an open
// deadline, or is not over, or that is so of the one that goes on in its place. One that is
// asked for by no name is not held.
func isHeld(ctx context.Context, s Store, incident string) (bool, error) {
	for range 8 {
		if incident == "" {
			return false, nil
		}
		for _, kind := range []string{kindHold, deadlineKind, incidentKind} {
			doc, err := s.Document(ctx, kind, incident)
			if err != nil && !errors.Is(err, ErrNotFound) {
				return false, err
			}
			if doc.Open {
				return true, nil
			}
			if kind == incidentKind {
				var inc struct {
					MergedInto string `json:"merged_into"`
				}
				_ = json.Unmarshal(doc.Data, &inc) // what is of another shape was not merged
				incident = inc.MergedInto
			}
		}
	}
	return true, nil // they were merged in a circle: somebody has to look at it
}
