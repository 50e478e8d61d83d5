package playbooks_test

// A section is a heading of the operations runbook as it was written for people, with
// what it asks for, and what does that now.
type section struct {
	// level is that of the heading: 1 for the title.
	level int
	title string
	// playbooks are the names of those that carry it out.
	playbooks []string
	// now says what does it besides, in Markdown. What is in backquotes is a package of
	// this module, or something exported by one, which a test looks for.
	now string
	// commands are those of the section, instructions the lines that told a person what to
	// do where there was no command.
	commands, instructions []string
}

// doneBy are the steps that carry out an instruction and do not name it themselves, as
// "playbook: step", by the instruction.
var doneBy = map[string]string{
	"Notify stakeholders via Slack/email": "application-down: tell-investigating",
	"Update status page if available":     "application-down: tell-investigating",

	"Verify Canvas developer key status in Canvas admin": "canvas-authentication: key",
	"Check private key configuration":                    "canvas-authentication: diagnosis",
	"Validate client ID matches Canvas configuration":    "canvas-authentication: diagnosis",
	"Check Canvas maintenance status":                    "canvas-authentication: canvas-status",

	"Check database query performance":           "performance-degradation: database-server",
	"Monitor Canvas API response times":          "performance-degradation: canvas",
	"Analyze QA task execution patterns":         "performance-degradation: activity",
	"Review concurrent user load":                "performance-degradation: activity",
	"Check Canvas API response times":            "slow-qa-tasks: canvas",
	"Monitor database query performance":         "slow-qa-tasks: database-server",
	"Analyze WebSocket update frequency":         "slow-qa-tasks: websocket",
	"Review QA task complexity (content volume)": "slow-qa-tasks: activity",

	"Check active connections":                          "database-issues: server",
	"Review slow query logs":                            "database-issues: server",
	"Monitor disk space usage":                          "database-issues: server",
	"Check backup status":                               "database-issues: backups",
	"# Restore from backup if data corruption detected": "database-issues: suggest-restore",

	"Schedule maintenance notifications for users": "canvas-maintenance: announce",
	"Prepare degraded service mode if needed":      "canvas-maintenance: degrade",

	"Verify private key encoding (base64)":         "lti-configuration: diagnosis",
	"Check client ID matches Canvas configuration": "lti-configuration: diagnosis",
	"Validate JWT algorithm (RS256)":               "lti-configuration: diagnosis",
	"Clear nonce cache":                            "lti-configuration: purge-nonces",
	"Check system clock synchronization":           "lti-configuration: diagnosis",
	"Verify nonce TTL configuration":               "lti-configuration: diagnosis",
	"Validate deep linking URL configuration":      "lti-configuration: diagnosis",
	"Check Canvas placement settings":              "lti-configuration: diagnosis",
	"Verify proper message types in LTI launch":    "lti-configuration: diagnosis",

	"Isolate: Consider taking affected environment offline": "suspected-breach: approve-isolation",
	"Assess: Determine scope and impact":                    "suspected-breach: assess",
	"Contain: Prevent further damage":                       "suspected-breach: freeze",
	"Notify: Alert security team and stakeholders":          "suspected-breach: tell-security",
	"Notify Canvas administrators":                          "canvas-account-compromise: tell-canvas",
	"Review security updates and patches":                   "monthly-checklist: security-updates",
	"Update dependencies and libraries":                     "monthly-checklist: dependencies",
	"Review and rotate secrets/credentials":                 "monthly-checklist: approve-rotation",
	"Check backup integrity":                                "monthly-checklist: backups",
	"Performance optimization review":                       "monthly-checklist: performance-review",
	"Canvas API usage analysis":                             "monthly-checklist: canvas-usage-review",
	"User feedback review":                                  "monthly-checklist: feedback",
}

