package world

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"go.acu.edu.au/runbook/canvas/canvastest"
	"go.acu.edu.au/runbook/internal/memhttp"
	"go.acu.edu.au/runbook/lti/ltitest"
	"go.acu.edu.au/runbook/railway/railwaytest"
)

// environment is one of the three, with everything that belongs to it.
type environment struct {
	w                                     *World
	index                                 int
	name, instance, application, canvasAt string

	id          string            // at the platform
	token       string            // of the platform
	volume      string            // of the database
	services    map[string]string // name by ID
	deployments map[string]string // name of the service by ID of the deployment
	configured  map[string]string // variables of the application, as they were last seen
	flux        time.Time         // when something was last set going
	moving      bool              // something may be under way
	looked      time.Time         // when it was looked what runs
	frozen      bool              // pushes are not deployed
	proven      string            // the secret that was seen in use last, while it is renewed
	purged      time.Time         // when expired nonces were removed last

	history map[int]bool // hours of the day of which the days before are measured

	canvas   *canvastest.Server
	platform *ltitest.Platform
	clientID string
	keyIsOn  bool
	// newKeys are developer keys that were made later; tokenUser and testCourse are the user
	// of the token and the course for tests, in Canvas.
	newKeys               []string
	tokenUser, testCourse int64
	dumps                 *dumps
	own                   *http.Client // for what the world itself asks
	launched              launches

	app      application
	database database
	redis    dependency
}

// Commits of the application. The first is the one before the one that runs.
const (
	formerCommit  = "5d0e4b1c77a2"
	presentCommit = "9c1f3e7a0b64"
)

// newEnvironment makes an environment in which everything runs.
func (w *World) newEnvironment(index int, p place) (*environment, error) {
	e := &environment{w: w, index: index, name: p.name, instance: p.instance, application: p.application, canvasAt: p.canvas, services: map[string]string{}, deployments: map[string]string{}, history: map[int]bool{}}
	now := time.Now()
	if err := e.newCanvas(); err != nil {
		return nil, err
	}
	e.id = w.railway.AddEnvironment(w.project, p.name)
	e.configured = e.variables()
	app := w.railway.AddService(e.id, railwaytest.Service{Name: "app", Repo: "acu/qa-automation", Commit: presentCommit, Variables: maps.Clone(e.configured), Undeployed: true})
	postgres := w.railway.AddService(e.id, railwaytest.Service{Name: "postgres", Image: "postgres:16", Undeployed: true})
	redis := w.railway.AddService(e.id, railwaytest.Service{Name: "redis", Image: "redis:7", Undeployed: true})
	e.services[app], e.services[postgres], e.services[redis] = "app", "postgres", "redis"
	add := func(service string, d railwaytest.Deployment) string {
		id := w.railway.AddDeployment(e.id, service, d)
		e.deployments[id] = e.services[service]
		return id
	}
	add(app, railwaytest.Deployment{Commit: formerCommit, Message: "Sort reports by course", Created: now.Add(-75 * time.Hour), CanRollback: true})
	runs := add(app, railwaytest.Deployment{Status: "SUCCESS", Commit: presentCommit, Message: "Faster reports", Created: now.Add(-51 * time.Hour), CanRollback: true})
	database := add(postgres, railwaytest.Deployment{Status: "SUCCESS", Image: "postgres:16", Created: now.Add(-60 * 24 * time.Hour)})
	cache := add(redis, railwaytest.Deployment{Status: "SUCCESS", Image: "redis:7", Created: now.Add(-60 * 24 * time.Hour)})
	e.volume = w.railway.AddVolume(e.id, postgres, railwaytest.Volume{Name: "postgres-data", MountPath: "/var/lib/postgresql/data", SizeMB: 10_000, UsedMB: 3100, Data: wholeData})
	e.token = w.railway.AddToken(railwaytest.Token{Kind: "project", Project: w.project, Environment: e.id})
	e.newBackups(now)
	e.dumps = newDumps(e, now)
	e.own = handlerClient(http.HandlerFunc(e.serve))
	e.app = newApplication(e, run{deployment: runs, commit: presentCommit, variables: maps.Clone(e.configured), began: now.Add(-51 * time.Hour)}, now)
	e.database = newDatabase(e, database, now)
	e.redis = dependency{deployment: cache, up: true}
	return e, nil
}

// service returns the ID of a service.
func (e *environment) service(name string) string {
	for id, n := range e.services {
		if n == name {
			return id
		}
	}
	return ""
}

// variables are those of the application, as they are configured at the beginning.
func (e *environment) variables() map[string]string {
	prefix := e.prefix()
	return map[string]string{
		"ASYNC_WORKERS": "4", "CANVAS_RATE_LIMIT_PER_MINUTE": "240", "MEMORY_LIMIT_MB": "512", "MAX_CONCURRENT_TASKS": "10",
		"BATCH_SIZE": "50", "PARALLEL_PROCESSING_LIMIT": "5", "PROGRESS_UPDATE_INTERVAL": "2", "CANVAS_MAINTENANCE_MODE": "false",
		"OPS_TOKEN": e.operatorToken(), "SECRET_KEY": e.secret(1), "DATABASE_URL": "postgresql://app:" + e.secret(3) + "@postgres.railway.internal/qa",
		prefix + "CLIENT_ID": e.clientID, prefix + "PRIVATE_KEY": firstKey(), prefix + "BASE_URL": "https://" + e.canvasAt,
	}
}

// prefix is what the names of variables about Canvas begin with.
func (e *environment) prefix() string { return "CANVAS_" + strings.ToUpper(e.instance) + "_" }

