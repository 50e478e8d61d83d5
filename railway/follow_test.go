package railway_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/railway"
	"go.acu.edu.au/runbook/railway/railwaytest"
)

// logTicks prints 500 lines a second for a time, in bursts: each line has a number,
// and every tenth is the same as the one before. It returns what it prints.
func logTicks(st *logStage, seconds int) []string {
	var all []string
	for i := range 500 * seconds {
		if i%10 == 9 {
			i--
		}
		all = append(all, fmt.Sprint("tick ", i))
	}
	go func() {
		for i, message := range all {
			if i%50 == 0 {
				time.Sleep(100 * time.Millisecond)
			}
			st.Print(st.current, message)
		}
	}()
	return all
}

// logSame checks that lines are what was printed.
func logSame(t testing.TB, want, got []string) {
	t.Helper()
	require.Len(t, got, len(want))
	for i := range want {
		if want[i] != got[i] {
			t.Fatalf("line %d is %q; want %q", i, got[i], want[i])
		}
	}
}

// Requirement: RW-SUB-CURSOR, RW-ASK-LOGS, RW-G11, RW-PEER-LOCOMOTIVE-TOKEN
//
// 500 lines a second, of which some are the same as others, are followed with a
// project token while the connection breaks 50 times, and every fifth begins with
// what the ones before had told. Nothing is lost, comes twice, or is out of order.
func TestFollowOverReconnects(t *testing.T) {
	inLogStage(t, func(t *testing.T, st *logStage) {
		const breaks = 50
		st.Print(st.current, "before")
		for i := range breaks {
			if i%5 != 4 {
				st.Fail(railwaytest.Fault{Op: "subscription:deploymentLogs", Kind: railwaytest.DropSocket, Bytes: 1 + i%3})
			} else {
				st.Fail(railwaytest.Fault{Op: "subscription:deploymentLogs", Kind: railwaytest.Duplicate})
			}
		}
		cut, done := 0, make(chan struct{})
		go func() { // those that begin with duplicates are broken otherwise
			for st.called("subscription:FollowDeploymentLogs") <= breaks {
				time.Sleep(200 * time.Millisecond)
				if n := st.called("subscription:FollowDeploymentLogs"); n%5 == 0 && n > cut {
					cut = n
					st.Break(true)
					st.Break(false)
				}
			}
			close(done)
		}()
		want := logTicks(st, 30)
		got := logFollow(t, st, incident.LogQuery{}, len(want), nil)
		<-done
		logSame(t, want, got)
		opens := st.called("subscription:FollowDeploymentLogs")
		assert.Greater(t, opens, breaks)
		assert.Less(t, st.called("DeploymentLogs"), 3*opens, "calls")
	})
}

// Requirement: RW-G18
//
// Where no WebSocket can be opened, the log is polled, with the same result.
func TestFollowByPolling(t *testing.T) {
	for name, prepare := range map[string]func(t *testing.T, st *logStage){
		"asked for": func(t *testing.T, st *logStage) {
			st.connect(t, func(cfg *railway.Config) { cfg.Polling = true })
		},
		"a proxy without WebSockets": func(_ *testing.T, st *logStage) {
			st.Fail(railwaytest.Fault{Op: "socket", Kind: railwaytest.Refuse, Times: -1})
		},
		"a gateway that fails": func(_ *testing.T, st *logStage) {
			st.Fail(railwaytest.Fault{Op: "socket", Kind: railwaytest.BadGateway, Times: -1})
		},
		"no answer": func(_ *testing.T, st *logStage) {
			st.Fail(railwaytest.Fault{Op: "socket", Kind: railwaytest.Hang, Times: -1})
		},
		"resolvers that fail": func(_ *testing.T, st *logStage) {
			st.Fail(railwaytest.Fault{Op: "subscription:*", Kind: railwaytest.NotAuthorized, Times: -1})
		},
	} {
		t.Run(name, func(t *testing.T) {
			inLogStage(t, func(t *testing.T, st *logStage) {
				prepare(t, st)
				st.Print(st.current, "before")
				want := logTicks(st, 12)
				logSame(t, want, logFollow(t, st, incident.LogQuery{}, len(want), nil))
			})
		})
	}
}

