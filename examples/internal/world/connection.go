package world

import (
	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/canvas"
	"go.acu.edu.au/runbook/canvas/canvasprobe"
	"go.acu.edu.au/runbook/examples/internal/host"
	"go.acu.edu.au/runbook/incident/playbooks"
	"go.acu.edu.au/runbook/lti/doctor"
	"go.acu.edu.au/runbook/railway"
)

// Connections returns how the environments are reached: test, beta, production. Everything
// in them is a real client of a counterpart in memory.
func (w *World) Connections() []host.Connection {
	var all []host.Connection
	page, err := canvasprobe.NewStatusPage(canvasprobe.StatusPageConfig{Components: []string{"Canvas"}, HTTP: w.production.client()})
	if err != nil {
		page = nil // what is given is valid
	}
	for _, e := range w.envs {
		c := e.connection()
		c.StatusPage = page
		all = append(all, c)
	}
	return all
}

func (e *environment) connection() host.Connection {
	client := e.client()
	base := "https://" + e.application
	return host.Connection{
		Name: e.name, Application: base, Token: runbook.NewSecret(e.operatorToken()), HTTP: client, WebSocket: "/ws/progress", Instance: e.instance,
		Railway: railway.Config{Kind: railway.ProjectToken, Token: runbook.NewSecret(e.token), HTTP: e.platformClient()},
		Project: e.w.project, RailwayEnvironment: e.id, Service: e.service("app"), Database: e.service("postgres"),
		Canvas: canvas.Config{BaseURL: "https://" + e.canvasAt, Token: runbook.NewSecret(e.canvasToken()), HTTP: client},
		Key:    e.clientID, PrivateKey: e.keyVariable(),
		LTI: &doctor.Config{
			Environment: doctor.Environment(e.name), Registration: e.registration(), PrivateKey: runbook.NewSecret(firstKey()),
			JWKSURL: base + "/.well-known/jwks.json", LoginURL: base + "/lti/login", LaunchURL: base + "/lti/launch", HTTP: client,
		},
		DatabaseServer: e.databaseServer(), Redis: e.redisProbe(), Login: e.login(), Task: e.task(),
		Rotate:     map[string]string{"SECRET_KEY": "SECRET_KEY_PREVIOUS"},
		Rotations:  []playbooks.Rotation{e.rotation()},
		Compromise: playbooks.CanvasCredentials{ClientID: e.prefix() + "CLIENT_ID", Rotations: []string{e.keyVariable()}},
		Dumper:     e.dumps, Dumps: e.dumps.store(), Rehearsal: e.dumps.rehearsal(), Migrator: e,
	}
}
