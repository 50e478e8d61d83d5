package playbooks

import (
	"time"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/incident"
)

// ResponseTimes are how long it may take until somebody has acknowledged an incident, by its
// severity. [incident.NextBusinessDay] means by the close of the next business day.
type ResponseTimes struct {
	// Critical is a service that is down, Critical and High and Medium are at any hour.
	Critical, High, Medium, Low time.Duration
}

// SLAs returns the response times for [incident.ManagerConfig]. What counts business days goes
// by the calendar.
func (r ResponseTimes) SLAs(business incident.Calendar) map[alert.Severity]incident.SLA {
	all := make(map[alert.Severity]incident.SLA, 4)
	for severity, within := range map[alert.Severity]time.Duration{alert.Critical: r.Critical, alert.High: r.High, alert.Medium: r.Medium, alert.Low: r.Low} {
		all[severity] = incident.SLA{Acknowledge: within}
		if within == incident.NextBusinessDay {
			all[severity] = incident.SLA{Acknowledge: within, Calendar: business}
		}
	}
	return all
}

// Intervals are how often it is looked.
type Intervals struct {
	// Application is for whether the application answers, Canvas for Canvas and the way to
	// it, Database for the database, Performance for figures.
	Application, Canvas, Database, Performance time.Duration
}

// ReportTimes are the times of day of what is done by the clock, in the zone of the people.
// Midnight sharp is no time that can be asked for, since it is the zero value.
type ReportTimes struct {
	// Backups and Morning and EndOfDay are daily, Weekly on Mondays, and Monthly on the
	// first of the month.
	Backups, Morning, EndOfDay, Weekly, Monthly health.TimeOfDay
}

// Channels are where people are told who do not have to do anything by name.
type Channels struct {
	// AlertsChat and AlertsMail are told of what is wrong, StatusChat and StatusMail of how it
	// goes on, for everybody who uses the application.
	AlertsChat, AlertsMail, StatusChat, StatusMail string
	// StatusPage is where everybody can look.
	StatusPage string
}

// A Place is where an environment is.
type Place struct {
	// Application and Canvas are the addresses of the application and of the instance of
	// Canvas that launches it.
	Application, Canvas string
}

// ofTheHouse fills in the values of the runbook that are about people and addresses.
func (d *Defaults) ofTheHouse() {
	d.Acknowledge = ResponseTimes{Critical: 15 * time.Minute, High: 30 * time.Minute, Medium: 2 * time.Hour, Low: incident.NextBusinessDay}
	d.Intervals = Intervals{Application: 30 * time.Second, Canvas: time.Minute, Database: time.Minute, Performance: 5 * time.Minute}
	// The runbook has no hour for the check of the backups, the weekly report and the monthly
	// checklist.
	d.Reports = ReportTimes{Backups: health.At(7, 0), Morning: health.At(8, 0), Weekly: health.At(8, 30), Monthly: health.At(9, 0), EndOfDay: health.At(18, 0)}
	d.Channels = Channels{
		AlertsChat: "#qa-automation-alerts", AlertsMail: "on-call-team@acu.edu.au", StatusChat: "#qa-automation-status", StatusMail: "qa-automation-alerts@acu.edu.au",
		StatusPage: "https://status.acu.edu.au/qa-automation",
	}
	d.Escalation.Mail = incident.DefaultMatrixMail()
	d.Test = Place{Application: "https://qa-automation-test.railway.app", Canvas: "https://aculeo.test.instructure.com"}
	d.Beta = Place{Application: "https://qa-automation-beta.railway.app", Canvas: "https://aculeo.beta.instructure.com"}
	d.Production = Place{Application: "https://qa-automation.acu.edu.au", Canvas: "https://aculeo.instructure.com"}
}
