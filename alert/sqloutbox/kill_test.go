package sqloutbox_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
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

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/internal/services"
	"go.acu.edu.au/runbook/internal/sqlmigrate/sqltest"
)

// kills is how often the program is killed: 50 times, or as often as RUNBOOK_KILLS says.
func kills(t *testing.T) int {
	if n, err := strconv.Atoi(os.Getenv("RUNBOOK_KILLS")); err == nil {
		return n
	}
	if testing.Short() {
		return 5
	}
	return 50
}

// A program that feeds alerts through an engine and a router is killed at random moments,
// by SIGKILL, while the target loses answers, fails and limits. No alert that was accepted
// is lost, nor the end of any that was told; the alert of a check that fails all the time is
// told once; and a message comes again only if it is not known to have arrived, and says so.
//
// Requirement: AL-GATUS-OUTBOX, AL-SEND-TWICE, AL-RULE-RESTART
func TestKill(t *testing.T) {
	t.Run("sqlite", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "alerts.db")
		killed(t, kills(t), "sqlite", "file:"+file+"?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=busy_timeout(5000)")
	})
	t.Run("postgres", func(t *testing.T) {
		killed(t, max(5, kills(t)/5), "pgx", sqltest.PostgresDatabase(t, services.Need(t, services.PostgresURL)))
	})
}

func killed(t *testing.T, kills int, driver, address string) {
	p := &parent{t: t, rand: rand.New(rand.NewPCG(uint64(kills), 42)), stored: make(map[string]int), messages: make(map[string][]arrival), accepted: make(map[string]bool), ready: make(chan struct{}, 1)}
	server := httptest.NewServer(p)
	defer server.Close()
	for life := 1; life <= kills+1; life++ {
		last := life > kills
		p.mu.Lock()
		p.life = life
		wait := time.Duration(p.rand.IntN(int(250 * time.Millisecond)))
		p.mu.Unlock()
		var log bytes.Buffer
		cmd := exec.CommandContext(t.Context(), os.Args[0])
		cmd.Env = append(os.Environ(), childVariable+"="+strings.Join([]string{driver, address, server.URL, fmt.Sprint(life), fmt.Sprint(last)}, " "))
		cmd.Stdout, cmd.Stderr = &log, &log
		require.NoError(t, cmd.Start())
		if !last {
			select {
			case <-p.ready:
			case <-time.After(time.Minute):
				t.Error("the program does not start")
			}
			time.Sleep(wait)
			require.NoError(t, cmd.Process.Kill())
			_ = cmd.Wait() // it was killed
			select {
			case <-p.ready: // it was ready while it was killed
			default:
			}
		} else {
			require.NoError(t, cmd.Wait(), "%s", &log)
		}
		if strings.Contains(log.String(), "panic") || strings.Contains(log.String(), "DATA RACE") {
			t.Fatal(log.String())
		}
	}
	p.check(kills)
}

// parent is the target, and everything else that outlives the program.
type parent struct {
	t     *testing.T
	ready chan struct{}

	mu       sync.Mutex
	rand     *rand.Rand
	life     int
	accepted map[string]bool      // alerts that fire, as the program was told
	stored   map[string]int       // number of the last message that is stored as arrived, by conversation
	messages map[string][]arrival // by conversation
}

// An arrival is a message as the target got it.
type arrival struct {
	alert.Notification
	life int
	lost bool // the answer did not go out
}

func (p *parent) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the program was killed while it asked
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	life, _ := strconv.Atoi(r.Header.Get("Life"))
	switch r.URL.Path {
	case "/ready":
		select {
		case p.ready <- struct{}{}:
		default:
		}
	case "/accepted":
		p.accepted[string(body)] = true
	case "/stored":
		var stored map[string]int
		if json.Unmarshal(body, &stored) == nil {
			for key, seq := range stored {
				p.stored[key] = max(p.stored[key], seq)
			}
		}
	case "/notify":
		p.notify(w, body, life)
	}
}

func (p *parent) notify(w http.ResponseWriter, body []byte, life int) {
	a := arrival{life: life}
	if err := json.Unmarshal(body, &a.Notification); err != nil {
		p.t.Error(err)
		return
	}
	switch p.rand.IntN(40) {
	case 0:
		w.WriteHeader(http.StatusTooManyRequests) // nothing happened
		return
	case 1:
		w.WriteHeader(http.StatusServiceUnavailable) // nothing happened, which nobody can know
		return
	case 2, 3, 4:
		a.lost = true
	}
	p.arrive(a)
	if a.lost {
		panic(http.ErrAbortHandler)
	}
}

// arrive checks a message against those before it.
func (p *parent) arrive(a arrival) {
	before := p.messages[a.Key]
	if a.Seq <= p.stored[a.Key] {
		p.t.Errorf("life %d: message %d of %s came again, although it is stored that it had arrived", a.life, a.Seq, a.Key)
	}
	if n := len(before); n == 0 && a.Seq != 1 || n > 0 && a.Seq != before[n-1].Seq && a.Seq != before[n-1].Seq+1 {
		p.t.Errorf("life %d: message %d of %s came after %d others", a.life, a.Seq, a.Key, n)
	}
	for _, b := range before {
		if b.Seq != a.Seq {
			continue
		}
		if !a.PossibleRepeat {
			p.t.Errorf("life %d: message %d of %s came again, and does not say so", a.life, a.Seq, a.Key)
		}
		if !b.lost && b.life == a.life {
			p.t.Errorf("life %d: message %d of %s came again, although it was answered", a.life, a.Seq, a.Key)
		}
		if b.Title != a.Title {
			p.t.Errorf("life %d: message %d of %s came again as another one", a.life, a.Seq, a.Key)
		}
	}
	p.messages[a.Key] = append(before, a)
}

// check is what must hold in the end.
func (p *parent) check(kills int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	began, ended := make(map[string]int), make(map[string]int) // conversations in which an alert began and ended
	repeats, total := 0, 0
	for _, conversation := range p.messages {
		firing := make(map[string]bool)
		last := 0
		for _, m := range conversation {
			total++
			if m.Seq == last {
				repeats++
				continue
			}
			last = m.Seq
			for _, a := range m.Alerts {
				switch {
				case a.State == alert.Firing && !firing[a.Key]:
					firing[a.Key] = true
					began[a.Key]++
				case a.State == alert.Resolved:
					delete(firing, a.Key)
					ended[a.Key]++
				}
			}
		}
		assert.Empty(p.t, firing, "the end of an alert that was told is lost")
	}
	for key := range p.accepted {
		if began[key] == 0 {
			p.t.Errorf("an alert that was accepted is lost")
		}
		assert.Equal(p.t, 1, began[key], "it is told once")
		assert.Equal(p.t, 1, ended[key])
	}
	steady := alert.Key("check", "production", "steady", alert.Failing)
	assert.Equal(p.t, 1, began[steady], "the alert of a check that fails all the time is told once")
	assert.Equal(p.t, 1, ended[steady])
	p.t.Logf("%d kills, %d alerts accepted, %d messages in %d conversations, of which %d came again", kills, len(p.accepted), total, len(p.messages), repeats)
	assert.NotEmpty(p.t, p.accepted)
}
