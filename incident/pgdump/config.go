package pgdump

import (
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"filippo.io/age"
)

// Config says what a [Dumper] works on, and with what.
type Config struct {
	// PgDump and PgRestore are the absolute paths of these programs, of one and
	// the same version. Required.
	PgDump, PgRestore string

	// Connection is the database: the one that is dumped, or the one that is
	// restored into. Zero means none: such a Dumper can only Verify.
	Connection Connection

	// DB is a pool of the same database with the same user, by which a target is
	// looked at. PlanRestore and Restore need it, and prove before they do
	// anything that it leads to the same database as Connection.
	DB *sql.DB

	// Recipients are those who can read dumps. Dump needs them. Give more than
	// one: a dump that can be read with one key only is lost with it.
	Recipients []age.Recipient
	// Identities read dumps. Verify, PlanRestore and Restore need them.
	Identities []age.Identity

	// Schemas, ExcludeSchemas, ExcludeTables and ExcludeData limit what a dump
	// has, by pg_dump's patterns: "app", "audit_*", "app.sessions". ExcludeData
	// keeps the table and leaves out its rows. A schema that Schemas names and the
	// database does not have is an error. None means everything.
	Schemas, ExcludeSchemas, ExcludeTables, ExcludeData []string

	// Compress is pg_dump's --compress: "0" for none, "1" to "9", since version
	// 16 also "zstd:3" or "lz4". Empty means pg_dump's default.
	Compress string

	// SkipOwners leaves out owners and rights when restoring: everything belongs
	// to Connection.User. It is for a server that does not have the roles.
	SkipOwners bool

	// LockTimeout is how long a dump waits for a lock on a table. Zero means 30 s.
	// A server that is busy with a change of a table makes a dump fail, not wait.
	LockTimeout time.Duration
	// StallTimeout is how long a dump waits for the next byte of pg_dump. Zero
	// means 10 minutes. A frozen server keeps its connections open and says nothing.
	// It is also how long pg_restore, when it only reads a dump, may read nothing. A
	// restore has no such limit: making an index may take hours.
	StallTimeout time.Duration
	// GracePeriod is how long a program that was told to end has for it, so that
	// it can cancel what the server does for it. Then it is killed. Zero means 5 s.
	GracePeriod time.Duration

	// Progress is called about every megabyte and at the end, from the goroutine
	// of the call. It must not block. Nil means no reports.
	Progress func(Progress)
}

// Progress is how far a call has come.
type Progress struct {
	// Op is "dump", "verify", "plan restore" or "restore".
	Op string
	// Plain is how many bytes of the archive were read, or given to pg_restore.
	Plain int64
	// Cipher is how many bytes were written to the writer, or read from the
	// reader. A restore reads the dump twice and counts from zero again.
	Cipher int64
}

// Dumper dumps a database, verifies dumps, and restores them. Use [New].
type Dumper struct {
	cfg Config
}

// New checks the configuration and returns a Dumper. It starts nothing and looks
// at nothing. The error has everything that is wrong.
func New(cfg Config) (*Dumper, error) {
	err := errors.Join(
		checkProgram("PgDump", cfg.PgDump),
		checkProgram("PgRestore", cfg.PgRestore),
		cfg.checkConnection(),
		cfg.checkKeys(),
		checkPatterns("Schemas", cfg.Schemas),
		checkPatterns("ExcludeSchemas", cfg.ExcludeSchemas),
		checkPatterns("ExcludeTables", cfg.ExcludeTables),
		checkPatterns("ExcludeData", cfg.ExcludeData),
		cfg.checkCompress(),
		fill(&cfg.LockTimeout, "LockTimeout", 30*time.Second),
		fill(&cfg.StallTimeout, "StallTimeout", 10*time.Minute),
		fill(&cfg.GracePeriod, "GracePeriod", 5*time.Second),
	)
	if err != nil {
		return nil, err
	}
	for _, list := range []*[]string{&cfg.Schemas, &cfg.ExcludeSchemas, &cfg.ExcludeTables, &cfg.ExcludeData} {
		*list = slices.Clone(*list)
	}
	cfg.Recipients, cfg.Identities = slices.Clone(cfg.Recipients), slices.Clone(cfg.Identities)
	return &Dumper{cfg: cfg}, nil
}

func checkProgram(field, path string) error {
	switch {
	case path == "":
		return fmt.Errorf("pgdump: %s is missing: give the path of the program", field)
	case !filepath.IsAbs(path) || strings.ContainsRune(path, 0):
		return fmt.Errorf("pgdump: %s %s is not an absolute path", field, quote(path))
	}
	return nil
}

func (c *Config) checkConnection() error {
	if c.Connection.isZero() {
		if c.DB != nil {
			return errors.New("pgdump: DB is given without Connection: pg_restore needs a connection of its own")
		}
		return nil
	}
	return c.Connection.check()
}

func (c *Config) checkKeys() error {
	var problems []error
	if len(c.Recipients) == 0 && len(c.Identities) == 0 {
		problems = append(problems, errors.New("pgdump: Recipients and Identities are missing: dumps can be neither written nor read"))
	}
	for i, r := range c.Recipients {
		if r == nil {
			problems = append(problems, fmt.Errorf("pgdump: Recipients[%d] is nil", i))
		}
	}
	for i, id := range c.Identities {
		if id == nil {
			problems = append(problems, fmt.Errorf("pgdump: Identities[%d] is nil", i))
		}
	}
	return errors.Join(problems...)
}

// checkPatterns keeps a pattern from being empty, which pg_dump takes for "the
// name that is empty", and thus for nothing.
func checkPatterns(field string, patterns []string) error {
	var problems []error
	for i, p := range patterns {
		if p == "" || strings.ContainsRune(p, 0) {
			problems = append(problems, fmt.Errorf("pgdump: %s[%d] is empty or has a NUL", field, i))
		}
	}
	return errors.Join(problems...)
}

var compressPattern = regexp.MustCompile(`^[a-z0-9]+(:[a-z0-9=,]+)?$`)

func (c *Config) checkCompress() error {
	if c.Compress != "" && !compressPattern.MatchString(c.Compress) {
		return fmt.Errorf("pgdump: Compress %s is not of the form 6, none or zstd:3", quote(c.Compress))
	}
	return nil
}

func fill(field *time.Duration, name string, zero time.Duration) error {
	switch {
	case *field < 0:
		return fmt.Errorf("pgdump: %s must not be negative", name)
	case *field == 0:
		*field = zero
	case *field < time.Millisecond:
		return fmt.Errorf("pgdump: %s %v is less than a millisecond", name, *field)
	}
	return nil
}

// can returns what a call lacks.
func (d *Dumper) can(database, pool, write, read bool) error {
	var missing []string
	if database && d.cfg.Connection.isZero() {
		missing = append(missing, "Connection")
	}
	if pool && d.cfg.DB == nil {
		missing = append(missing, "DB")
	}
	if write && len(d.cfg.Recipients) == 0 {
		missing = append(missing, "Recipients")
	}
	if read && len(d.cfg.Identities) == 0 {
		missing = append(missing, "Identities")
	}
	if len(missing) > 0 {
		return problem(nil, "the configuration lacks what this needs: %s", strings.Join(missing, ", "))
	}
	return nil
}
