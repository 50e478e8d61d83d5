package main

import (
	_ "embed"
	"fmt"
	"strings"
	"time"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/examples/internal/config"
	"go.acu.edu.au/runbook/examples/internal/host"
	"go.acu.edu.au/runbook/examples/internal/world"
	"go.acu.edu.au/runbook/incident"
)

// rehearsal is the embedded estate.
type rehearsal struct {
	world *world.World
}

// rehearse makes the embedded estate, in which the faults have begun.
func rehearse(s estateSettings, zone *time.Location) (*estate, error) {
	w, err := world.New(world.Config{Seed: uint64(s.Seed), Zone: zone}) //nolint:gosec // any seed will do
	if err != nil {
		return nil, fmt.Errorf("opsd: the embedded estate: %w", err)
	}
	for _, name := range s.Faults {
		kind, variant, _ := strings.Cut(name, "=")
		f := world.Fault{Kind: kind}
		if variant != "" {
			f.Param = map[string]string{"variant": variant}
		}
		if err := w.Inject(f); err != nil {
			_ = w.Close() // it has only just begun
			return nil, fmt.Errorf("opsd: %w; there are %s", err, strings.Join(world.Kinds(), ", "))
		}
	}
	return &estate{connections: w.Connections(), channels: w.Channels(), close: w.Close, rehearsal: &rehearsal{w}}, nil
}

// embedded are the settings without a configuration: the embedded estate, with people whose
// tokens everybody may know, since nothing of it is real.
func embedded(flags estateSettings) *settings {
	s := &settings{Estate: &flags, Security: "security@example.edu"}
	s.file = config.Decode(config.Source{Name: "embedded estate", Text: []byte("{people: []}")}, &struct {
		People []person `config:"people"`
	}{})
	for _, p := range host.RehearsalPeople() {
		access := []string{"operator", "approver"}
		if p.Name == "Dev Patel" {
			access = []string{"administrator"}
		}
		s.People = append(s.People, person{
			Name: p.Name, Mail: p.Mail, Phone: p.Phone, Roles: p.Roles, OnCall: p.OnCall, Access: access, Token: runbook.NewSecret(rehearsalToken(p.Name)),
		})
	}
	s.Automation.Policies = []policy{{Environment: "production", Mode: string(incident.Act), PerHour: 20}}
	s.complete()
	s.State = stateSettings{} // a folder that is removed at the end, unless one is given
	return s
}

// rehearsalToken is the token of somebody of the embedded estate.
func rehearsalToken(name string) string {
	return "rehearsal-" + strings.ToLower(strings.ReplaceAll(name, " ", "-"))
}

// people are those of the host.
func (s *settings) people() []host.Person {
	var all []host.Person
	for _, p := range s.People {
		all = append(all, host.Person{Name: p.Name, Mail: p.Mail, Phone: p.Phone, Roles: p.Roles, OnCall: p.OnCall})
	}
	return all
}

// matrix are the numbers and addresses of the escalation.
func (s *settings) matrix() incident.MatrixNumbers {
	n, m := s.Numbers, s.Addresses
	all := incident.MatrixNumbers{
		Operations: n.Operations, Development: n.Development, CanvasEmergency: n.CanvasEmergency, OperationsManager: n.OperationsManager,
		ITDirector: n.ITDirector, CanvasAdministrator: n.CanvasAdministrator, Helpdesk: n.Helpdesk,
	}
	if s.Estate != nil && n == (numbers{}) {
		all = host.RehearsalNumbers()
	}
	all.Mail = incident.MatrixMail{
		Operations: m.Operations, SystemAdministrators: m.SystemAdministrators, Development: m.Development, LeadDeveloper: m.LeadDeveloper,
		CanvasAdministrators: m.CanvasAdministrators, CanvasSupport: m.CanvasSupport, Infrastructure: m.Infrastructure, RailwaySupport: m.RailwaySupport,
	}
	return all
}

// policies are those of automation.
func (s *settings) policies() []incident.AutomationPolicy {
	var all []incident.AutomationPolicy
	for _, p := range s.Automation.Policies {
		all = append(all, incident.AutomationPolicy{Environment: p.Environment, Mode: incident.Mode(p.Mode), PerHour: p.PerHour, Playbooks: p.Playbooks})
	}
	return all
}

// reach makes the estate of the settings.
func reach(s *settings) (*estate, error) {
	if s.Estate != nil {
		return rehearse(*s.Estate, s.zone)
	}
	return connect(s)
}

// hostConfig is the part of the configuration of a host that does not depend on its state.
func (s *settings) hostConfig(e *estate) host.Config {
	cfg := host.Config{
		Connections: e.connections, Channels: e.channels, People: s.people(), RotaStart: s.RotaStart,
		Policies: s.policies(), KillFile: s.Automation.KillFile, Defaults: s.defaults(), Zone: s.zone, Beat: s.Beat, Tools: s.Toolchain.toolchain(), Intervals: host.Intervals(s.Intervals), Playbooks: verbs,
		Acknowledge: "Press Acknowledge at " + s.address() + "/ops/incidents/{incident}, or run: opsd ack {incident}",
	}
	s.evidence(&cfg)
	return cfg
}
