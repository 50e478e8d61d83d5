package railway

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/railway/internal/gql"
)

// WebhookConfig says what a [Webhook] receives, and for whom.
type WebhookConfig struct {
	// Environment is the environment whose events count; those of others are
	// ignored. Its client reads the deployments. Required.
	Environment *Environment
	// Secret is the last element of the path to which Railway sends, since Railway
	// signs nothing: at least 16 letters, digits, "-" and "_". Required. It must be
	// kept out of the logs of proxies as well as can be; that an event is verified
	// by a read is what protects the host if it was not.
	Secret runbook.Secret
	// Handle is told of an event, by [Webhook.Run] and one at a time. After an error,
	// or a panic, the event is handled again if Railway repeats it. Required.
	Handle func(ctx context.Context, e Event) error
	// Failed is told, by Run, of what was not handled and why: it could not be
	// verified, or Handle failed. Nil means nobody.
	Failed func(ctx context.Context, e Event, err error)
	// Waiting is how many events may wait for Run. Zero means 256. One more is
	// answered with 503.
	Waiting int
}

// An Event is what Railway told.
type Event struct {
	// Type is its type in lower case and without "_", because Railway writes it in
	// several ways: "deployment.failed", "deployment.oomkilled", "monitor.triggered".
	// It decides what happened; the status that Railway sends beside it is about
	// something else, "SUCCESS" in its own example of a failure. Events of the form
	// from before November 2025 are "deployment." and what their status means, or
	// "deployment.changed" without one.
	Type string
	// Time is when it happened, as Railway says; zero if it does not.
	Time time.Time
	// Severity is Railway's word for how bad it is; may be empty.
	Severity string
	// Service is the ID of the service it is about; may be empty.
	Service string
	// Deployment is the deployment as it was read after the event came, which may be
	// later than what Type says. Whether it is the current one was not read. Empty
	// if the event is about none.
	Deployment incident.Deployment
	// Verified says that Deployment was read, in this environment. Events about a
	// volume or a monitor cannot be verified: take them as a hint to look.
	Verified bool
}

// Webhook receives the webhooks of Railway, in the form of today and in the one from
// before November 2025 (https://docs.railway.com/observability/webhooks). It is an
// http.Handler; [Webhook.Run] does the work that events cause.
//
//	mux.Handle("POST /hooks/railway/", webhook) // called as /hooks/railway/<Secret>
//
// It answers at once: 200 if an event was accepted, and if it was ignored because it
// is of another environment or a repeat; 404 if the secret is wrong, 405, 413, or 400
// if it is not an event; 503 if too many are waiting. What was accepted is in memory
// only: a webhook is a hint that may be lost, and never the only source.
//
// Railway signs nothing, so nothing is believed: the host's func is called only after
// the deployment was read. It is safe for concurrent use.
type Webhook struct {
	cfg    WebhookConfig
	secret [sha256.Size]byte
	seen   recent
	queue  chan received
}

// received is an event on its way to the host.
type received struct {
	payload payload
	key     [sha256.Size]byte
}

// NewWebhook returns a Webhook, or all problems of cfg.
func NewWebhook(cfg WebhookConfig) (*Webhook, error) {
	var problems []error
	if cfg.Environment == nil {
		problems = append(problems, errors.New("railway: webhook: Environment is missing"))
	}
	if !isPathSecret(cfg.Secret.Reveal()) {
		problems = append(problems, errors.New(`railway: webhook: Secret must have at least 16 letters, digits, "-" and "_"`))
	}
	if cfg.Handle == nil {
		problems = append(problems, errors.New("railway: webhook: Handle is missing"))
	}
	if cfg.Waiting < 0 {
		problems = append(problems, errors.New("railway: webhook: Waiting must not be negative"))
	}
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	if cfg.Waiting == 0 {
		cfg.Waiting = 256
	}
	return &Webhook{cfg: cfg, secret: sha256.Sum256([]byte(cfg.Secret.Reveal())), queue: make(chan received, cfg.Waiting)}, nil
}

func isPathSecret(s string) bool {
	return len(s) >= 16 && strings.IndexFunc(s, func(r rune) bool {
		return r != '-' && r != '_' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
	}) < 0
}

// maxEvent is how long the body of a webhook may be.
const maxEvent = 256 << 10

// ServeHTTP receives one event.
func (w *Webhook) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	status := w.receive(rw, r)
	if status == http.StatusMethodNotAllowed {
		rw.Header().Set("Allow", http.MethodPost)
	}
	rw.Header().Set("Cache-Control", "no-store")
	rw.WriteHeader(status)
}

func (w *Webhook) receive(rw http.ResponseWriter, r *http.Request) (status int) {
	given := sha256.Sum256([]byte(r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:]))
	switch {
	case !equal(given, w.secret):
		return http.StatusNotFound
	case r.Method != http.MethodPost:
		return http.StatusMethodNotAllowed
	}
	body, err := io.ReadAll(http.MaxBytesReader(rw, r.Body, maxEvent))
	if err != nil {
		if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
			return http.StatusRequestEntityTooLarge
		}
		return http.StatusBadRequest
	}
	p, err := parsePayload(body)
	switch {
	case err != nil:
		return http.StatusBadRequest
	case p.environment != w.cfg.Environment.id:
		return http.StatusOK
	}
	in := received{p, p.key(body)}
	if !w.seen.add(in.key) {
		return http.StatusOK
	}
	select {
	case w.queue <- in:
		return http.StatusOK
	default:
		w.seen.drop(in.key)
		return http.StatusServiceUnavailable
	}
}

// Run verifies the events that were accepted and calls the host's func for each, in
// the order in which they came, until ctx ends, and returns the error of ctx. What is
// then still waiting waits for the next Run. Several may run; events then pass each
// other.
func (w *Webhook) Run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case in := <-w.queue:
			e, err := w.handle(ctx, in.payload)
			if err == nil {
				continue
			}
			w.seen.drop(in.key)
			if w.cfg.Failed != nil {
				w.cfg.Failed(ctx, e, err)
			}
		}
	}
}

func (w *Webhook) handle(ctx context.Context, p payload) (e Event, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("railway: webhook: Handle panicked: %v", v)
		}
	}()
	e = Event{Type: p.kind, Time: p.time, Severity: p.severity, Service: p.service}
	if p.deployment != "" {
		if err := w.verify(ctx, p, &e); err != nil {
			return e, err
		}
	}
	return e, w.cfg.Handle(ctx, e)
}

// unlisted is for how long a deployment may not be found after an event about it.
const unlisted = 10 * time.Second

// verify reads the deployment of an event.
func (w *Webhook) verify(ctx context.Context, p payload, e *Event) error {
	env := w.cfg.Environment
	o := env.c.op("read deployment %s of a webhook", p.deployment)
	got, err := gql.Deployment(ctx, o, p.deployment)
	for began := time.Now(); errors.Is(err, incident.ErrNotFound) && time.Since(began) < unlisted && pause(ctx, 2*time.Second) == nil; {
		got, err = gql.Deployment(ctx, o, p.deployment)
	}
	if err != nil {
		return err
	}
	d := got.Deployment
	if d.EnvironmentId != env.id || d.ProjectId != env.project {
		return o.refuse(nil, "the event is not what it says: the deployment is one of another environment")
	}
	e.Deployment, e.Service, e.Verified = deploymentOf(d, ""), gql.Text(d.ServiceId), true
	return nil
}
