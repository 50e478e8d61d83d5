//go:build linux

package drill_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/canvas/canvastest"
	"go.acu.edu.au/runbook/examples/internal/drill"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/incidenttest"
	"go.acu.edu.au/runbook/internal/services"
)

// A site is the application of examples/sidecar on PostgreSQL and Redis, all real, and a
// platform in memory whose restarts and rollbacks are carried out on the real processes. Its
// processes belong to the goroutine of the test, which carries out the orders.
type site struct {
	t           *testing.T
	postgres    *services.Postgres
	redis       *services.Redis
	application *services.RunningApplication
	app         *appPlatform
	database    *databasePlatform
	orders      chan order

	mu    sync.Mutex
	acts  []drill.Act
	fault drill.Span
	ends  string // the kind of the act that removes the cause
	down  bool   // PostgreSQL was stopped
}

// An order is something to be done to the real processes.
type order struct {
	do   func()
	done chan struct{}
}

func newSite(t *testing.T) *site {
	s := &site{t: t, postgres: services.StartPostgres(t), redis: services.StartRedis(t), orders: make(chan order)}
	canvas := httptest.NewServer(&canvastest.Server{})
	t.Cleanup(canvas.Close)
	first := map[string]string{"DATABASE_URL": s.postgres.URL(), "GIT_COMMIT": "1111111"}
	s.application = services.StartApplication(t, services.Application{Env: map[string]string{
		"DATABASE_URL": first["DATABASE_URL"], "GIT_COMMIT": first["GIT_COMMIT"], "REDIS_URL": s.redis.URL(), "ENVIRONMENT": "production",
		"CANVAS_URL_PROD": canvas.URL, "CANVAS_TOKEN_PROD": canvastest.AdminToken,
	}})
	s.app, s.database = &appPlatform{site: s}, &databasePlatform{site: s}
	s.app.Configure(first)
	s.app.Deploy(incident.Deployment{Commit: "0000000", Status: incident.DeploymentSucceeded})
	s.app.Deploy(incident.Deployment{Commit: "1111111", Status: incident.DeploymentSucceeded})
	s.database.Deploy(incident.Deployment{Image: "postgres:15", Status: incident.DeploymentSucceeded})
	return s
}

// note adds an act.
func (s *site) note(kind, detail, text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := drill.Act{At: time.Now(), Kind: kind, Detail: detail, Text: text}
	if !slices.Contains(drill.Says(), kind) && !slices.Contains(drill.Tells(), kind) {
		a.Environment = "production"
	}
	s.acts = append(s.acts, a)
}

// mended ends the fault if this is the kind of act that removes its cause.
func (s *site) mended(by string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if by == s.ends && s.fault.To.IsZero() && !s.fault.From.IsZero() {
		s.fault.To = time.Now()
	}
}

// happened reports whether there was an act of one of the kinds since a time.
func (s *site) happened(since time.Time, kinds ...string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.ContainsFunc(s.acts, func(a drill.Act) bool { return !a.At.Before(since) && slices.Contains(kinds, a.Kind) })
}

// carryOut lets the goroutine of the test do something to the real processes. If the exercise
// ends before it is done, nobody knows whether it was.
func (s *site) carryOut(ctx context.Context, kind, detail string, do func()) error {
	o := order{do: do, done: make(chan struct{})}
	select {
	case s.orders <- o:
	case <-ctx.Done():
		return ctx.Err()
	}
	s.note(kind, detail, "")
	select {
	case <-o.done:
		s.mended(kind)
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%s: %w, %w", kind, ctx.Err(), incident.ErrOutcomeUnknown)
	}
}

// start starts the application anew, with the variables that the running deployment got.
func (s *site) start() {
	s.application.Kill() // it may hang
	env := make(map[string]string)
	for _, name := range []string{"DATABASE_URL", "GIT_COMMIT"} {
		env[name], _ = s.app.Got(name)
	}
	s.application.Restart(env)
}

// deploy deploys another commit with another address of the database, as a push does.
func (s *site) deploy(commit, database string) {
	s.app.Configure(map[string]string{"DATABASE_URL": database, "GIT_COMMIT": commit})
	s.app.Deploy(incident.Deployment{Commit: commit, Status: incident.DeploymentSucceeded})
	s.start()
}

// freeze stops the application where it is, as one does that hangs: connections are taken by
// the kernel, and nothing answers.
func (s *site) freeze() {
	_, port, _ := strings.Cut(strings.TrimPrefix(s.application.URL(), "http://"), ":")
	require.NoError(s.t, syscall.Kill(childWith(s.t, "PORT="+port), syscall.SIGSTOP))
}

// childWith returns the process that this one started with a variable.
func childWith(t *testing.T, variable string) int {
	files, err := filepath.Glob("/proc/[0-9]*/environ")
	require.NoError(t, err)
	for _, file := range files {
		env, err := os.ReadFile(file)
		if err != nil || !slices.Contains(strings.Split(string(env), "\x00"), variable) {
			continue
		}
		folder := filepath.Dir(file)
		stat, err := os.ReadFile(filepath.Join(folder, "stat"))
		if fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:])); err != nil || len(fields) < 2 || fields[1] != strconv.Itoa(os.Getpid()) {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(folder))
		require.NoError(t, err)
		return pid
	}
	require.FailNow(t, "no child has "+variable)
	return 0
}

