package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"sync"
	"time"

	"go.acu.edu.au/runbook/canvas"
)

// Numbers of Canvas's rate limit (canvas-lms, app/middleware/request_throttle.rb):
// a request is rejected when no more than reserve is left, and leak units come
// back in a second.
const (
	reserve = 50.0
	leak    = 10.0
)

const (
	fresh = 5 * time.Second // in which Canvas is not asked again, however many ask us
	few   = 2 * reserve     // with no more left, Canvas is not asked either
)

// A budget says how much of the cost bucket of the application's token is left.
// Application and tool share the token, so they share the bucket; the headers
// of an answer to the tool tell what the application has used.
type budget struct {
	instance string
	client   *canvas.Client

	mu        sync.Mutex // held while Canvas is asked, so that it is asked once
	asked     time.Time
	measured  bool
	throttled bool
	err       error
}

// What is left of a budget, as the application reads it.
type left struct {
	Instance string `json:"instance"`
	// Remaining of Limit, in units of Canvas. Measured says that Canvas told it,
	// once at least; else it is assumed.
	Remaining float64 `json:"remaining"`
	Limit     float64 `json:"limit"`
	Measured  bool    `json:"measured"`
	// Throttled means that Canvas rejects requests now. Others is how many units a
	// second are used by those who share the token, the application included.
	Throttled bool    `json:"throttled"`
	Others    float64 `json:"others_per_second"`
	// Wait is how many seconds to wait before the next call.
	Wait float64 `json:"wait_seconds"`
}

func (t *tool) newBudgets() (map[string]*budget, error) {
	budgets := make(map[string]*budget)
	var errs []error
	for _, name := range instances {
		s := t.canvas[name]
		if s.url == "" || s.token.IsZero() {
			continue
		}
		client, err := canvas.New(canvas.Config{BaseURL: s.url, Token: s.token, UserAgent: "qa-automation-sidecar/1"})
		if err != nil {
			errs = append(errs, fmt.Errorf("sidecar: Canvas %s: %w", name, err))
			continue
		}
		budgets[name] = &budget{instance: name, client: client}
	}
	return budgets, errors.Join(errs...)
}

// left asks Canvas with one cheap request, unless it was asked just now or there
// is little left. The error is that of the last question.
func (b *budget) left(ctx context.Context) (left, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if s := b.client.Throttle().Stats(); time.Since(b.asked) > fresh && s.Remaining > few {
		asking, cancel := context.WithTimeout(ctx, 2*time.Second)
		_, err := b.client.GetUser(asking, canvas.Self)
		cancel()
		if ctx.Err() != nil { // whoever asked has gone away, which says nothing of Canvas
			return left{}, fmt.Errorf("canvas %s: %w", b.instance, ctx.Err())
		}
		b.throttled = errors.Is(err, canvas.ErrThrottled)
		if b.throttled {
			err = nil
		}
		b.asked, b.err, b.measured = time.Now(), err, b.measured || err == nil
	}
	if b.err != nil {
		return left{}, b.err
	}
	s := b.client.Throttle().Stats()
	l := left{
		Instance: b.instance, Remaining: round(min(s.Remaining, s.Mark)), Limit: s.Mark, Measured: b.measured,
		Throttled: s.Remaining <= reserve || b.throttled && time.Since(b.asked) < fresh, Others: round(s.Foreign),
	}
	l.Wait = wait(l)
	return l, nil
}

// wait is how long until Canvas takes a request again, a second at least where
// it rejects them.
func wait(l left) float64 {
	if l.Remaining > reserve && !l.Throttled {
		return 0
	}
	return math.Max(1, math.Ceil((reserve-l.Remaining)/math.Max(1, leak-l.Others)))
}

func round(x float64) float64 { return math.Round(10*x) / 10 }

// serveBudget answers GET /ops/canvas/budget?instance=.
func (t *tool) serveBudget(w http.ResponseWriter, r *http.Request) {
	name, ok := instance(w, r.URL.Query().Get("instance"))
	if !ok {
		return
	}
	b := t.budgets[name]
	if b == nil {
		fail(w, http.StatusNotFound, "Canvas "+name+" is not configured: set its CANVAS_URL_ and CANVAS_TOKEN_ variables")
		return
	}
	l, err := b.left(r.Context())
	if refusal, ok := errors.AsType[*canvas.Error](err); ok && refusal.Status >= 400 && refusal.Status < 500 {
		fail(w, http.StatusBadGateway, fmt.Sprintf("Canvas %s refuses the token with status %d: look at its CANVAS_TOKEN_ variable", name, refusal.Status))
		return
	}
	if err != nil {
		w.Header().Set("Retry-After", "5")
		fail(w, http.StatusServiceUnavailable, "Canvas "+name+" could not be asked; its budget is not known")
		return
	}
	reply(w, http.StatusOK, l)
}