const (
	metrics     = `curl -s "https://qa-automation.acu.edu.au/health/metrics"`
	healthCheck = "./scripts/health-check.sh production"
	validate    = "./scripts/validate-canvas-integration.sh production"
	restartIt   = "railway restart --environment production"
	backUpIt    = "railway database backup --environment production"
	backupsOfIt = "railway database backups --environment production"
	setVariable = "railway variables set "
	inIt        = " --environment production"
)

// written is the operations runbook: its headings in their order, with their commands.
// Lines of its shell scripts that only print, assign or repeat are no commands.
var written = []section{
	{level: 1, title: "Operational Runbooks & Incident Response", now: "this document, which is made of the playbooks"},
	{level: 2, title: "Overview", now: "nothing to do: it is an introduction"},
	{level: 2, title: "Table of Contents", now: "the lists of this document"},
	{level: 2, title: "System Overview", now: "`incident/playbooks.Environment` is one environment of the system, with all that playbooks may use of it"},
	{level: 3, title: "Architecture Components", now: "`health/httpprobe` looks at the application, `health/sqlprobe` at the database, `health/redisprobe` at the cache, `canvas/canvasprobe` at Canvas, `lti/doctor` at the LTI configuration; `health.Monitor` does it all the time"},
	{level: 3, title: "Environment Instances", now: "one `incident/playbooks.Environment` each, with the Canvas instance of its own; `incident/playbooks.Defaults` has their addresses"},
	{level: 3, title: "Key URLs", now: "`incident/playbooks.Defaults` has them, and the configuration of the host: `examples/morning` has a sample with all of them"},
	{level: 2, title: "Daily Operations", playbooks: []string{"morning-check"}, now: "started at 08:00 by `alert/schedule.Runbook`; `examples/morning` is one command that does it"},
	{level: 3, title: "Morning Health Check Routine", playbooks: []string{"morning-check"}, commands: []string{
		"./scripts/health-check.sh $env", `./scripts/alert.sh "$env environment health check failed"`, "./scripts/performance-check.sh $env",
	}},
	{level: 3, title: "Canvas API Health Monitoring", playbooks: []string{"morning-check"}, commands: []string{
		`curl -s "https://qa-automation-$instance.railway.app/health/canvas?instance=$instance"`, "jq -r '.status'", "jq '.canvas_details'",
	}},
	{level: 3, title: "User Activity Monitoring", playbooks: []string{"morning-check"}, commands: []string{
		metrics + " | jq -r '.active_sessions'", metrics + " | jq -r '.active_qa_tasks'", metrics + " | jq -r '.recent_errors'",
		`./scripts/alert.sh "High error count detected: $ERROR_COUNT errors"`,
	}},
	{level: 2, title: "Incident Response", now: "`incident.Manager` keeps incidents, `incident.Escalations` calls people, `incident.Runner` carries playbooks out"},
	{level: 3, title: "Incident Severity Levels", now: "`alert.Severity`, with the times of `incident.DefaultSLAs`, which a host overrides in `incident/playbooks.Defaults`"},
	{level: 4, title: "Severity 1 - Critical (Response: Immediate)", now: "`alert.Critical`: 15 minutes at any hour, by `incident.DefaultSLAs`"},
	{level: 4, title: "Severity 2 - High (Response: 30 minutes)", now: "`alert.High`: 30 minutes at any hour, by `incident.DefaultSLAs`"},
	{level: 4, title: "Severity 3 - Medium (Response: 2 hours)", now: "`alert.Medium`: 2 hours, by `incident.DefaultSLAs`", playbooks: []string{"websocket-failures"}},
	{level: 4, title: "Severity 4 - Low (Response: Next business day)", now: "`alert.Low`: the next business day, by `incident.DefaultSLAs` and the days of `alert/calendar`"},
	{level: 3, title: "Incident Response Playbooks", now: "the playbooks below; which alert starts which is said by `alert.CriticalRules`, and what may start by itself by `incident.Automation`"},
	{level: 4, title: "1. Application Down (Severity 1)", playbooks: []string{"application-down"}, now: "`incident.Manager` logs the incident, which `alert/jira` or `alert/servicenow` has as a ticket", commands: []string{
		"curl -f https://qa-automation.acu.edu.au/health", "railway status --environment production", "railway deployments --environment production --limit 5",
		"./scripts/emergency-rollback.sh production", "railway logs --environment production --tail 100", healthCheck, validate,
	}, instructions: []string{"Notify stakeholders via Slack/email", "Update status page if available"}},
	{level: 4, title: "2. Canvas Authentication Failure (Severity 1)", playbooks: []string{"canvas-authentication"}, commands: []string{
		`curl -s "https://qa-automation.acu.edu.au/health/canvas?instance=prod"`, `curl -f "https://qa-automation.acu.edu.au/.well-known/jwks.json"`, restartIt, validate,
	}, instructions: []string{
		"Verify Canvas developer key status in Canvas admin", "Check private key configuration", "Validate client ID matches Canvas configuration", "Check Canvas maintenance status",
	}},
	{level: 4, title: "3. Performance Degradation (Severity 2)", playbooks: []string{"performance-degradation"}, commands: []string{
		"./scripts/performance-check.sh production", metrics, setVariable + "ASYNC_WORKERS=8" + inIt, restartIt, setVariable + "CANVAS_RATE_LIMIT_PER_MINUTE=100" + inIt,
	}, instructions: []string{
		"Check database query performance", "Monitor Canvas API response times", "Analyze QA task execution patterns", "Review concurrent user load",
	}},
	{level: 4, title: "4. Database Issues (Severity 2)", playbooks: []string{"database-issues"}, commands: []string{
		`curl -f "https://qa-automation.acu.edu.au/health/database"`, "railway status --environment production", restartIt,
	}, instructions: []string{
		"Check active connections", "Review slow query logs", "Monitor disk space usage", "Check backup status",
		"# Scale database resources if needed (via Railway dashboard)", "# Restore from backup if data corruption detected",
	}},
	{level: 2, title: "Canvas-Specific Issues", playbooks: []string{"canvas-rate-limiting", "canvas-maintenance", "lti-configuration"}},
	{level: 3, title: "Canvas API Rate Limiting", playbooks: []string{"canvas-rate-limiting"}, commands: []string{
		`curl -s "https://qa-automation.acu.edu.au/health/canvas/rate-limits"`, setVariable + "CANVAS_RATE_LIMIT_PER_MINUTE=120" + inIt, restartIt, "./scripts/monitor-canvas-api.sh",
	}},
	{level: 3, title: "Canvas Maintenance Windows", playbooks: []string{"canvas-maintenance"}, commands: []string{
		setVariable + "CANVAS_MAINTENANCE_MODE=true" + inIt, `curl -f "https://aculeo.instructure.com"`, setVariable + "CANVAS_MAINTENANCE_MODE=false" + inIt,
	}, instructions: []string{
		"Subscribe to Canvas status updates", "Schedule maintenance notifications for users", "Prepare degraded service mode if needed", "Document Canvas maintenance schedule",
	}},
	{level: 3, title: "LTI Configuration Issues", playbooks: []string{"lti-configuration"}, now: "`lti/doctor` finds what is wrong", instructions: []string{
		"Verify private key encoding (base64)", "Check client ID matches Canvas configuration", "Validate JWT algorithm (RS256)",
		"Clear nonce cache", "Check system clock synchronization", "Verify nonce TTL configuration",
		"Validate deep linking URL configuration", "Check Canvas placement settings", "Verify proper message types in LTI launch",
	}},
	{level: 2, title: "Performance Issues", playbooks: []string{"performance-degradation", "high-memory", "slow-qa-tasks"}},
	{level: 3, title: "High Memory Usage", playbooks: []string{"high-memory"}, commands: []string{
		metrics + " | jq '.memory_usage_mb'", `railway logs --environment production | grep "memory"`, restartIt,
		setVariable + "MEMORY_LIMIT_MB=1024" + inIt, setVariable + "MAX_CONCURRENT_TASKS=5" + inIt,
	}},
	{level: 3, title: "Slow QA Task Execution", playbooks: []string{"slow-qa-tasks"}, commands: []string{
		setVariable + "BATCH_SIZE=25" + inIt, setVariable + "PARALLEL_PROCESSING_LIMIT=3" + inIt, setVariable + "PROGRESS_UPDATE_INTERVAL=5" + inIt,
	}, instructions: []string{
		"Check Canvas API response times", "Review QA task complexity (content volume)", "Monitor database query performance", "Analyze WebSocket update frequency",
	}},
	{level: 2, title: "Database Operations", playbooks: []string{"backup-verification", "database-restore", "schema-migration"}},
	{level: 3, title: "Backup Verification", playbooks: []string{"backup-verification"}, now: "started at 07:00 by `alert/schedule.Runbook`", commands: []string{
		backupsOfIt, backupsOfIt + " --json | jq -r '.[0].created_at'",
	}},
	{level: 3, title: "Database Restore Procedure", playbooks: []string{"database-restore"}, commands: []string{
		backupsOfIt, `read -p "Enter backup ID to restore from: " BACKUP_ID`, "railway database restore $BACKUP_ID --environment production",
	}},
	{level: 3, title: "Database Migration", playbooks: []string{"schema-migration"}, commands: []string{
		backUpIt, `railway run --environment production "alembic upgrade head"`, healthCheck,
	}},
	{level: 2, title: "Security Incidents", playbooks: []string{"suspected-breach", "credential-compromise", "canvas-account-compromise"}},
	{level: 3, title: "Suspected Security Breach", playbooks: []string{"suspected-breach"}, now: "`incident.Evidence` is what is preserved", commands: []string{
		`railway logs --environment production | grep -E "(failed|unauthorized|suspicious)"`, `curl -s "https://qa-automation.acu.edu.au/health/security-metrics"`, "./scripts/analyze-canvas-usage.sh",
	}, instructions: []string{
		"Isolate: Consider taking affected environment offline", "Assess: Determine scope and impact", "Contain: Prevent further damage", "Notify: Alert security team and stakeholders",
	}},
	{level: 3, title: "Credential Compromise", playbooks: []string{"credential-compromise"}, commands: []string{
		setVariable + `SECRET_KEY="$(openssl rand -base64 32)"` + inIt, setVariable + `CANVAS_PROD_PRIVATE_KEY="new_base64_encoded_key"` + inIt, restartIt,
		`curl -X POST "https://qa-automation.acu.edu.au/admin/force-logout-all"`,
	}},
	{level: 3, title: "Canvas Security Issues", playbooks: []string{"canvas-account-compromise"}, instructions: []string{
		"Immediately disable compromised Canvas developer key", "Generate new Canvas developer key and private key", "Update application configuration with new credentials",
		"Notify Canvas administrators", "Review Canvas audit logs for suspicious activity",
	}},
	{level: 2, title: "Disaster Recovery", playbooks: []string{"complete-recovery", "task-data-recovery"}},
	{level: 3, title: "Complete Service Recovery", playbooks: []string{"complete-recovery"}, commands: []string{
		"railway init", "railway environment create production", "railway environment production", "./scripts/restore-environment-config.sh production",
		"railway deploy --environment production", "railway database restore LATEST_BACKUP_ID --environment production", healthCheck, validate, "./scripts/uat-validation.sh production",
	}},
	{level: 3, title: "Data Recovery Procedures", playbooks: []string{"task-data-recovery"}, instructions: []string{
		"Check database backups for recoverable data", "Review Canvas audit logs for task execution history", "Restore from most recent clean backup", "Notify affected users of data recovery status",
	}},
	{level: 2, title: "Maintenance Procedures", playbooks: []string{"monthly-checklist", "maintenance-window", "dependency-update"}},
	{level: 3, title: "Scheduled Maintenance", playbooks: []string{"monthly-checklist", "maintenance-window"}, now: "the checklist is started on the first of the month by `alert/schedule.Runbook`", commands: []string{
		`./scripts/notify-maintenance.sh "2024-01-15 02:00 EST" "4 hours"`, backUpIt, "./scripts/deploy-production.sh", "./scripts/comprehensive-health-check.sh production", "./scripts/notify-maintenance-complete.sh",
	}, instructions: []string{
		"Review security updates and patches", "Update dependencies and libraries", "Review and rotate secrets/credentials", "Check backup integrity",
		"Performance optimization review", "Canvas API usage analysis", "User feedback review",
	}},
	{level: 3, title: "Dependency Updates", playbooks: []string{"dependency-update"}, commands: []string{
		"pip audit", "pip install --upgrade package-name", "./scripts/deploy-test.sh", "pytest tests/security/", "./scripts/deploy-production.sh",
	}},
	{level: 2, title: "Contact Information", now: "`incident.DefaultEscalation` has it as a policy and its contacts, of which `incident/playbooks.Defaults` may have others"},
	{level: 3, title: "Escalation Matrix", now: "the four levels of `incident.DefaultEscalation`, called by `incident.Escalations`; who is on duty is said by `incident.Rota`"},
	{level: 3, title: "Emergency Contacts", now: "`incident.MatrixNumbers` has the numbers, and `incident.DefaultEscalation` calls them after hours"},
	{level: 3, title: "Communication Channels", now: "`alert/slack`, `alert/email` and `alert/statuspageio` for what users are told, `alert/jira` and `alert/servicenow` for tickets; `alert.Post` is what playbooks tell them"},
	{level: 2, title: "Monitoring and Alerting", now: "`health.Monitor` and `alert.Engine`"},
	{level: 3, title: "Critical Alerts", now: "`alert.CriticalRules` has the limits; `alert.Router` brings them to `alert/slack` and `alert/email`, and critical ones to `alert/twilio` or `alert/httpsms` too"},
	{level: 3, title: "Health Check Schedule", playbooks: []string{"morning-check", "end-of-day-report", "weekly-report"}, now: "`health.Check` says how often; `alert/schedule.Runbook` starts the three reports", instructions: []string{
		"Morning health summary (8:00 AM)", "End-of-day status report (6:00 PM)", "Weekly performance summary (Mondays)",
	}},
}

