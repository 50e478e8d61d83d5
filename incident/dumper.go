package incident

import (
	"context"
	"errors"
	"io"
	"slices"
	"time"
)

// Dumper makes a copy of a database that does not depend on the platform it is
// on.
type Dumper interface {
	// Dump writes a consistent copy of the database to w and returns a receipt. It
	// does not close w. It changes nothing in the database, and may be called
	// concurrently. After an error, also the end of ctx, what was written is not a
	// dump: the caller throws it away. The error is ErrNotPermitted if we may not
	// read all of it.
	Dump(ctx context.Context, w io.Writer) (DumpReceipt, error)
}

// DumpLoader is a [Dumper] that can put a dump into a database.
type DumpLoader interface {
	// PlanLoad says what loading a dump would do, and changes nothing. Target is
	// the name of a database that the implementation was given; it is never an
	// address with a password. It may be called concurrently. The error is
	// ErrNotFound if it has no such target, ErrUnsupported if the dump does not fit
	// the target (a newer server, another sort of database), ErrNotPermitted.
	PlanLoad(ctx context.Context, r DumpReceipt, target string) (LoadPlan, error)

	// Load reads the dump from r to its end and puts it into the target, in place
	// of what the plan says is destroyed. It plans again first: if that is not the
	// [LoadPlan.Same], the error is ErrStale, and r is not read. If what was read is
	// not what the receipt says, in size or hash, Load fails, and the target is as
	// it was. Since that may take reading it twice, r should be an [io.ReadSeeker],
	// as a file is; another one may be refused with ErrUnsupported. One call for a
	// target at a time: another one meanwhile gets ErrBusy.
	//
	// The error is ErrNotFound, ErrUnsupported, ErrNotPermitted, ErrStale, ErrBusy,
	// or another one, and the target is as it was. If that is not certain, also
	// after the end of ctx, the error is ErrOutcomeUnknown: the target may have a
	// part of it and must not be used. Loading again is then safe, after a new
	// plan. A context that has ended before changes nothing.
	Load(ctx context.Context, p LoadPlan, r io.Reader) (Loaded, error)
}

// A DumpReceipt is what is known of a dump. It has no secret in it and is kept
// beside the dump, and in another place as well.
type DumpReceipt struct {
	// Time is when the copy was made: what was written later is not in it.
	Time time.Time
	// Size is how many bytes were written, and SHA256 their hash, in lower case
	// hexadecimal digits.
	Size   int64
	SHA256 string
	// Server is the database and its version: "PostgreSQL 15.18".
	Server string
	// Format is what the bytes are, outermost first: "age, pg_dump custom".
	Format string
	// Encrypted is true if the bytes cannot be read without a key.
	Encrypted bool
	// Tables is how many tables are in it; a copy without any is suspicious.
	Tables int
}

// Validate returns everything that is wrong with the receipt, or nil.
func (r DumpReceipt) Validate() error {
	var problems []error
	if r.Time.IsZero() {
		problems = append(problems, errors.New("incident: dump receipt: Time is missing"))
	}
	if r.Size <= 0 {
		problems = append(problems, errors.New("incident: dump receipt: the dump is empty"))
	}
	const digits = "0123456789abcdef"
	odd := func(c byte) bool { return !slices.Contains([]byte(digits), c) }
	if len(r.SHA256) != 64 || slices.ContainsFunc([]byte(r.SHA256), odd) {
		problems = append(problems, errors.New("incident: dump receipt: SHA256 must be 64 lower case hexadecimal digits"))
	}
	if r.Server == "" || r.Format == "" {
		problems = append(problems, errors.New("incident: dump receipt: Server or Format is missing"))
	}
	return errors.Join(problems...)
}

// A LoadPlan is what loading a dump would do. It is what a person approves.
type LoadPlan struct {
	// Receipt is what is loaded.
	Receipt DumpReceipt
	// Target is the name of the database, Server what it is and its version.
	Target, Server string
	// Destroys is what is lost, one thing in each line: "12 tables, 4 GB". None
	// means that the target is empty.
	Destroys []string
}

// Same reports whether two plans do the same. Times are compared as instants.
func (p LoadPlan) Same(q LoadPlan) bool {
	a, b := p.Receipt, q.Receipt
	sameTime := a.Time.Equal(b.Time)
	a.Time, b.Time = time.Time{}, time.Time{}
	return sameTime && a == b && p.Target == q.Target && p.Server == q.Server && slices.Equal(p.Destroys, q.Destroys)
}

// Loaded is what was observed after a dump was loaded.
type Loaded struct {
	// Target is the name of the database.
	Target string
	// Tables is how many tables it has now.
	Tables int
}
