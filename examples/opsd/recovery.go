package main

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"filippo.io/age"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/examples/internal/host"
	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/pgdump"
	"go.acu.edu.au/runbook/incident/playbooks"
	"go.acu.edu.au/runbook/railway"
)

// The names of the databases that dumps are loaded into.
const (
	liveDatabase      = "live"
	rehearsalDatabase = "rehearsal"
)

// recipientsOf reads recipients, which were checked before.
func recipientsOf(texts []string) (all []age.Recipient) {
	for _, text := range texts {
		if r, err := age.ParseX25519Recipient(text); err == nil {
			all = append(all, r)
		}
	}
	return all
}

// identitiesOf reads an identity, which was checked before; none if there is none.
func identitiesOf(secret runbook.Secret) []age.Identity {
	all, err := age.ParseIdentities(strings.NewReader(secret.Reveal()))
	if err != nil {
		return nil
	}
	return all
}

// evidence is where evidence is kept, and what seals it; nothing without.
func (s *settings) evidence(cfg *host.Config) {
	cfg.Retention = s.retention()
	e := s.Evidence
	if e == nil {
		return
	}
	recipients := recipientsOf(e.Recipients)
	cfg.Evidence, cfg.Pseudonyms = bundles{folder(e.Folder)}, e.Pseudonyms
	cfg.Seal = func(w io.Writer) (io.WriteCloser, error) { return age.Encrypt(w, recipients...) }
}

// pools are connections to databases, which are closed in the end.
type pools struct {
	mu  sync.Mutex
	all []*sql.DB
}

// open opens a pool of a few connections. Nothing is asked yet.
func (p *pools) open(address runbook.Secret) (*sql.DB, error) {
	db, err := sql.Open("pgx", address.Reveal())
	if err != nil {
		return nil, errors.New("the address of the database cannot be used") // the error may have the password in it
	}
	db.SetMaxOpenConns(2)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.all = append(p.all, db)
	return db, nil
}

// take closes with its own connections those of others, which may have been closed before.
func (p *pools) take(others *pools) {
	others.mu.Lock()
	defer others.mu.Unlock()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.all = append(p.all, others.all...)
}

func (p *pools) close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var errs []error
	for _, db := range p.all {
		errs = append(errs, db.Close())
	}
	return errors.Join(errs...)
}

// at is how the programs of PostgreSQL reach a database.
func (d *dumpSettings) at(address runbook.Secret) (pgdump.Connection, error) {
	u, err := url.Parse(address.Reveal())
	if err != nil || u.Hostname() == "" || u.User.Username() == "" || strings.Trim(u.Path, "/") == "" {
		return pgdump.Connection{}, errors.New("the address of the database is none of the form postgres://user:password@host:port/database")
	}
	password, _ := u.User.Password()
	c := pgdump.Connection{Host: u.Hostname(), User: u.User.Username(), Database: strings.Trim(u.Path, "/"), SSLMode: u.Query().Get("sslmode"), RootCertFile: d.RootCert}
	if password != "" {
		c.Password = runbook.NewSecret(password)
	}
	if port := u.Port(); port != "" {
		if c.Port, err = strconv.Atoi(port); err != nil {
			return c, errors.New("the port of the database is no number")
		}
	}
	if c.SSLMode == "disable" || c.SSLMode == "require" {
		c.RootCertFile = ""
	}
	return c, nil
}

// dumper returns what dumps a database and loads dumps into it.
func (d *dumpSettings) dumper(p *pools, address runbook.Secret) (*pgdump.Dumper, error) {
	c, err := d.at(address)
	if err != nil {
		return nil, err
	}
	cfg := pgdump.Config{
		PgDump: filepath.Join(d.Programs, "pg_dump"), PgRestore: filepath.Join(d.Programs, "pg_restore"), Connection: c,
		Recipients: recipientsOf(d.Recipients), Identities: identitiesOf(d.Identity), SkipOwners: true,
	}
	if len(cfg.Identities) > 0 {
		if cfg.DB, err = p.open(address); err != nil {
			return nil, err
		}
	}
	return pgdump.New(cfg)
}

// copies makes what dumps the database, and where dumps are kept.
func (e environment) copies(c *host.Connection, p *pools) error {
	d := e.Dumps
	if d == nil || e.Database == nil {
		return nil
	}
	fail := func(err error) error { return fmt.Errorf("environment %s: dumps: %w", e.Name, err) }
	source, err := d.dumper(p, e.Database.URL)
	if err != nil {
		return fail(err)
	}
	targets := make(map[string]*pgdump.Dumper)
	c.Dumps = dumps{folder(d.Folder), folder(d.Receipts), d.Keep}.kept()
	if !d.Identity.IsZero() {
		targets[liveDatabase], c.Dumps.Live = source, liveDatabase
	}
	if !d.Rehearsal.IsZero() {
		if targets[rehearsalDatabase], err = d.dumper(p, d.Rehearsal); err != nil {
			return fail(fmt.Errorf("rehearsal: %w", err))
		}
		c.Dumps.Rehearsal = rehearsalDatabase
	}
	if c.Dumper, err = pgdump.NewPort(source, targets); err != nil {
		return fail(err)
	}
	c.DumpAt, _ = health.ParseTimeOfDay(d.At) // it was checked
	c.Rehearsal = e.rehearsal(p)
	return nil
}

