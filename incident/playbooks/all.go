package playbooks

import (
	"errors"

	"go.acu.edu.au/runbook/incident"
)

//go:generate go test -count=1 -v -run=^TestRunbook$ . -update-runbook

// Surroundings are what playbooks need of a host beside the environment in which they are
// carried out. Each field may be zero: the playbooks that need it are then not valid, and
// say so.
type Surroundings struct {
	// Others are the environments that the morning check looks at beside the first.
	Others []Environment
	// Figures are the sources of the figures of reports.
	Figures []FigureSource
	// Checks are the checks of the host that belong to user acceptance.
	Checks []AcceptanceCheck
	// Dumps is where dumps of the database are kept.
	Dumps Dumps
	// Desk is for the playbooks about security, Canvas for a compromised account.
	Desk   SecurityDesk
	Canvas CanvasCredentials
	// Rebuild is what the service is rebuilt from.
	Rebuild Rebuild
	// Promotion is over which environments an update goes, Tools are those of its source.
	Promotion Promotion
	Tools     Toolchain
}

// All returns all playbooks of this package for an environment, in the order of the
// runbook. Those that cannot be carried out there are among them: see [Usable].
func All(e Environment, s Surroundings) []incident.Playbook {
	return []incident.Playbook{
		MorningCheck(e, s.Others...),
		EndOfDay(e, s.Figures...),
		Weekly(e, s.Figures...),
		ApplicationDown(e),
		CanvasAuthentication(e),
		PerformanceDegradation(e),
		DatabaseIssues(e),
		WebSocketFailures(e),
		CanvasRateLimiting(e),
		CanvasMaintenance(e),
		LTIConfiguration(e),
		HighMemory(e),
		SlowTasks(e),
		BackupVerification(e, s.Dumps),
		DatabaseRestore(e, s.Dumps),
		SchemaMigration(e, s.Dumps),
		SuspectedBreach(e, s.Desk),
		CredentialCompromise(e, s.Desk),
		CanvasAccountCompromise(e, s.Desk, s.Canvas),
		CompleteRecovery(e, s.Dumps, s.Rebuild),
		DataRecovery(e, s.Dumps),
		MonthlyChecklist(e, s.Dumps, s.Tools),
		MaintenanceWindow(e, s.Dumps),
		DependencyUpdate(e, s.Promotion, s.Tools),
		ValidateCanvasIntegration(e),
		UserAcceptance(e, s.Checks...),
		ComprehensiveCheck(e),
	}
}

// Usable returns the playbooks that are valid, and an error that says what the others
// lack, which a host shows when it starts and not at three in the morning. It is nil if
// all are valid.
func Usable(all []incident.Playbook) ([]incident.Playbook, error) {
	var usable []incident.Playbook
	var lacks []error
	for _, p := range all {
		if err := p.Validate(); err != nil {
			lacks = append(lacks, err)
			continue
		}
		usable = append(usable, p)
	}
	return usable, errors.Join(lacks...)
}
