package statuspage

import "go.acu.edu.au/runbook/health"

// A Condition is the state of a component as people see it. The texts are those of
// Statuspage, but for [Unknown], which it does not have.
type Condition string

// The conditions, from the best to the worst.
const (
	// Operational means that it works.
	Operational Condition = "operational"
	// UnderMaintenance means that it is, or may be, down on purpose.
	UnderMaintenance Condition = "under_maintenance"
	// Degraded means that it works, but not as it should.
	Degraded Condition = "degraded_performance"
	// Unknown means that nothing can be said, which is not the same as working.
	Unknown Condition = "unknown"
	// PartialOutage means that a part of it, or for some people, does not work.
	PartialOutage Condition = "partial_outage"
	// MajorOutage means that it does not work.
	MajorOutage Condition = "major_outage"
)

// rank orders conditions: of two, the higher one is shown.
func (c Condition) rank() int {
	switch c {
	case Operational:
		return 0
	case UnderMaintenance:
		return 1
	case Degraded:
		return 2
	case PartialOutage:
		return 4
	case MajorOutage:
		return 5
	default:
		return 3
	}
}

// valid reports whether c is one of the conditions.
func (c Condition) valid() bool { return c == Unknown || c.rank() != Unknown.rank() }

// Words returns the condition for people.
func (c Condition) Words() string {
	switch c {
	case Operational:
		return "Operational"
	case UnderMaintenance:
		return "Maintenance"
	case Degraded:
		return "Degraded"
	case PartialOutage:
		return "Partial outage"
	case MajorOutage:
		return "Outage"
	default:
		return "Not known"
	}
}

// wire returns the word of Statuspage. Unknown is the mildest that is not
// operational: programs that read it must not take it for working, and nobody has
// seen an outage.
func (c Condition) wire() Condition {
	if c == Unknown || !c.valid() {
		return Degraded
	}
	return c
}

// verdict returns the word of application/health+json.
func (c Condition) verdict() string {
	switch c {
	case Operational:
		return "pass"
	case Degraded, UnderMaintenance, PartialOutage:
		return "warn"
	default:
		return "fail"
	}
}

// conditionOf returns the condition of a component by the states of its checks.
func conditionOf(states []health.Status) Condition {
	var count [health.Maintenance + 1]int
	for _, s := range states {
		if s > health.Maintenance {
			s = health.Unknown
		}
		count[s]++
	}
	switch {
	case len(states) == 0 || count[health.Unknown] == len(states):
		return Unknown
	case count[health.Unhealthy] == len(states):
		return MajorOutage
	case count[health.Unhealthy] > 0:
		return PartialOutage
	case count[health.Unknown] > 0:
		return Unknown
	case count[health.Degraded] > 0:
		return Degraded
	case count[health.Maintenance] > 0:
		return UnderMaintenance
	default:
		return Operational
	}
}

// An Impact says how bad an incident is.
type Impact string

// The impacts, in the words of Statuspage.
const (
	// ImpactNone means that nobody notices.
	ImpactNone Impact = "none"
	// ImpactMinor means that things are slow, or some of them do not work.
	ImpactMinor Impact = "minor"
	// ImpactMajor means that something important does not work.
	ImpactMajor Impact = "major"
	// ImpactCritical means that nothing works.
	ImpactCritical Impact = "critical"

	// impactMaintenance is that of a maintenance.
	impactMaintenance Impact = "maintenance"
)

// rank orders impacts.
func (i Impact) rank() int {
	switch i {
	case impactMaintenance:
		return 1
	case ImpactMinor:
		return 2
	case ImpactMajor:
		return 3
	case ImpactCritical:
		return 4
	default:
		return 0
	}
}

// valid reports whether i is one of the impacts that a host may give.
func (i Impact) valid() bool { return i == ImpactNone || i.rank() > impactMaintenance.rank() }

// impactOf returns the impact of something that leaves a component in a condition.
func impactOf(c Condition) Impact {
	switch c {
	case Operational:
		return ImpactNone
	case UnderMaintenance:
		return impactMaintenance
	case PartialOutage:
		return ImpactMajor
	case MajorOutage:
		return ImpactCritical
	default:
		return ImpactMinor
	}
}

// An overall is the state of the whole.
type overall struct {
	Words     string
	Indicator Impact
	Condition Condition // for the icon and the colour
}

// overallOf returns the state of the whole: that of the worst component, or of the
// worst incident if that is worse.
func overallOf(components []component, events []event) overall {
	o := ofComponents(components)
	worst := ImpactNone
	for _, e := range events {
		if e.active() && e.Impact.rank() > worst.rank() {
			worst = e.Impact
		}
	}
	if worst.rank() <= o.Indicator.rank() {
		return o
	}
	switch worst {
	case impactMaintenance:
		return overall{"Maintenance in progress", worst, UnderMaintenance}
	case ImpactMinor:
		return overall{"Minor incident in progress", worst, Degraded}
	case ImpactMajor:
		return overall{"Major incident in progress", worst, PartialOutage}
	default:
		return overall{"Critical incident in progress", worst, MajorOutage}
	}
}

func ofComponents(components []component) overall {
	var required, down int
	worst, optional := Operational, Operational
	for _, c := range components {
		if c.Optional {
			optional = worse(optional, c.Condition)
			continue
		}
		required++
		worst = worse(worst, c.Condition)
		if c.Condition == MajorOutage {
			down++
		}
	}
	if optional.rank() > Degraded.rank() {
		optional = Degraded // what is optional brings nothing down
	}
	switch worst = worse(worst, optional); {
	case len(components) == 0:
		return overall{"No components", ImpactNone, Operational}
	case down > 0 && down == required:
		return overall{"Major outage", ImpactCritical, MajorOutage}
	case worst.rank() >= PartialOutage.rank():
		return overall{"Partial outage", ImpactMajor, PartialOutage}
	case worst == Unknown:
		return overall{"State not known", ImpactMinor, Unknown}
	case worst == Degraded:
		return overall{"Degraded service", ImpactMinor, Degraded}
	case worst == UnderMaintenance:
		return overall{"Maintenance in progress", impactMaintenance, UnderMaintenance}
	default:
		return overall{"All systems operational", ImpactNone, Operational}
	}
}

// worse returns the worse of two conditions.
func worse(a, b Condition) Condition {
	if b.rank() > a.rank() {
		return b
	}
	return a
}
