package railway

import (
	"context"
	"encoding/json"
	"net/url"
	"slices"
	"strings"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/railway/internal/gql"
)

// A NotificationRule says what Railway tells to whom. It belongs to a workspace:
// reading and changing it takes a token of an account or of the workspace, and a
// project token is refused before anything is tried. Webhooks as such no longer exist
// in the API; a rule with the address of one took their place.
type NotificationRule struct {
	// ID is what Railway calls it; of a new one empty.
	ID string
	// Workspace and Project are the IDs of those it is for. A rule is for all
	// environments of its project: [Webhook] ignores those of others.
	Workspace, Project string
	// Events are the types of events, "Deployment.failed". Railway publishes no list
	// of them; those that public receivers know are Deployment.queued, waiting,
	// needsApproval, building, deploying, deployed, redeployed, restarted, failed,
	// crashed, oomKilled, slept, resumed and removed, VolumeAlert.triggered and
	// resolved, and Monitor.triggered, resolved and deleted.
	Events []string
	// Severities limit it to events of these: CRITICAL, WARNING, NOTICE, INFO. None
	// means whatever Railway takes for the default.
	Severities []string
	// Ephemeral has it told also of environments that come and go with a pull
	// request.
	Ephemeral bool
	// Webhooks are the addresses that are called. They are secret: whoever has one
	// can send what looks like an event.
	Webhooks []runbook.Secret
	// Others is how many channels it has that are no webhook, such as email.
	Others int
}

// NotificationRules returns the rules of a workspace, or of one of its projects, by
// their IDs; project may be empty.
func (c *Client) NotificationRules(ctx context.Context, workspace, project string) ([]NotificationRule, error) {
	o := c.hiding("list the notification rules of workspace %s", workspace)
	if err := o.needsMember(); err != nil {
		return nil, err
	}
	if workspace == "" {
		return nil, o.refuse(nil, "the workspace has no ID")
	}
	return c.rules(ctx, o, workspace, project)
}

func (c *Client) rules(ctx context.Context, o op, workspace, project string) (rules []NotificationRule, err error) {
	var within *string
	if project != "" {
		within = &project
	}
	got, err := gql.NotificationRules(ctx, o, workspace, within)
	if err != nil {
		return nil, err
	}
	for _, r := range got.NotificationRules {
		rules = append(rules, ruleOf(r))
	}
	return rules, nil
}

func ruleOf(r *gql.RuleFields) NotificationRule {
	rule := NotificationRule{ID: r.Id, Workspace: r.WorkspaceId, Project: gql.Text(r.ProjectId), Events: r.EventTypes}
	rule.Ephemeral = r.EphemeralEnvironments != nil && *r.EphemeralEnvironments
	for _, severity := range r.Severities {
		rule.Severities = append(rule.Severities, string(severity))
	}
	for _, channel := range r.Channels {
		if address, ok := webhookOf(channel.Config); ok {
			rule.Webhooks = append(rule.Webhooks, runbook.NewSecret(address))
		} else {
			rule.Others++
		}
	}
	return rule
}

// webhookOf returns the address in a channel, if it is a webhook. The form of a
// channel is not documented: public programs use "url" and "webhookUrl", and write
// the type in both cases.
func webhookOf(config json.RawMessage) (address string, ok bool) {
	var fields map[string]any
	if json.Unmarshal(config, &fields) != nil {
		return "", false
	}
	if kind, _ := fields["type"].(string); !strings.EqualFold(kind, "webhook") {
		return "", false
	}
	for _, name := range []string{"url", "webhookUrl"} {
		if address, ok = fields[name].(string); ok {
			return address, true
		}
	}
	return "", false
}

func channelsOf(webhooks []runbook.Secret) (channels []json.RawMessage) {
	for _, w := range webhooks {
		body, err := json.Marshal(map[string]string{"type": "webhook", "url": w.Reveal()})
		if err == nil { // texts always encode
			channels = append(channels, body)
		}
	}
	return channels
}

// CreateNotificationRule makes a rule that calls webhooks, and returns it as it was
// read afterwards: that Railway took an address does not mean that it understood it.
// Workspace, Project, Events and Webhooks are required; ID and Others do not count.
//
// After a lost answer the rules are read. If they do not tell, the error is an
// incident.ErrOutcomeUnknown: creating it again could have Railway call twice.
func (c *Client) CreateNotificationRule(ctx context.Context, r NotificationRule) (NotificationRule, error) {
	o := c.hiding("create a notification rule of project %s", r.Project)
	if err := o.needsMember(); err != nil {
		return NotificationRule{}, err
	}
	if err := r.validate(o); err != nil {
		return NotificationRule{}, err
	}
	if r.Project == "" || len(r.Webhooks) == 0 {
		return NotificationRule{}, o.refuse(nil, "a new rule needs the ID of a project, and a webhook")
	}
	before, err := c.rules(ctx, o, r.Workspace, r.Project)
	if err != nil {
		return NotificationRule{}, err
	}
	var id string
	got, err := gql.NotificationRuleCreate(ctx, o, r.Workspace, &r.Project, r.Events, severitiesOf(r.Severities), &r.Ephemeral, channelsOf(r.Webhooks))
	switch {
	case err == nil:
		id = got.NotificationRuleCreate.Id
	case !maybeRun(err):
		return NotificationRule{}, err
	}
	return o.confirmRule(ctx, err, r, func(is NotificationRule) bool {
		old := slices.ContainsFunc(before, func(b NotificationRule) bool { return b.ID == is.ID })
		return is.ID == id || id == "" && !old && is.like(r)
	})
}