// rebuild says how the environment is rebuilt from nothing, and keeps copies of its
// configuration for that.
func (e environment) rebuild(c *host.Connection, p *pools) {
	r := e.Rebuild
	if r == nil || e.Dumps == nil {
		return
	}
	recipients := recipientsOf(r.Recipients)
	c.KeepConfiguration = func(ctx context.Context, name string, from *railway.Environment) error {
		return folder(r.Copies).write(ctx, name, func(w io.Writer) error {
			_, err := from.Snapshot(ctx, w, recipients...)
			return err
		})
	}
	b := &rebuilder{env: e, connection: *c, pools: p, loaders: make(map[string]*pgdump.Port)}
	c.Rebuild = playbooks.Rebuild{
		Project:  incident.ProjectSpec{Name: r.Project, Owner: r.Owner},
		Database: r.Database.spec(), Application: r.Application.spec(),
		Configuration: b.configuration, Connect: b.connect, Acceptance: b.acceptance,
	}
}

// rebuilder reaches what an environment is rebuilt from and as.
type rebuilder struct {
	env        environment
	connection host.Connection
	pools      *pools

	mu      sync.Mutex
	loaders map[string]*pgdump.Port // by the service of the database
}

// configuration opens the newest copy of the variables of the application.
func (b *rebuilder) configuration(ctx context.Context, _ playbooks.Rebuilt) (map[string]runbook.Secret, []string, error) {
	r := b.env.Rebuild
	fail := func(err error) (map[string]runbook.Secret, []string, error) {
		return nil, nil, fmt.Errorf("opsd: the copy of the configuration of %s: %w", b.env.Name, err)
	}
	name, err := folder(r.Copies).newest(b.env.Name + "-")
	switch {
	case err != nil:
		return fail(err)
	case name == "":
		return fail(fmt.Errorf("there is none in %s: %w", r.Copies, incident.ErrNotFound))
	}
	f, err := os.Open(folder(r.Copies).path(name))
	if err != nil {
		return fail(err)
	}
	snapshot, err := railway.OpenSnapshot(f, identitiesOf(r.Identity)...)
	if err = errors.Join(err, f.Close(), ctx.Err()); err != nil {
		return fail(err)
	}
	shared, _, err := snapshot.Variables("")
	if err != nil {
		return fail(err)
	}
	values, sealed, err := snapshot.Variables(r.Application.Name)
	if err != nil {
		return fail(err)
	}
	for name, value := range values {
		values[name] = withShared(value, shared)
	}
	for name, value := range r.Values {
		values[name] = runbook.NewSecret(value)
	}
	return values, sealed, nil
}

// withShared is a value in which shared variables, which the new project has not, are what
// they stood for.
func withShared(value runbook.Secret, shared map[string]runbook.Secret) runbook.Secret {
	text := value.Reveal()
	for name, s := range shared {
		text = strings.ReplaceAll(text, "${{shared."+name+"}}", s.Reveal())
	}
	return runbook.NewSecret(text)
}

// connect reaches what was made.
func (b *rebuilder) connect(ctx context.Context, made playbooks.Rebuilt) (playbooks.Environment, error) {
	c := b.connection
	c.Project, c.RailwayEnvironment, c.Service, c.Database = made.Project, made.Environment, made.Application, made.Database
	c.Credentials = nil
	if made.Application == "" || made.Database == "" {
		return playbooks.Environment{}, errors.New("opsd: it was not made yet")
	}
	e, err := c.Environment(ctx)
	if err != nil {
		return e, err
	}
	e.Dumper, err = b.loader(ctx, made)
	return e, err
}

// loader returns what loads dumps into the new database, once the platform has made its
// address.
func (b *rebuilder) loader(ctx context.Context, made playbooks.Rebuilt) (incident.Dumper, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if l := b.loaders[made.Database]; l != nil {
		return l, nil
	}
	client, err := railway.New(b.connection.Railway)
	if err != nil {
		return nil, err
	}
	service, err := client.Service(ctx, railway.Target{Project: made.Project, Environment: made.Environment, Service: made.Database})
	if err != nil {
		return nil, err
	}
	values, err := service.RenderedVariables(ctx)
	if err != nil {
		return nil, err
	}
	address := values[b.env.Rebuild.Address]
	if address.IsZero() {
		return nil, fmt.Errorf("opsd: the new database has no variable %s yet, by which it is reached", b.env.Rebuild.Address)
	}
	d, err := b.env.Dumps.dumper(b.pools, address)
	if err != nil {
		return nil, fmt.Errorf("opsd: the new database: %w", err)
	}
	l, err := pgdump.NewPort(d, map[string]*pgdump.Dumper{liveDatabase: d})
	if err != nil {
		return nil, err
	}
	b.loaders[made.Database] = l
	return l, nil
}

// acceptance makes the checks that a user would, at the address of the application, and
// returns those that failed.
func (b *rebuilder) acceptance(ctx context.Context) ([]string, error) {
	c := b.connection
	c.Railway, c.Service, c.Database = railway.Config{}, "", "" // the platform is asked nothing
	e, err := c.Environment(ctx)
	if err != nil {
		return nil, err
	}
	var failed []string
	for _, probe := range []struct {
		name string
		health.Prober
	}{
		{"the application", e.Probes.Application}, {"its database", e.Probes.Database}, {"Canvas through it", e.Probes.Canvas},
		{"the keys of the tool", e.Probes.LTI}, {"a launch", e.Probes.Login}, {"a QA task", e.Probes.Task},
	} {
		if probe.Prober == nil {
			continue
		}
		if r := probe.Probe(ctx); !r.Status.OK() {
			failed = append(failed, probe.name+": "+cmp.Or(r.Message, string(r.Cause), "it is not well"))
		}
	}
	return failed, ctx.Err()
}
