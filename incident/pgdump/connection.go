package pgdump

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"go.acu.edu.au/runbook"
)

// Connection is how PostgreSQL's programs reach a database.
type Connection struct {
	// Host is a name, an address, or the folder of a socket. Required.
	Host string
	// Port zero means 5432.
	Port int
	// User and Database are required. The user must be able to read everything
	// that is dumped: pg_dump fails rather than leave rows out.
	User, Database string
	// Password is zero for a server that asks for none.
	Password runbook.Secret
	// SSLMode is libpq's sslmode: "verify-full" (the default, for empty),
	// "verify-ca", "require", or "disable" for a connection within one machine.
	// The modes that fall back to no encryption are refused.
	SSLMode string
	// RootCertFile is the absolute path of the file with the certificates that the
	// server's must descend from, read by the programs; or "system" for those
	// of the machine (version 16 and newer). The verify modes need it.
	RootCertFile string
}

func (c Connection) isZero() bool {
	return c.Host == "" && c.Port == 0 && c.User == "" && c.Database == "" && c.Password.IsZero() && c.SSLMode == "" && c.RootCertFile == ""
}

func (c Connection) sslMode() string {
	if c.SSLMode == "" {
		return "verify-full"
	}
	return c.SSLMode
}

func (c Connection) check() error {
	var problems []error
	for _, required := range []struct{ name, value string }{{"Host", c.Host}, {"User", c.User}, {"Database", c.Database}} {
		if required.value == "" {
			problems = append(problems, fmt.Errorf("pgdump: Connection.%s is missing", required.name))
		}
	}
	if strings.Contains(c.Host, ",") {
		problems = append(problems, errors.New("pgdump: Connection.Host names several hosts: name the one that is meant"))
	}
	if strings.ContainsAny(c.Host+c.User+c.Database+c.RootCertFile, "\x00\n\r") || strings.ContainsRune(c.Password.Reveal(), 0) {
		problems = append(problems, errors.New("pgdump: Connection has a field with a NUL or a line break"))
	}
	if c.Port < 0 || c.Port > 65535 {
		problems = append(problems, fmt.Errorf("pgdump: Connection.Port %d is not a port", c.Port))
	}
	if !slices.Contains([]string{"verify-full", "verify-ca", "require", "disable"}, c.sslMode()) {
		problems = append(problems, fmt.Errorf("pgdump: Connection.SSLMode %s is not verify-full, verify-ca, require or disable", quote(c.SSLMode)))
	}
	if strings.HasPrefix(c.sslMode(), "verify-") && c.RootCertFile == "" {
		problems = append(problems, fmt.Errorf("pgdump: Connection.SSLMode %s needs RootCertFile", c.sslMode()))
	}
	if c.RootCertFile != "" && c.RootCertFile != "system" && !filepath.IsAbs(c.RootCertFile) {
		problems = append(problems, fmt.Errorf("pgdump: Connection.RootCertFile %s is not an absolute path", quote(c.RootCertFile)))
	}
	return errors.Join(problems...)
}

// plainEnvironment is all that a program sees that needs no database.
func plainEnvironment() []string {
	return []string{"LC_ALL=C", "TZ=UTC"}
}

// environment is all that a program sees that connects. What libpq would look
// for in the home of the user, a password or a certificate, is pointed to where
// there is nothing.
func (c Connection) environment(application string) []string {
	port := c.Port
	if port == 0 {
		port = 5432
	}
	env := append(plainEnvironment(),
		"HOME=/nonexistent", "PGPASSFILE=/nonexistent/pgpass", "PGSSLCERT=/nonexistent/cert", "PGSSLKEY=/nonexistent/key",
		"PGGSSENCMODE=disable", "PGCONNECT_TIMEOUT=15",
		"PGHOST="+c.Host, "PGPORT="+strconv.Itoa(port), "PGUSER="+c.User, "PGDATABASE="+c.Database,
		"PGSSLMODE="+c.sslMode(), "PGAPPNAME="+application)
	if c.RootCertFile != "" {
		env = append(env, "PGSSLROOTCERT="+c.RootCertFile)
	}
	if !c.Password.IsZero() {
		env = append(env, "PGPASSWORD="+c.Password.Reveal())
	}
	return env
}

// database is the argument that names the database. It is always a connection
// string, since a bare name that looks like one would be taken for one, and name
// another server. There is no tcp_user_timeout, which would end a restore that
// waits for a lock.
func (c Connection) database() string {
	name := strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(c.Database)
	return "--dbname=dbname='" + name + "' keepalives_idle=30 keepalives_interval=10 keepalives_count=3"
}
