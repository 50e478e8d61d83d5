package playbooks

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.acu.edu.au/runbook/incident"
)

// scaleDatabase are the steps that give the database more memory: approved, looked at
// afterwards, and taken back if it did not help. Where it is no number that can be set, a
// person does it.
func (e Environment) scaleDatabase(d Defaults) []incident.Step {
	can := func(s *incident.Scope) bool { return e.DatabaseScaler != nil && s.Whole("memory-gb") > 0 }
	when := func(s *incident.Scope) (bool, string) {
		if needed, why := decided("scale")(s); !needed {
			return false, why
		}
		return can(s), "there is nothing that scales the database by itself, or it was not said to how much memory"
	}
	useless := func(s *incident.Scope) (bool, string) {
		return s.Did("scale") && !s.Did("scale-helped"), "it was not scaled, or that helped"
	}
	return []incident.Step{
		e.scaleBefore(when),
		{
			ID: "approve-scale", Title: "Give the database more memory?", When: when,
			Do: incident.Approve{Bound: true, Within: d.Approve, Question: func(s *incident.Scope) string {
				v, _ := incident.Result[Decision](s, "decide")
				return fmt.Sprintf("%s. The server may start again for that, and costs more.", v.Why)
			}},
		},
		{ID: "scale", Title: "Give the database more memory", When: when, Do: e.setDatabaseMemory("with more memory", func(s *incident.Scope) (int64, bool) {
			return int64(s.Whole("memory-gb")) << 30, s.Whole("memory-gb") > 0
		})},
		{ID: "settle-scale", Title: "Let the server start", When: when, Do: incident.Sleep{For: d.Settle}},
		goingOn(withWhen(e.databaseWell("scale-helped", d), when)),
		{ID: "scale-back", Title: "Give the database the memory that it had: more did not help", When: useless, Do: e.setDatabaseMemory("as it was", func(s *incident.Scope) (int64, bool) {
			before, ok := incident.Result[incident.Scale](s, "scale-before")
			return before.Memory, ok && before.Memory > 0
		})},
		scaleByHand(can),
	}
}

// scaleBefore is a step that looks at what the database has.
func (e Environment) scaleBefore(when incident.Condition) incident.Step {
	return incident.Step{
		ID: "scale-before", Title: "Look at what the database has", When: when,
		Do: incident.Check{Run: func(ctx context.Context, s *incident.Scope) (any, error) {
			now, err := e.DatabaseScaler.Scale(ctx)
			if err == nil && now.Memory >= int64(s.Whole("memory-gb"))<<30 {
				err = incident.Final(fmt.Errorf("it has %d GB already, which is no less", now.Memory>>30))
			}
			return now, err
		}},
	}
}

// setDatabaseMemory is an action that sets the memory of the database.
func (e Environment) setDatabaseMemory(how string, memory func(s *incident.Scope) (int64, bool)) incident.Action {
	return incident.Action{
		Repeat: incident.Idempotent,
		Run: func(ctx context.Context, s *incident.Scope) (any, error) {
			bytes, known := memory(s)
			if !known {
				return nil, incident.Final(errors.New("to how much memory is not known"))
			}
			return e.DatabaseScaler.SetScale(ctx, incident.Scale{Memory: bytes})
		},
		Preview: func(_ context.Context, s *incident.Scope) (incident.Effect, error) {
			bytes, _ := memory(s)
			return incident.Effect{
				Call: fmt.Sprintf("set the memory of the database of %s to %d GB", e.name(), bytes>>30), Changes: []string{"the server runs " + how},
				Destroys: []string{"its connections, if it has to start again"}, Undo: "set it to what it was",
			}, nil
		},
	}
}

// scaleByHand is what a person does where no program can: more disk, or a size that was
// not said.
func scaleByHand(can func(s *incident.Scope) bool) incident.Step {
	return incident.Step{
		ID: "scale-by-hand", Title: "Give the database more room",
		When: func(s *incident.Scope) (bool, string) {
			if needed, _ := decided("make room")(s); needed {
				return true, ""
			}
			if needed, why := decided("scale")(s); !needed {
				return false, why
			}
			return !can(s), "it was done by a program"
		},
		Replaces: []string{"# Scale database resources if needed (via Railway dashboard)"},
		Do: incident.Manual{
			Within: 4 * time.Hour,
			Why:    "the platform documents no call that enlarges the disk of a running database, a disk never shrinks again, and what it may cost is for a person to say",
			Instruction: func(s *incident.Scope) string {
				v, _ := incident.Result[Decision](s, "decide")
				return v.Why + ".\n1. Open the service of the database at the platform.\n2. Make its disk larger, or give it more memory; a database that has a disk stops for a moment.\n" +
					"3. Do not delete anything in the database to make room before there is a dump of it.\n4. Say here that it is done."
			},
		},
	}
}