// appPlatform is the platform of the application.
type appPlatform struct {
	incidenttest.Platform
	site *site
}

// Deployments implements [incident.Deployer]. The first two are of yesterday.
func (p *appPlatform) Deployments(ctx context.Context, limit int) ([]incident.Deployment, error) {
	list, err := p.Platform.Deployments(ctx, limit)
	for i, d := range list {
		if d.ID == "d1" || d.ID == "d2" {
			list[i].Created = d.Created.Add(-24 * time.Hour)
		}
	}
	return list, err
}

// Restart implements [incident.Deployer].
func (p *appPlatform) Restart(ctx context.Context) (incident.Deployment, error) {
	d, err := p.Platform.Restart(ctx)
	if err != nil {
		return d, err
	}
	return d, p.site.carryOut(ctx, "restart", "app", p.site.start)
}

// Rollback implements [incident.Deployer].
func (p *appPlatform) Rollback(ctx context.Context, to incident.Deployment) (incident.Deployment, error) {
	d, err := p.Platform.Rollback(ctx, to)
	if err != nil {
		return d, err
	}
	return d, p.site.carryOut(ctx, "rollback", d.Commit, p.site.start)
}

// SetDeployFreeze implements [incident.DeployFreezer].
func (p *appPlatform) SetDeployFreeze(ctx context.Context, frozen bool) (incident.FreezeState, error) {
	state, err := p.Platform.SetDeployFreeze(ctx, frozen)
	if err == nil {
		p.site.note(map[bool]string{true: "freeze", false: "unfreeze"}[frozen], "app", "")
	}
	return state, err
}

// databasePlatform is the platform of PostgreSQL.
type databasePlatform struct {
	incidenttest.Platform
	site *site
}

// Deployments implements [incident.Deployer]: a server that was stopped is shown as crashed.
func (p *databasePlatform) Deployments(ctx context.Context, limit int) ([]incident.Deployment, error) {
	list, err := p.Platform.Deployments(ctx, limit)
	p.site.mu.Lock()
	defer p.site.mu.Unlock()
	if p.site.down && len(list) > 0 {
		list[0].Status, list[0].Reason = incident.DeploymentCrashed, "the process has ended"
	}
	return list, err
}

// Restart implements [incident.Deployer].
func (p *databasePlatform) Restart(ctx context.Context) (incident.Deployment, error) {
	d, err := p.Platform.Restart(ctx)
	if err != nil {
		return d, err
	}
	return d, p.site.carryOut(ctx, "restart-database", "postgres", func() {
		if !p.site.setDown(false) {
			p.site.postgres.Stop()
		}
		p.site.postgres.Start()
	})
}

// setDown notes whether PostgreSQL is stopped, and returns whether it was.
func (s *site) setDown(down bool) (was bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	was, s.down = s.down, down
	return was
}

// A user does what users do, all the time: signs in, and has a draft checked.
type user struct {
	url string

	mu       sync.Mutex
	served   bool
	unserved []drill.Span
}

// live goes on until ctx ends.
func (u *user) live(ctx context.Context) {
	client := &http.Client{Timeout: 1500 * time.Millisecond, Transport: &http.Transport{DisableKeepAlives: true}}
	for ctx.Err() == nil {
		began := time.Now()
		err := u.work(ctx, client)
		if ctx.Err() != nil {
			return
		}
		u.mu.Lock()
		if err != nil && u.served {
			u.unserved = append(u.unserved, drill.Span{From: began, What: err.Error()})
		}
		if last := len(u.unserved) - 1; err == nil && !u.served && last >= 0 {
			u.unserved[last].To = time.Now()
		}
		u.served = err == nil
		u.mu.Unlock()
		select {
		case <-time.After(300 * time.Millisecond):
		case <-ctx.Done():
		}
	}
}

func (u *user) work(ctx context.Context, client *http.Client) error {
	post := func(path, body string, want int, cookies []*http.Cookie) ([]*http.Cookie, error) {
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, u.url+path, strings.NewReader(body))
		if err != nil {
			return nil, err
		}
		r.Header.Set("Content-Type", "application/json")
		for _, c := range cookies {
			r.AddCookie(c)
		}
		resp, err := client.Do(r)
		if err != nil {
			return nil, err
		}
		defer resp.Body.Close()
		if resp.StatusCode != want {
			return nil, fmt.Errorf("%s: status %d", path, resp.StatusCode)
		}
		return resp.Cookies(), nil
	}
	cookies, err := post("/sessions", `{"user": "Ana", "password": "`+services.DemoPassword+`"}`, 201, nil)
	if err != nil {
		return err
	}
	_, err = post("/tasks", `{"instance": "prod", "course_id": 1, "drafts": ["<p>A draft</p>"]}`, 202, cookies)
	return err
}

// seen returns whether users are served, and when they were not.
func (u *user) seen() (served bool, unserved []drill.Span) {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.served, slices.Clone(u.unserved)
}
