package host

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/health/statuspage"
	"go.acu.edu.au/runbook/incident"
)

// When what is due about a maintenance that is announced is done, before it begins.
const (
	noticeAhead  = 24 * time.Hour   // users are told
	actAhead     = 15 * time.Minute // the run begins, and waits for its time
	suggestAhead = 2 * time.Hour    // people are asked whether it may
)

// due does what is due about all that is announced, and notes what was done. What fails is
// tried again at the next turn; what was done is not done again.
func (c *canvasWindows) due(ctx context.Context, p *canvasPage, all *announcements, now time.Time) error {
	var errs []error
	for i := range all.All {
		a := &all.All[i]
		errs = append(errs, c.tellOf(ctx, p, a, now), c.silence(ctx, p, a, now))
		switch a.State {
		case "":
			errs = append(errs, c.notice(ctx, p, a, now), c.offer(ctx, p, a, now), c.missed(ctx, p, a, now))
		case announcedOff:
			errs = append(errs, c.callOff(ctx, p, a, now))
		case announcedOver:
			errs = append(errs, c.close(ctx, p, a))
		}
	}
	return errors.Join(append(errs, c.tellTooMuch(ctx, p, all))...)
}

// tellOf tells the operators what is announced, once, and again if it is moved or called off.
// The public status page has it as maintenance from then on. What the page of Canvas calls it
// is foreign text, and is shown to operators alone.
func (c *canvasWindows) tellOf(ctx context.Context, p *canvasPage, a *announcement, now time.Time) error {
	if a.Told == a.Edition || a.State == announcedOver {
		return nil
	}
	h := c.host
	when := h.clock(a.From) + " to " + h.clock(a.To)
	m := incident.Message{Title: "Canvas announces a maintenance: " + when}
	what := "Its checks are in maintenance then, what needs Canvas is muted, and canvas-maintenance begins by the policy of each environment."
	status, body := statuspage.Scheduled, "From "+when+". What needs Canvas does not work meanwhile; everything else does."
	switch {
	case a.State == announcedOff:
		m.Title = "Canvas does not announce its maintenance any more: " + when
		what, status, body = "It is taken to be called off: nothing is muted then, and what was to begin does not.", statuspage.Completed, "It is called off."
	case a.State == announcedLeft:
		m.Title = "Canvas announces a maintenance that is left to you: " + when
		what = "It would last longer than is believed of a page: nothing is muted, and nothing begins by itself. Plan it by hand if it is true."
		status = ""
		if a.Told > 0 {
			status, body = statuspage.Completed, "It is not as it was announced."
		}
	case a.Told > 0 && a.begun(now):
		m.Title = "Canvas changes the end of its maintenance: " + when
		status = statuspage.InProgress
	case a.Told > 0:
		m.Title = "Canvas moves its maintenance: " + when
	}
	m.Text = what + "\nIts operator calls it " + strconv.Quote(a.Name)
	if a.URL != "" {
		m.Text += ", see " + a.URL
	}
	if err := h.inform(ctx, "canvas-maintenance-"+a.Key, m); err != nil {
		return err
	}
	a.Told = a.Edition
	return c.show(ctx, a, status, body)
}

// show puts it on the public status page.
func (c *canvasWindows) show(ctx context.Context, a *announcement, status statuspage.Phase, body string) error {
	if c.host.cfg.Channels.StatusPage == nil || status == "" {
		return nil
	}
	return c.host.router.Post(ctx, alert.Post{
		ID: "canvas-maintenance-" + a.Key, Title: "Canvas maintenance", Body: body, Status: string(status), By: "runbook", From: a.From, To: a.To, Last: status == statuspage.Completed,
	}, targetPage)
}

