package sqlstore_test

import (
	"bufio"
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/sqlstore"
	"go.acu.edu.au/runbook/internal/services"
	"go.acu.edu.au/runbook/internal/sqlmigrate/sqltest"
)

// childVariable makes this binary the program that is killed.
const childVariable = "RUNBOOK_SQLSTORE_CHILD"

func TestMain(m *testing.M) {
	if args := os.Getenv(childVariable); args != "" {
		if err := child(context.Background(), strings.Fields(args)); err != nil {
			fmt.Println("failed", err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// kills is how often the program is killed: 20 times, or as often as RUNBOOK_KILLS says.
func kills(t *testing.T) int {
	if n, err := strconv.Atoi(os.Getenv("RUNBOOK_KILLS")); err == nil {
		return n
	}
	if testing.Short() {
		return 5
	}
	return 20
}

// workers are how many of a child commit at the same time.
const workers = 4

// Two programs share a store, and one of them is killed by SIGKILL at a random moment,
// again and again. Every commit that was acknowledged is there, whole, and no chain has a
// hole or a fork.
func TestKill(t *testing.T) {
	t.Parallel()
	t.Run("sqlite", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "incidents.db")
		killed(t, "sqlite", "file:"+file+"?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=busy_timeout(5000)")
	})
	t.Run("postgres", func(t *testing.T) {
		killed(t, "pgx", sqltest.PostgresDatabase(t, services.Need(t, services.PostgresURL)))
	})
}

// acknowledged is what a program was told: the last entry of the chain of a worker, and the
// version of its document.
type acknowledged map[string]incident.Entry

func killed(t *testing.T, driver, address string) {
	db, err := sql.Open(driver, address)
	require.NoError(t, err)
	defer func() { _ = db.Close() }()
	db.SetMaxOpenConns(1)
	store := newStore(t, db)
	known, total, kills := make(acknowledged), 0, kills(t)
	random := rand.New(rand.NewPCG(uint64(kills), 7))
	for life := range kills {
		wait := time.Duration(random.IntN(int(150 * time.Millisecond)))
		steady := start(t, driver, address, "steady")
		victim := start(t, driver, address, "victim")
		<-steady.ready
		<-victim.ready
		time.Sleep(wait)
		total += victim.kill(t, known) + steady.kill(t, known)
		if driver == "pgx" {
			settle(t, db)
		}
		check(t, store, known)
		if t.Failed() {
			t.Fatalf("life %d", life+1)
		}
	}
	t.Logf("%d times two programs were killed; %d commits were acknowledged, and all are there", kills, total)
	assert.NotZero(t, total)
}

// settle waits until PostgreSQL has noticed that those who were killed are gone: until then
// it may commit what they had sent.
func settle(t *testing.T, db *sql.DB) {
	require.Eventually(t, func() bool {
		var others int
		err := db.QueryRowContext(t.Context(), `SELECT count(*) FROM pg_stat_activity
			WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()`).Scan(&others)
		return err == nil && others == 0
	}, time.Minute, 5*time.Millisecond)
}

// A program is a child process and what it says.
type program struct {
	cmd   *exec.Cmd
	out   *bytes.Buffer
	ready chan struct{} // it has committed something, or has ended
	done  chan struct{}
}

// start starts a program.
func start(t *testing.T, driver, address, name string) *program {
	p := &program{cmd: exec.CommandContext(t.Context(), os.Args[0]), out: new(bytes.Buffer), ready: make(chan struct{}), done: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), childVariable+"="+strings.Join([]string{driver, address, name}, " "))
	pipe, err := p.cmd.StdoutPipe()
	require.NoError(t, err)
	p.cmd.Stderr = os.Stderr
	require.NoError(t, p.cmd.Start())
	go func() {
		defer close(p.done)
		reader := bufio.NewReader(pipe)
		line, _ := reader.ReadString('\n')
		p.out.WriteString(line)
		close(p.ready)
		_, _ = io.Copy(p.out, reader)
	}()
	return p
}

// kill kills the program, adds what it was told to what is known, and returns how many
// commits that was. The last line may be cut off.
func (p *program) kill(t *testing.T, known acknowledged) int {
	require.NoError(t, p.cmd.Process.Kill())
	<-p.done // everything that it said was read
	_ = p.cmd.Wait()
	lines := strings.Split(p.out.String(), "\n")
	for _, line := range lines[:len(lines)-1] {
		var e incident.Entry
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("the program said %q", line)
		}
		known[e.Chain] = e
	}
	return len(lines) - 1
}

// check looks whether everything that is known is there, and nothing is there in part.
func check(t *testing.T, s incident.Store, known acknowledged) {
	audit := make(map[string]int)
	for e, err := range s.Entries(t.Context(), "audit", 0) {
		require.NoError(t, err)
		audit[e.Actor]++
	}
	_, err := incident.VerifyChain(s.Entries(t.Context(), "audit", 0))
	require.NoError(t, err)
	for chain, want := range known {
		id := strings.TrimPrefix(chain, "incident/")
		var there incident.Entry
		last, err := incident.VerifyChain(func(yield func(incident.Entry, error) bool) {
			for e, err := range s.Entries(t.Context(), chain, 0) {
				if e.Seq == want.Seq {
					there = e
				}
				if !yield(e, err) {
					return
				}
			}
		})
		require.NoError(t, err)
		assert.Equal(t, want.Hash, there.Hash, "chain %s: an acknowledged entry is lost", chain)
		d, err := s.Document(t.Context(), "incident", id)
		require.NoError(t, err)
		assert.Equal(t, last.Seq, d.Version, "chain %s: a change was made in part", chain)
		assert.Equal(t, int(last.Seq), audit[id], "chain %s: a change was made in part", chain)
	}
}

// child is the program: workers of whom each changes a document of its own, and writes down
// in two chains that it did.
func child(ctx context.Context, args []string) error {
	db, err := sql.Open(args[0], args[1])
	if err != nil {
		return err
	}
	db.SetMaxOpenConns(workers)
	store, err := sqlstore.New(ctx, sqlstore.Config{DB: db})
	if err != nil {
		return err
	}
	var mu sync.Mutex // of the standard output
	failed := make(chan error, workers)
	for w := range workers {
		go func() { failed <- work(ctx, store, fmt.Sprintf("%s-%d", args[2], w), &mu) }()
	}
	return <-failed
}

func work(ctx context.Context, store incident.Store, id string, mu *sync.Mutex) error {
	d, err := store.Document(ctx, "incident", id)
	if errors.Is(err, incident.ErrNotFound) {
		d = incident.Document{Kind: "incident", ID: id, Key: id}
	} else if err != nil {
		return err
	}
	for {
		d.Changed, d.Data, d.Open = time.Now(), json.RawMessage(fmt.Sprint(d.Version+1)), !d.Open
		own := incident.Entry{Chain: "incident/" + id, At: d.Changed, Kind: "changed", Actor: id, Text: fmt.Sprint("to ", d.Version+1)}
		common := own
		common.Chain = "audit"
		made, err := store.Commit(ctx, incident.Change{Documents: []incident.Document{d}, Entries: []incident.Entry{own, common}})
		if err != nil {
			return err
		}
		d = made.Documents[0]
		line, err := json.Marshal(made.Entries[0])
		if err != nil {
			return err
		}
		mu.Lock()
		_, err = os.Stdout.Write(append(line, '\n'))
		mu.Unlock()
		if err != nil {
			return err
		}
	}
}
