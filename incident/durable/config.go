package durable

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"go.acu.edu.au/runbook"
)

// Version is that of how runs are recorded. It changes when a program of this module
// could no longer go on with the record of an older one, and not when anything else
// does: a new build takes up the runs of the last. Runs of other versions are not taken,
// but shown as stranded.
const Version = "runbook-interp-1"

// ErrWatched means that the database is on a server that the host watches. Runs are what
// is needed when that server is down. Keep them in a file, or on another server; or name
// the person who takes the risk in Config.ConfirmedBy.
var ErrWatched = errors.New("the runs would be kept on a server that is watched")

// Config says where runs are kept. Exactly one of DB, Pool and URL is required.
type Config struct {
	// DB is a file that package sqlitefile opened. From [Open] on it belongs to the
	// [Runs], which closes it.
	DB *sql.DB
	// Pool is a PostgreSQL database; it stays the host's, who closes it after the Runs. Of
	// its connections at most four are used at a time; up to six more, and one that
	// stays, are opened with its settings. They must be direct, or through a pooler by
	// session.
	Pool *pgxpool.Pool
	// URL is the address of a PostgreSQL database, instead of a pool. At most eleven
	// connections are opened.
	URL runbook.Secret
	// Host names the machine, and begins the name of the process. Optional.
	Host string
	// Watched are the addresses of the servers that the host watches, "host:port" or
	// "host", with which the port is that of PostgreSQL. A database on one of them is
	// refused with [ErrWatched].
	Watched []string
	// ConfirmedBy is the person, by name, who confirmed that the database may be on a
	// watched server. Empty means that nobody did.
	ConfirmedBy string
	// Logger is told what people may want to know. Nil means slog.Default().
	Logger *slog.Logger

	// HungAfter is after which time without a sign of life a process hangs, and may be
	// taken over by a person. Zero means 30 s. All processes need the same.
	HungAfter time.Duration
	// DeadAfter is how long a process must be gone, while the database can be reached,
	// before its runs are taken over. It is the time that a process has to come back
	// when the database was away. Zero means 2 s.
	DeadAfter time.Duration
	// MaxCrashes is how many processes in succession may die with a run that does not
	// get further, before nobody takes it any more until a person releases it. Zero
	// means 10.
	MaxCrashes int

	// version is Version, or another one in tests.
	version string
}

// check returns everything that is wrong, and fills in defaults.
func (c *Config) check() error {
	var problems []error
	given := 0
	for _, is := range []bool{c.DB != nil, c.Pool != nil, !c.URL.IsZero()} {
		if is {
			given++
		}
	}
	if given != 1 {
		problems = append(problems, fmt.Errorf("of DB, Pool and URL %d are given; give one", given))
	}
	if c.Pool != nil && c.Pool.Config().MaxConns < 2 {
		problems = append(problems, errors.New("the Pool has one connection; runs of a dead process are taken over under a lock, which needs a second: give it four"))
	}
	if len(c.Host) > 60 || strings.ContainsFunc(c.Host, func(r rune) bool { return r <= ' ' || r > '~' }) {
		problems = append(problems, errors.New("the Host may have at most 60 printable ASCII characters, and no spaces"))
	}
	if c.HungAfter < 0 || c.DeadAfter < 0 || c.MaxCrashes < 0 {
		problems = append(problems, errors.New("of HungAfter, DeadAfter and MaxCrashes one is negative; leave it zero for the default"))
	}
	for _, w := range c.Watched {
		if w == "" {
			problems = append(problems, errors.New("one address of Watched is empty"))
		}
	}
	c.Logger = cmp.Or(c.Logger, slog.Default())
	c.HungAfter = cmp.Or(c.HungAfter, 30*time.Second)
	c.DeadAfter = cmp.Or(c.DeadAfter, 2*time.Second)
	c.MaxCrashes = cmp.Or(c.MaxCrashes, 10)
	c.version = cmp.Or(c.version, Version)
	return errors.Join(problems...)
}

// elsewhere returns an error if one of the servers is watched and nobody confirmed it.
func (c *Config) elsewhere(ctx context.Context, pool *pgxpool.Config) error {
	servers := []string{address(pool.ConnConfig.Host, pool.ConnConfig.Port)}
	for _, f := range pool.ConnConfig.Fallbacks {
		servers = append(servers, address(f.Host, f.Port))
	}
	for _, server := range servers {
		for _, w := range c.Watched {
			if !same(ctx, server, watched(w)) {
				continue
			}
			if strings.TrimSpace(c.ConfirmedBy) == "" {
				return fmt.Errorf("%w: %s; keep them in a file or on another server, or give ConfirmedBy", ErrWatched, server)
			}
			c.Logger.WarnContext(ctx, "runs are kept on a server that is watched", "server", server, "confirmed_by", c.ConfirmedBy)
			return nil
		}
	}
	return nil
}

func address(host string, port uint16) string {
	return net.JoinHostPort(strings.ToLower(host), strconv.Itoa(int(port)))
}

// watched gives an address its port.
func watched(w string) string {
	if host, port, err := net.SplitHostPort(w); err == nil {
		return net.JoinHostPort(strings.ToLower(host), port)
	}
	return net.JoinHostPort(strings.ToLower(strings.Trim(w, "[]")), "5432")
}

// same reports whether two addresses are of one server, by name or by what the names
// mean now.
func same(ctx context.Context, a, b string) bool {
	hostA, portA, _ := net.SplitHostPort(a)
	hostB, portB, _ := net.SplitHostPort(b)
	if portA != portB {
		return false
	}
	if hostA == hostB {
		return true
	}
	if strings.HasPrefix(hostA, "/") { // a socket of this machine
		hostA = "localhost"
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	of := func(host string) (ips []string) {
		if ip := net.ParseIP(host); ip != nil {
			return []string{ip.String()}
		}
		ips, _ = net.DefaultResolver.LookupHost(ctx, host) // a name that nobody knows is nobody's
		return ips
	}
	for _, x := range of(hostA) {
		for _, y := range of(hostB) {
			ipX, ipY := net.ParseIP(x), net.ParseIP(y)
			if ipX.Equal(ipY) || ipX.IsLoopback() && ipY.IsLoopback() {
				return true
			}
		}
	}
	return false
}