// tellTooMuch tells the operators once a day that a page is not believed any more.
func (c *canvasWindows) tellTooMuch(ctx context.Context, p *canvasPage, all *announcements) error {
	var errs []error
	if all.Crowd > 0 && all.CrowdTold != all.Day {
		err := c.host.inform(ctx, "canvas-crowd-"+all.Day, incident.Message{
			Title: "The status page of Canvas announces more maintenances than are followed",
			Text:  fmt.Sprintf("%d on %s are left out: nothing is muted for them, and nothing begins by itself. Look whether they are true.", all.Crowd, p.page),
		})
		if err == nil {
			all.CrowdTold = all.Day
		}
		errs = append(errs, err)
	}
	if all.Changes > mostChanges && all.FloodTold != all.Day {
		err := c.host.inform(ctx, "canvas-flood-"+all.Day, incident.Message{
			Title: "The status page of Canvas changes too often",
			Text:  fmt.Sprintf("You are told nothing more of its maintenances on %s today, and nothing new on it is followed: look at it yourself.", p.page),
		})
		if err == nil {
			all.FloodTold = all.Day
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// notice lets users be told ahead, and again if the times are others than they were told: by
// the playbook, since what is announced inside Canvas is a change there.
func (c *canvasWindows) notice(ctx context.Context, p *canvasPage, a *announcement, now time.Time) error {
	ahead := a.From.Sub(now)
	if a.Noticed == a.Edition || a.begun(now) || ahead <= actAhead || ahead > noticeAhead && a.Noticed == 0 {
		return nil
	}
	for _, r := range p.environments {
		if r != c.host.users || !c.host.can(canvasPlaybook, r.Name) {
			continue
		}
		q := c.request(r, a, now, "notice-"+strconv.Itoa(a.Edition), "all")
		q.Only = []string{"assess", "window", "decide", "announce", "tell-scheduled"}
		if a.Moved || a.Noticed > 0 {
			q.Parameters["moved"] = "yes"
		}
		if _, err := c.host.automation.Offer(ctx, c.host.runner, q, ahead); err != nil {
			return err
		}
	}
	a.Noticed = a.Edition
	return nil
}

// request is that of a run about an announcement. Its ID is the same from whichever replica,
// and however often it is asked for.
func (c *canvasWindows) request(r *reached, a *announcement, now time.Time, what, users string) incident.Request {
	in := min(max(a.start().Sub(now), 0), noticeAhead).Round(time.Second)
	lasts := min(max(a.To.Sub(a.From), time.Minute), longestWindow).Round(time.Second)
	if r != c.host.users {
		users = "none"
	}
	return incident.Request{
		ID: "canvas-" + a.Key + "-" + what + "-" + r.Name, Environment: r.Name, Playbook: canvasPlaybook, Automatic: true,
		Parameters: map[string]string{"planned": "yes", "in": in.String(), "lasts": lasts.String(), "announcement": a.Key, "users": users},
	}
}

// mainRun names the run of a revision.
func mainRun(a *announcement) string { return "window-" + strconv.Itoa(a.Revision) }

// offer begins the playbook shortly before its time, or asks people, once for each time for
// which it is announced.
func (c *canvasWindows) offer(ctx context.Context, p *canvasPage, a *announcement, now time.Time) error {
	if a.Offered == a.Revision || !now.Before(a.To) {
		return nil
	}
	ahead, waiting := a.start().Sub(now), false
	var errs []error
	for _, r := range p.environments {
		if !c.host.can(canvasPlaybook, r.Name) {
			continue
		}
		lead := suggestAhead
		if c.host.acts(r.Name) {
			lead = actAhead
		}
		if ahead > lead {
			waiting = true
			continue
		}
		users := "all"
		if a.Noticed > 0 {
			users = "begun"
		}
		within := ahead
		if ahead <= 0 {
			within = a.To.Sub(now)
		}
		did, err := c.host.automation.Offer(ctx, c.host.runner, c.request(r, a, now, mainRun(a), users), max(within, time.Minute))
		errs = append(errs, err)
		if did == incident.OfferLeft && r == c.host.users {
			errs = append(errs, c.host.inform(ctx, "canvas-maintenance-"+a.Key, incident.Message{
				Title: "A person has to begin canvas-maintenance of " + r.Name + " for " + c.host.clock(a.From),
				Text:  "Automation only observes there. Without it users get errors while Canvas is away.",
			}))
		}
	}
	err := errors.Join(errs...)
	if err == nil && !waiting {
		a.Offered = a.Revision
	}
	return err
}

// acts reports whether automation begins things by itself in an environment.
func (h *Host) acts(environment string) bool {
	for _, p := range h.cfg.Policies {
		if p.Environment == environment {
			return p.Mode == incident.Act
		}
	}
	return false
}

// missed tells the operators that a maintenance has begun and that there is no run of it: what
// it does to users is muted then, so somebody has to know.
func (c *canvasWindows) missed(ctx context.Context, p *canvasPage, a *announcement, now time.Time) error {
	const grace = 2 * time.Minute
	if a.Missed == a.Revision || now.Before(a.start().Add(grace)) || !now.Before(a.To) {
		return nil
	}
	for _, r := range p.environments {
		if r != c.host.users {
			continue
		}
		there, err := c.ran(ctx, r, a)
		if err != nil {
			return err
		}
		if there {
			continue
		}
		if err := c.host.inform(ctx, "canvas-maintenance-"+a.Key, incident.Message{
			Title: "The maintenance of Canvas has begun, and nobody began canvas-maintenance of " + r.Name,
			Text:  "The application does not know that Canvas is away: begin the playbook, with planned=yes and announcement=" + a.Key + ".",
		}); err != nil {
			return err
		}
	}
	a.Missed = a.Revision
	return nil
}

// ran reports whether there is a run of the present revision.
func (c *canvasWindows) ran(ctx context.Context, r *reached, a *announcement) (bool, error) {
	_, err := c.host.runner.Run(ctx, c.request(r, a, a.From, mainRun(a), "").ID)
	if errors.Is(err, incident.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// callOff lets users be told that what they were told of will not be.
func (c *canvasWindows) callOff(ctx context.Context, p *canvasPage, a *announcement, now time.Time) error {
	if a.Off || a.Noticed == 0 {
		return nil
	}
	for _, r := range p.environments {
		if r != c.host.users || !c.host.can(canvasPlaybook, r.Name) {
			continue
		}
		if _, err := c.host.automation.Offer(ctx, c.host.runner, c.request(r, a, now, "off-"+strconv.Itoa(a.Revision), "off"), 0); err != nil {
			return err
		}
	}
	a.Off = true
	return nil
}

// close ends it on the public status page, if no run did.
func (c *canvasWindows) close(ctx context.Context, p *canvasPage, a *announcement) error {
	if a.Closed || a.Told == 0 {
		return nil
	}
	for _, r := range p.environments {
		there, err := c.ran(ctx, r, a)
		if err != nil {
			return err
		}
		if there && r == c.host.users {
			a.Closed = true
			return nil
		}
	}
	if err := c.show(ctx, a, statuspage.Completed, "It is over."); err != nil {
		return err
	}
	a.Closed = true
	return nil
}

// clock writes a time as people read it, in their zone.
func (h *Host) clock(t time.Time) string { return t.In(h.cfg.Zone).Format("Mon 2 Jan 15:04 MST") }
