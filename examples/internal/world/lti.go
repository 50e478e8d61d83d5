package world

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"sync"
	"time"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/internal/memhttp"
	"go.acu.edu.au/runbook/lti"
	"go.acu.edu.au/runbook/lti/ltitest"
)

// handlerClient reaches a handler in memory, whatever the host.
func handlerClient(h http.Handler) *http.Client { return memhttp.Client(h, nil) }

// signing is the part of the application that takes launches, as its process has it: with
// the keys that were there when it began.
type signing struct {
	ring *lti.KeyRing
	mux  *http.ServeMux
}

// firstKey is the private key of the tool at the beginning, as it is in its variable.
func firstKey() string { return keyText(0) }

// keyText returns a private key as it is in a variable.
func keyText(i int) string {
	der, err := x509.MarshalPKCS8PrivateKey(ltitest.ToolKey(i))
	if err != nil {
		panic(err) // an RSA key can be written
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

// privateKey is the key that the running processes got.
func (a *application) privateKey() string {
	return a.run.variables[a.e.keyVariable()]
}

// accepts reports whether the running processes take what was signed with a secret.
func (a *application) accepts(secret string) bool {
	return a.run.variables["SECRET_KEY"] == secret || a.run.variables["SECRET_KEY_PREVIOUS"] == secret
}

// registration is that of the tool.
func (e *environment) registration() lti.Registration {
	at := e.platform.Endpoints()
	return lti.Registration{Issuer: at.Issuer, ClientID: e.configuredKey(), AuthURL: at.AuthURL, JWKSURL: at.JWKSURL, TokenURL: at.TokenURL, Deployments: e.platform.Tools()[0].Deployments}
}

// launcher returns the part that takes launches, and makes it when it is needed first. The
// lock is held.
func (a *application) launcher(ctx context.Context) *signing {
	if a.sign.mux != nil {
		return &a.sign
	}
	mux := http.NewServeMux()
	a.sign.mux = mux
	ring, err := lti.NewKeyRing(ctx, lti.KeyRingConfig{Keys: []runbook.Secret{runbook.NewSecret(a.privateKey())}})
	if err != nil {
		a.e.print(a.run.deployment, "the private key cannot be used: "+err.Error(), "error")
		return &a.sign
	}
	tool, err := lti.New(lti.Config{
		LaunchURL: "https://" + a.e.application + "/lti/launch", StateKeys: []runbook.Secret{runbook.NewSecret("a secret of 32 bytes, and some more of it")},
		Registrations: []lti.Registration{a.e.registration()}, Keys: ring, HTTP: a.e.platform.Client(),
	})
	if err != nil {
		a.e.print(a.run.deployment, "launches cannot be taken: "+err.Error(), "error")
		return &a.sign
	}
	a.sign.ring = ring
	mux.Handle("/.well-known/jwks.json", ring.Handler())
	mux.Handle("/lti/login", tool.LoginHandler())
	mux.Handle("/lti/launch", tool.LaunchHandler(func(w http.ResponseWriter, _ *http.Request, _ *lti.Launch) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write([]byte("<!DOCTYPE html><title>QA automation</title>"))
	}))
	return &a.sign
}

// launchReply is what the addresses of LTI answer.
func (e *environment) launchReply(ctx context.Context, path string) (answer, http.HandlerFunc) {
	if e.fault(KeyExpired) != nil && path == "/.well-known/jwks.json" {
		return answer{status: 200, body: object{"keys": []any{}}, header: map[string]string{"Cache-Control": "public, max-age=300"}}, nil
	}
	if e.fault(KeysRotated) != nil && path == "/lti/launch" { // the process keeps the set that it has fetched
		e.printOften(time.Now(), "keys", "launch refused: no key of the platform has the kid of the token; the set was fetched when the process began")
		return answer{status: http.StatusUnauthorized, body: object{"detail": "The launch could not be verified"}}, nil
	}
	if e.skew() > 0 && path == "/lti/launch" {
		e.printOften(time.Now(), "iat", "launch refused: the token was issued in the future (iat)")
		return answer{status: http.StatusBadRequest, body: object{"detail": "The launch could not be verified"}}, nil
	}
	mux := e.app.launcher(ctx).mux
	date := ""
	if skew := e.skew(); skew > 0 {
		date = time.Now().Add(-skew).UTC().Format(http.TimeFormat)
	}
	return answer{}, func(w http.ResponseWriter, r *http.Request) {
		if date != "" {
			w.Header().Set("Date", date)
		}
		mux.ServeHTTP(w, r)
	}
}

// launchesRefused says why launches, or the application's requests to Canvas, are refused;
// empty if they are not.
func (e *environment) launchesRefused() string {
	switch {
	case !e.keyWorks():
		return "key"
	case e.fault(KeysRotated) != nil:
		return "keys"
	case e.fault(KeyExpired) != nil:
		return "expired"
	case e.fault(ClockSkew) != nil:
		return "clock"
	}
	return ""
}

// login launches the tool as a user does.
func (e *environment) login() health.Prober {
	return health.ProberFunc(func(ctx context.Context) health.Result {
		if err := e.w.enter(); err != nil {
			return health.Result{Status: health.Unknown, Cause: health.CauseFailed, Message: err.Error()}
		}
		e.w.mu.Lock()
		away := e.canvasAway()
		e.w.mu.Unlock()
		if away {
			return health.Result{Status: health.Unhealthy, Cause: health.CauseFailed, Message: "launch: Canvas does not answer"}
		}
		return e.launched.as(e.launchState(), func() health.Result { return e.launch(ctx) }, func() health.Result { return e.reachable(ctx) })
	})
}

// launch is a launch from its beginning to its end.
func (e *environment) launch(ctx context.Context) health.Result {
	began := time.Now()
	e.w.mu.Lock()
	client := e.configuredKey()
	e.w.mu.Unlock()
	resp, err := e.platform.Launch(ctx, nil, ltitest.Message{ClientID: client, User: ltitest.Student})
	took := time.Since(began)
	if err != nil {
		return health.Result{Status: health.Unhealthy, Cause: health.CauseOf(err), Message: "launch: " + err.Error(), Duration: took}
	}
	defer resp.Body.Close()
	return launchResult(resp, took)
}

// reachable asks for what a launch asks for first, which needs no signature.
func (e *environment) reachable(ctx context.Context) health.Result {
	began := time.Now()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+e.application+"/.well-known/jwks.json", nil)
	if err != nil {
		return health.Result{Status: health.Unknown, Cause: health.CauseFailed, Message: err.Error()}
	}
	resp, err := e.own.Do(r)
	took := time.Since(began)
	if err != nil {
		return health.Result{Status: health.Unhealthy, Cause: health.CauseOf(err), Message: "launch: " + err.Error(), Duration: took}
	}
	defer resp.Body.Close()
	return launchResult(resp, took)
}

