package playbooks

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"go.acu.edu.au/runbook/incident"
)

// Dumps is where dumps of the database are kept: off the platform, so that they are there
// when the platform is not. A host makes it of a bucket or a disk, with a Seal around what
// it writes. The zero value keeps none. Its funcs may be called concurrently.
type Dumps struct {
	// List returns what is kept, the newest first.
	List func(ctx context.Context) ([]Dump, error)
	// Keep keeps under a name what write writes, and the receipt that it returns. If write
	// fails nothing is kept. What is kept under that name already is replaced.
	Keep func(ctx context.Context, name string, write func(w io.Writer) (incident.DumpReceipt, error)) error
	// Open opens a dump to be read from its beginning.
	Open func(ctx context.Context, name string) (io.ReadSeekCloser, error)
	// Live is the name of the database of the application, Rehearsal that of a database in
	// which restores are rehearsed if none is made for each rehearsal: one that the host has
	// made by hand, and nothing that anybody needs. They are targets of the Dumper, if it is
	// an incident.DumpLoader. Empty means that dumps are not loaded there.
	Live, Rehearsal string
	// Rehearsals says how a new database is made for each rehearsal, and is used in place of
	// Rehearsal if the Provisioner can remove it again. The zero value makes none.
	Rehearsals Rehearsals
	// Check looks at what was loaded into a target: that the rows are there. Nil looks at
	// the number of tables only.
	Check func(ctx context.Context, target string) error
}

// kept reports whether dumps are kept at all.
func (d Dumps) kept() bool { return d.List != nil && d.Keep != nil && d.Open != nil }

// A Dump is a dump that is kept.
type Dump struct {
	// Name is the name under which it is kept.
	Name string `json:"name"`
	// Receipt says what is in it.
	Receipt incident.DumpReceipt `json:"receipt"`
}

// mostListed is how many backups or dumps a step keeps.
const mostListed = 40

// A Backlist is what a look at the backups of the platform found.
type Backlist struct {
	// Backups are those that can be restored, the newest first; at most 40.
	Backups []incident.Backup `json:"backups"`
	// At is when it was looked.
	At time.Time `json:"at"`
}

// lookBackups is a step that lists the backups of the platform.
func (e Environment) lookBackups(id string) incident.Step {
	return incident.Step{
		ID: id, Title: "Look at the backups of the platform", Timeout: 30 * time.Second, OnFailure: incident.GoOn,
		When: func(*incident.Scope) (bool, string) { return e.Backups != nil, "this environment has no backups" },
		Do: incident.Check{Run: func(ctx context.Context, _ *incident.Scope) (any, error) {
			list, err := e.Backups.Backups(ctx)
			if err != nil {
				return nil, err
			}
			return Backlist{Backups: list[:min(len(list), mostListed)], At: time.Now()}, nil
		}},
	}
}

// Dumplist is what a look at the dumps found.
type Dumplist struct {
	// Dumps are those that are kept, the newest first; at most 40.
	Dumps []Dump `json:"dumps"`
	// At is when it was looked.
	At time.Time `json:"at"`
}

// lookDumps is a step that lists the dumps that are kept off the platform.
func lookDumps(id string, d Dumps) incident.Step {
	return incident.Step{
		ID: id, Title: "Look at the dumps off the platform", Timeout: 30 * time.Second, OnFailure: incident.GoOn,
		When: func(*incident.Scope) (bool, string) { return d.List != nil, "this environment keeps no dumps" },
		Do: incident.Check{Run: func(ctx context.Context, _ *incident.Scope) (any, error) {
			list, err := d.List(ctx)
			if err != nil {
				return nil, err
			}
			return Dumplist{Dumps: list[:min(len(list), mostListed)], At: time.Now()}, nil
		}},
	}
}

// newest says what the newest backup is, for people.
func (b Backlist) newest() string {
	if len(b.Backups) == 0 {
		return "there is no backup"
	}
	n := b.Backups[0]
	return fmt.Sprintf("the newest backup, %s, is %s old", backupName(n), ago(b.At.Sub(n.Created)))
}

