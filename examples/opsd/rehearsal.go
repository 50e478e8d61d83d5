package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/examples/internal/host"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/pgdump"
)

// rehearsalSettings say which database is made for each rehearsal of a restore.
type rehearsalSettings struct {
	Environment string `config:"environment"`
	Template    string `config:"template"`
	Address     string `config:"address"`
}

// validateRehearsals finds what is wrong with the databases for rehearsals.
func (s *settings) validateRehearsals(path string, e environment) {
	r := e.Dumps.Rehearsals
	if r == nil {
		return
	}
	switch {
	case e.Railway == nil:
		s.file.Problem(path, "needs railway: where the database is made")
	case r.Environment != "" && e.Railway.Kind == "project":
		s.file.Problem(path+".environment", "needs a token of railway with kind workspace or account: that of a project reaches its own environment alone")
	}
	if e.Dumps.Identity.IsZero() {
		s.file.Problem(path, "needs identity: what is loaded has to be read")
	}
}

// rehearser reaches the databases that are made for rehearsals.
type rehearser struct {
	env   environment
	pools *pools

	mu     sync.Mutex
	name   string // of the last one
	loader *pgdump.Port
	own    *pools // its connections
}

// rehearsal says which database is made for each rehearsal; nil if none is.
func (e environment) rehearsal(p *pools) *host.RehearsalDatabase {
	if e.Dumps == nil || e.Dumps.Rehearsals == nil || e.Database == nil {
		return nil
	}
	r := &rehearser{env: e, pools: p}
	return &host.RehearsalDatabase{Environment: e.Dumps.Rehearsals.Environment, Template: e.Dumps.Rehearsals.Template, Load: r.load}
}

// load returns what loads dumps into a database that was made, once the platform has made its
// address. It is never the address of the database of the application.
func (r *rehearser) load(_ context.Context, name string, variables map[string]runbook.Secret) (incident.DumpLoader, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.name == name {
		return r.loader, nil
	}
	d := r.env.Dumps
	address := variables[d.Rehearsals.Address]
	if address.IsZero() {
		return nil, fmt.Errorf("opsd: the database %s has no variable %s yet, by which it is reached", name, d.Rehearsals.Address)
	}
	if err := r.notLive(address); err != nil {
		return nil, fmt.Errorf("opsd: the database %s: %w", name, err)
	}
	own := new(pools)
	made, err := d.dumper(own, address)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("opsd: the database %s: %w", name, err), own.close())
	}
	l, err := pgdump.NewPort(made, map[string]*pgdump.Dumper{name: made})
	if err != nil {
		return nil, errors.Join(err, own.close())
	}
	if r.own != nil {
		_ = r.own.close() // of one that is gone
	}
	r.name, r.loader, r.own = name, l, own
	r.pools.take(own)
	return l, nil
}

// notLive returns an error if an address is that of the server of the application's database,
// whichever database there.
func (r *rehearser) notLive(address runbook.Secret) error {
	made, err := r.env.Dumps.at(address)
	if err != nil {
		return err
	}
	live, err := r.env.Dumps.at(r.env.Database.URL)
	if err != nil {
		return err
	}
	const usual = 5432
	if made.Port == 0 {
		made.Port = usual
	}
	if live.Port == 0 {
		live.Port = usual
	}
	if strings.EqualFold(made.Host, live.Host) && made.Port == live.Port {
		return errors.New("its address is that of the database of the application: nothing is done there")
	}
	return nil
}
