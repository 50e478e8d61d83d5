package world

import (
	"context"
	"errors"
	"fmt"
	"regexp"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/examples/internal/host"
	"go.acu.edu.au/runbook/incident"
)

// rehearsal says how a database for a rehearsal is reached. It is made at the platform, by
// the platform's template, and removed there.
func (d *dumps) rehearsal() *host.RehearsalDatabase {
	return &host.RehearsalDatabase{Load: d.reach, Check: d.check}
}

// reach returns what loads dumps into a database that was made for a rehearsal, once it runs.
func (d *dumps) reach(ctx context.Context, name string, variables map[string]runbook.Secret) (incident.DumpLoader, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := d.e.w.enter(); err != nil {
		return nil, err
	}
	if variables["DATABASE_URL"].IsZero() || len(d.e.w.railway.Running(d.e.id, variables["RAILWAY_SERVICE_ID"].Reveal())) == 0 {
		return nil, errors.New("connection refused")
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.made == nil {
		d.made = make(map[string]bool)
	}
	if _, there := d.made[name]; !there {
		d.made[name] = false
	}
	return d, nil
}

// check looks for the rows.
func (d *dumps) check(_ context.Context, name string) error {
	if loaded, _ := d.isMade(name); !loaded {
		return fmt.Errorf("database %s has no rows", name)
	}
	return nil
}

// isMade reports whether a database was made for a rehearsal, and reached, and whether a dump
// was loaded into it.
func (d *dumps) isMade(name string) (loaded, reached bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	loaded, reached = d.made[name]
	return loaded, reached
}

// fill notes that a dump was loaded into a database that was made for a rehearsal, and
// reports whether it is one.
func (d *dumps) fill(name string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	_, reached := d.made[name]
	if reached {
		d.made[name] = true
	}
	return reached
}

// named finds the name of a service that is made for a rehearsal, in what asks for it.
var named = regexp.MustCompile(`rehearsal-[0-9a-z-]+`)

// serviceChanged writes down that a service was made, or removed. To remove one of the
// application's own is another thing than to remove one that was made for a rehearsal. The
// lock is held.
func (e *environment) serviceChanged(op, id, request string) {
	switch own := e.services[id]; {
	case op != "serviceDelete":
		e.w.act(e.name, "make-service", named.FindString(request))
	case own != "":
		e.w.act(e.name, "lose-service", own)
	default:
		e.w.act(e.name, "remove-service", id)
	}
}
