package host

import (
	"context"
	"net/http"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/canvas"
	"go.acu.edu.au/runbook/canvas/canvasprobe"
	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/playbooks"
	"go.acu.edu.au/runbook/lti/doctor"
	"go.acu.edu.au/runbook/railway"
)

// A Connection says how one environment of the application is reached: the addresses, the
// credentials, and the HTTP client for each provider. The host makes the real clients of it.
// What no provider has, such as the server of the database, is given as a port.
//
// A field that is zero is something that there is not; the playbooks that need it are then
// not offered, and [Host.Lacks] says which they are.
type Connection struct {
	// Name names it: "test", "beta" or "production". Required, and each at most once.
	Name string

	// Application is the address of the application, scheme and host only:
	// "https://qa-automation.acu.edu.au". The runbook's endpoints are below it. Required.
	Application string
	// Token is sent as a bearer to those endpoints. Zero means that they are public.
	Token runbook.Secret
	// HTTP reaches the application. Nil means a client of the SDK's own.
	HTTP *http.Client
	// WebSocket is the path of the connection that carries the progress of tasks, which
	// answers a text message with the same text: "/ws/progress". Empty means none.
	WebSocket string
	// Instance is what the application calls its Canvas, for /health/canvas?instance=: "test",
	// "beta" or "prod". Empty means that of Name.
	Instance string

	// Railway is how the platform is reached; without Token and Auth there is none.
	// Environments that use one token share one Railway.Budget.
	Railway railway.Config
	// Project and RailwayEnvironment name where the services are, by id or name; they may be
	// empty with a project token. Service is that of the application, Database that of the
	// database; without Service the platform is not used, without Database its backups are not.
	Project, RailwayEnvironment, Service, Database string
	// Migrate is how the platform migrates the schema. Nil means that it is not done there.
	Migrate *railway.MigratorConfig

	// Canvas is how the environment's Canvas is reached, as an administrator; without BaseURL
	// there is none. Its Throttle is shared by what uses the same token.
	Canvas canvas.Config
	// Account is the account of Canvas that is looked after. Empty means the root account.
	Account canvas.Ref
	// Key is the id of the developer key of the tool in that Canvas.
	Key string
	// Refresh is when that Canvas is overwritten from production, Maintenance are its published
	// windows.
	Refresh, Maintenance []health.Window
	// StatusPage is the status page of Canvas's makers, which environments may share. Nil
	// means none.
	StatusPage *canvasprobe.StatusPage

	// LTI is what is known of the tool, for its diagnosis: the registration, the private key.
	// What of it is empty and can be known from the other fields, such as the addresses, HTTP
	// and Keys, the host fills in. Nil means no diagnosis.
	LTI *doctor.Config
	// PrivateKey is the name of the credential with the private key of the tool. It is read
	// for each diagnosis, in place of that of LTI, since a rotation changes it. Empty means
	// that the key never changes.
	PrivateKey string

	// DatabaseServer asks the server of the database, Redis the cache; Login launches the tool
	// as a user would, Task runs a small QA task on a course for tests. Nil means none; without
	// Login the login of the diagnosis is used.
	DatabaseServer, Redis, Login, Task health.Prober
	// Sessions ends the sessions of the application. Nil means POST
	// /admin/force-logout-all, with Token, if that is set.
	Sessions incident.Sessions
	// Nonces are those of launches.
	Nonces incident.Nonces
	// Dumper makes dumps of the database, off the platform, and Dumps is where they are kept.
	Dumper incident.Dumper
	Dumps  playbooks.Dumps
	// Rehearsal says which database is made for each rehearsal of a restore. Nil makes none:
	// then the target Dumps.Rehearsal is used, if there is one.
	Rehearsal *RehearsalDatabase
	// DumpAt is when a dump is made each day, in the zone of the people. Zero means 02:00.
	DumpAt health.TimeOfDay
	// KeepConfiguration keeps an encrypted copy of the configuration of the environment at
	// the platform, where it is when the platform is lost, under a name: it takes it with
	// [railway.Environment.Snapshot]. It is called each day at 03:00. Nil means that
	// no copies are kept.
	KeepConfiguration func(ctx context.Context, name string, from *railway.Environment) error
	// Migrator migrates the schema, if Migrate does not.
	Migrator incident.Migrator
	// Credentials keeps the credentials.
	Credentials runbook.CredentialStore
	// Rotate are the names of secrets that only the application knows, and of the variable in
	// which the former one is meanwhile: SECRET_KEY to SECRET_KEY_PREVIOUS.
	Rotate map[string]string
	// Rotations are other rotations, in the order in which they are made when all are.
	Rotations []playbooks.Rotation
	// Compromise says what belongs to the developer key, for the playbook about a compromised
	// account of Canvas. Its rotations are among Rotations and Rotate.
	Compromise playbooks.CanvasCredentials
	// Rebuild is what the service is rebuilt from.
	Rebuild playbooks.Rebuild
}

// Channels are the ways to tell people: the host asks for one for each address of the
// runbook, and gives it the messages for that address. The funcs are called by [New] only.
type Channels struct {
	// Chat returns the notifier of a channel of the chat: "#qa-automation-alerts". Required.
	Chat func(channel string) (alert.Notifier, error)
	// Mail returns the notifier of a mail address: "on-call-team@acu.edu.au". Required.
	Mail func(address string) (alert.Notifier, error)
	// Phone returns the notifier that calls, or writes to, a number: "+61 2 5550 1234".
	// Required.
	Phone func(number string) (alert.Notifier, error)
	// StatusPage is the public status page. Nil means none.
	StatusPage alert.Notifier
	// Tickets keeps tickets of incidents. Nil means none.
	Tickets incident.Ticketer
}
