//go:build unix

package services

import (
	"context"
	"io"
	"net"
	"os/exec"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// Redis is a Redis server of one test, on its own port of 127.0.0.1, ended
// with the test. It keeps its data in memory only: a restart loses them. Its
// methods belong to the goroutine of the test.
type Redis struct {
	t       testing.TB
	program string
	folder  string
	port    int
	output  *tail
	process *process
}

// StartRedis starts the program of [RedisServer].
func StartRedis(t testing.TB) *Redis {
	t.Helper()
	r := &Redis{t: t, program: Need(t, RedisServer), folder: t.TempDir(), output: new(tail)}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("redis said:\n%s", r.output)
		}
	})
	t.Cleanup(r.kill)
	if err := startOnFreePort(t, func(port int) error { r.port = port; return r.start() }); err != nil {
		t.Fatal(err)
	}
	return r
}

// URL is the address of its first database, the same after a restart.
func (r *Redis) URL() string { return "redis://" + address(r.port) + "/0" }

// Stop shuts the server down. A frozen server must be thawed before.
func (r *Redis) Stop() {
	r.t.Helper()
	if err := r.process.stop(syscall.SIGTERM, 10*time.Second); err != nil {
		r.t.Fatal(err)
	}
}

// Start starts a stopped server again, empty and on its port, and waits until
// it answers.
func (r *Redis) Start() {
	r.t.Helper()
	if r.process.running() {
		r.t.Fatal("redis is running already")
	}
	if err := r.start(); err != nil {
		r.t.Fatal(err)
	}
}

// Freeze stops the server where it is: connections stay open, new ones are
// taken by the kernel, and nothing answers.
func (r *Redis) Freeze() { r.t.Helper(); r.process.freeze(r.t) }

// Thaw lets a frozen server go on.
func (r *Redis) Thaw() { r.t.Helper(); r.process.thaw(r.t) }

func (r *Redis) start() error {
	cmd := exec.CommandContext(context.WithoutCancel(r.t.Context()), r.program,
		"--port", strconv.Itoa(r.port), "--bind", "127.0.0.1", "--dir", r.folder,
		"--save", "", "--appendonly", "no", "--daemonize", "no")
	cmd.Env = []string{"LC_ALL=C"}
	var err error
	if r.process, err = startProcess(cmd, "redis", r.output); err != nil {
		return err
	}
	if err := r.process.ready(15*time.Second, r.answers); err != nil {
		r.process.kill()
		return err
	}
	return nil
}

func (r *Redis) answers() bool {
	conn, err := net.DialTimeout("tcp4", address(r.port), time.Second)
	if err != nil {
		return false
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(time.Second)); err != nil {
		return false
	}
	pong := make([]byte, len("+PONG\r\n"))
	if _, err := io.WriteString(conn, "PING\r\n"); err != nil {
		return false
	}
	_, err = io.ReadFull(conn, pong)
	return err == nil && string(pong) == "+PONG\r\n"
}

func (r *Redis) kill() {
	if r.process != nil {
		r.process.kill()
	}
}
