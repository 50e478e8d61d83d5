package playbooks

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/incident"
)

// An Environment is everything through which playbooks act on one environment of the
// application: what a host has constructed, and nothing more. A port that is nil is one
// that the platform does not have; a playbook that cannot do without it is not valid for
// this environment, and says so.
//
// It is a value, is not changed, and may be used concurrently if its ports may.
type Environment struct {
	// Name names it: "test", "beta" or "production". "prod" is the same as "production".
	// Required.
	Name string
	// Defaults are the limits and values of the procedures. The zero value is
	// [RunbookDefaults].
	Defaults Defaults
	// Zone is the zone of the people, in which times are told. Nil means UTC.
	Zone *time.Location

	// Probes look at the application and at what it depends on.
	Probes Probes

	// Deployer, and what else the platform can do with the service.
	Deployer  incident.Deployer
	Stopper   incident.Stopper
	Freezer   incident.DeployFreezer
	Scaler    incident.Scaler
	Variables incident.Variables
	Logs      incident.Logs
	Metrics   incident.Metrics
	Sessions  incident.Sessions
	// Database is the service of the database, for restarting and scaling it.
	Database       incident.Deployer
	DatabaseScaler incident.Scaler
	Backups        incident.Backups
	Dumper         incident.Dumper
	Migrator       incident.Migrator
	Provisioner    incident.Provisioner
	// Quota, PlatformKeys, AuditLog and Announcer are those of Canvas.
	Quota        incident.Quota
	PlatformKeys incident.PlatformKeys
	AuditLog     incident.AuditLog
	Announcer    incident.Announcer
	// Key is the id of the developer key of the tool.
	Key string
	// Doctor diagnoses the LTI configuration, Nonces are those of launches.
	Doctor incident.Diagnoser
	Nonces incident.Nonces
	// Credentials keeps the credentials. Rotations renew them, in the order in which they
	// are renewed when all are.
	Credentials runbook.CredentialStore
	Rotations   []Rotation

	// Announced returns the maintenances of Canvas that its operator announces and that are not
	// over; an error means that it could not be read. Nil means that nobody knows of any.
	Announced func(ctx context.Context) ([]AnnouncedMaintenance, error)

	// Tell tells everyone: the status channel, the stakeholders, the status page. Inform
	// tells the operators; what is not urgent may wait with others. Draft drafts a mail to a vendor, which a person approves before
	// it is sent. Each may be nil: then nobody is told, and the run says so.
	Tell   func(ctx context.Context, p alert.Post) error
	Inform func(ctx context.Context, m incident.Message) error
	Draft  func(ctx context.Context, vendor string, m incident.Message) error
	// Defect tells the development team of a defect that nobody else can remove. Nil means
	// that the operators have to.
	Defect func(ctx context.Context, m incident.Message) error
	// Runs returns runs of playbooks, the newest first, as [incident.Runner.Runs] does: a
	// playbook looks at what it did before, so that it does not do the same again and again
	// when that does not last. Nil means that what was done before is not known.
	Runs func(ctx context.Context, q incident.RunQuery) iter.Seq2[incident.Run, error]
}

// Probes are the looks at an environment. A probe that is nil is not made.
type Probes struct {
	// Application is GET /health. Required.
	Application health.Prober
	// Performance is the response time over several samples, the error rate and the
	// memory; Activity is GET /health/metrics: active_sessions, active_qa_tasks,
	// recent_errors, memory_usage_mb.
	Performance, Activity health.Prober
	// Database is the application's own view, GET /health/database. DatabaseServer asks
	// the server: connections, blocked and slow queries, disk.
	Database, DatabaseServer health.Prober
	// Redis is the cache.
	Redis health.Prober
	// Canvas is the application's view of Canvas, GET /health/canvas. CanvasHost is the
	// front page of Canvas itself, CanvasStatus what its operator says about incidents and
	// maintenance. RateLimits is GET /health/canvas/rate-limits.
	Canvas, CanvasHost, CanvasStatus, RateLimits health.Prober
	// Platform is what the operator of the platform says.
	Platform health.Prober
	// LTI are the endpoints of the tool, with its keys: GET /.well-known/jwks.json.
	LTI health.Prober
	// Login launches the tool as a user would, and Task runs a small QA task from its
	// beginning to its end on a course for tests.
	Login, Task health.Prober
	// WebSocket is the connection that carries progress.
	WebSocket health.Prober
	// Security is GET /health/security-metrics: failed sign-ins.
	Security health.Prober
}

// An AnnouncedMaintenance is a maintenance of Canvas, as its operator announces it.
type AnnouncedMaintenance struct {
	// Key names it, and stays when its times are changed: letters, digits and -.
	Key string
	// From and To are when it is planned for.
	From, To time.Time
	// Begun says that its operator says that it is under way.
	Begun bool
}

// A Rotation renews a credential so that the old one works until the new one is proven.
type Rotation struct {
	// Name is that of the credential: "SECRET_KEY". About says what it is for, Owner who
	// answers for it.
	Name, About, Owner string
	// Begin makes the new credential valid beside the old one and puts it where the
	// application reads it. It may be called again after a failure.
	Begin func(ctx context.Context) error
	// Prove returns nil once the new one is in use.
	Prove func(ctx context.Context) error
	// End makes the old one worthless. It may be called again.
	End func(ctx context.Context) error
	// Age returns how old the credential is.
	Age func(ctx context.Context) (time.Duration, error)
	// Redeploys says that the application must be deployed again to get it.
	Redeploys bool
}

// Validate returns everything that is wrong with the environment itself. What single
// playbooks lack is in theirs.
func (e Environment) Validate() error {
	var errs []error
	if e.Name == "" {
		errs = append(errs, errors.New("an environment has a name"))
	}
	if e.Probes.Application == nil {
		errs = append(errs, fmt.Errorf("environment %s: a probe of the application is required", e.Name))
	}
	for _, r := range e.Rotations {
		if r.Name == "" || r.Begin == nil || r.Prove == nil || r.End == nil {
			errs = append(errs, fmt.Errorf("environment %s: rotation %q: a name, Begin, Prove and End are required", e.Name, r.Name))
		}
	}
	return errors.Join(append(errs, e.Defaults.WithDefaults().Validate())...)
}

// name returns the name of the environment as it is stored.
func (e Environment) name() string {
	if e.Name == "prod" {
		return "production"
	}
	return e.Name
}