// UpdateNotificationRule makes a rule what r says, by its ID, Workspace and
// Project, and returns it as it was read afterwards. Events are required; Severities and Webhooks
// stay as they are if there are none. Of a rule with other channels the webhooks
// cannot be changed, because those would be lost.
//
// After a lost answer the rules are read. If they do not tell, the error is an
// incident.ErrOutcomeUnknown; updating it again is safe.
func (c *Client) UpdateNotificationRule(ctx context.Context, r NotificationRule) (NotificationRule, error) {
	o := c.hiding("update notification rule %s", r.ID)
	if err := o.needsMember(); err != nil {
		return NotificationRule{}, err
	}
	if err := r.validate(o); err != nil {
		return NotificationRule{}, err
	}
	is, err := c.rule(ctx, o, r)
	if err != nil {
		return NotificationRule{}, err
	}
	if is.Others > 0 && len(r.Webhooks) > 0 && !sameSecrets(is.Webhooks, r.Webhooks) {
		return NotificationRule{}, o.refuse(nil, "the rule has channels that are no webhook and would be lost: change it in the dashboard")
	}
	channels := channelsOf(r.Webhooks)
	if sameSecrets(is.Webhooks, r.Webhooks) {
		channels = nil
	}
	_, err = gql.NotificationRuleUpdate(ctx, o, r.ID, r.Events, severitiesOf(r.Severities), &r.Ephemeral, channels)
	if err != nil && !maybeRun(err) {
		return NotificationRule{}, err
	}
	return o.confirmRule(ctx, err, r, func(is NotificationRule) bool { return is.ID == r.ID && is.like(r) })
}

// DeleteNotificationRule deletes a rule, by its ID, Workspace and Project. The error is an
// incident.ErrNotFound if there is no such rule. After a lost answer the rules are
// read, and decide; if they do not, the error is an incident.ErrOutcomeUnknown.
func (c *Client) DeleteNotificationRule(ctx context.Context, r NotificationRule) error {
	o := c.hiding("delete notification rule %s", r.ID)
	if err := o.needsMember(); err != nil {
		return err
	}
	if _, err := c.rule(ctx, o, r); err != nil {
		return err
	}
	_, err := gql.NotificationRuleDelete(ctx, o, r.ID)
	if err != nil && !maybeRun(err) {
		return err
	}
	return o.confirm(ctx, err, "look at the notification rules", func(ctx context.Context) (bool, error) {
		rules, err := c.rules(ctx, o, r.Workspace, r.Project)
		return !slices.ContainsFunc(rules, func(is NotificationRule) bool { return is.ID == r.ID }), err
	})
}

// confirmRule reads the rules until one is what was asked for.
func (o op) confirmRule(ctx context.Context, cause error, r NotificationRule, is func(NotificationRule) bool) (made NotificationRule, err error) {
	err = o.confirm(ctx, cause, "look at the notification rules", func(ctx context.Context) (bool, error) {
		rules, err := o.c.rules(ctx, o, r.Workspace, r.Project)
		if err != nil {
			return false, err
		}
		i := slices.IndexFunc(rules, is)
		if i < 0 {
			return false, nil
		}
		made = rules[i]
		return made.like(r), nil
	})
	return made, err
}

// rule returns the rule of an ID.
func (c *Client) rule(ctx context.Context, o op, r NotificationRule) (NotificationRule, error) {
	if r.ID == "" || r.Workspace == "" {
		return NotificationRule{}, o.refuse(nil, "the rule has no ID, or no workspace")
	}
	rules, err := c.rules(ctx, o, r.Workspace, r.Project)
	if err != nil {
		return NotificationRule{}, err
	}
	i := slices.IndexFunc(rules, func(is NotificationRule) bool { return is.ID == r.ID })
	if i < 0 {
		return NotificationRule{}, o.refuse(incident.ErrNotFound, "there is no such rule")
	}
	return rules[i], nil
}

func (r NotificationRule) validate(o op) error {
	if r.Workspace == "" || len(r.Events) == 0 || slices.Contains(r.Events, "") {
		return o.refuse(nil, "a rule needs the ID of a workspace, and events")
	}
	for _, severity := range r.Severities {
		if !slices.Contains(gql.AllNotificationSeverity, gql.NotificationSeverity(severity)) {
			return o.refuse(nil, "there is no severity %q", severity)
		}
	}
	for _, w := range r.Webhooks {
		if u, err := url.Parse(w.Reveal()); err != nil || u.Scheme != "https" || u.Host == "" {
			return o.refuse(nil, "the address of a webhook must have the form https://host/path") // without quoting it
		}
	}
	return nil
}

// like reports whether a rule is what another one asks for.
func (r NotificationRule) like(want NotificationRule) bool {
	return sameTexts(r.Events, want.Events) && (len(want.Severities) == 0 || sameTexts(r.Severities, want.Severities)) &&
		r.Ephemeral == want.Ephemeral && (len(want.Webhooks) == 0 || sameSecrets(r.Webhooks, want.Webhooks))
}

// sameTexts compares names of events, or severities, without regard to their order.
func sameTexts(a, b []string) bool {
	fold := func(texts []string) []string {
		out := make([]string, len(texts))
		for i, text := range texts {
			out[i] = eventType(text)
		}
		slices.Sort(out)
		return slices.Compact(out)
	}
	return slices.Equal(fold(a), fold(b))
}

func sameSecrets(a, b []runbook.Secret) bool {
	reveal := func(secrets []runbook.Secret) (texts []string) {
		for _, s := range secrets {
			texts = append(texts, s.Reveal())
		}
		slices.Sort(texts)
		return slices.Compact(texts)
	}
	return slices.Equal(reveal(a), reveal(b))
}

func severitiesOf(texts []string) (out []gql.NotificationSeverity) {
	for _, text := range texts {
		out = append(out, gql.NotificationSeverity(text))
	}
	return out
}
