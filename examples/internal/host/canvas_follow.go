package host

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/canvas/canvasprobe"
	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/playbooks"
)

// The maintenances that the operator of Canvas announces on its status page are followed: the
// replica in charge reads the page, keeps what it says, and does what is due (see
// canvas_due.go). Every replica that watches has them as maintenance of its checks of Canvas.

// canvasPlaybook is the playbook of a maintenance.
const canvasPlaybook = "canvas-maintenance"

// kindAnnounced is the kind of the documents in which announcements are kept, one for a page.
const kindAnnounced = "canvas-announced"

// windowPrefix begins the names of the windows of announcements, by which they are known from
// those of others.
const windowPrefix = "announced by Canvas: "

const (
	everyAnnounced = 30 * time.Second // what is due is looked for, and what another replica kept
	announcedTurn  = time.Minute      // that may take
)

// canvasChecks are the checks that have nothing to say while Canvas is in maintenance.
var canvasChecks = []string{"canvas", "canvas-application", "canvas-limits", "canvas-token", "developer-key", "launch", "task"}

// canvasWindows follow the status pages of Canvas.
type canvasWindows struct {
	host    *Host
	pages   []*canvasPage
	leading atomic.Bool
	once    sync.Once
	end     context.CancelFunc // nil until it began
	done    chan struct{}
}

// canvasPage is one status page, and the environments that it is about.
type canvasPage struct {
	page         *canvasprobe.StatusPage
	environments []*reached
	applied      map[string][]health.Window // what the monitor has, by check
}

// newCanvasWindows returns what follows the pages of the connections.
func newCanvasWindows(h *Host) *canvasWindows {
	c := &canvasWindows{host: h, done: make(chan struct{})}
	for _, r := range h.environments {
		if r.connection.StatusPage == nil || r.Probes.CanvasHost == nil {
			continue
		}
		i := slices.IndexFunc(c.pages, func(p *canvasPage) bool { return p.page == r.connection.StatusPage })
		if i < 0 {
			i = len(c.pages)
			c.pages = append(c.pages, &canvasPage{page: r.connection.StatusPage, applied: make(map[string][]health.Window)})
		}
		c.pages[i].environments = append(c.pages[i].environments, r)
	}
	return c
}

// announced lets the playbooks of an environment look at what is announced: by the keys that
// this host gives.
func announced(page *canvasprobe.StatusPage) func(context.Context) ([]playbooks.AnnouncedMaintenance, error) {
	if page == nil {
		return nil
	}
	return func(ctx context.Context) ([]playbooks.AnnouncedMaintenance, error) {
		s, err := page.Read(ctx)
		if err != nil {
			return nil, err
		}
		var all []playbooks.AnnouncedMaintenance
		for key, m := range saidOf(s) {
			all = append(all, playbooks.AnnouncedMaintenance{Key: key, From: m.From, To: m.Until, Begun: m.Active()})
		}
		return all, nil
	}
}

// begin begins to follow, until stop.
func (c *canvasWindows) begin(ctx context.Context) {
	c.once.Do(func() {
		life, end := context.WithCancel(context.WithoutCancel(ctx))
		c.end = end
		go func() {
			defer close(c.done)
			c.run(life)
		}()
	})
}

// stop ends it, and waits until it has.
func (c *canvasWindows) stop() {
	c.once.Do(func() { close(c.done) }) // it never began
	if c.end != nil {
		c.end()
	}
	<-c.done
}