// A WebSocket that fails for a while is tried again, and does not cost a call every
// few seconds for ever.
func TestFollowComesBackFromPolling(t *testing.T) {
	inLogStage(t, func(t *testing.T, st *logStage) {
		st.Fail(railwaytest.Fault{Op: "socket", Kind: railwaytest.Refuse})
		go func() {
			for i := range 60 {
				time.Sleep(30 * time.Second)
				st.Print(st.current, fmt.Sprint("line ", i))
			}
		}()
		got := logFollow(t, st, incident.LogQuery{}, 60, nil)
		assert.Equal(t, "line 59", got[59])
		assert.Equal(t, 1, st.called("subscription:FollowDeploymentLogs"))
		assert.Less(t, st.called("DeploymentLogs"), 5*60/5+5, "only the first five minutes were polled")
	})
}

// Requirement: RW-G3
//
// Polling goes at half the pace at which the hour's calls would be used up.
func TestFollowKeepsToTheBudget(t *testing.T) {
	inLogStage(t, func(t *testing.T, st *logStage) {
		st.Server.PerHour = 1000
		st.connect(t, func(cfg *railway.Config) { cfg.Polling = true })
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Minute)
		defer cancel()
		_, err := logMessages(st.svc.FollowLogs(ctx, incident.LogQuery{}))
		assert.ErrorIs(t, err, context.DeadlineExceeded)
		calls := st.called("DeploymentLogs")
		assert.Less(t, calls, 600)
		assert.Greater(t, calls, 250, "it does not hold back for nothing")
	})
}

// What there is comes first, as the query says, and what follows after it.
func TestFollowBegins(t *testing.T) {
	for name, c := range map[string]struct {
		q    func(from time.Time) incident.LogQuery
		want []string
	}{
		"with new lines": {func(time.Time) incident.LogQuery { return incident.LogQuery{} }, nil},
		"with the last":  {func(time.Time) incident.LogQuery { return incident.LogQuery{Tail: 2} }, []string{"old 8", "old 9"}},
		"from a moment": {func(from time.Time) incident.LogQuery { return incident.LogQuery{From: from.Add(7 * time.Second)} },
			[]string{"old 7", "old 8", "old 9"}},
		"with the last from a moment": {func(from time.Time) incident.LogQuery {
			return incident.LogQuery{From: from.Add(9 * time.Second), Tail: 5}
		}, []string{"old 9"}},
		"with what is chosen": {func(time.Time) incident.LogQuery { return incident.LogQuery{Tail: 9, Any: []string{"OLD 3", "new"}} }, []string{"old 3"}},
	} {
		t.Run(name, func(t *testing.T) {
			inLogStage(t, func(t *testing.T, st *logStage) {
				from := time.Now()
				for i := range 10 {
					st.Print(st.current, fmt.Sprint("old ", i))
					time.Sleep(time.Second)
				}
				go func() {
					for i := range 3 {
						time.Sleep(10 * time.Second)
						st.Print(st.current, fmt.Sprint("new ", i))
					}
				}()
				want := append(c.want, "new 0", "new 1", "new 2")
				assert.Equal(t, want, logFollow(t, st, c.q(from), len(want), nil))
			})
		})
	}
}

