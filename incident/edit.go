package incident

import (
	"context"
	"errors"
	"fmt"
)

// editDocument changes a document, and reads it again when somebody else was faster. change
// is given what there is, with a version of zero if there is nothing, and returns what it
// becomes, and the entries that go with it. Its error ends the edit and changes nothing.
func editDocument(ctx context.Context, s Store, kind, id string, change func(doc Document) (Document, []Entry, error)) error {
	for range 20 {
		doc, err := s.Document(ctx, kind, id)
		if err != nil && !errors.Is(err, ErrNotFound) {
			return fmt.Errorf("read %s %s: %w", kind, id, err)
		}
		doc, entries, err := change(doc)
		if err != nil {
			return err
		}
		doc.Kind, doc.ID, doc.Changed = kind, id, wallTime()
		for i := range entries {
			entries[i].Data = fitData(entries[i].Data)
		}
		_, err = s.Commit(ctx, Change{Documents: []Document{doc}, Entries: entries})
		switch {
		case err == nil:
			return nil
		case !errors.Is(err, ErrStale) && !errors.Is(err, ErrTaken):
			return fmt.Errorf("record %s %s: %w", kind, id, err)
		}
	}
	return fmt.Errorf("record %s %s: others change it all the time: %w", kind, id, ErrBusy)
}
