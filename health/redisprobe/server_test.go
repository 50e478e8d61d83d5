package redisprobe_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/health/redisprobe"
)

// Answers that end a conversation instead.
const (
	hang   = "" // never answer
	hangUp = "\x00"
)

// A server answers commands as a test says, byte for byte.
type server struct {
	addr string

	mu       sync.Mutex
	commands []string // as they came, one a line
	conns    int
}

// serve starts a server on loopback. Answers are those to the commands, by
// their first word in upper case; HELLO and PING have good ones anyway.
func serve(t testing.TB, answers map[string]string) *server {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s := &server{addr: listener.Addr().String()}
	var wg sync.WaitGroup
	done := make(chan struct{})
	t.Cleanup(func() {
		close(done)
		_ = listener.Close()
		wg.Wait()
	})
	wg.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.conns++
			s.mu.Unlock()
			wg.Go(func() {
				defer conn.Close()
				s.talk(conn, answers, done)
			})
		}
	})
	return s
}

func (s *server) talk(conn net.Conn, answers map[string]string, done <-chan struct{}) {
	in := bufio.NewReader(conn)
	for {
		args, err := readCommand(in)
		if err != nil {
			return
		}
		s.mu.Lock()
		s.commands = append(s.commands, strings.Join(args, " "))
		s.mu.Unlock()
		name := strings.ToUpper(args[0])
		answer, ok := answers[name]
		switch {
		case ok:
		case name == "HELLO":
			answer = "%2\r\n$6\r\nserver\r\n$5\r\nredis\r\n$5\r\nproto\r\n:3\r\n"
		case name == "PING":
			answer = "+PONG\r\n"
		default:
			answer = "-ERR unknown command '" + args[0] + "', with args beginning with: " + strings.Join(args[1:], " ") + "\r\n"
		}
		switch answer {
		case hang:
			<-done
			return
		case hangUp:
			return
		}
		if _, err := io.WriteString(conn, answer); err != nil {
			return
		}
	}
}

func readCommand(in *bufio.Reader) ([]string, error) {
	n, err := readCount(in, '*')
	if err != nil {
		return nil, err
	}
	args := make([]string, n)
	for i := range args {
		size, err := readCount(in, '$')
		if err != nil {
			return nil, err
		}
		b := make([]byte, size+2)
		if _, err := io.ReadFull(in, b); err != nil {
			return nil, err
		}
		args[i] = string(b[:size])
	}
	return args, nil
}

func readCount(in *bufio.Reader, mark byte) (int, error) {
	line, err := in.ReadString('\n')
	if err != nil {
		return 0, err
	}
	if line[0] != mark {
		return 0, fmt.Errorf("%q is no command", line)
	}
	return strconv.Atoi(strings.TrimSpace(line[1:]))
}

// seen returns the commands received so far, but for HELLO.
func (s *server) seen() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var rest []string
	for _, c := range s.commands {
		if !strings.HasPrefix(strings.ToUpper(c), "HELLO") {
			rest = append(rest, c)
		}
	}
	return rest
}

func (s *server) connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.conns
}

// bulk returns text as a server sends it.
func bulk(text string) string {
	return fmt.Sprintf("$%d\r\n%s\r\n", len(text), text)
}

// infoText returns what a real server answered to INFO, changed by pairs of a
// line and what is in its place. The files were written by redis-server 7.0.15
// (Debian 12, 2026): a master with one replica, that replica, the same without
// its master, and a server that loads its data. The lines "os" and "executable"
// are shortened.
func infoText(t testing.TB, name string, changes ...string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "info-7.0.15-"+name+".txt"))
	require.NoError(t, err)
	text := string(b)
	for i := 0; i < len(changes); i += 2 {
		require.Contains(t, text, changes[i]+"\r\n")
		text = strings.Replace(text, changes[i]+"\r\n", changes[i+1]+"\r\n", 1)
	}
	return text
}

// client returns a client as a host has it, with the defaults of go-redis.
func client(t testing.TB, opt redis.Options) *redis.Client {
	t.Helper()
	c := redis.NewClient(&opt)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// prober returns a prober for a server, with the rest of its config from cfg.
func prober(t testing.TB, addr string, cfg redisprobe.Config) *redisprobe.Prober {
	t.Helper()
	if cfg.Client == nil {
		cfg.Client = client(t, redis.Options{Addr: addr})
	}
	p, err := redisprobe.New(cfg)
	require.NoError(t, err)
	return p
}

// freeAddr returns an address where nothing listens.
func freeAddr(t testing.TB) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, listener.Close())
	return listener.Addr().String()
}

func value(t testing.TB, r health.Result, name string) float64 {
	t.Helper()
	m, ok := r.Measurement(name)
	require.True(t, ok, "no measurement %s: %+v", name, r)
	return m.Value
}

func limit(warn, fail float64) health.Limit { return health.Limit{Warn: &warn, Fail: &fail} }