// keyVariable is the variable with the private key of the tool.
func (e *environment) keyVariable() string { return e.prefix() + "PRIVATE_KEY" }

// operatorToken is what the application asks for at the endpoints that are not public.
func (e *environment) operatorToken() string { return e.secret(2) }

// secret is a text that nobody guesses, and that the seed draws.
func (e *environment) secret(n int64) string {
	return fmt.Sprintf("%013x%013x", uint64(e.w.noise(e, n, 21)*(1<<52)), uint64(e.w.noise(e, n, 22)*(1<<52)))
}

// roundTripper is one that a func makes.
type roundTripper func(r *http.Request) (*http.Response, error)

// RoundTrip implements [http.RoundTripper].
func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// platformClient reaches the platform, and writes down what is changed there.
func (e *environment) platformClient() *http.Client {
	way := e.w.railway.Client().Transport
	return &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
		if why := e.w.enter(); why != nil {
			return nil, why
		}
		if r.Header.Get("Upgrade") != "" {
			e.w.mu.Lock()
			away := e.w.active(RailwayIncident) != nil
			e.w.mu.Unlock()
			if away {
				return nil, memhttp.Refused()
			}
		}
		request := bodyOf(r)
		if strings.Contains(request, "metrics(") || strings.Contains(request, "Metrics") {
			e.w.mu.Lock()
			e.remember(time.Now())
			e.w.mu.Unlock()
		}
		resp, err := way.RoundTrip(r)
		e.w.mu.Lock()
		defer e.w.mu.Unlock()
		e.w.collect(e, request)
		if strings.Contains(request, "deploymentSnapshot") {
			e.proves()
		}
		return resp, err
	})}
}

// enter brings the world up to the present before somebody looks; its error is that the
// world is closed.
func (w *World) enter() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return errClosed
	}
	w.advance(time.Now())
	return nil
}

// listing is the answer about the newest deployments of a service.
type listing struct {
	Data map[string]struct {
		Edges []struct{ Node deployed }
	}
}

// deployed is a deployment as the platform tells it.
type deployed struct {
	ID                         string
	Status                     string
	DeploymentStopped          bool
	CreatedAt, StatusUpdatedAt time.Time
	Meta                       struct{ CommitHash string }
}

const listQuery = `query world($environment: String!, $app: String!, $postgres: String!, $redis: String!) {
	app: deployments(first: 10, input: {environmentId: $environment, serviceId: $app}) { edges { node { id status deploymentStopped createdAt statusUpdatedAt meta } } }
	postgres: deployments(first: 4, input: {environmentId: $environment, serviceId: $postgres}) { edges { node { id status deploymentStopped createdAt statusUpdatedAt meta } } }
	redis: deployments(first: 4, input: {environmentId: $environment, serviceId: $redis}) { edges { node { id status deploymentStopped createdAt statusUpdatedAt meta } } }
}`

// refresh looks at what runs, if something may have changed since the last look. The lock
// is held.
func (e *environment) refresh(now time.Time) {
	if !e.moving || e.looked.After(e.flux) && now.Sub(e.looked) < time.Second {
		return
	}
	e.looked = now
	list, err := e.list()
	if err != nil {
		return // it is looked at again at the next look
	}
	e.moving = now.Sub(e.flux) < 10*time.Second
	for service, d := range map[string]func(deployed){"app": e.app.deployed, "postgres": e.database.deployed, "redis": e.redis.deployed} {
		var current *deployed
		for _, edge := range list.Data[service].Edges {
			node := edge.Node
			e.deployments[node.ID] = service
			switch node.Status {
			case "SUCCESS", "CRASHED", "SLEEPING":
				if current == nil || node.StatusUpdatedAt.After(current.StatusUpdatedAt) {
					current = &node
				}
			case "REMOVED", "FAILED", "SKIPPED":
			case "DEPLOYING":
				if e.runs(service) == node.ID {
					current = &node
				}
				e.moving = true
			default:
				e.moving = true
			}
		}
		if current == nil {
			current = &deployed{Status: "REMOVED", StatusUpdatedAt: now}
		}
		d(*current)
	}
	e.variablesChanged("")
	e.app.replicas = e.replicas()
}

// runs returns the deployment of a service that is known to run.
func (e *environment) runs(service string) string {
	switch service {
	case "app":
		return e.app.run.deployment
	case "postgres":
		return e.database.deployment
	}
	return e.redis.deployment
}

// stir says that something was set going. The lock is held.
func (e *environment) stir() { e.flux, e.moving = time.Now(), true }

func (e *environment) replicas() int {
	n := 0
	for _, in := range e.w.railway.Running(e.id, e.service("app")) {
		n += in
	}
	return max(1, n)
}

// list asks the platform for the newest deployments.
func (e *environment) list() (l listing, err error) {
	err = e.w.ask(listQuery, map[string]any{"environment": e.id, "app": e.service("app"), "postgres": e.service("postgres"), "redis": e.service("redis")}, &l)
	return l, err
}

// ask asks the platform as its administrator.
func (w *World) ask(query string, variables map[string]any, into any) error {
	body, err := json.Marshal(map[string]any{"query": query, "variables": variables})
	if err != nil {
		return err
	}
	r := httptest.NewRequest(http.MethodPost, "https://backboard.railway.com/graphql/v2?source=world", bytes.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+w.admin)
	r.Header.Set("Content-Type", "application/json")
	answer := httptest.NewRecorder()
	w.railway.ServeHTTP(answer, r)
	if answer.Code != http.StatusOK {
		return fmt.Errorf("the platform answered %d", answer.Code)
	}
	return json.Unmarshal(answer.Body.Bytes(), into)
}
