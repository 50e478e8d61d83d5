package incident

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Disposer is a [Provisioner] that can also remove again what was made for a time only: a
// service with a [ServiceSpec.Mark], and no other. Nothing else of this module removes a
// service.
//
// What is removed, and its data, is gone. Therefore an implementation trusts nobody: it
// looks at the service itself, right before it removes it, and the mark that it finds there
// is what it goes by, together with the ID, the name and the time. A mark is only ever put
// on a service at the moment in which that is made anew, so that what was there before has
// none, whoever says so. Methods may be called concurrently.
type Disposer interface {
	// Disposables returns the services of an environment that were made with a mark, the
	// oldest first: whoever made them, which their marks tell. It changes nothing. A service
	// that has another name than the one that it was made with is not among them: its mark
	// may have come to it with variables that somebody copied. The error is ErrNotFound if
	// there is no such environment, ErrNotPermitted, or another one if it could not be read.
	Disposables(ctx context.Context, project, environment string) ([]Disposable, error)

	// Dispose removes a service with all its data, and waits until it is gone. It asks the
	// platform to do so once, after it has looked. The error is
	//
	//   - ErrNotFound if there is no such service (any more);
	//   - ErrStale if it is not the one that was described: another name, mark or time, or no
	//     mark at all;
	//   - ErrBusy if something needs it: an address at which users reach it, another service
	//     whose variables lead to it, or the same service at work in another environment;
	//   - ErrNotPermitted, or another one if it could not be asked;
	//
	// and then nothing was removed. ErrOutcomeUnknown means that it may be gone, now or
	// later: whether it is, Disposables tells. Calling again after that is safe, since it
	// looks first, and IDs are never used again. A context that has ended before changes
	// nothing.
	Dispose(ctx context.Context, d Disposable) error
}

// A Disposable is a service that was made with a mark. It names exactly one: all of it must
// be so for [Disposer.Dispose] to remove it.
type Disposable struct {
	// Project and Environment are the IDs of where it is.
	Project, Environment string
	// ID is what the platform calls it, Name what people do.
	ID, Name string
	// Mark is the one that it was made with, Made when it was, by the clock of the platform.
	Mark string
	Made time.Time
}

// Validate returns what is missing, or nil.
func (d Disposable) Validate() error {
	if d.Project == "" || d.Environment == "" || d.ID == "" || d.Name == "" || d.Made.IsZero() {
		return errors.New("incident: a service to be removed is named by project, environment, ID, name and the time when it was made; one is missing")
	}
	if d.Mark == "" {
		return fmt.Errorf("incident: service %q has no mark: only what was made with one can be removed", d.Name)
	}
	return validateMark(d.Mark)
}

// Same reports whether two name the same service. Times are compared as instants.
func (d Disposable) Same(other Disposable) bool {
	same := d.Made.Equal(other.Made)
	d.Made, other.Made = time.Time{}, time.Time{}
	return same && d == other
}

// maxMark is how many bytes a mark has at most.
const maxMark = 200

// validateMark returns what is wrong with a mark that is not empty.
func validateMark(mark string) error {
	odd := func(r rune) bool { return unicode.IsControl(r) || r == '$' || r == '{' || r == '}' }
	if len(mark) > maxMark || !utf8.ValidString(mark) || strings.TrimSpace(mark) != mark || strings.ContainsFunc(mark, odd) {
		return fmt.Errorf("incident: a mark is a line of at most %d bytes, without $, { and }, and without spaces around it", maxMark)
	}
	return nil
}
