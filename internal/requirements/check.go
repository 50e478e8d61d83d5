package requirements

import (
	"errors"
	"fmt"
)

// Check holds the lists against what the tests name. The error has every
// problem:
//
//   - a test names an id that is in no list,
//   - no test names a requirement, and no reason is given for that,
//   - a reason is given although a test names the requirement.
func Check(rows []Requirement, mentions []Mention) error {
	var problems []error
	listed := make(map[string]bool, len(rows))
	for _, r := range rows {
		listed[r.ID] = true
	}
	shown := make(map[string]Mention, len(mentions))
	for _, m := range mentions {
		shown[m.ID] = m
		if !listed[m.ID] {
			problems = append(problems, fmt.Errorf("%s: %s names %s, which is in no list", m.Position, m.Func, m.ID))
		}
	}
	for _, r := range rows {
		m, named := shown[r.ID]
		switch {
		case !named && r.Reason == "":
			problems = append(problems, fmt.Errorf("%s.md:%d: no test names %s, and the row does not say why", r.Area, r.Line, r.ID))
		case named && r.Reason != "":
			problems = append(problems, fmt.Errorf("%s.md:%d: %s is shown by %s (%s), but the row says that it is not: clear its third cell",
				r.Area, r.Line, r.ID, m.Func, m.Position))
		}
	}
	return errors.Join(problems...)
}

// A Tally counts the requirements of an area.
type Tally struct {
	// Area is the area that is counted.
	Area Area
	// Shown is how many requirements tests name, Open how many they do not.
	Shown, Open int
}

// Summary counts what tests name and what they do not, for each of [Areas].
func Summary(rows []Requirement, mentions []Mention) []Tally {
	shown := make(map[string]bool, len(mentions))
	for _, m := range mentions {
		shown[m.ID] = true
	}
	var tallies []Tally
	for _, area := range Areas() {
		tally := Tally{Area: area}
		for _, r := range rows {
			switch {
			case r.Area != area.Name:
			case shown[r.ID]:
				tally.Shown++
			default:
				tally.Open++
			}
		}
		tallies = append(tallies, tally)
	}
	return tallies
}
