//go:build unix

package services

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Postgres is a PostgreSQL server of one test: with its own data, on its own
// port of 127.0.0.1, ended and removed with the test. Its methods belong to
// the goroutine of the test.
type Postgres struct {
	t       testing.TB
	bin     string
	data    string
	port    int
	owner   *syscall.Credential
	output  *tail
	process *process
}

// StartPostgres makes a PostgreSQL server with the programs of [PostgresBin].
// Run by root, which PostgreSQL refuses to be run by, it runs as the user
// "postgres". The database is "runbook", as is its only user, who needs no
// password; the server writes safely to disk, as in production.
func StartPostgres(t testing.TB) *Postgres {
	t.Helper()
	p := &Postgres{t: t, bin: Need(t, PostgresBin), owner: postgresUser(t), output: new(tail)}
	folder, err := os.MkdirTemp("", "runbook-postgres-") // t.TempDir is closed to other users
	if err != nil {
		t.Fatalf("make a folder for postgres: %v", err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(folder); err != nil {
			t.Errorf("remove the folder of postgres: %v", err)
		}
	})
	if p.owner != nil {
		if err := os.Chown(folder, int(p.owner.Uid), int(p.owner.Gid)); err != nil {
			t.Fatalf("give postgres its folder: %v", err)
		}
	}
	p.data = filepath.Join(folder, "data")
	p.run("", "initdb", "--pgdata="+p.data, "--username=runbook", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync")
	p.run("CREATE DATABASE runbook;\n", "postgres", "--single", "-D", p.data, "postgres")
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("postgres said:\n%s", p.output)
		}
	})
	t.Cleanup(p.kill)
	if err := startOnFreePort(t, func(port int) error { p.port = port; return p.start() }); err != nil {
		t.Fatal(err)
	}
	return p
}

// URL is the address of the database, the same after a restart.
func (p *Postgres) URL() string {
	return "postgres://runbook@" + address(p.port) + "/runbook?sslmode=disable"
}

// Stop shuts the server down, ending its sessions: PostgreSQL's fast shutdown.
// A frozen server must be thawed before.
func (p *Postgres) Stop() {
	p.t.Helper()
	if err := p.process.stop(syscall.SIGINT, 20*time.Second); err != nil {
		p.t.Fatal(err)
	}
}

// Start starts a stopped server again, on its port and with its data, and
// waits until it takes connections.
func (p *Postgres) Start() {
	p.t.Helper()
	if p.process.running() {
		p.t.Fatal("postgres is running already")
	}
	if err := p.start(); err != nil {
		p.t.Fatal(err)
	}
}

// Freeze stops all of the server's processes where they are: connections
// stay open, new ones are taken by the kernel, and nothing answers.
func (p *Postgres) Freeze() { p.t.Helper(); p.process.freeze(p.t) }

// Thaw lets a frozen server go on.
func (p *Postgres) Thaw() { p.t.Helper(); p.process.thaw(p.t) }

func (p *Postgres) start() error {
	cmd := p.command(p.t.Context(), "postgres", "-D", p.data, "-p", strconv.Itoa(p.port),
		"-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=",
		"-c", "shared_buffers=16MB", "-c", "max_connections=50")
	var err error
	if p.process, err = startProcess(cmd, "postgres", p.output); err != nil {
		return err
	}
	if err := p.process.ready(30*time.Second, p.ready); err != nil {
		p.process.kill()
		return err
	}
	return nil
}

// ready reads the eighth line of the file by which pg_ctl, too, learns that
// the server takes connections. The file may be a former server's.
func (p *Postgres) ready() bool {
	content, err := os.ReadFile(filepath.Join(p.data, "postmaster.pid"))
	lines := strings.Split(string(content), "\n")
	return err == nil && len(lines) > 7 && lines[0] == strconv.Itoa(p.process.cmd.Process.Pid) &&
		strings.TrimSpace(lines[7]) == "ready"
}

func (p *Postgres) kill() {
	if p.process != nil {
		p.process.kill()
	}
}

// run runs one of PostgreSQL's programs to its end.
func (p *Postgres) run(input, program string, args ...string) {
	p.t.Helper()
	cmd := p.command(p.t.Context(), program, args...)
	cmd.Stdin = strings.NewReader(input)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		p.t.Fatalf("%s: %v\n%s", program, err, out.Bytes())
	}
}

func (p *Postgres) command(ctx context.Context, program string, args ...string) *exec.Cmd {
	// A server outlives the test's context, so that cleanup can end it in order.
	cmd := exec.CommandContext(context.WithoutCancel(ctx), filepath.Join(p.bin, program), args...)
	cmd.Dir = filepath.Dir(p.data)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C", "TZ=UTC"}
	if p.owner != nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: p.owner}
	}
	return cmd
}

// postgresUser returns whom the server runs as, nil for the user of the test.
func postgresUser(t testing.TB) *syscall.Credential {
	t.Helper()
	if os.Geteuid() != 0 {
		return nil
	}
	found, err := user.Lookup("postgres")
	if err != nil {
		Missing(t, "PostgreSQL does not run as root, and there is no user postgres")
	}
	var ids [2]uint64
	for i, text := range []string{found.Uid, found.Gid} {
		if ids[i], err = strconv.ParseUint(text, 10, 32); err != nil {
			t.Fatalf("the user postgres: %v", err)
		}
	}
	return &syscall.Credential{Uid: uint32(ids[0]), Gid: uint32(ids[1])}
}

// startOnFreePort tries a few ports, since another process may take a port
// between its choice and its use.
func startOnFreePort(t testing.TB, start func(port int) error) error {
	t.Helper()
	var err error
	for range 3 {
		if err = start(FreePort(t)); err == nil {
			return nil
		}
	}
	return fmt.Errorf("no server after three attempts: %w", err)
}
