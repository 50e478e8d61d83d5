package doctor

import (
	"fmt"
	"net/http"
	"strconv"
	"time"

	"go.acu.edu.au/runbook/incident"
)

// An offset is how far a clock is ahead of this machine's: somewhere between two
// bounds, since an answer takes time and its Date has full seconds.
type offset struct{ least, most time.Duration }

// offsetOf reads the clock of whoever answered. A cache says how old its answer
// is (RFC 9111, section 5.1).
func offsetOf(a *answer) (offset, bool) {
	if !a.came() {
		return offset{}, false
	}
	date, err := http.ParseTime(a.header.Get("Date"))
	if err != nil {
		return offset{}, false
	}
	if age, err := strconv.ParseUint(a.header.Get("Age"), 10, 31); err == nil {
		date = date.Add(time.Duration(age) * time.Second)
	}
	return offset{date.Sub(a.received), date.Add(time.Second).Sub(a.sent)}, true
}

// sub returns how far o is ahead of other.
func (o offset) sub(other offset) offset { return offset{o.least - other.most, o.most - other.least} }

// sure is how far the clock is off for certain: the bound nearest to zero, or
// zero if it may be right.
func (o offset) sure() time.Duration {
	switch {
	case o.least > 0:
		return o.least
	case o.most < 0:
		return o.most
	}
	return 0
}

// How far a tool's clock may be off: Canvas takes no assertion from more than 30
// seconds in its future or more than 5 minutes in its past (canvas-lms,
// lib/canvas/security/jwt_validator.rb). A launch is refused by the tool itself
// if it was issued beyond the leeway in the tool's future.
const (
	mostAhead  = 30 * time.Second
	mostBehind = 5 * time.Minute
)

// clocks compares the clocks of the tool and of this machine with the platform's.
func (x *exam) clocks() {
	const what = "the clocks"
	platform, ok := offsetOf(&x.platformKeys)
	if !ok {
		platform, ok = offsetOf(&x.tried.answer)
	}
	if !ok {
		x.skip(what, "the platform did not answer with a Date")
		return
	}
	zero := offset{}
	here := zero.sub(platform)
	before := x.since()
	tool, known := x.toolClock()
	if known {
		x.clock("clock", "the tool's clock", tool.sub(platform))
	}
	switch {
	case x.since() > before:
	case known:
		if off := here.sure(); off > mostAhead || -off > x.cfg.Leeway {
			x.finding("clock_here", incident.Possible, "The clock of this machine is wrong, though that of the tool is not",
				"Set the clock of this machine by NTP. What is signed here, or judged by its time, may be wrong.", "this machine's clock is "+side(off)+" the platform's")
		}
		x.right("the clock of the tool fits that of the platform")
	default:
		x.clock("clock", "the clock of this machine", here)
		if x.since() == before {
			x.right("the clock of this machine fits that of the platform")
		}
	}
}

// toolClock reads the tool's clock from any of its answers.
func (x *exam) toolClock() (offset, bool) {
	all := []*answer{&x.ownKeys, &x.launch}
	for i := range x.logins {
		all = append(all, &x.logins[i].answer)
	}
	for _, a := range all {
		if o, ok := offsetOf(a); ok {
			return o, true
		}
	}
	return offset{}, false
}

// clock judges how far a clock is ahead of the platform's.
func (x *exam) clock(id, whose string, ahead offset) {
	const remedy = "Set the clock by NTP, on the machine that runs the tool (a container has the clock of its host), and look at it again."
	off := ahead.sure()
	evidence := []string{whose + " is " + side(off) + " the platform's, by the Date of their answers"}
	switch {
	case off > mostAhead:
		x.finding(id, incident.Likely, "The clock is ahead: the platform takes what the tool signs to be from the future", remedy,
			append(evidence, fmt.Sprintf("Canvas takes no more than %v", mostAhead))...)
	case -off > mostBehind:
		x.finding(id, incident.Certain, "The clock is behind: launches seem to come from the future, and what the tool signs is too old", remedy,
			append(evidence, fmt.Sprintf("the tool takes no more than %v, and Canvas no more than %v", x.cfg.Leeway, mostBehind))...)
	case -off > x.cfg.Leeway:
		x.finding(id, incident.Certain, "The clock is behind: launches seem to come from the future", remedy,
			append(evidence, fmt.Sprintf("the tool takes no more than %v", x.cfg.Leeway))...)
	}
}

// side says on which side of the platform's clock another one is.
func side(off time.Duration) string {
	if off < 0 {
		return (-off).Round(time.Second).String() + " behind"
	}
	return off.Round(time.Second).String() + " ahead of"
}
