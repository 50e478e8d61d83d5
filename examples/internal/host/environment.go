package host

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/canvas"
	"go.acu.edu.au/runbook/canvas/canvasprobe"
	"go.acu.edu.au/runbook/canvas/usage"
	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/playbooks"
	"go.acu.edu.au/runbook/lti/doctor"
	"go.acu.edu.au/runbook/railway"
)

// Environment makes the clients of the connection, and returns what playbooks act on: all
// but the limits, the zone and who is told, which are the host's. With names in place of
// ids of the platform it asks the platform for them. The error has everything that is
// wrong.
func (c Connection) Environment(ctx context.Context) (playbooks.Environment, error) {
	r, err := c.reach(ctx)
	return r.Environment, err
}

// reached is an environment, and what only the monitoring needs of it.
type reached struct {
	playbooks.Environment
	connection Connection
	// users says that it is the environment of the users.
	users bool
	// alive is well if the application itself is.
	alive health.Prober
	// key and token look at the developer key, and at our own token; nil without Canvas.
	key, token health.Prober
	// unusual looks for unusual use of Canvas; nil without.
	audit *usage.AuditLog
	// configuration is that of the environment at the platform; nil without.
	configuration *railway.Environment
}

func (c Connection) reach(ctx context.Context) (*reached, error) {
	r := &reached{connection: c, Environment: playbooks.Environment{Name: c.Name}}
	if r.Name == "prod" {
		r.Name = "production"
	}
	var errs []error
	if c.Name == "" {
		errs = append(errs, errors.New("a connection has no name; it is test, beta or production"))
	}
	if c.Application == "" {
		errs = append(errs, errors.New("the address of the application is missing"))
	} else {
		errs = append(errs, r.reachApplication()...)
	}
	errs = append(errs, r.reachPlatform(ctx))
	errs = append(errs, r.reachCanvas())
	errs = append(errs, r.reachTool())
	for _, name := range slices.Sorted(maps.Keys(c.Rotate)) {
		r.Rotations = append(r.Rotations, r.RotateSecret(name, c.Rotate[name]))
	}
	r.Rotations = append(r.Rotations, c.Rotations...)
	if err := errors.Join(errs...); err != nil {
		return r, fmt.Errorf("host: connection %q: %w", c.Name, err)
	}
	return r, nil
}

// reachApplication makes what asks the application, and takes the ports that are given.
func (r *reached) reachApplication() []error {
	c := r.connection
	e, errs := c.endpoints()
	r.alive = e.alive
	r.Probes = playbooks.Probes{
		Application: e.application, Performance: e.metrics, Activity: e.metrics, Database: e.database, DatabaseServer: c.DatabaseServer,
		Redis: c.Redis, Canvas: e.canvas, RateLimits: e.limits, LTI: e.keys, Login: c.Login, Task: c.Task, WebSocket: e.socket, Security: e.security,
	}
	if len(errs) == 0 { // what a user does goes through the application too
		r.Probes.Login, r.Probes.Task = through(e.alive, c.Login), through(e.alive, c.Task)
	}
	r.Sessions, r.Nonces, r.Dumper, r.Migrator, r.Credentials, r.Key = c.Sessions, c.Nonces, c.Dumper, c.Migrator, c.Credentials, c.Key
	if !c.Token.IsZero() {
		does := newAdmin(c)
		if r.Sessions == nil {
			r.Sessions = does
		}
		if r.Nonces == nil {
			r.Nonces = does
		}
	}
	if e.limits != nil {
		r.Quota = applicationQuota{e.limits}
	}
	return errs
}

