package canvastest

import (
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// AdminToken is the access token that exists when a [Server] is given no users:
// it belongs to an administrator of the root account.
const AdminToken = "1~canvastest-administrator"

// RootAccount is the id of the root account, which always exists.
const RootAccount int64 = 1

// Load says what requests cost and how long they take.
type Load struct {
	// Cost is what a request costs besides the extra costs that Canvas adds to
	// some, in units. Zero means the server's, and there 0.1; negative means
	// nothing.
	Cost float64
	// Latency is how long a request runs. Zero means the server's, and there no
	// time; negative means no time.
	Latency time.Duration
	// Jitter spreads the latency evenly over Latency·(1 ± Jitter). Zero means
	// the server's, and there none; negative means none.
	Jitter float64
}

// Server is a Canvas in memory. The zero value is one school, freshly
// installed: a root account, an administrator, and [AdminToken]. Add to it with
// [Server.Add] and [Server.AddToken].
//
// The fields are read from the first use on and must not be changed then; the
// methods may be called at any time. A Server must not be copied. It is safe for
// concurrent use, by clients in several processes as well if it is served on a
// port.
type Server struct {
	// Throttle is the configuration of the rate limit.
	Throttle Throttle
	// Load is what requests cost and how long they take.
	Load Load
	// Routes changes Load for single routes, which are named as Canvas' scopes
	// name them: "GET /api/v1/courses/:course_id/pages".
	Routes map[string]Load
	// Seed makes jitter, faults by chance, and ids repeatable. Requests that run
	// at the same time may still draw in another order.
	Seed uint64
	// Buckets are the throttle's state. Nil means that this server has its own.
	Buckets *Buckets
	// Cluster names the database cluster, which LTI services share. Empty means
	// "cluster1".
	Cluster string
	// TestCluster makes this a beta or test instance: developer keys with
	// test_cluster_only work here and nowhere else.
	TestCluster bool
	// AuthErrorUpdates is Canvas' flag of that name: missing permission and
	// missing scopes are answered with 403 and not with 401.
	AuthErrorUpdates bool
	// AllowNoUserAgent lets requests without User-Agent pass, as hosted Canvas
	// did until 2026.
	AllowNoUserAgent bool
	// NoAudit leaves out the audit logs, as a self-hosted Canvas without their
	// store does: they answer 404.
	NoAudit bool
	// ClockSkew is how far the clock of Canvas is ahead. It shows in the Date
	// header, in timestamps, and in the check of client assertions.
	ClockSkew time.Duration
	// StatusHost is the name under which [Server.Client] reaches StatusPage.
	// Empty means "status.instructure.com".
	StatusHost string
	// FilesHost is the name of the file service, to which uploads go, without
	// the access token. Empty means "files.canvastest.example" for
	// [Server.Client], and the host of the request for clients that come over a
	// port.
	FilesHost string
	// UploadRedirects makes the file service answer an upload with 303 instead of
	// 201; both occur, and both name the next step by Location.
	UploadRedirects bool
	// ProgressTime is how long a job takes from queued to completed. Zero means
	// 10s.
	ProgressTime time.Duration
	// Translate changes the texts of errors, as Canvas does for users of another
	// language. Nil means English. It is called with the lock held and must not
	// call the server.
	Translate func(text string) string
	// KeySet fetches the public keys of a developer key that names them by
	// public_jwk_url. Nil means that they cannot be fetched. It is called
	// without locks and must be safe for concurrent use.
	KeySet func(url string) ([]byte, error)
	// KeepRequests is how many requests the log keeps. Zero means 10,000,
	// negative none.
	KeepRequests int
	// StatusPage is Instructure's status page, a handler of its own.
	StatusPage StatusPage

	once    sync.Once
	mu      sync.Mutex // guards what follows, and Throttle, Load and Routes
	world   *world
	router  *router
	rand    *rand.Rand
	load    map[*route]Load
	faults  []*fault
	log     requestLog
	stats   Stats
	gripe   gripes
	closed  bool // for maintenance
	dial    error
	broken  map[string]bool // components
	failing bool            // jobs
	own     Buckets
	running int
	idle    []chan struct{}

	tokenIDs map[string]string
}

// start fills the server before its first use.
func (s *Server) start() {
	s.once.Do(func() {
		s.rand = rand.New(rand.NewPCG(s.Seed, 0x63616e766173))
		s.router = newRouter(allRoutes())
		s.world = newWorld()
		s.load = make(map[*route]Load)
		for name, l := range s.Routes {
			s.load[s.mustRoute(name)] = l
		}
		s.StatusPage.follow(s.clock)
		s.seedWorld()
	})
}

// mustRoute panics for a route that does not exist, because a test that
// misspells one would test nothing.
func (s *Server) mustRoute(name string) *route {
	rt := s.router.named[name]
	if rt == nil {
		panic("canvastest: no such route: " + strconv.Quote(name))
	}
	return rt
}

// lock starts the server if need be, and locks it.
func (s *Server) lock() func() {
	s.start()
	s.mu.Lock()
	return s.mu.Unlock
}

func (s *Server) buckets() *Buckets {
	if s.Buckets != nil {
		return s.Buckets
	}
	return &s.own
}

func (s *Server) cluster() string {
	if s.Cluster == "" {
		return "cluster1"
	}
	return s.Cluster
}

// now is the clock of Canvas. Callers hold the lock.
func (s *Server) now() time.Time { return time.Now().Add(s.ClockSkew) }

// clock is now for callers without the lock.
func (s *Server) clock() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now()
}

