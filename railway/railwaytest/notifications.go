package railwaytest

import (
	"net/url"
	"slices"
	"strings"
	"time"
)

// rule says of what somebody is notified, and where.
type rule struct {
	id, workspace, project string
	events, severities     []string
	ephemeral              any
	channels               []object
}

// delivery is a notification that was sent.
type delivery struct {
	id, workspace, status string
	created               time.Time
}

func (v *rule) object() object {
	o := object{
		"id": v.id, "workspaceId": v.workspace, "eventTypes": v.events, "severities": v.severities, "channels": v.channels,
		"ephemeralEnvironments": v.ephemeral,
	}
	if v.project != "" {
		o["projectId"] = v.project
	}
	return o
}

func (v *rule) setChannels(configs []any) {
	v.channels = []object{}
	for _, config := range configs {
		v.channels = append(v.channels, object{"id": newID(), "config": config})
	}
}

// notify sends what the rules ask for when a deployment has got a status. Nothing is
// sent really.
func (w *world) notify(d *deployment) {
	event := map[string]string{"SUCCESS": "Deployment.deployed", "FAILED": "Deployment.failed", "CRASHED": "Deployment.crashed"}[d.status]
	for _, v := range w.rules.all {
		of := v.project == d.of.env.project || v.project == "" && v.workspace == w.workspaceOf(d.of.env.project)
		if of && slices.ContainsFunc(v.events, func(e string) bool { return strings.EqualFold(e, event) }) {
			made := &delivery{newID(), v.workspace, "SENT", w.now}
			w.deliveries.add(made.id, made)
		}
	}
}

func notificationRules(r *request, a args) (any, error) {
	w := r.world()
	if err := r.canWorkspace(a.text("workspaceId")); err != nil {
		return nil, err
	}
	list := []object{}
	for _, v := range w.rules.all {
		if v.workspace == a.text("workspaceId") && (!a.has("projectId") || v.project == a.text("projectId")) {
			list = append(list, v.object())
		}
	}
	return list, nil
}

func notificationRuleCreate(r *request, a args) (any, error) {
	w := r.world()
	in := a.object("input")
	if err := r.canWorkspace(in.text("workspaceId")); err != nil {
		return nil, err
	}
	if w.workspaces.get(in.text("workspaceId")) == nil {
		return nil, notFound("Workspace")
	}
	if in.has("projectId") && w.workspaceOf(in.text("projectId")) != in.text("workspaceId") {
		return nil, notFound("Project")
	}
	configs, _ := in["channelConfigs"].([]any)
	if len(configs) == 0 || len(in.texts("eventTypes")) == 0 {
		return nil, badInput("A rule needs an event type and a channel")
	}
	v := &rule{
		id: newID(), workspace: in.text("workspaceId"), project: in.text("projectId"), events: in.texts("eventTypes"),
		severities: slices.Concat([]string{}, in.texts("severities")), ephemeral: in["ephemeralEnvironments"],
	}
	v.setChannels(configs)
	w.rules.add(v.id, v)
	r.s.effect("notificationRuleCreate %s", v.id)
	return v.object(), nil
}

// rule returns a rule that the request may change.
func (r *request) rule(id string) (*world, *rule, error) {
	w := r.world()
	if err := r.asMember(); err != nil {
		return nil, nil, err
	}
	v := w.rules.get(id)
	if v == nil {
		return nil, nil, r.missing("Notification rule")
	}
	return w, v, r.canWorkspace(v.workspace)
}

func notificationRuleUpdate(r *request, a args) (any, error) {
	_, v, err := r.rule(a.text("id"))
	if err != nil {
		return nil, err
	}
	in := a.object("input")
	if in.has("eventTypes") {
		v.events = in.texts("eventTypes")
	}
	if in.has("severities") {
		v.severities = slices.Concat([]string{}, in.texts("severities"))
	}
	if in.has("ephemeralEnvironments") {
		v.ephemeral = in["ephemeralEnvironments"]
	}
	if configs, ok := in["channelConfigs"].([]any); ok {
		v.setChannels(configs)
	}
	r.s.effect("notificationRuleUpdate %s", v.id)
	return v.object(), nil
}

func notificationRuleDelete(r *request, a args) (any, error) {
	w, v, err := r.rule(a.text("id"))
	if err != nil {
		return nil, err
	}
	w.rules.remove(v.id)
	r.s.effect("notificationRuleDelete %s", v.id)
	return true, nil
}

func notificationDeliveries(r *request, a args) (any, error) {
	if err := r.asMember(); err != nil {
		return nil, err
	}
	var all []*delivery
	for _, v := range slices.Backward(r.world().deliveries.all) {
		if r.canWorkspace(v.workspace) == nil {
			all = append(all, v)
		}
	}
	return connect(all, a, func(v *delivery) string { return v.id }, func(v *delivery) object {
		return object{"id": v.id, "status": v.status, "createdAt": v.created}
	})
}

// webhookTest says that the receiver answered 200. Nothing is sent.
func webhookTest(r *request, a args) (any, error) {
	if err := r.asMember(); err != nil {
		return nil, err
	}
	if u, err := url.Parse(a.text("url")); err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" {
		return nil, badInput("Invalid webhook URL")
	}
	r.s.effect("webhookTest")
	return 200, nil
}