// reachPlatform makes what the platform does.
func (r *reached) reachPlatform(ctx context.Context) error {
	c := r.connection
	if c.Railway.Token.IsZero() && c.Railway.Auth == nil {
		return nil
	}
	client, err := railway.New(c.Railway)
	if err != nil {
		return err
	}
	r.Probes.Platform, r.Provisioner = client.PlatformProber(), client
	at := railway.Target{Project: c.Project, Environment: c.RailwayEnvironment, Service: c.Service}
	var errs []error
	var known []*railway.Service
	if c.Service != "" {
		service, err := client.Service(ctx, at)
		if err == nil {
			r.Deployer, r.Stopper, r.Freezer, r.Scaler, r.Variables, r.Logs, r.Metrics = service, service, service, service, service, service, service
			if c.Migrate != nil {
				r.Migrator = service.Migrator(*c.Migrate)
			}
			if r.Credentials == nil {
				r.Credentials = railway.NewCredentials(service)
			}
			r.configuration = service.Environment()
			known = append(known, service)
		}
		errs = append(errs, err)
	}
	if c.Database != "" {
		at.Service = c.Database
		database, err := client.Service(ctx, at)
		if err == nil {
			r.Database, r.DatabaseScaler, r.Backups = database, database, database
			known = append(known, database)
		}
		errs = append(errs, err)
	}
	r.rehearsals(client, known...)
	return errors.Join(errs...)
}

// reachCanvas makes what Canvas tells and does.
func (r *reached) reachCanvas() error {
	c := r.connection
	if c.StatusPage != nil {
		r.Probes.CanvasStatus, r.Announced = c.StatusPage, announced(c.StatusPage)
	}
	if c.Canvas.BaseURL == "" {
		return nil
	}
	client, err := canvas.New(c.Canvas)
	if err != nil {
		return err
	}
	c.Canvas.Throttle = client.Throttle() // of one token there is one
	instance, err := canvasprobe.New(canvasprobe.Config{
		Canvas: c.Canvas, Environment: canvasprobe.Environment(r.Name), Refresh: c.Refresh, Maintenance: c.Maintenance, StatusPage: c.StatusPage,
		Endpoints: []string{"/health_check", "/"},
	})
	if err != nil {
		return err
	}
	r.Probes.CanvasHost, r.token = instance.Up(), instance.Token()
	keys, err1 := canvasprobe.NewKeys(canvasprobe.KeysConfig{Client: client, Account: c.Account, Production: r.Name == "production"})
	announcer, err2 := canvasprobe.NewAnnouncer(canvasprobe.AnnouncerConfig{Client: client, Account: c.Account})
	audit, err3 := usage.NewAuditLog(usage.AuditLogConfig{Client: client, Account: c.Account})
	if err := errors.Join(err1, err2, err3); err != nil {
		return err
	}
	r.PlatformKeys, r.Announcer, r.AuditLog, r.audit = keys, announcer, audit, audit
	if c.Key == "" {
		return nil
	}
	id, err := canvas.ParseID(c.Key)
	if err != nil {
		return fmt.Errorf("the developer key %q is no id of Canvas: %w", c.Key, err)
	}
	r.key = instance.Key(cmpRef(c.Account), id)
	if r.connection.LTI != nil {
		lti := *r.connection.LTI
		if lti.Keys == nil {
			lti.Keys = keys
		}
		if lti.PlatformTool == nil {
			lti.PlatformTool = registered(client, cmpRef(c.Account), id)
		}
		r.connection.LTI = &lti
	}
	return nil
}

// cmpRef returns an account, the root account if it is empty.
func cmpRef(account canvas.Ref) canvas.Ref {
	if account == "" {
		return canvas.Self
	}
	return account
}

// reachTool makes what diagnoses the LTI tool.
func (r *reached) reachTool() error {
	c := r.connection
	if c.LTI == nil {
		return nil
	}
	cfg := *c.LTI
	if cfg.Environment == "" {
		cfg.Environment = doctor.Environment(r.Name)
	}
	if cfg.HTTP == nil {
		cfg.HTTP = c.HTTP
	}
	if cfg.Refresh == nil {
		cfg.Refresh = c.Refresh
	}
	if c.PrivateKey != "" {
		r.Doctor = keyed{cfg, c.PrivateKey, r.Credentials}
		cfg.PrivateKey = runbook.Secret{} // probers, which look often, look at what is published alone
	}
	d, err := doctor.New(cfg)
	if err != nil {
		return err
	}
	if r.Doctor == nil {
		r.Doctor = d
	}
	if cfg.JWKSURL != "" && r.alive != nil {
		r.Probes.LTI = through(r.alive, d.JWKS())
	}
	if c.Login == nil && cfg.LoginURL != "" && r.alive != nil {
		r.Probes.Login = through(r.alive, d.Login())
	}
	return nil
}