// The kinds that are not the default are followed, too.
func TestFollowKinds(t *testing.T) {
	for kind, print := range map[incident.LogKind]func(st *logStage, message string){
		incident.LogBuild: func(st *logStage, message string) { st.PrintBuild(st.current, message) },
		incident.LogRequest: func(st *logStage, message string) {
			st.Serve(st.current, railwaytest.HTTPRequest{Path: "/" + strings.ReplaceAll(message, " ", "-")})
		},
	} {
		t.Run(string(kind), func(t *testing.T) {
			inLogStage(t, func(t *testing.T, st *logStage) {
				for i := range 3 {
					print(st, fmt.Sprint("old ", i))
					time.Sleep(time.Second)
				}
				for range 3 {
					st.Fail(railwaytest.Fault{Op: "subscription:*", Kind: railwaytest.DropSocket, Bytes: 2})
				}
				go func() {
					for i := range 30 {
						time.Sleep(400 * time.Millisecond)
						print(st, fmt.Sprint("new ", i))
					}
				}()
				got := logFollow(t, st, incident.LogQuery{Kind: kind, Tail: 1}, 31, nil)
				for i, message := range got {
					want := []string{"old 2", "old-2"}
					if i > 0 {
						want = []string{fmt.Sprint("new ", i-1), fmt.Sprint("new-", i-1)}
					}
					assert.Condition(t, func() bool { return strings.Contains(message, want[0]) || strings.Contains(message, want[1]) }, "line %d is %q", i, message)
				}
				assert.Equal(t, 4, st.called("subscription:FollowBuildLogs", "subscription:FollowHTTPLogs"), "three connections broke")
			})
		})
	}
}

// A refusal ends following; an outage does so only if it lasts.
func TestFollowEnds(t *testing.T) {
	t.Run("refused", func(t *testing.T) {
		inLogStage(t, func(t *testing.T, st *logStage) {
			time.AfterFunc(time.Minute, func() {
				st.Forbid(true)
				st.Break(true) // the open connection knows nothing of it
				st.Break(false)
			})
			_, err := logMessages(st.svc.FollowLogs(t.Context(), incident.LogQuery{}))
			assert.ErrorIs(t, err, incident.ErrNotPermitted)
			assert.ErrorContains(t, err, "the token is not valid")
		})
	})
	t.Run("short outage", func(t *testing.T) {
		inLogStage(t, func(t *testing.T, st *logStage) {
			st.Print(st.current, "before")
			time.AfterFunc(time.Minute, func() { st.Break(true) })
			time.AfterFunc(5*time.Minute, func() { st.Print(st.current, "during") })
			time.AfterFunc(8*time.Minute, func() { st.Break(false) })
			time.AfterFunc(30*time.Minute, func() { st.Print(st.current, "after") })
			assert.Equal(t, []string{"before", "during", "after"}, logFollow(t, st, incident.LogQuery{Tail: 1}, 3, nil))
		})
	})
	t.Run("long outage", func(t *testing.T) {
		inLogStage(t, func(t *testing.T, st *logStage) {
			time.AfterFunc(time.Minute, func() { st.Break(true) })
			began := time.Now()
			_, err := logMessages(st.svc.FollowLogs(t.Context(), incident.LogQuery{}))
			var e *railway.Error
			require.ErrorAs(t, err, &e)
			assert.Zero(t, e.Status)
			assert.InDelta(t, 12, time.Since(began).Minutes(), 2)
		})
	})
	t.Run("the loop is left", func(t *testing.T) {
		inLogStage(t, func(t *testing.T, st *logStage) {
			st.Print(st.current, "before")
			time.AfterFunc(time.Minute, func() { st.Print(st.current, "after") })
			logFollow(t, st, incident.LogQuery{Tail: 1}, 2, nil)
			synctest.Wait() // and nothing of it goes on, or the bubble does not end
			n := len(st.Calls())
			time.Sleep(time.Hour)
			assert.Len(t, st.Calls(), n)
		})
	})
}