// SetThrottle changes the configuration of the rate limit.
func (s *Server) SetThrottle(t Throttle) {
	defer s.lock()()
	s.Throttle = t
}

// SetLoad changes cost and latency: of one route, or of the whole server if
// route is empty. It panics if there is no such route.
func (s *Server) SetLoad(route string, l Load) {
	defer s.lock()()
	if route == "" {
		s.Load = l
		return
	}
	s.load[s.mustRoute(route)] = l
}

// SetMaintenance begins or ends maintenance: everything is answered with 503 and
// HTML, by what stands before Canvas.
func (s *Server) SetMaintenance(on bool) {
	defer s.lock()()
	s.closed = on
}

// SetClockSkew changes how far the clock of Canvas is ahead.
func (s *Server) SetClockSkew(d time.Duration) {
	defer s.lock()()
	s.ClockSkew = d
}

// SetNetworkError makes the clients of [Server.Client] fail before they reach
// Canvas, as when a name does not resolve or nobody listens. Nil makes the
// network whole again.
func (s *Server) SetNetworkError(err error) {
	defer s.lock()()
	s.dial = err
}

// Client returns a client whose requests this server answers in memory, whatever
// their host: the first label of a host name may be anything, http and https
// both work. It behaves on the wire as [http.Client] does with its own
// transport; redirects are followed and cookies are not kept. It works inside
// and outside of testing/synctest.
//
// A request that was begun is carried out even if the client goes away, as in
// Canvas. [Server.Wait] waits for such requests.
func (s *Server) Client() *http.Client { return s.ClientFrom("192.0.2.1") }

// ClientFrom is [Server.Client] for a client with another address: the address
// names the bucket of requests that carry no token.
func (s *Server) ClientFrom(address string) *http.Client {
	return &http.Client{Transport: &transport{handler: s, address: address + ":49152", dial: s.networkError, track: s.track}}
}

func (s *Server) networkError() error {
	defer s.lock()()
	return s.dial
}

// track counts a running request.
func (s *Server) track() (done func()) {
	s.mu.Lock()
	s.running++
	s.mu.Unlock()
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.running--; s.running > 0 {
			return
		}
		for _, c := range s.idle {
			close(c)
		}
		s.idle = nil
	}
}

// Wait returns when no request of [Server.Client] runs any more. A test in a
// synctest bubble whose clients give up on requests calls it last, so that the
// abandoned ones can end.
func (s *Server) Wait() {
	s.mu.Lock()
	if s.running == 0 {
		s.mu.Unlock()
		return
	}
	done := make(chan struct{})
	s.idle = append(s.idle, done)
	s.mu.Unlock()
	<-done
}

func itoa(n int64) string { return strconv.FormatInt(n, 10) }

// atoi returns 0, which is no id, for what is not a number.
func atoi(text string) int64 {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0
	}
	return n
}

func statusLine(status int) string {
	return strconv.Itoa(status) + " " + http.StatusText(status)
}

func contentLength(h http.Header) (int64, bool) {
	n, err := strconv.ParseInt(h.Get("Content-Length"), 10, 64)
	return n, err == nil
}