// keyed diagnoses with the private key as it is now.
type keyed struct {
	cfg         doctor.Config
	name        string
	credentials runbook.CredentialStore
}

// Diagnose implements [incident.Diagnoser]. If the key cannot be read it is not looked at.
func (k keyed) Diagnose(ctx context.Context) (incident.Diagnosis, error) {
	k.cfg.PrivateKey = runbook.Secret{}
	var unread error
	if k.credentials == nil {
		unread = errors.New("there is no store of credentials")
	} else if found, err := k.credentials.Get(ctx, k.name); err != nil {
		unread = err
	} else {
		k.cfg.PrivateKey = found.Secret
	}
	d, err := doctor.New(k.cfg)
	if err != nil {
		return incident.Diagnosis{}, err
	}
	diagnosis, err := d.Diagnose(ctx)
	if unread != nil {
		diagnosis.NotChecked = append(diagnosis.NotChecked, incident.NotChecked{What: "the private key " + k.name, Why: unread.Error()})
	}
	return diagnosis, err
}

// registered returns how the tool is registered in Canvas, for the diagnosis.
func registered(client *canvas.Client, account canvas.Ref, id canvas.ID) func(ctx context.Context) (doctor.PlatformTool, error) {
	return func(ctx context.Context) (doctor.PlatformTool, error) {
		reg, err := client.GetRegistrationByClientID(ctx, account, id)
		if errors.Is(err, canvas.ErrNotFound) {
			return doctor.PlatformTool{}, fmt.Errorf("%w: %w", incident.ErrNotFound, err)
		}
		if err != nil {
			return doctor.PlatformTool{}, err
		}
		c := reg.OverlaidConfiguration.Or(reg.Configuration.Or(canvas.ToolConfiguration{}))
		t := doctor.PlatformTool{
			ClientID: id.String(), RedirectURIs: c.RedirectURIs, LoginURL: c.OIDCInitiationURL,
			TargetLinkURI: c.TargetLinkURI, JWKSURL: c.PublicJWKURL, PublicJWK: c.PublicJWK, Scopes: c.Scopes,
		}
		if b, ok := reg.Binding.Get(); ok {
			t.Off = b.State != canvas.BindingOn
		}
		for _, p := range c.Placements {
			t.Placements = append(t.Placements, doctor.Placement{
				Name: p.Name, MessageType: string(p.MessageType), TargetLinkURI: p.TargetLinkURI, Enabled: p.Enabled.Or(true),
			})
		}
		return t, nil
	}
}

// applicationQuota is what is left of the rate limit of Canvas to the application, as it
// says itself: its requests are those that matter, and are none of this program's.
type applicationQuota struct{ limits health.Prober }

// Quota implements [incident.Quota].
func (q applicationQuota) Quota(ctx context.Context) (incident.QuotaState, error) {
	r := q.limits.Probe(ctx)
	if !r.Status.OK() {
		return incident.QuotaState{}, fmt.Errorf("host: what is left of the rate limit of Canvas cannot be read: %s", r.Message)
	}
	s := incident.QuotaState{Time: time.Now(), Limit: canvasBucket, Remaining: canvasBucket}
	if m, ok := r.Measurement("canvas_remaining"); ok {
		s.Remaining, s.Measured = m.Value, true
	}
	if m, ok := r.Measurement("canvas_throttled"); ok {
		s.Throttled = m.Value > 0
	}
	return s, nil
}
