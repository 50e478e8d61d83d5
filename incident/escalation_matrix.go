package incident

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
	"time"

	"go.acu.edu.au/runbook/alert"
)

// A Contact is a way to reach somebody, as a matrix of contacts has it. The host makes a
// channel of it: a notifier that writes to the address, or calls the number.
type Contact struct {
	// Channel is the name by which a policy calls it.
	Channel string
	// Who is who answers.
	Who string
	// Mail is an address, Phone a number; a contact has one of them.
	Mail, Phone string
	// Draft means that what is written to it has to be approved first: make a channel of it
	// with [DraftChannel].
	Draft bool
}

// MatrixMail are the addresses of the matrix.
type MatrixMail struct {
	// Operations and SystemAdministrators are the first level, Development and LeadDeveloper
	// the second.
	Operations, SystemAdministrators, Development, LeadDeveloper string
	// CanvasAdministrators and CanvasSupport are the third, Infrastructure and RailwaySupport
	// the last. What goes to support is a draft.
	CanvasAdministrators, CanvasSupport, Infrastructure, RailwaySupport string
}

// DefaultMatrixMail returns the addresses that the runbook has.
func DefaultMatrixMail() MatrixMail {
	return MatrixMail{
		Operations: "operations@acu.edu.au", SystemAdministrators: "sys-admin@acu.edu.au", Development: "dev-team@acu.edu.au", LeadDeveloper: "lead-dev@acu.edu.au",
		CanvasAdministrators: "canvas-admin@acu.edu.au", CanvasSupport: "support@instructure.com", Infrastructure: "infra@acu.edu.au", RailwaySupport: "support@railway.app",
	}
}

// MatrixNumbers are the numbers that the matrix of the runbook leaves open. All are
// required, and none may be a placeholder. See [CheckPhone].
type MatrixNumbers struct {
	// Mail are the addresses. One that is empty is that of [DefaultMatrixMail].
	Mail MatrixMail
	// Operations and Development are those of the teams.
	Operations, Development string
	// CanvasEmergency is the emergency support line for Canvas. Nobody calls it but people:
	// it is named to those who are called.
	CanvasEmergency string
	// OperationsManager, ITDirector and CanvasAdministrator are called after hours.
	OperationsManager, ITDirector, CanvasAdministrator string
	// Helpdesk is the emergency line of the IT helpdesk.
	Helpdesk string
}

// DefaultEscalation returns the escalation matrix of the runbook: operations, development,
// Canvas support, infrastructure; and the contacts of which a host makes its channels.
// Calendar is the name of that of the business hours, see [EscalationsConfig].
//
// Critical, high and medium incidents call operations at once, and each next level after
// the time in which the runbook wants an answer: 15 minutes, 30 minutes, 2 hours. Low ones
// wait for business hours, and go no further than development, after a day. Outside
// business hours a critical incident calls the operations manager, the IT director and
// the Canvas administrator together with operations. Phones ring for critical incidents in
// production only. What goes to a vendor is a draft. It is all done twice.
//
// It is a value to be changed: a host that has a rota adds
// EscalationTarget{OnCall: "operations"} to the first level.
func DefaultEscalation(numbers MatrixNumbers, calendar string) (EscalationPolicy, []Contact, error) {
	if err := numbers.check(calendar); err != nil {
		return EscalationPolicy{}, nil, err
	}
	contacts := matrixContacts(numbers)
	upToMedium := []alert.Severity{alert.Critical, alert.High, alert.Medium}
	critical := []alert.Severity{alert.Critical}
	hours := EscalationHours{Calendar: calendar, Unless: alert.Medium}
	afterHours := EscalationHours{Calendar: calendar, Outside: true}
	wait := map[alert.Severity]time.Duration{alert.High: 30 * time.Minute, alert.Medium: 2 * time.Hour, alert.Low: 24 * time.Hour}
	paging := EscalationPaging{}
	who := make(map[string]string, len(contacts))
	for _, c := range contacts {
		who[c.Channel] = c.Who
		if c.Phone != "" {
			paging.Channels = append(paging.Channels, c.Channel)
		}
	}
	to := func(channels ...string) (targets []EscalationTarget) {
		for _, name := range channels {
			targets = append(targets, EscalationTarget{Channel: name, Who: who[name]})
		}
		return targets
	}
	emergency := to("operations-manager", "it-director", "canvas-administrator")
	for i := range emergency {
		emergency[i].Severities, emergency[i].Hours = critical, afterHours
	}
	vendor := func(channel string) EscalationTarget {
		return EscalationTarget{Channel: channel, Who: who[channel], Draft: true}
	}
	return EscalationPolicy{
		Name: "runbook", Repeat: 1, RepeatAfter: 15 * time.Minute, AckTimeout: time.Hour,
		Paging: paging, Helpdesk: numbers.Helpdesk, Zone: "Australia/Sydney",
		Levels: []EscalationLevel{
			{Name: "Operations Team", Targets: append(to("operations", "sys-admin", "operations-phone"), emergency...), Hours: hours, Else: Hold},
			{Name: "Development Team", After: 15 * time.Minute, AfterFor: wait, Targets: to("dev-team", "lead-dev", "dev-phone"), Hours: hours, Else: Hold},
			{
				Name: "Canvas Support", After: 15 * time.Minute, AfterFor: wait, Severities: upToMedium,
				Targets: append(to("canvas-admin"), vendor("canvas-support")),
				Note:    "Canvas emergency support line: " + numbers.CanvasEmergency,
			},
			{
				Name: "Infrastructure", After: 15 * time.Minute, AfterFor: wait, Severities: upToMedium,
				Targets: append(to("infra"), vendor("railway-support")),
			},
		},
	}, contacts, nil
}

