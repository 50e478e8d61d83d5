package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"time"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/alert/calendar"
	"go.acu.edu.au/runbook/alert/schedule"
	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/playbooks"
)

// Runs are what keeps runs and makes them go on: *incident.MemoryRuns, or those of package
// durable.
type Runs interface {
	incident.Runs
	Launch(ctx context.Context, programs map[string]incident.Program) error
	Close(ctx context.Context) error
}

// Config says what a host is made of. What belongs to it from New on, it says.
type Config struct {
	// Connections are the environments, in the order in which an update goes through them:
	// test, beta, production. At least one; the one that is called production is that of the
	// users, or else the last.
	Connections []Connection
	// Channels are the ways to tell people.
	Channels Channels
	// People are those who work with the host: who is on call and who may approve. At least
	// one is on call.
	People []Person
	// RotaStart is a day on which the first of those on call takes over for a week:
	// "2026-11-30". Empty means "2000-01-03", a Monday. RotaOverrides are what is other than
	// planned.
	RotaStart     string
	RotaOverrides []incident.RotaOverride

	// Store keeps incidents, approvals and the record. Required.
	Store incident.Store
	// Alerts keeps what was told to whom. Nil means that a restart forgets it.
	Alerts alert.Store
	// Runs keeps the runs; they belong to the host, which launches and closes them. Required.
	Runs Runs
	// Ledger remembers what was done on schedule. Nil means that a restart forgets it.
	Ledger schedule.Ledger
	// History keeps what the checks found. Nil keeps it as long as the program lives.
	History health.History
	// Lease makes replicas share the checks. Nil means that there is one replica.
	Lease health.Lease

	// Policies say what automation may do; in an environment without one it only observes.
	Policies []incident.AutomationPolicy
	// KillFile is the path of a file that stops automation while it exists. Optional.
	KillFile string
	// Defaults are the limits and values of the procedures, and where people are told: what is
	// zero is as the runbook has it. Security, the address of who answers for security, and
	// the phone numbers of Escalation are required.
	Defaults playbooks.Defaults
	// Zone is the zone of the people, and of schedules. Nil means Australia/Sydney.
	Zone *time.Location
	// Intervals say how often it is looked. Zero ones are those of the runbook.
	Intervals Intervals
	// Calendar knows the business hours. Nil means those of New South Wales.
	Calendar incident.Calendar
	// Acknowledge says how to acknowledge: see [incident.EscalationsConfig]. Empty names the
	// incident only.
	Acknowledge string

	// Evidence keeps evidence where whoever broke in cannot reach it, and Seal encrypts it:
	// see [incident.Evidence]. Nil means that no evidence is kept, and that there is no
	// playbook about a suspected breach.
	Evidence incident.EvidenceStore
	Seal     func(w io.Writer) (io.WriteCloser, error)
	// Pseudonyms is the key for the copies of evidence without personal data, which stay
	// when the whole is removed. Zero means that there are none: then nothing stays.
	Pseudonyms runbook.Secret
	// Tools are those of the application's source, Acceptance the checks of user acceptance
	// beside those of the connection.
	Tools      playbooks.Toolchain
	Acceptance []playbooks.AcceptanceCheck

	// Retention is how long evidence is kept, whole and without personal data, and incidents
	// that are closed, with what was asked about them. Its Store, Evidence and Runs are those
	// of the host. Once a night what is older is removed, and how much that was is on the
	// record. The zero value has the times of package incident, and a MaxGap of a week: if
	// the clock has jumped further ahead, nothing is removed and the operators are told.
	Retention incident.Retention

	// Beat is how often the workers of the application report that they are alive, and
	// Workers are their names by environment. One that is silent for three times as long is
	// an alert, and so is, if Beat is set, that none ever reports. Further ones are watched
	// from their first beat on: they feed the input "heartbeat" of Engine, see
	// alert.NewPushHandler. Zero Beat means that there are no such workers.
	Beat    time.Duration
	Workers map[string][]string
	// Playbooks returns more playbooks for an environment, beside those of the runbook.
	// Those that cannot be carried out are left out, and Lacks says why. Nil means none.
	Playbooks func(e playbooks.Environment) []incident.Playbook

	// Heartbeat tells a dead man's switch elsewhere that the host is alive. Optional.
	Heartbeat func(context.Context, health.Self) error
	// Hooks are told of what happens.
	Hooks Hooks
	// Logger is told what goes wrong. Nil means slog.Default().
	Logger *slog.Logger
}