func backupName(b incident.Backup) string {
	return strings.TrimSuffix(fmt.Sprintf("%s (%s)", b.ID, b.Name), " ()")
}

// ago writes an age: to the minute, or to the second where it is less.
func ago(age time.Duration) string {
	if age < 2*time.Minute {
		return age.Round(time.Second).String()
	}
	return strings.TrimSuffix(age.Round(time.Minute).String(), "0s")
}

// copyName is the name of the backup or the dump that a step makes: one for each time that
// the flow comes to the step, so that what was kept before something is not replaced after
// it.
func copyName(s *incident.Scope) string {
	return "runbook-" + strings.NewReplacer("/", "-", "@", "-again-").Replace(s.Key)
}

// Copied is what a step has put aside.
type Copied struct {
	// Backup is the backup that was made, if it was one; Dump the dump, if it was one.
	Backup *incident.Backup `json:"backup,omitempty"`
	Dump   *Dump            `json:"dump,omitempty"`
}

// String names it: what to restore to go back.
func (c Copied) String() string {
	switch {
	case c.Dump != nil:
		return "dump " + c.Dump.Name
	case c.Backup != nil:
		return "backup " + backupName(*c.Backup)
	}
	return "nothing"
}

// backUp is an action that makes a backup at the platform.
func (e Environment) backUp(id, title string) incident.Step {
	return incident.Step{
		ID: id, Title: title, Needs: []incident.Need{incident.Needs("Backups", e.Backups)}, Timeout: 30 * time.Minute, Attempts: 2, Backoff: 10 * time.Second,
		Replaces: []string{"railway database backup --environment " + e.name()},
		Do: incident.Action{
			Repeat: incident.Idempotent, // by its name
			Run: func(ctx context.Context, s *incident.Scope) (any, error) {
				b, err := e.Backups.CreateBackup(ctx, copyName(s))
				if err != nil {
					return nil, err
				}
				return Copied{Backup: &b}, nil
			},
			Preview: func(_ context.Context, s *incident.Scope) (incident.Effect, error) {
				return incident.Effect{Call: "make a backup of the database of " + e.name(), Changes: []string{"there is one backup more: " + copyName(s)}}, nil
			},
		},
	}
}

// dump is an action that makes a dump, and keeps it off the platform. It changes nothing
// in the database.
func (e Environment) dump(id, title string, d Dumps) incident.Step {
	return incident.Step{
		ID: id, Title: title, Needs: []incident.Need{incident.Needs("Dumper", e.Dumper)}, Timeout: 2 * time.Hour, Attempts: 2, Backoff: 10 * time.Second,
		Do: incident.Action{
			Repeat: incident.Idempotent, // by its name
			Run: func(ctx context.Context, s *incident.Scope) (any, error) {
				kept := Dump{Name: copyName(s)}
				err := d.Keep(ctx, kept.Name, func(w io.Writer) (incident.DumpReceipt, error) {
					r, err := e.Dumper.Dump(ctx, w)
					if err == nil {
						err = r.Validate()
					}
					kept.Receipt = r
					return r, err
				})
				if err != nil {
					return nil, err
				}
				return Copied{Dump: &kept}, nil
			},
			Preview: func(_ context.Context, s *incident.Scope) (incident.Effect, error) {
				return incident.Effect{Call: "dump the database of " + e.name(), Changes: []string{"there is one dump more off the platform: " + copyName(s)}}, nil
			},
		},
	}
}

// putAside are the steps that put a copy of the database aside before something is done
// to it: a dump off the platform if there can be one, else a backup.
func (e Environment) putAside(d Dumps, when incident.Condition) []incident.Step {
	can := e.Dumper != nil && d.kept()
	if can {
		return []incident.Step{withWhen(e.dump("put-aside", "Put a dump of what is there now aside", d), when)}
	}
	return []incident.Step{withWhen(e.backUp("put-aside", "Make a backup of what is there now"), when)}
}

// loader returns the Dumper as one that can load dumps.
func (e Environment) loader() (incident.DumpLoader, error) {
	l, can := e.Dumper.(incident.DumpLoader)
	if !can {
		return nil, incident.Final(errors.New("this environment has nothing that loads dumps"))
	}
	return l, nil
}
