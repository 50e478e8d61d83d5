package railwaytest

import (
	"context"
	"crypto/rand"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/coder/websocket"
)

// Server is a Railway in memory. The zero value has nothing in it and is ready to
// use: add a workspace, a project, an environment, services and a token.
//
// The fields are read when they are needed and must not be changed after first use;
// the methods may be called at any time. A Server is safe for concurrent use, and
// must not be copied.
type Server struct {
	// Lag is how long reads lag behind writes: a deployment that was just made is
	// not listed yet. Zero means 200 ms, negative none.
	Lag time.Duration
	// Building and Deploying are how long a deployment builds and deploys. Zero
	// means 20 s and 5 s, negative at once.
	Building, Deploying time.Duration
	// Working is how long a workflow runs: a commit, a backup, a restore. Zero means
	// 2 s.
	Working time.Duration
	// PerHour and PerSecond limit the requests of a token. Zero means 10,000 and 50,
	// those of the plan Pro.
	PerHour, PerSecond int

	mu        sync.Mutex // guards what follows
	world     *world
	mux       *http.ServeMux
	catalogue *catalogue
	dropped   []string // what Drop took out of it
	query     map[string]resolver
	mutate    map[string]resolver
	feeds     map[string]stream
	tokens    map[string]*token
	faults    []*Fault
	limits    limits
	effects   []string
	calls     []string
	sent      map[string][][]byte // what subscriptions got last
	changed   chan struct{}       // closed by the next change
	sockets   map[*websocket.Conn]bool
	forbid    bool
	broken    bool
}

// init makes what the zero value does not have. The lock is held.
func (s *Server) init() {
	if s.world != nil {
		return
	}
	s.world = newWorld()
	s.catalogue = sharedCatalogue()
	s.mux = s.routes()
	s.query, s.mutate, s.feeds = s.queries(), s.mutations(), s.streams()
	s.tokens = map[string]*token{}
	s.sent = map[string][][]byte{}
	s.changed = make(chan struct{})
}

// lock locks the server for a change. The func that it returns unlocks it and wakes
// those that wait for one.
func (s *Server) lock() (unlock func()) {
	s.mu.Lock()
	s.init()
	return func() {
		close(s.changed)
		s.changed = make(chan struct{})
		s.mu.Unlock()
	}
}

// step runs f with the lock, for reading.
func (s *Server) step(f func(now time.Time)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.init()
	f(time.Now())
}

// watch returns a channel that is closed when anything changes.
func (s *Server) watch() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.init()
	return s.changed
}

// wait waits until changed is closed or d has passed; its error is that of ctx.
func (s *Server) wait(ctx context.Context, changed <-chan struct{}, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-changed:
	case <-timer.C:
	case <-ctx.Done():
	}
	return ctx.Err()
}

// ServeHTTP is the API: operations by POST and subscriptions by WebSocket on
// /graphql/v2, and uploads on /project/{project}/environment/{environment}/up.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.init()
	mux, broken := s.mux, s.broken
	s.mu.Unlock()
	if broken {
		panic(http.ErrAbortHandler)
	}
	mux.ServeHTTP(w, r)
}

func (s *Server) routes() *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("/graphql/v2", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "" {
			s.serveSocket(w, r)
			return
		}
		s.serveOperation(w, r)
	})
	mux.HandleFunc("POST /project/{project}/environment/{environment}/up", s.serveUpload)
	return mux
}

// Effects returns the changes that took effect, in order: the name of the mutation,
// what it was done to, and what else matters, such as "deploymentRollback <id>".
func (s *Server) Effects() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.effects)
}

// effect notes a change that took effect. The lock is held.
func (s *Server) effect(format string, args ...any) {
	s.effects = append(s.effects, fmt.Sprintf(format, args...))
}

// Calls returns the operations that were received, in order, whatever became of
// them, by the name of the operation, or of its first field if it has none. Those of
// subscriptions are "subscription:<name>", that of an upload is "up". What could not
// be read as an operation, or never got here, is not in it.
func (s *Server) Calls() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.calls)
}

// Forbid makes all tokens dead, or alive again: every operation is "Not Authorized".
func (s *Server) Forbid(on bool) {
	defer s.lock()()
	s.forbid = on
}

// Break takes the server from the network, or puts it back. Connections of
// [Server.Client] are refused; on a port they break. Open WebSockets break.
func (s *Server) Break(on bool) {
	for _, c := range s.setBroken(on) {
		_ = c.CloseNow() // its client may have gone first
	}
}

func (s *Server) setBroken(on bool) (open []*websocket.Conn) {
	defer s.lock()()
	s.broken = on
	if on {
		open = slices.Collect(maps.Keys(s.sockets))
	}
	return open
}

// newID makes an ID as Railway's are, a UUID.
func newID() string {
	var b [16]byte
	rand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[0:4], b[4:6], b[6:8], b[8:10], b[10:])
}
