package playbooks

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/incident"
)

// SchemaMigration is the playbook that brings the schema of the database to what the
// application wants: a backup and, where there can be one, a dump are made before; people
// approve, since a migration may delete; it runs once; and application and database are
// looked at afterwards. If they are not well, the way back is named, and a person takes it.
func SchemaMigration(e Environment, dumps Dumps) incident.Playbook {
	d := e.Defaults.WithDefaults()
	return incident.Playbook{
		Name: "schema-migration", Environment: e.name(), Title: "Migrate the schema of the database", Severity: alert.High,
		About:  "The application that is deployed, or is about to be, wants another version of the schema.",
		Source: "Database Operations, Database Migration",
		Needs:  []incident.Need{incident.Needs("Migrator", e.Migrator), incident.Needs("Probes.Database", e.Probes.Database)},
		Steps:  e.migrationSteps(d, dumps), Escalation: "level 2, the development team",
	}
}

func (e Environment) migrationSteps(d Defaults, dumps Dumps) []incident.Step {
	dump := func(*incident.Scope) (bool, string) {
		return e.Dumper != nil && dumps.kept(), "this environment makes no dumps; the backup is all that there is"
	}
	return []incident.Step{
		e.beforeMigration("before"),
		e.backUp("backup", "Make a backup before"),
		optional(withWhen(e.dump("dump", "Put a dump off the platform too", dumps), dump)),
		{ID: "approve", Title: "Migrate the schema?", Do: incident.Approve{
			Bound: true, Min: d.Approvers, Within: d.Approve, Question: func(s *incident.Scope) string {
				return fmt.Sprintf("The schema of %s is migrated to what the deployed application wants. What a migration deletes comes back only by a restore. The way back: %s.", e.name(), wayBack(s))
			},
		}},
		e.migrate("migrate"),
		goingOn(e.databaseWell("database-well", d)),
		goingOn(replacing(well("well", "See that the application is well", d.Recover, d.Times, e.Probes.Application), "./scripts/health-check.sh production")),
		{ID: "outcome", Title: "See whether it is good", Do: checkOf(func(s *incident.Scope) (any, error) {
			if s.Planning || s.Did("database-well") && s.Did("well") {
				return nil, nil
			}
			return nil, fmt.Errorf("the schema was migrated, and the application is not well with it; put the former version of the application back if it fits the new schema, or go back: %s", wayBack(s))
		})},
		e.inform("tell-operators", func(s *incident.Scope) incident.Message {
			title, did := "The schema of "+e.name()+" was migrated", ""
			if m, ok := incident.Result[Migrated](s, "migrate"); ok {
				did = m.String()
			} else {
				o, _ := s.Outcome("migrate")
				title, did = "The schema of "+e.name()+": the migration was not seen to its end", o.Message+"."
			}
			return incident.Message{Title: title, Text: did + "\nThe way back: " + wayBack(s)}
		}),
	}
}

// beforeMigration is a check that the database is fit to be migrated: what is ill already
// is not made better by it.
func (e Environment) beforeMigration(id string) incident.Step {
	return incident.Step{
		ID: id, Title: "See that the database is well before",
		Do: incident.Check{Run: func(ctx context.Context, _ *incident.Scope) (any, error) {
			found := probe(ctx, e.Probes.Database)
			if !found.Status.OK() {
				return nil, fmt.Errorf("the database is not well before the migration, which would only add to it: %s", found)
			}
			return found, nil
		}},
	}
}

// wayBack names what was put aside before.
func wayBack(s *incident.Scope) string {
	var ways []string
	if c, ok := incident.Result[Copied](s, "backup"); ok && c.Backup != nil {
		ways = append(ways, fmt.Sprintf("the playbook database-restore with id=%s", c.Backup.ID))
	}
	if c, ok := incident.Result[Copied](s, "dump"); ok && c.Dump != nil {
		ways = append(ways, fmt.Sprintf("the same with from=dump id=%s", c.Dump.Name))
	}
	return cmp.Or(strings.Join(ways, ", or "), "there is none, since nothing was put aside")
}

// Migrated is what a migration did.
type Migrated struct {
	// From and To are the versions of the schema before and after; empty if they are not
	// known.
	From string `json:"from,omitempty"`
	To   string `json:"to,omitempty"`
	// Deployment is that of which it was a part; empty if it was none.
	Deployment string `json:"deployment,omitempty"`
}

// String says it in a line.
func (m Migrated) String() string {
	switch {
	case m.From == "" && m.To == "":
		return "From which version to which is not known."
	case m.From == m.To:
		return "There was nothing to migrate: the schema is " + m.To + "."
	}
	return fmt.Sprintf("From version %s to %s.", cmp.Or(m.From, "unknown"), cmp.Or(m.To, "unknown"))
}

// migrate is the action that migrates, once. That a migration ran and failed is a failure
// in which the schema may be half way: it is not tried again by itself either.
func (e Environment) migrate(id string) incident.Step {
	return incident.Step{
		ID: id, Title: "Migrate the schema", Timeout: time.Hour,
		Replaces: []string{`railway run --environment ` + e.name() + ` "alembic upgrade head"`},
		Do: incident.Action{
			Run: func(ctx context.Context, s *incident.Scope) (any, error) {
				m, err := e.Migrator.Migrate(ctx)
				if err != nil {
					return nil, err
				}
				if !m.Succeeded {
					return nil, incident.Final(fmt.Errorf("the migration failed, with the schema at %s now: %s; the way back: %s", cmp.Or(m.To, "an unknown version"), lastLines(m.Output), wayBack(s)))
				}
				return Migrated{From: m.From, To: m.To, Deployment: m.Deployment}, nil
			},
			Preview: func(context.Context, *incident.Scope) (incident.Effect, error) {
				if e.Migrator == nil {
					return incident.Effect{}, errors.New("there is nothing that migrates")
				}
				return incident.Effect{
					Call: "migrate the schema of " + e.name(), Changes: []string{"the schema is what the deployed application wants"},
					Destroys: []string{"what the migration deletes, if it deletes something"}, Undo: "restore the backup that was made before",
				}, nil
			},
		},
	}
}

// lastLines returns the end of what was printed, which may have personal data in it: no
// more than it takes to see what failed.
func lastLines(output []string) string {
	if len(output) == 0 {
		return "it printed nothing"
	}
	var last []string
	for _, line := range output[max(0, len(output)-3):] {
		last = append(last, cut(line, 200))
	}
	return strings.Join(last, " / ")
}
