package alert_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/health"
)

// printer prints alerts. A real program gives the engine a router.
type printer struct{}

func (printer) Handle(_ context.Context, a alert.Alert) error {
	fmt.Println(a.Severity, a.State+":", a.Summary)
	return nil
}

// An engine judges what it is fed.
func ExampleEngine() {
	ctx := context.Background()
	engine, err := alert.NewEngine(alert.EngineConfig{
		Inputs: []alert.Input{{Name: "queue", Kind: alert.Gauge, Every: time.Minute}},
		Rules: []alert.Rule{{
			Name: "queue_long", Input: "queue", When: alert.Above{Limit: 100, Recover: 50}, Severity: alert.Medium,
			Summary: "{value} tasks wait in {entity}", Playbook: "slow-qa-tasks",
		}},
		Out: printer{},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := engine.Start(ctx); err != nil {
		fmt.Println(err)
		return
	}
	queue, err := engine.Feed(alert.Source{Input: "queue", Environment: "production", Entity: "qa"}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, length := range []float64{20, 130, 70, 40} {
		queue.Observe(length)
	}
	if err := engine.Stop(ctx); err != nil { // hands over what was found
		fmt.Println(err)
	}
	// Output:
	// medium firing: 130 tasks wait in qa
	// medium resolved: 130 tasks wait in qa
}

// The critical alerts of the runbook, for a host that watches health and memory only.
func ExampleCriticalRules() {
	ctx := context.Background()
	rules, inputs := alert.LeaveOut(alert.CriticalRules(alert.CriticalLimits{Failures: 2}), alert.CriticalInputs(),
		alert.InputRequests, alert.InputCanvasErrors, alert.InputCanvasThrottled, alert.InputCanvasQuota,
		alert.InputDatabase, alert.InputRecentErrors, alert.InputTaskDuration)
	engine, err := alert.NewEngine(alert.EngineConfig{Rules: rules, Inputs: inputs, Out: printer{}})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := engine.Start(ctx); err != nil {
		fmt.Println(err)
		return
	}
	// A real program gives the hooks to a health.Monitor.
	hooks := engine.HealthHooks("production")
	for range 2 {
		hooks.OnResult(ctx, health.State{Name: "app", Last: health.Result{Status: health.Unhealthy, Cause: health.CauseStatus, Message: "status 502"}})
	}
	if err := engine.Stop(ctx); err != nil {
		fmt.Println(err)
	}
	// Output:
	// critical firing: app has failed 2 checks in a row
}

// What grows old is told in time: certificates, keys and credentials, as the checks of a
// monitor measure them in days. Whoever knows the moment itself feeds it as a [alert.Moment]
// to a rule that is [alert.Due] or [alert.Aged], which needs no fresh measurement.
func ExampleEngine_HealthHooks() {
	ctx := context.Background()
	age := func(name string) alert.Input {
		return alert.Input{Name: name, Kind: alert.Gauge, Unit: health.Days, Every: 24 * time.Hour}
	}
	engine, err := alert.NewEngine(alert.EngineConfig{
		Inputs: []alert.Input{age("certificate_expiry"), age("key_age"), age("credential_age")},
		Rules: []alert.Rule{
			{Name: "certificate_ends", Input: "certificate_expiry", When: alert.Below{Limit: 14}, Severity: alert.High, Summary: "the certificate of {entity} ends in {value}"},
			{Name: "key_is_old", Input: "key_age", When: alert.Above{Limit: 90}, Severity: alert.Medium, Summary: "the key of {entity} is {value} old: rotate it"},
			{Name: "credential_is_old", Input: "credential_age", When: alert.Above{Limit: 180}, Severity: alert.Medium, Summary: "the token for {entity} is {value} old: replace it"},
		},
		Out: printer{},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := engine.Start(ctx); err != nil {
		fmt.Println(err)
		return
	}
	// A real program has probers of httpprobe, which measures certificate_expiry, of
	// lti/doctor, which measures key_age, and its own.
	measures := func(name string, days float64) health.Prober {
		return health.ProberFunc(func(context.Context) health.Result {
			return health.Result{Status: health.Healthy, Measurements: []health.Measurement{{Name: name, Value: days, Unit: health.Days}}}
		})
	}
	monitor, err := health.New(health.Config{
		Hooks: engine.HealthHooks("production"),
		Checks: []health.Check{
			{Name: "site", Prober: measures("certificate_expiry", 9)},
			{Name: "lti", Prober: measures("key_age", 91)},
			{Name: "canvas", Prober: measures("credential_age", 32)},
			{Name: "railway", Prober: measures("credential_age", 200)},
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := monitor.Start(ctx); err != nil {
		fmt.Println(err)
		return
	}
	if _, err := monitor.Check(ctx); err != nil { // a real program waits for its schedule
		fmt.Println(err)
	}
	if err := monitor.Stop(ctx); err != nil {
		fmt.Println(err)
	}
	if err := engine.Stop(ctx); err != nil {
		fmt.Println(err)
	}
	// Unordered output:
	// high firing: the certificate of site ends in 9 days
	// medium firing: the key of lti is 91 days old: rotate it
	// medium firing: the token for railway is 200 days old: replace it
}

// A worker in another language tells that it works, and how long its task took.
func ExampleNewPushHandler() {
	ctx := context.Background()
	engine, err := alert.NewEngine(alert.EngineConfig{
		Inputs: []alert.Input{{Name: "worker", Kind: alert.Heartbeat}, {Name: alert.InputTaskDuration, Kind: alert.Gauge, Unit: health.Seconds}},
		Rules: []alert.Rule{
			{Name: "worker_silent", Input: "worker", When: alert.Silent{Period: time.Minute, Grace: time.Minute}, Severity: alert.High, Summary: "worker {entity} is silent"},
			{Name: "slow_task", Input: alert.InputTaskDuration, When: alert.Above{Limit: 300}, Severity: alert.Medium, Summary: "a task of {entity} took {value}"},
		},
		Out: printer{},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := engine.Start(ctx); err != nil {
		fmt.Println(err)
		return
	}
	push, err := alert.NewPushHandler(alert.PushConfig{Engine: engine, Token: runbook.NewSecret("from-your-secrets"), Environment: "production"})
	if err != nil {
		fmt.Println(err)
		return
	}
	mux := http.NewServeMux()
	mux.Handle("/push/", push)

	post := func(path, body string) int {
		r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
		r.Header.Set("Authorization", "Bearer from-your-secrets")
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, r)
		return w.Code
	}
	codes := []int{
		post("/push/worker/qa-1", ""),
		post("/push/task_duration/qa-1", `{"value": 412}`),
		post("/push/task_duration/qa-1", `{"valeu": 412}`),
	}
	if err := engine.Stop(ctx); err != nil {
		fmt.Println(err)
	}
	fmt.Println(codes)
	// Output:
	// medium firing: a task of qa-1 took 412 s
	// [204 204 400]
}