func (c *canvasWindows) run(ctx context.Context) {
	ticker := time.NewTicker(everyAnnounced)
	defer ticker.Stop()
	for {
		for _, p := range c.pages {
			turn, cancel := context.WithTimeout(ctx, announcedTurn)
			err := c.turn(turn, p)
			cancel()
			if err != nil && ctx.Err() == nil && !errors.Is(err, incident.ErrStale) {
				c.host.cfg.Logger.WarnContext(ctx, "the maintenances that Canvas announces could not be followed; it is tried again", "page", p.page.String(), "error", err)
			}
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// turn looks once: what is kept holds in any case, what the page says if it can be read.
func (c *canvasWindows) turn(ctx context.Context, p *canvasPage) error {
	known, version, err := c.load(ctx, p)
	if err != nil || !c.leading.Load() {
		return errors.Join(err, c.apply(p, known))
	}
	s, unread := p.page.Latest(ctx, c.host.cfg.Intervals.Performance+everyAnnounced)
	if unread == nil {
		next := known.follow(s, time.Now())
		if version, err = c.keep(ctx, p, known, next, version); err != nil {
			return errors.Join(err, c.apply(p, known))
		}
		known = next
	}
	if err := c.apply(p, known); err != nil {
		return err
	}
	next := known
	next.All = slices.Clone(known.All)
	err = c.due(ctx, p, &next, time.Now())
	_, kept := c.keep(ctx, p, known, next, version)
	return errors.Join(err, kept)
}

// load reads what is kept of a page.
func (c *canvasWindows) load(ctx context.Context, p *canvasPage) (all announcements, version int64, err error) {
	d, err := c.host.cfg.Store.Document(ctx, kindAnnounced, documentOf(p))
	if errors.Is(err, incident.ErrNotFound) {
		return all, 0, nil
	}
	if err != nil {
		return all, 0, fmt.Errorf("host: what Canvas announced: %w", err)
	}
	if err := json.Unmarshal(d.Data, &all); err != nil {
		return all, 0, fmt.Errorf("host: what Canvas announced cannot be read: %w", err)
	}
	return all, d.Version, nil
}

// keep keeps what has changed. What another replica has changed meanwhile is [incident.ErrStale].
func (c *canvasWindows) keep(ctx context.Context, p *canvasPage, before, next announcements, version int64) (int64, error) {
	if reflect.DeepEqual(before, next) {
		return version, nil
	}
	data, err := json.Marshal(next)
	if err != nil {
		return version, fmt.Errorf("host: what Canvas announced: %w", err)
	}
	_, err = c.host.cfg.Store.Commit(ctx, incident.Change{
		Documents: []incident.Document{{Kind: kindAnnounced, ID: documentOf(p), Version: version, Open: true, Changed: time.Now().UTC(), Data: data}},
	})
	if err != nil {
		return version, fmt.Errorf("host: what Canvas announced is not kept: %w", err)
	}
	return version + 1, nil
}

// documentOf names what is kept of a page: by its host, as a document may be named.
func documentOf(p *canvasPage) string {
	name := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '.' {
			return r
		}
		return '-'
	}, p.page.String())
	return name[max(len(name)-100, 0):]
}

// apply lets the monitor have what is announced as maintenance of the checks of Canvas. The
// windows of others stay.
func (c *canvasWindows) apply(p *canvasPage, all announcements) error {
	var windows []health.Window
	for _, a := range all.All {
		if a.State == "" && a.To.After(time.Now()) {
			windows = append(windows, health.Window{Name: windowPrefix + a.Key, Start: a.start(), End: a.To})
		}
	}
	var errs []error
	for _, r := range p.environments {
		for _, name := range canvasChecks {
			check := r.Name + "/" + name
			if before, known := p.applied[check]; known && reflect.DeepEqual(before, windows) {
				continue
			}
			err := c.host.monitor.ChangeMaintenance(check, func(now []health.Window) []health.Window {
				others := slices.DeleteFunc(now, func(w health.Window) bool { return strings.HasPrefix(w.Name, windowPrefix) })
				return append(others, windows...)
			})
			if err != nil && !errors.Is(err, health.ErrNoCheck) { // there is not every check everywhere
				errs = append(errs, err)
				continue
			}
			p.applied[check] = windows
		}
	}
	return errors.Join(errs...)
}

// silence mutes what needs Canvas while it is in maintenance, as an alert that Canvas is away
// would: errors of the first minutes, figures.
func (c *canvasWindows) silence(ctx context.Context, p *canvasPage, a *announcement, now time.Time) error {
	on := a.State == "" && !now.Before(a.start().Add(-everyAnnounced)) && now.Before(a.To)
	there := make(map[string]bool)
	for _, s := range c.host.router.Silences() {
		there[s.ID] = true
	}
	gone := !slices.ContainsFunc(a.Silences, func(id string) bool { return there[id] })
	if on && !gone && a.SilentTo.Equal(a.To) || !on && len(a.Silences) == 0 {
		return nil
	}
	var errs []error
	for _, id := range a.Silences {
		if err := c.host.router.EndSilence(ctx, id, "the maintenance of Canvas"); err != nil && !errors.Is(err, alert.ErrNoSilence) {
			errs = append(errs, err)
		}
	}
	a.Silences, a.SilentTo = nil, time.Time{}
	if !on {
		return errors.Join(errs...)
	}
	var names []string
	for _, r := range p.environments {
		names = append(names, r.Name)
	}
	s, err := c.host.router.Silence(ctx, alert.Silence{
		Match: alert.Matcher{Environments: names, Labels: map[string]string{needsCanvas: "yes"}}, By: "runbook", Comment: "Canvas is in maintenance, as it announced", Ends: a.To,
	})
	if err == nil {
		a.Silences, a.SilentTo = []string{s.ID}, a.To
	}
	return errors.Join(append(errs, err)...)
}
