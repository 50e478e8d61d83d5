package host

import (
	"time"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/playbooks"
)

// Rules returns the rules, with the limits of the runbook.
func Rules() []alert.Rule { return rules(playbooks.RunbookDefaults(), time.Minute) }

// Every are the intervals by which rules take a check to be missing.
func Every() Intervals {
	return Intervals{Application: everyApplication, Canvas: everyCanvas, Database: everyDatabase, Performance: everyPerformance}
}

// Bindings returns what alerts are bound to.
func (h *Host) Bindings() []incident.Binding { return h.bindings() }

// EveryPlaybook returns the names of all playbooks of the runbook.
func EveryPlaybook() (names []string) {
	for _, p := range playbooks.All(playbooks.Environment{Name: "production"}, playbooks.Surroundings{}) {
		names = append(names, p.Name)
	}
	return names
}
