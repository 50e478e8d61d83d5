package incident

import "go.acu.edu.au/runbook/alert"

// A SeverityGuide says which incidents have a severity.
type SeverityGuide struct {
	// Severity is the severity.
	Severity alert.Severity `json:"severity"`
	// Description says in a line what it means, Response what is promised.
	Description string `json:"description"`
	Response    string `json:"response"`
	// Examples are incidents that have it.
	Examples []string `json:"examples"`
}

// SeverityGuides returns the severities as the operations runbook has them, the worst
// first, for whoever has to choose one. Who is unsure between two takes the worse: see
// [WorseSeverity].
func SeverityGuides() []SeverityGuide {
	return []SeverityGuide{
		{
			Severity: alert.Critical, Description: "the service is down, or no one can use it from Canvas",
			Response: "within 15 minutes, at any hour; somebody is called at once",
			Examples: []string{"the application is down", "signing in from Canvas fails for everyone", "data is corrupted or lost"},
		},
		{
			Severity: alert.High, Description: "a part of the service works badly for many",
			Response: "within 30 minutes, at any hour",
			Examples: []string{"answers take longer than 5 seconds", "the rate limit of Canvas hinders users", "the database cannot be reached, or not always"},
		},
		{
			Severity: alert.Medium, Description: "something that is not critical does not work, or not for everybody",
			Response: "within 2 hours, at any hour",
			Examples: []string{"single QA tasks fail", "WebSocket connections break", "a page shows something wrong"},
		},
		{
			Severity: alert.Low, Description: "it can wait",
			Response: "by the close of the next business day",
			Examples: []string{"how something looks", "documentation is out of date", "something could be faster"},
		},
	}
}

// WorseSeverity returns the worse one of severities. Who is unsure which of several an
// incident has chooses the worse, and changes it later when more is known: that it was too
// severe costs some sleep, and that it was not severe enough costs the users. Without any
// that is valid it is critical.
func WorseSeverity(candidates ...alert.Severity) alert.Severity {
	var worst alert.Severity
	for _, s := range candidates {
		if isSeverity(s) && (worst == 0 || s < worst) {
			worst = s
		}
	}
	if worst == 0 {
		return alert.Critical
	}
	return worst
}

func isSeverity(s alert.Severity) bool { return s >= alert.Critical && s <= alert.Low }
