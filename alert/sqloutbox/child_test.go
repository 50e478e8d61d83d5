package sqloutbox_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/alert/sqloutbox"
)

// childVariable makes this binary the program that is killed.
const childVariable = "RUNBOOK_SQLOUTBOX_CHILD"

func TestMain(m *testing.M) {
	if args := os.Getenv(childVariable); args != "" {
		if err := child(context.Background(), strings.Fields(args)); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// home is how the child talks to its parent.
type home struct{ url, life string }

func (h home) post(ctx context.Context, path string, body []byte) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, h.url+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.GetBody = nil // or the transport sends it again when the answer is lost
	req.Header.Set("Life", h.life)
	resp, err := http.DefaultClient.Do(req)
	if err == nil {
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
	}
	return resp, err
}

// tell is for what the parent must know.
func (h home) tell(ctx context.Context, path string, v any) {
	body, ok := v.([]byte)
	if !ok {
		body, _ = json.Marshal(v)
	}
	if _, err := h.post(ctx, path, body); err != nil {
		fmt.Println("panic: the parent does not listen:", err)
		os.Exit(1)
	}
}

// Notify makes one attempt.
func (h home) Notify(ctx context.Context, n alert.Notification) (alert.Receipt, error) {
	body, err := json.Marshal(n)
	if err != nil {
		return "", err
	}
	resp, err := h.post(ctx, "/notify", body)
	switch {
	case err != nil:
		return "", &alert.Error{Service: "parent", Op: "notify", Err: err}
	case resp.StatusCode == http.StatusTooManyRequests:
		return "", &alert.Error{Service: "parent", Op: "notify", Status: resp.StatusCode, Kind: alert.ErrLimited, RetryAfter: 20 * time.Millisecond}
	case resp.StatusCode != http.StatusOK:
		return "", &alert.Error{Service: "parent", Op: "notify", Status: resp.StatusCode}
	}
	return alert.Receipt(n.Key), nil
}

// watched tells the parent which messages are stored as arrived.
type watched struct {
	*sqloutbox.Store
	home home
	keys map[string]string // of the conversation that a thread has
}

func (w watched) Write(ctx context.Context, changes []alert.Record) error {
	if err := w.Store.Write(ctx, changes); err != nil {
		return err
	}
	stored := make(map[string]int)
	for _, r := range changes {
		var th struct {
			Key string `json:"key"`
			Seq int    `json:"seq"`
		}
		if r.Kind != "thread" || r.Data != nil && json.Unmarshal(r.Data, &th) != nil {
			continue
		}
		if before := w.keys[r.ID]; before != "" && before != th.Key {
			stored[before] = 1 << 30 // it is over
		}
		if w.keys[r.ID] = th.Key; th.Key != "" {
			stored[th.Key] = th.Seq
		}
	}
	w.home.tell(ctx, "/stored", stored)
	return nil
}

// child is the program: an engine with checks, alerts of its own, a router and a store.
func child(ctx context.Context, args []string) error {
	h := home{args[2], args[3]}
	db, err := sql.Open(args[0], args[1])
	if err != nil {
		return err
	}
	store, err := sqloutbox.New(ctx, sqloutbox.Config{DB: db})
	if err != nil {
		return err
	}
	router, err := alert.NewRouter(alert.RouterConfig{
		Targets: []alert.Target{{Name: "parent", Notifier: h, PerSecond: 1e6, Burst: 1e6, Storm: 1e9, RemindAfter: -1}},
		Routes:  []alert.Route{{Name: "all", Targets: []string{"parent"}, GroupBy: []string{"group"}, Wait: -1, Update: time.Millisecond}},
		Store:   watched{store, h, make(map[string]string)},
	})
	if err != nil {
		return err
	}
	if err := router.Start(ctx); err != nil {
		return err
	}
	restored := firingNow(router)
	engine, err := alert.NewEngine(alert.EngineConfig{
		Inputs: []alert.Input{{Name: "checks", Kind: alert.Checks}}, Out: router, Tick: 10 * time.Millisecond,
		Rules:   []alert.Rule{{Name: "check", Input: "checks", Severity: alert.Critical, When: alert.Failures{Fail: 1}, Flap: alert.Flap{Changes: -1}}},
		Restore: restored,
	})
	if err != nil {
		return err
	}
	if err := engine.Start(ctx); err != nil {
		return err
	}
	h.tell(ctx, "/ready", nil)
	if args[4] == "true" {
		return end(ctx, router, engine)
	}
	var work sync.WaitGroup
	for worker := range 3 {
		work.Go(func() { own(ctx, h, router, worker) })
	}
	work.Go(func() { check(ctx, engine) })
	work.Wait() // until it is killed
	return nil
}

func firingNow(r *alert.Router) (alerts []alert.Alert) {
	for _, s := range r.Alerts() {
		alerts = append(alerts, s.Alert)
	}
	return alerts
}

// check feeds checks of which one fails all the time, and others at random.
func check(ctx context.Context, e *alert.Engine) {
	for {
		for i, entity := range []string{"steady", "a", "b", "c"} {
			f, err := e.Feed(alert.Source{Input: "checks", Environment: "production", Entity: entity}, map[string]string{"group": entity})
			if err != nil {
				fmt.Println("panic:", err)
				return
			}
			f.Result(i == 0 || rand.IntN(3) == 0, "status 503")
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// own makes alerts that each come once: each is a conversation by itself, or shares one with
// others.
func own(ctx context.Context, h home, r *alert.Router, worker int) {
	var open []alert.Alert
	for n := 0; ; n++ {
		entity := fmt.Sprintf("%s-%d-%d", h.life, worker, n)
		a := firing(entity)
		shared := n%4 == 0
		a.Labels = map[string]string{"group": entity}
		if shared {
			a.Labels["group"] = "shared"
		}
		if r.Handle(ctx, a) == nil && !shared {
			h.tell(ctx, "/accepted", []byte(a.Key))
		}
		open = append(open, a)
		time.Sleep(time.Duration(rand.IntN(int(5 * time.Millisecond))))
		if len(open) > 3 {
			i := rand.IntN(len(open))
			_ = r.Handle(ctx, over(open[i]))
			open = append(open[:i], open[i+1:]...)
		}
	}
}

// end ends everything, and waits until it was told.
func end(ctx context.Context, r *alert.Router, e *alert.Engine) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	for range 5 {
		for _, entity := range []string{"steady", "a", "b", "c"} {
			f, err := e.Feed(alert.Source{Input: "checks", Environment: "production", Entity: entity}, map[string]string{"group": entity})
			if err != nil {
				return err
			}
			f.Result(false, "")
		}
	}
	if err := e.Stop(ctx); err != nil {
		return err
	}
	for _, a := range firingNow(r) {
		if a.State != alert.Resolved {
			if err := r.Handle(ctx, over(a)); err != nil {
				return err
			}
		}
	}
	for len(r.Alerts())+len(r.Deliveries()) > 0 {
		if ctx.Err() != nil {
			return fmt.Errorf("%d alerts and %d messages are left", len(r.Alerts()), len(r.Deliveries()))
		}
		time.Sleep(10 * time.Millisecond)
	}
	return r.Stop(ctx)
}
