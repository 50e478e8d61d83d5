package host

import (
	"context"
	"errors"

	"go.acu.edu.au/runbook/canvas"
	"go.acu.edu.au/runbook/canvas/canvasprobe"
	"go.acu.edu.au/runbook/canvas/usage"
	"go.acu.edu.au/runbook/lti/doctor"
)

// registeredScopes are those of the call of registered.
func registeredScopes() []string {
	return []string{"url:GET|/api/v1/accounts/:account_id/lti_registration_by_client_id/:client_id"}
}

// CanvasScopes tries, by reads, whether the token for Canvas may make the calls that the
// host and the playbooks make of it, and compares them with the scopes of its developer
// key. The error is of a connection that is made wrongly, or that has no Canvas.
func (c Connection) CanvasScopes(ctx context.Context) (canvasprobe.ScopeReport, error) {
	if c.Canvas.BaseURL == "" {
		return canvasprobe.ScopeReport{}, errors.New("host: the connection has no Canvas")
	}
	instance, err := canvasprobe.New(canvasprobe.Config{
		Canvas: c.Canvas, Environment: canvasprobe.Environment(c.Name), Refresh: c.Refresh, Maintenance: c.Maintenance, StatusPage: c.StatusPage,
	})
	if err != nil {
		return canvasprobe.ScopeReport{}, err
	}
	client := instance.Client()
	keys, err1 := canvasprobe.NewKeys(canvasprobe.KeysConfig{Client: client, Account: c.Account})
	announcer, err2 := canvasprobe.NewAnnouncer(canvasprobe.AnnouncerConfig{Client: client, Account: c.Account})
	audit, err3 := usage.NewAuditLog(usage.AuditLogConfig{Client: client, Account: c.Account})
	if err := errors.Join(err1, err2, err3); err != nil {
		return canvasprobe.ScopeReport{}, err
	}
	q := canvasprobe.ScopeQuestion{Account: cmpRef(c.Account), Needs: []canvasprobe.ScopeNeed{
		{For: "to see that the token works", Scopes: instance.TokenScopes()},
		{For: "to announce maintenance", Scopes: announcer.Scopes()},
		{For: "to look for unusual use, and for evidence", Scopes: audit.Scopes()},
	}}
	if c.Key != "" {
		if q.ClientID, err = canvas.ParseID(c.Key); err != nil {
			return canvasprobe.ScopeReport{}, err
		}
		q.Needs = append(q.Needs, canvasprobe.ScopeNeed{For: "to watch and switch the developer key", Scopes: keys.Scopes()})
		if c.LTI != nil {
			q.Needs = append(q.Needs, canvasprobe.ScopeNeed{For: "to diagnose the tool", Scopes: registeredScopes()})
		}
	}
	return instance.Scopes(ctx, q), nil
}

// A ScopeDoctor is a diagnoser of a tool that also knows which scopes its services are
// granted. The Doctor of the environment of a [Connection] with LTI is one.
type ScopeDoctor interface {
	// Scopes is as that of [doctor.Doctor].
	Scopes(ctx context.Context, scopes ...string) (doctor.ServiceScopes, error)
}

var _ ScopeDoctor = keyed{}

// Scopes implements [ScopeDoctor], with the private key as it is now.
func (k keyed) Scopes(ctx context.Context, scopes ...string) (doctor.ServiceScopes, error) {
	if k.credentials == nil {
		return doctor.ServiceScopes{}, errors.New("host: the private key " + k.name + " is in no store of credentials")
	}
	found, err := k.credentials.Get(ctx, k.name)
	if err != nil {
		return doctor.ServiceScopes{}, err
	}
	k.cfg.PrivateKey = found.Secret
	d, err := doctor.New(k.cfg)
	if err != nil {
		return doctor.ServiceScopes{}, err
	}
	return d.Scopes(ctx, scopes...)
}