// Lines that come while the loop takes long are held back and not lost, and the
// connection does not count as dead.
func TestFollowSlowly(t *testing.T) {
	inLogStage(t, func(t *testing.T, st *logStage) {
		st.Print(st.current, "before")
		go func() {
			for i := range 20 {
				time.Sleep(time.Second)
				st.Print(st.current, fmt.Sprint("line ", i))
			}
		}()
		got := logFollow(t, st, incident.LogQuery{}, 20, func(int) { time.Sleep(2 * time.Minute) })
		for i, message := range got {
			assert.Equal(t, fmt.Sprint("line ", i), message)
		}
		assert.Equal(t, 1, st.called("subscription:FollowDeploymentLogs"))
	})
}

// Requirement: RW-SUB-CURSOR
//
// Lines that are the same, of the same moment, are as many as there are: over a
// reconnect that brings some of them again, and while the connection stands.
func TestFollowSameLines(t *testing.T) {
	inLogStage(t, func(t *testing.T, st *logStage) {
		line := `{"timestamp":"2026-11-02T03:04:05.000000000Z","message":"same","severity":null,"attributes":[],"tags":null}`
		var have atomic.Int64
		have.Store(2)
		polling := func(cfg *railway.Config) { cfg.Polling = true }
		st.intercept(t, "DeploymentLogs", polling, func(*http.Request) string {
			return `{"data":{"deploymentLogs":[` + strings.TrimSuffix(strings.Repeat(line+",", int(have.Load())), ",") + `]}}`
		})
		time.AfterFunc(time.Minute, func() { have.Store(5) })
		got := logFollow(t, st, incident.LogQuery{Tail: 1}, 4, nil)
		assert.Equal(t, []string{"same", "same", "same", "same"}, got, "the last of two, and three more")
	})
}

// logHave is what can be read of a log.
type logHave struct {
	mu    sync.Mutex
	lines []string
}

func (h *logHave) add(lines ...string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.lines = append(h.lines, lines...)
}

func (h *logHave) all() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.lines)
}

// logScript is a log that a test writes: what can be read of it, and what connections
// tell of it.
func logScript(t testing.TB, st *logStage, have *logHave, each func(ctx context.Context, n int, tell func(lines ...string))) {
	t.Helper()
	join := func(lines []string) string {
		var all []string
		for _, l := range lines {
			all = append(all, `{"timestamp":"2026-11-02T03:04:05.000000000Z","message":"`+l+`","severity":null,"attributes":[],"tags":null}`)
		}
		return "[" + strings.Join(all, ",") + "]"
	}
	st.socket = &subPeer{each: func(ctx context.Context, n int, c *websocket.Conn) {
		subGreet(ctx, c)
		time.Sleep(time.Second) // until it has caught up
		each(ctx, n, func(lines ...string) {
			subSend(ctx, c, `{"id":"1","type":"next","payload":{"data":{"deploymentLogs":`+join(lines)+`}}}`)
		})
	}}
	st.intercept(t, "DeploymentLogs", nil, func(*http.Request) string { return `{"data":{"deploymentLogs":` + join(have.all()) + `}}` })
}

// Requirement: RW-SUB-CURSOR
//
// What was printed while there was no connection is read, though the next one tells
// nothing of it and stays quiet.
func TestFollowCatchesUp(t *testing.T) {
	inLogStage(t, func(t *testing.T, st *logStage) {
		have := &logHave{lines: []string{"one"}}
		logScript(t, st, have, func(ctx context.Context, n int, _ func(...string)) {
			if n == 1 {
				have.add("two", "three")
				return
			}
			<-ctx.Done()
		})
		assert.Equal(t, []string{"one", "two", "three"}, logFollow(t, st, incident.LogQuery{Tail: 1}, 3, nil))
	})
}

// Requirement: RW-SUB-CURSOR
//
// A connection that begins later than it was asked for, and without what came before,
// leaves no gap.
func TestFollowLeavesNoGap(t *testing.T) {
	inLogStage(t, func(t *testing.T, st *logStage) {
		have := &logHave{lines: []string{"one"}}
		logScript(t, st, have, func(ctx context.Context, _ int, tell func(...string)) {
			have.add("two", "three")
			tell("three")
			have.add("four")
			tell("four")
			<-ctx.Done()
		})
		assert.Equal(t, []string{"one", "two", "three", "four"}, logFollow(t, st, incident.LogQuery{Tail: 1}, 4, nil))
	})
}