// scripts are those that the runbook called, with what each was for. The runbook had none
// of them.
var scripts = []struct{ name, about string }{
	{"health-check.sh", "whether an environment is well"},
	{"performance-check.sh", "how fast an environment answers"},
	{"alert.sh", "to tell the people on duty"},
	{"emergency-rollback.sh", "to go back to the last good deployment"},
	{"validate-canvas-integration.sh", "whether an environment works with Canvas"},
	{"monitor-canvas-api.sh", "what is used of the rate limit of Canvas"},
	{"analyze-canvas-usage.sh", "whether the use of Canvas is unusual"},
	{"restore-environment-config.sh", "to bring the variables back from a copy"},
	{"uat-validation.sh", "whether users can work"},
	{"notify-maintenance.sh", "to announce maintenance"},
	{"deploy-production.sh", "to deploy to production"},
	{"deploy-test.sh", "to deploy to test"},
	{"comprehensive-health-check.sh", "all checks of an environment"},
	{"notify-maintenance-complete.sh", "to tell that maintenance is over"},
}

// notYet are the commands for which no step of the playbooks of their section stands, as
// "section: command", with why. A command that gets one must be taken out.
var notYet = map[string]string{
	"Canvas Maintenance Windows: Subscribe to Canvas status updates":   "no step of a run, since it goes on all the time: `canvas/canvasprobe.StatusPage` reads the page, and `examples/internal/host` follows it: it lets this playbook begin by the policy of the environment",
	"Canvas Maintenance Windows: Document Canvas maintenance schedule": "no step of a run: `examples/internal/host` keeps what is announced as maintenance of the checks of Canvas, and the status page shows it",
}
