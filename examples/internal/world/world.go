package world

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"go.acu.edu.au/runbook/incident/playbooks"
	"go.acu.edu.au/runbook/railway/railwaytest"
)

// Config says what a world is like. The zero value is a usable one.
type Config struct {
	// Seed draws what is left open: when things happen, how strong they are, and which of
	// several causes a fault has. The same seed gives the same world.
	Seed uint64
	// Zone is the zone of the people, whose day the demand follows. Nil means UTC.
	Zone *time.Location
}

// A World is the estate: three environments with everything around them. All methods are
// safe for concurrent use. It starts no goroutine but those that serve requests.
type World struct {
	cfg        Config
	railway    *railwaytest.Server
	project    string
	admin      string // a token of the platform that sees everything
	envs       []*environment
	production *environment

	mu       sync.Mutex // guards what follows; nobody sleeps with it
	rng      *rand.Rand
	began    time.Time
	acts     []Act
	at       time.Time // the step that is made; zero between steps
	effects  int       // how many of the platform's effects are in acts
	unserved []Span
	faults   []*fault
	closed   bool
	closing  chan struct{}
}

// place is where an environment is.
type place struct{ name, instance, application, canvas string }

// places are the three environments, as the runbook has them.
func places() []place {
	d := playbooks.RunbookDefaults()
	at := func(name, instance string, p playbooks.Place) place {
		return place{name, instance, strings.TrimPrefix(p.Application, "https://"), strings.TrimPrefix(p.Canvas, "https://")}
	}
	return []place{at("test", "test", d.Test), at("beta", "beta", d.Beta), at("production", "prod", d.Production)}
}

// New returns a world in which all is well, and has been for a while.
func New(cfg Config) (*World, error) {
	if cfg.Zone == nil {
		cfg.Zone = time.UTC
	}
	w := &World{
		cfg: cfg, railway: &railwaytest.Server{},
		rng: rand.New(rand.NewPCG(cfg.Seed, 0x9e3779b97f4a7c15)), began: time.Now(), closing: make(chan struct{}),
	}
	workspace := w.railway.AddWorkspace("Australian Catholic University")
	w.project = w.railway.AddProject(workspace, "qa-automation")
	w.admin = w.railway.AddToken(railwaytest.Token{Kind: "account"})
	for i, p := range places() {
		e, err := w.newEnvironment(i, p)
		if err != nil {
			return nil, fmt.Errorf("world: environment %s: %w", p.name, err)
		}
		w.envs = append(w.envs, e)
	}
	w.production = w.envs[len(w.envs)-1]
	return w, nil
}

// Close ends what still waits for an answer: requests that hang, WebSockets. Connections
// that are made afterwards are refused.
func (w *World) Close() error {
	w.mu.Lock()
	closed := w.closed
	w.closed = true
	w.mu.Unlock()
	if closed {
		return nil
	}
	close(w.closing)
	w.railway.Break(true)
	for _, e := range w.envs {
		e.canvas.Wait()
		e.platform.Wait()
	}
	return nil
}

// advance lets happen what has happened since the last look. The lock is held.
func (w *World) advance(now time.Time) {
	w.collect(nil, "")
	for _, e := range w.envs {
		e.refresh(now)
	}
	for _, f := range slices.Clone(w.faults) {
		f.settle(now)
	}
	for _, e := range w.envs {
		e.step(now)
	}
}

var errClosed = errors.New("world: it is closed")

// noise is a number from 0 to 1 that depends on the seed, the environment and the moment
// only, so that who looks when changes nothing.
func (w *World) noise(e *environment, n int64, what uint64) float64 {
	x := w.cfg.Seed*0x9e3779b97f4a7c15 ^ uint64(n)*0xbf58476d1ce4e5b9 ^ uint64(e.index+1)*0x94d049bb133111eb ^ what*0xd6e8feb86659fd93
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	x ^= x >> 31
	return float64(x>>11) / (1 << 53)
}