// Requirement: RW-SUB-CURSOR
//
// Of lines that are the same, of the same moment, a connection may begin with some
// only. One more of them, which it tells later, is new.
func TestFollowCutHistory(t *testing.T) {
	inLogStage(t, func(t *testing.T, st *logStage) {
		have := &logHave{lines: []string{"same", "same", "same"}}
		logScript(t, st, have, func(ctx context.Context, _ int, tell func(...string)) {
			tell("same")
			have.add("same")
			tell("same")
			time.Sleep(time.Second)
			have.add("last")
			tell("last")
			<-ctx.Done()
		})
		assert.Equal(t, []string{"same", "same", "last"}, logFollow(t, st, incident.LogQuery{Tail: 1}, 3, nil))
	})
}

// BenchmarkFollow follows lines of a subscription, 50 in a message, as they come at 500
// a second. Target: under 20 µs a line, so that this takes 1 % of a processor.
func BenchmarkFollow(b *testing.B) {
	st := newLogStage(b)
	st.socket = &subPeer{each: func(ctx context.Context, _ int, c *websocket.Conn) {
		subGreet(ctx, c)
		var m strings.Builder
		for i := 0; ctx.Err() == nil; i += 50 {
			m.Reset()
			m.WriteString(`{"id":"1","type":"next","payload":{"data":{"deploymentLogs":[`)
			for j := range 50 {
				if j > 0 {
					m.WriteByte(',')
				}
				fmt.Fprintf(&m, `{"timestamp":"2026-11-02T03:04:05.%09dZ","message":"GET /courses answered in 12 ms","severity":"info",`+
					`"attributes":[{"key":"level","value":"\"info\""},{"key":"user","value":"\"ann\""}],"tags":{"serviceId":"s","deploymentId":"d","deploymentInstanceId":"i"}}`, i+j)
			}
			m.WriteString(`]}}}`)
			subSend(ctx, c, m.String())
		}
	}}
	st.intercept(b, "DeploymentLogs", nil, func(*http.Request) string { return `{"data":{"deploymentLogs":[]}}` })
	n := 0
	b.ReportAllocs()
	b.ResetTimer()
	for _, err := range st.svc.FollowLogs(b.Context(), incident.LogQuery{}) {
		if err != nil {
			b.Fatal(err)
		}
		if n++; n >= b.N {
			return
		}
	}
}

// ExampleService_FollowLogs follows a log over a connection that breaks.
func ExampleService_FollowLogs() {
	server := &railwaytest.Server{}
	project := server.AddProject(server.AddWorkspace("School"), "lessons")
	environment := server.AddEnvironment(project, "production")
	service := server.AddService(environment, railwaytest.Service{Name: "web", Image: "registry.example/web:1"})
	deployment := server.Newest(environment, service)
	server.Print(deployment, "started")
	server.Fail(railwaytest.Fault{Op: "subscription:deploymentLogs", Kind: railwaytest.DropSocket, Bytes: 1})

	client, err := railway.New(railway.Config{
		Kind: railway.ProjectToken, HTTP: server.Client(),
		Token: runbook.NewSecret(server.AddToken(railwaytest.Token{Kind: "project", Project: project, Environment: environment})),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	web, err := client.Service(context.Background(), railway.Target{Service: "web"})
	if err != nil {
		fmt.Println(err)
		return
	}
	n := 0
	for line, err := range web.FollowLogs(context.Background(), incident.LogQuery{Tail: 1}) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(line.Message)
		if n++; n == 3 {
			break
		}
		server.Print(deployment, fmt.Sprint("request ", n))
	}
	// Output:
	// started
	// request 1
	// request 2
}
