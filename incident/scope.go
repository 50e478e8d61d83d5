package incident

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"
)

// A Scope is what a step knows of its run: the parameters, and what the steps before it
// found. It belongs to the step for the time of the call.
type Scope struct {
	// Run is the id of the run, Playbook the name of the playbook, Environment that of
	// the environment. Incident is that of the incident to which the run belongs, if it
	// does.
	Run, Playbook, Environment, Incident string
	// By is who started the run, by name. Automatic means that no person did.
	By        string
	Automatic bool
	// Key names the attempt's purpose: it is the same for each attempt at one step, over
	// crashes, and different for everything else. For services that take an idempotency
	// key.
	Key string
	// Attempt counts the attempts, from 1.
	Attempt int
	// Planning means that this is a plan: nothing is changed, and what would be found
	// after a change is not known.
	Planning bool
	// Now is the time as the run knows it: that of the last thing that was recorded. What
	// must come out the same when it is done again uses this and no clock.
	Now time.Time

	parameters map[string]string
	outcomes   map[string]Outcome
	prefix     string
	progress   func(text string)
}

// Progress tells those who follow the run what a step does just now, in a line. It is
// not recorded.
func (s *Scope) Progress(format string, args ...any) {
	if s.progress != nil {
		s.progress(fmt.Sprintf(format, args...))
	}
}

// Text returns the value of a parameter, empty if there is none of that name.
func (s *Scope) Text(parameter string) string { return s.parameters[parameter] }

// Whole returns the value of a parameter that is a whole number, or zero.
func (s *Scope) Whole(parameter string) int {
	n, err := strconv.Atoi(s.parameters[parameter])
	if err != nil {
		return 0
	}
	return n
}

// Duration returns the value of a parameter that is a duration, or zero.
func (s *Scope) Duration(parameter string) time.Duration {
	d, err := time.ParseDuration(s.parameters[parameter])
	if err != nil {
		return 0
	}
	return d
}

// Yes reports whether a parameter is "yes".
func (s *Scope) Yes(parameter string) bool { return s.parameters[parameter] == "yes" }

// Outcome returns how another step of the same playbook ended; false if it has not been
// made.
func (s *Scope) Outcome(step string) (Outcome, bool) {
	o, ok := s.outcomes[s.prefix+step]
	return o, ok
}

// Did reports whether a step was made, and did what it was to do.
func (s *Scope) Did(step string) bool {
	o, ok := s.Outcome(step)
	return ok && o.Status == Done
}

// Result returns the output of another step of the same playbook, as the type of which
// its func returned a value. False means that there is none: it was not made, or left
// out, or failed, or this is a plan and it would change something; or the output is of
// another type.
func Result[T any](s *Scope, step string) (T, bool) {
	var value T
	o, ok := s.Outcome(step)
	if !ok || o.Status != Done || len(o.Output) == 0 {
		return value, false
	}
	if err := json.Unmarshal(o.Output, &value); err != nil {
		return value, false
	}
	return value, true
}
