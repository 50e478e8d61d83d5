package railway

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/railway/internal/gql"
)

// WaitDeployment implements [incident.DeploymentWaiter]. It looks once, and then
// Railway tells by itself, over a WebSocket. Where none can be opened, or it breaks,
// it asks: every 2 s at first and every 12 s later, and less often on a plan with few
// calls an hour, of which it leaves half to others. Of a deployment that failed or
// crashed it reads the reason from its events.
//
// That it succeeded says that it was deployed, and that its health check passed
// then, which Railway does not repeat
// (https://docs.railway.com/deployments/healthchecks): probes say whether it is well.
func (s *Service) WaitDeployment(ctx context.Context, id string, progress func(incident.Deployment)) (incident.Deployment, error) {
	w := &waiter{s: s, o: s.c.op("wait for deployment %s of %s", printable(id, 60), s), id: id, progress: progress}
	if err := w.look(ctx); err != nil || w.last.Status.Settled() {
		return w.last, err
	}
	w.listen(ctx)
	return w.last, w.poll(ctx)
}

// A waiter is one wait on its way.
type waiter struct {
	s        *Service
	o        op
	id       string
	progress func(incident.Deployment)
	last     incident.Deployment
}

// look asks for the deployment.
func (w *waiter) look(ctx context.Context) error {
	d, h, err := w.s.look(ctx, w.o, w.id)
	if err != nil {
		return err
	}
	w.take(ctx, deploymentOf(d, h.current))
	return nil
}

// take takes what was seen.
func (w *waiter) take(ctx context.Context, d incident.Deployment) {
	changed := d.Status != w.last.Status
	if changed && (d.Status == incident.DeploymentFailed || d.Status == incident.DeploymentCrashed) {
		d.Reason = w.s.failure(ctx, w.o, d.ID)
	}
	w.last = d
	if changed && w.progress != nil {
		w.progress(d)
	}
}

// How long a subscription may say nothing before it is asked: when it was opened, a
// change may have come before; later it may be dead without knowing.
const (
	firstQuiet = 5 * time.Second
	laterQuiet = 10 * time.Minute
)

// listen waits by a subscription, until the deployment is settled or there is no
// subscription any more.
func (w *waiter) listen(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	told := make(chan signal[followed])
	go w.follow(ctx, told)
	defer func() {
		cancel()
		for range told { // until its goroutine has ended
		}
	}()
	quiet := time.NewTimer(handshakeLimit + firstQuiet)
	defer quiet.Stop()
	for !w.last.Status.Settled() {
		next := laterQuiet
		select {
		case sig, ok := <-told:
			switch d := sig.data.Deployment; {
			case !ok:
				return
			case sig.opened:
				next = firstQuiet
			case d != nil:
				w.take(ctx, deploymentOf(d, w.currentAfter(d)))
			}
		case <-quiet.C:
			if w.look(ctx) != nil {
				return
			}
		}
		quiet.Reset(next)
	}
}

// followed is what the subscription tells.
type followed struct {
	Deployment *gql.DeploymentFields `json:"deployment"`
}

// follow sends what the subscription tells, and closes told when it ends.
func (w *waiter) follow(ctx context.Context, told chan<- signal[followed]) {
	defer close(told)
	variables := func() map[string]any { return map[string]any{"id": w.id} }
	for sig, err := range subscribeAgain[followed](ctx, w.s.c, w.o, "FollowDeployment", variables) {
		if err != nil {
			return // it is asked then
		}
		select {
		case told <- sig:
		case <-ctx.Done():
			return
		}
	}
}

// currentAfter returns the ID of the current deployment once d has been seen: what
// is deployed is current, and before that what was.
func (w *waiter) currentAfter(d *gql.DeploymentFields) string {
	if w.last.Current || statuses[d.Status].Deployed() {
		return d.Id
	}
	return ""
}

// poll waits by asking.
func (w *waiter) poll(ctx context.Context) error {
	var p patience
	for n := 0; !w.last.Status.Settled(); n++ {
		err := pause(ctx, pace(n, w.s.c.budget.Stats()))
		if err == nil {
			if err = w.look(ctx); err == nil {
				p = patience{}
				continue
			}
			err = p.bear(ctx, err)
		}
		if ctx.Err() != nil {
			return &Error{Op: w.o.name, unrun: true, Message: fmt.Sprintf("it was %q last", string(w.last.Status)), cause: ctx.Err()}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// The paces of asking: at first, and at most; 10 minutes are fewer than 60 looks.
const (
	firstPace = 2 * time.Second
	mostPace  = 12 * time.Second
)

// quickLooks is how many looks are not spread over the hour: most deployments take
// less than a minute from where they are waited for.
const quickLooks = 5

// pace returns how long to wait before look n. A wait leaves half of the hour's calls
// to others, and most of what is left when they took that half: the smallest plan
// has 100.
func pace(n int, s BudgetStats) time.Duration {
	wait := firstPace
	for range n {
		wait = min(wait+wait/2, mostPace)
	}
	rest := time.Until(s.Reset)
	if s.Limit == 0 || rest <= 0 {
		return wait
	}
	share := max(1, s.Remaining/10, s.Remaining-s.Limit/2)
	if n < quickLooks && share > 2*quickLooks {
		return wait
	}
	return max(wait, rest/time.Duration(share))
}

// failure reads why a deployment failed from its events; empty if they do not say.
func (s *Service) failure(ctx context.Context, o op, id string) string {
	got, err := gql.DeploymentEvents(ctx, o, id, 100, nil)
	if err != nil {
		return ""
	}
	var events []*gql.EventFields
	for _, e := range got.DeploymentEvents.Edges {
		events = append(events, e.Node)
	}
	slices.SortStableFunc(events, func(a, b *gql.EventFields) int { return a.CreatedAt.Compare(b.CreatedAt) })
	for _, e := range slices.Backward(events) {
		if text := failureOf(e); text != "" {
			return text
		}
	}
	return ""
}

// failureOf says what went wrong in a step: "healthcheck failed after 8 of 8
// attempts: service unavailable".
func failureOf(e *gql.EventFields) string {
	p := e.Payload
	if p == nil {
		return ""
	}
	said := gql.Text(p.Error)
	if said == "" {
		return ""
	}
	var b strings.Builder
	b.WriteString(strings.ReplaceAll(strings.ToLower(string(e.Step)), "_", " "))
	b.WriteString(" failed")
	if p.Attempt != nil && p.MaxAttempts != nil && *p.MaxAttempts > 0 {
		fmt.Fprintf(&b, " after %d of %d attempts", *p.Attempt, *p.MaxAttempts)
	}
	b.WriteString(": ")
	b.WriteString(said)
	for _, more := range []*string{p.Reason, p.Detail} {
		if t := gql.Text(more); t != "" && t != said {
			b.WriteString("; ")
			b.WriteString(t)
		}
	}
	return printable(b.String(), 300)
}