func launchResult(resp *http.Response, took time.Duration) health.Result {
	if resp.StatusCode >= 400 {
		return health.Result{Status: health.Unhealthy, Cause: health.CauseStatus, Message: "launch: the tool answers " + resp.Status, Duration: took}
	}
	return health.Result{Status: health.Healthy, Duration: took, Measurements: []health.Measurement{{Name: "response_time", Value: took.Seconds(), Unit: health.Seconds}}}
}

// launches is what came of the last whole launch. Signing takes a millisecond, which is much
// for a day of launches: while nothing has changed of what they depend on, and the last one
// worked, a look at the tool stands for another one.
type launches struct {
	mu     sync.Mutex // guards the others
	worked bool
	state  launchState
}

// launchState is what launches depend on.
type launchState struct {
	refused string
	began   time.Time
	up      bool
	key     string
	client  string
}

func (e *environment) launchState() launchState {
	e.w.mu.Lock()
	defer e.w.mu.Unlock()
	return launchState{e.launchesRefused(), e.app.run.began, e.app.up && e.brokenBy() == nil && !e.unreachable(), e.app.privateKey(), e.configuredKey()}
}

// as makes a whole launch, or looks if nothing has changed since one worked.
func (l *launches) as(now launchState, whole, look func() health.Result) health.Result {
	l.mu.Lock()
	same := l.worked && l.state == now
	l.mu.Unlock()
	if same {
		return look()
	}
	r := whole()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.worked, l.state = r.Status == health.Healthy, now
	return r
}

// taskShare is what of a task of users the task for tests is: it checks one page that is
// empty, 60 ms where theirs take 24 seconds. What slows those slows it too.
const taskShare = 1.0 / 400

// task runs a small task on the course for tests.
func (e *environment) task() health.Prober {
	return health.ProberFunc(func(ctx context.Context) health.Result {
		if err := e.w.enter(); err != nil {
			return health.Result{Status: health.Unknown, Cause: health.CauseFailed, Message: err.Error()}
		}
		e.w.mu.Lock()
		why, mode := "", false
		switch {
		case !e.app.up || e.unreachable() || e.brokenBy() != nil:
			why = "the application does not answer"
		case e.database.part() != "":
			why = "the task could not be stored"
		case e.leavesCanvasAlone():
			mode = true
		case e.canvasNow().down:
			why = "Canvas could not be read"
		}
		took := time.Duration(e.app.duration * taskShare * float64(time.Second))
		e.w.mu.Unlock()
		switch {
		case why != "":
			return health.Result{Status: health.Unhealthy, Cause: health.CauseFailed, Message: "task: " + why}
		case mode:
			return health.Result{Status: health.Maintenance, Cause: health.CauseMaintenance, Message: "task: the application begins none while it leaves Canvas alone"}
		}
		if !e.w.sleep(ctx, took) {
			return health.Result{Status: health.Unhealthy, Cause: health.CauseTimeout, Message: "task: it did not end in time"}
		}
		return health.Result{Status: health.Healthy, Duration: took, Measurements: []health.Measurement{{Name: "test_task_duration", Value: took.Seconds(), Unit: health.Seconds}}}
	})
}

// keyState finds the state of a key in a list of them.
func keyState(list []byte, id string) bool {
	var keys []struct {
		ID      string `json:"id"`
		Binding struct {
			State string `json:"workflow_state"`
		} `json:"developer_key_account_binding"`
		State string `json:"workflow_state"`
	}
	if json.Unmarshal(list, &keys) != nil {
		return false
	}
	for _, k := range keys {
		if k.ID == id {
			return k.Binding.State == "on" && k.State == "active"
		}
	}
	return false
}
