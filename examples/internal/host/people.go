package host

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/incident"
)

// A Person is somebody who works with the host.
type Person struct {
	// Name is who. Required.
	Name string
	// Mail and Phone are how they are reached. At least one for those who are on call.
	Mail, Phone string
	// Roles are what they may approve beside what everybody may: playbooks name them.
	Roles []string
	// OnCall means that they take turns to be called first.
	OnCall bool
	// Zone is where they live. Nil means that of the host.
	Zone *time.Location
}

// RehearsalPeople are people for drills and tests, in which nothing reaches a phone: the
// numbers that are set aside for fiction are refused by notifiers, and so by drills too.
func RehearsalPeople() []Person {
	return []Person{
		{Name: "Ana Silva", Mail: "ana.silva@example.edu", Phone: "+61 400 111 201", OnCall: true, Roles: []string{"operations"}},
		{Name: "Ben Okafor", Mail: "ben.okafor@example.edu", Phone: "+61 400 111 202", OnCall: true, Roles: []string{"operations"}},
		{Name: "Chloe Nguyen", Mail: "chloe.nguyen@example.edu", Phone: "+61 400 111 203", Roles: []string{"development"}},
		{Name: "Dev Patel", Mail: "dev.patel@example.edu", Phone: "+61 400 111 204", Roles: []string{"security"}},
	}
}

// RehearsalNumbers are phone numbers for drills and tests, of the same kind.
func RehearsalNumbers() incident.MatrixNumbers {
	return incident.MatrixNumbers{
		Operations: "+61 400 111 210", Development: "+61 400 111 220", CanvasEmergency: "+61 400 111 230",
		OperationsManager: "+61 400 111 241", ITDirector: "+61 400 111 242", CanvasAdministrator: "+61 400 111 243", Helpdesk: "+61 400 111 250",
	}
}

// team is the name of those who take turns to be called first.
const team = "operations"

// approvers say who may approve: people of the host, and those with a role where the
// question asks for one. It implements [incident.Approvals].
type approvers []Person

// MayApprove implements [incident.Approvals].
func (p approvers) MayApprove(_ context.Context, actor string, a incident.Approval) error {
	i := slices.IndexFunc(p, func(p Person) bool { return p.Name == actor })
	if i < 0 {
		return fmt.Errorf("host: %q is nobody who works with this host: %w", actor, incident.ErrNotPermitted)
	}
	roles := a.Question.Roles
	if len(roles) > 0 && !slices.ContainsFunc(p[i].Roles, func(r string) bool { return slices.Contains(roles, r) }) {
		return fmt.Errorf("host: %s may not approve this; who may has the role %s: %w", actor, strings.Join(roles, " or "), incident.ErrNotPermitted)
	}
	return nil
}

// calls are the ways to call people.
type calls struct {
	channels map[string]alert.Notifier
	paging   []string
	rota     *incident.Rota
	errs     []error
}

func (c *calls) add(name string, pages bool, n alert.Notifier, err error) {
	if err != nil || n == nil {
		c.errs = append(c.errs, fmt.Errorf("channel %s: %w", name, errOr(err, "there is none")))
		return
	}
	c.channels[name] = n
	if pages {
		c.paging = append(c.paging, name)
	}
}

// errOr returns an error, or one that says something if it is nil.
func errOr(err error, text string) error {
	if err != nil {
		return err
	}
	return errors.New(text)
}

// callPeople makes the channels of people, and their rota.
func (cfg *Config) callPeople() *calls {
	c := &calls{channels: make(map[string]alert.Notifier)}
	var turns []incident.Person
	seen := make(map[string]bool)
	for i, p := range cfg.People {
		if p.Name == "" || seen[p.Name] {
			c.errs = append(c.errs, fmt.Errorf("person %d: the name %q is missing, or there twice", i+1, p.Name))
			continue
		}
		seen[p.Name] = true
		if !p.OnCall {
			continue
		}
		who := incident.Person{Name: p.Name, Zone: p.Zone}
		if p.Mail != "" {
			name := fmt.Sprintf("mail-of-%d", i+1)
			n, err := cfg.Channels.mail(p.Mail)
			c.add(name, false, n, err)
			who.Contacts = append(who.Contacts, name)
		}
		if p.Phone != "" {
			name := fmt.Sprintf("phone-of-%d", i+1)
			n, err := cfg.Channels.phone(p.Phone)
			c.add(name, true, n, err)
			who.Contacts = append(who.Contacts, name)
		}
		turns = append(turns, who)
	}
	if len(turns) == 0 {
		c.errs = append(c.errs, errors.New("nobody is on call: name people with OnCall"))
		return c
	}
	rota, err := incident.NewRota(incident.RotaConfig{Teams: []incident.RotaTeam{{
		Name: team, People: turns, Every: incident.Weekly, Start: cfg.RotaStart, Handover: health.At(9, 0), Zone: cfg.Zone,
	}}, Overrides: cfg.RotaOverrides})
	if err != nil {
		c.errs = append(c.errs, err)
	}
	c.rota = rota
	return c
}

// policy is the escalation of the runbook, whose first level calls whoever is on call too.
// The contacts become channels; what goes to a vendor is a draft of the router.
//
// People are called for the environment of the users, and for what somebody reports without
// saying where. What happens elsewhere is in the chat.
func (c *calls) policy(cfg *Config, users string, post func(ctx context.Context, p alert.Post, targets ...string) error) incident.EscalationPolicy {
	policy, contacts, err := incident.DefaultEscalation(cfg.Defaults.Escalation, calendarName)
	if err != nil {
		c.errs = append(c.errs, err)
		return policy
	}
	for _, to := range contacts {
		switch {
		case to.Draft:
			c.add(to.Channel, false, incident.DraftChannel(post, to.Channel), nil)
		case to.Phone != "":
			n, err := cfg.Channels.phone(to.Phone)
			c.add(to.Channel, false, n, err) // the policy has those that page
		default:
			n, err := cfg.Channels.mail(to.Mail)
			c.add(to.Channel, false, n, err)
		}
	}
	policy.Levels[0].Targets = append([]incident.EscalationTarget{{OnCall: team}}, policy.Levels[0].Targets...)
	policy.Paging.Channels = append(policy.Paging.Channels, c.paging...)
	policy.Zone, policy.Environments = cfg.Zone.String(), []string{users, ""}
	return policy
}

// calendarName is the name of the calendar of business hours.
const calendarName = "business"