// matrixContacts are the contacts of the runbook.
func matrixContacts(n MatrixNumbers) []Contact {
	m, all := n.Mail, DefaultMatrixMail()
	return []Contact{
		{Channel: "operations", Who: "Operations team", Mail: cmp.Or(m.Operations, all.Operations)},
		{Channel: "sys-admin", Who: "System administrators", Mail: cmp.Or(m.SystemAdministrators, all.SystemAdministrators)},
		{Channel: "operations-phone", Who: "Operations team", Phone: n.Operations},
		{Channel: "dev-team", Who: "Development team", Mail: cmp.Or(m.Development, all.Development)},
		{Channel: "lead-dev", Who: "Lead developer", Mail: cmp.Or(m.LeadDeveloper, all.LeadDeveloper)},
		{Channel: "dev-phone", Who: "Development team", Phone: n.Development},
		{Channel: "canvas-admin", Who: "ACU Canvas administrators", Mail: cmp.Or(m.CanvasAdministrators, all.CanvasAdministrators)},
		{Channel: "canvas-support", Who: "Canvas support", Mail: cmp.Or(m.CanvasSupport, all.CanvasSupport), Draft: true},
		{Channel: "infra", Who: "Infrastructure team", Mail: cmp.Or(m.Infrastructure, all.Infrastructure)},
		{Channel: "railway-support", Who: "Railway support", Mail: cmp.Or(m.RailwaySupport, all.RailwaySupport), Draft: true},
		{Channel: "operations-manager", Who: "Operations manager", Phone: n.OperationsManager},
		{Channel: "it-director", Who: "IT director", Phone: n.ITDirector},
		{Channel: "canvas-administrator", Who: "Canvas administrator", Phone: n.CanvasAdministrator},
	}
}

// check returns everything that is wrong with the numbers.
func (n MatrixNumbers) check(calendar string) error {
	var problems []error
	for _, number := range []struct{ name, value string }{
		{"Operations", n.Operations}, {"Development", n.Development}, {"CanvasEmergency", n.CanvasEmergency},
		{"OperationsManager", n.OperationsManager}, {"ITDirector", n.ITDirector},
		{"CanvasAdministrator", n.CanvasAdministrator}, {"Helpdesk", n.Helpdesk},
	} {
		if err := CheckPhone(number.value); err != nil {
			problems = append(problems, fmt.Errorf("incident: escalation: %s: %w", number.name, err))
		}
	}
	if !isName.MatchString(calendar) {
		problems = append(problems, fmt.Errorf("incident: escalation: the calendar %.80q is not made of 1 to 60 letters, digits, - and _", calendar))
	}
	return errors.Join(problems...)
}

// CheckPhone returns what is wrong with a phone number that somebody is to be called by:
// it is + and 8 to 15 digits, between which spaces may be. A placeholder as documents have
// them (+61-x-xxxx-xxxx, or 0 again and again) is no number: at night it would be noticed
// too late.
func CheckPhone(number string) error {
	digits := strings.ReplaceAll(strings.TrimPrefix(number, "+"), " ", "")
	switch {
	case number == "":
		return errors.New("the phone number is missing")
	case strings.Trim(digits, "0123456789") != "", !strings.HasPrefix(number, "+"), len(digits) < 8, len(digits) > 15, digits[0] == '0':
		return errors.New("the phone number is not + and 8 to 15 digits, such as +61 2 5550 1234; a placeholder is none")
	case strings.Trim(digits[len(digits)-6:], digits[len(digits)-1:]) == "":
		return errors.New("the phone number ends with one digit again and again, and looks like a placeholder")
	}
	return nil
}