// Hooks are told what happens. A nil func is not called. They must not block.
type Hooks struct {
	// OnEvent is told of what happens in runs of playbooks.
	OnEvent func(ctx context.Context, e incident.Event)
	// OnIncident is told of each change of an incident, with what was put on its timeline.
	OnIncident func(ctx context.Context, i incident.Incident, entries []incident.Entry)
	// OnDelivery is told of each attempt to tell somebody.
	OnDelivery func(alert.Attempt)
	// Program returns what carries out playbooks in the place of what does, and tells of it.
	Program func(incident.Program) incident.Program
	// OnResult is told of each result of a check.
	OnResult func(ctx context.Context, s health.State)
	// OnTransition is told when a check changes.
	OnTransition func(ctx context.Context, t health.Transition)
}

// complete fills in what is zero, and returns what is wrong.
func (cfg *Config) complete() (errs []error) {
	bad := func(when bool, format string, args ...any) {
		if when {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	bad(len(cfg.Connections) == 0, "Connections: there is no environment")
	bad(cfg.Store == nil, "Store is missing")
	bad(cfg.Beat < 0, "Beat %v is negative", cfg.Beat)
	bad(cfg.Beat == 0 && len(cfg.Workers) > 0, "Workers: how often they report is missing: Beat")
	bad(cfg.Runs == nil, "Runs is missing")
	bad(cfg.Channels.Chat == nil, "Channels.Chat is missing")
	bad(cfg.Channels.Mail == nil, "Channels.Mail is missing")
	bad(cfg.Channels.Phone == nil, "Channels.Phone is missing")
	bad(cfg.Defaults.Security == "", "Defaults.Security is missing: a suspected breach has to be told to somebody; give the address of who answers for security")
	if err := cfg.Defaults.Validate(); err != nil {
		errs = append(errs, err)
	}
	cfg.Defaults = cfg.Defaults.WithDefaults()
	if cfg.Intervals == (Intervals{}) {
		cfg.Intervals = Intervals(cfg.Defaults.Intervals)
	}
	cfg.Retention.Store, cfg.Retention.Evidence, cfg.Retention.Runs = cfg.Store, cfg.Evidence, cfg.Runs
	if cfg.Retention.MaxGap == 0 {
		cfg.Retention.MaxGap = 7 * 24 * time.Hour
	}
	if cfg.Store != nil {
		errs = append(errs, cfg.Retention.Validate())
	}
	errs = append(errs, cfg.Intervals.complete()...)
	var names []string
	for _, c := range cfg.Connections {
		bad(slices.Contains(names, c.Name), "Connections: %q is there twice", c.Name)
		names = append(names, c.Name)
	}
	if cfg.Zone == nil {
		zone, err := health.LoadZone("Australia/Sydney")
		bad(err != nil, "Zone: %w", err)
		cfg.Zone = zone
	}
	if cfg.Calendar == nil {
		nsw, err := calendar.New(calendar.Config{Region: calendar.NSW})
		bad(err != nil, "Calendar: %w", err)
		cfg.Calendar = nsw
	}
	if cfg.History == nil {
		cfg.History = &health.MemoryHistory{Location: cfg.Zone}
	}
	orDefault(&cfg.RotaStart, "2000-01-03")
	orDefault(&cfg.Logger, slog.Default())
	return errs
}

func (c Channels) chat(channel string) (alert.Notifier, error) { return ask(c.Chat, channel) }

func (c Channels) mail(address string) (alert.Notifier, error) { return ask(c.Mail, address) }

func (c Channels) phone(number string) (alert.Notifier, error) { return ask(c.Phone, number) }

// ask asks for a notifier; that the func is missing is told once elsewhere.
func ask(f func(string) (alert.Notifier, error), to string) (alert.Notifier, error) {
	if f == nil {
		return alert.NotifierFunc(func(context.Context, alert.Notification) (alert.Receipt, error) {
			return "", errors.New("there is no such channel")
		}), nil
	}
	n, err := f(to)
	if err == nil && n == nil {
		err = errors.New("there is no notifier")
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", to, err)
	}
	return n, nil
}
