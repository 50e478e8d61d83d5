package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/urfave/cli/v3"

	"go.acu.edu.au/runbook/incident"
)

// A holdBody is why a hold is set or lifted.
type holdBody struct {
	Comment string `json:"comment"`
}

func (p *program) holdCommands() []*cli.Command {
	reason := &cli.StringFlag{Name: "comment", Aliases: []string{"reason", "m"}, Usage: "`WHY`: it is put on the record"}
	return []*cli.Command{{
		Name: "hold", Category: "Incidents", Usage: "list the legal holds, or keep everything of an incident from being deleted by rule", ArgsUsage: "[INCIDENT]", Description: running,
		Flags: []cli.Flag{reason}, Action: p.hold,
		Commands: []*cli.Command{{Name: "lift", Usage: "let it be deleted by rule again", ArgsUsage: "INCIDENT", Flags: []cli.Flag{reason}, Action: p.liftHold}},
	}}
}

func (p *program) hold(ctx context.Context, c *cli.Command) error {
	api, err := p.client(c)
	if err != nil {
		return err
	}
	if c.Args().Present() {
		return p.changeHold(ctx, c, "", "Nothing of %s is deleted by rule until opsd hold lift %[1]s.")
	}
	var list []incident.LegalHold
	if err := api.get(ctx, "/api/host/holds", &list); err != nil {
		return err
	}
	if c.Bool("json") {
		return p.json(list)
	}
	t := p.table()
	for _, h := range list {
		t.row(h.Incident, "since "+h.Since.Local().Format("02 Jan 15:04"), h.By, h.Reason)
	}
	t.flush()
	if len(list) == 0 {
		p.printf("There are no holds: everything is deleted by the rule of retention.\n")
	}
	return nil
}

func (p *program) liftHold(ctx context.Context, c *cli.Command) error {
	return p.changeHold(ctx, c, "/lift", "%s is deleted by rule again.")
}

// changeHold sets or lifts the hold of the incident that is the argument.
func (p *program) changeHold(ctx context.Context, c *cli.Command, how, done string) error {
	id, err := argument(c, "the incident")
	if err != nil {
		return err
	}
	if c.String("comment") == "" {
		return usage("-comment is missing: it has to be known why")
	}
	return p.command(ctx, c, "/api/host/holds/"+url.PathEscape(id)+how, holdBody{c.String("comment")}, fmt.Sprintf(done, id))
}

// holds are the legal holds, by incident.
func (h *hostAPI) holds(c *command) (any, error) {
	all, err := incident.LegalHolds(c.ctx, h.service.state.store)
	if err != nil {
		return nil, err
	}
	list := make([]incident.LegalHold, 0, len(all))
	for _, hold := range all {
		list = append(list, hold)
	}
	slices.SortFunc(list, func(a, b incident.LegalHold) int { return strings.Compare(a.Incident, b.Incident) })
	return list, nil
}

// errNoReason is of a hold without a comment.
var errNoReason = errors.New("a comment that says why is required")

// setHold sets a hold of an incident, or of a run, that there is.
func (h *hostAPI) setHold(c *command) (any, error) {
	var body holdBody
	if err := c.read(&body); err != nil {
		return nil, err
	}
	if strings.TrimSpace(body.Comment) == "" {
		return nil, invalid(errNoReason)
	}
	id := c.r.PathValue("id")
	_, err := h.service.host.Manager().Incident(c.ctx, id)
	if errors.Is(err, incident.ErrNotFound) { // evidence of a run without an incident has its name
		if _, run := h.service.host.Runner().Run(c.ctx, id); !errors.Is(run, incident.ErrNotFound) {
			err = run
		}
	}
	if err != nil {
		return nil, &unsent{err}
	}
	return nil, incident.SetLegalHold(c.ctx, h.service.state.store, incident.LegalHold{Incident: id, By: c.actor.Name, Reason: body.Comment})
}

// liftHold lifts a hold.
func (h *hostAPI) liftHold(c *command) (any, error) {
	var body holdBody
	if err := c.read(&body); err != nil {
		return nil, err
	}
	if strings.TrimSpace(body.Comment) == "" {
		return nil, invalid(errNoReason)
	}
	return nil, incident.LiftLegalHold(c.ctx, h.service.state.store, c.r.PathValue("id"), c.actor.Name, body.Comment)
}
