package railway_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/incidenttest"
	"go.acu.edu.au/runbook/railway"
	"go.acu.edu.au/runbook/railway/railwaytest"
)

// Requirement: RW-G11
// Requirement: RB-CMD-RAILWAY-LOGS-MEMORY, RB-CMD-RAILWAY-LOGS-SECURITY
func TestLogsConform(t *testing.T) {
	incidenttest.TestLogs(t, incidenttest.LogsHarness{
		Run: func(t *testing.T, test func(t *testing.T)) { synctest.Test(t, test) },
		New: func(t testing.TB) incidenttest.LogsCase {
			st := newLogStage(t)
			st.connect(t, func(cfg *railway.Config) {
				cfg.Kind, cfg.Token = railway.AccountToken, runbook.NewSecret(st.AddToken(railwaytest.Token{}))
			})
			from := time.Now()
			st.Print(st.older, "older")
			c := incidenttest.LogsCase{
				Logs: st.svc, From: from, Older: st.older, Missing: "11111111-2222-3333-4444-555555555555",
				Print:  func(message string) { st.Print(st.current, message) },
				Forbid: func() { st.Forbid(true) },
			}
			for i, message := range []string{"one", "\x1b[31mfailed\x1b[0m to open", "Failed again\n", "four", "five"} {
				time.Sleep(time.Second)
				st.Print(st.current, message)
				shown := []string{"one", "failed to open", "Failed again", "four", "five"}[i]
				c.Lines = append(c.Lines, incident.LogLine{Message: shown, Time: time.Now()})
			}
			return c
		},
	})
}

// Requirement: RW-LOG-LIMIT, RW-G11
//
// The API returns a line more than it is asked for.
//
// Requirement: RB-CMD-RAILWAY-LOGS
func TestLogsTail(t *testing.T) {
	inLogStage(t, func(t *testing.T, st *logStage) {
		for i := range 10_500 {
			time.Sleep(2 * time.Millisecond)
			st.Print(st.current, fmt.Sprint("line ", i))
		}
		for _, n := range []int{1, 100, 5000, 5001, 20_000} {
			got, err := logMessages(st.svc.Logs(t.Context(), incident.LogQuery{Tail: n}))
			require.NoError(t, err)
			first := max(0, 10_500-n)
			require.Len(t, got, 10_500-first, "tail %d", n)
			for i, message := range got {
				require.Equal(t, fmt.Sprint("line ", first+i), message, "tail %d", n)
			}
		}
	})
}

// A long span is read in parts by time: all of it, once, in order, and a part at a
// time.
func TestLogsLongSpan(t *testing.T) {
	inLogStage(t, func(t *testing.T, st *logStage) {
		from := time.Now()
		const burst = 10_500
		for i := range 12_000 {
			st.Print(st.current, fmt.Sprint("line ", i))
			time.Sleep(200 * time.Microsecond)
			if i > burst {
				time.Sleep(time.Second)
			}
		}
		before := len(st.Calls())
		got, err := logMessages(st.svc.Logs(t.Context(), incident.LogQuery{From: from}))
		require.NoError(t, err)
		require.Len(t, got, 12_000)
		for i, message := range got {
			require.Equal(t, fmt.Sprint("line ", i), message)
		}
		assert.Less(t, len(st.Calls())-before, 60, "calls")
	})
}

// More lines of one moment than the API returns cannot all be read: that is said.
func TestLogsOfOneMoment(t *testing.T) {
	var lines []string
	for i := range 5001 {
		lines = append(lines, fmt.Sprintf(`{"timestamp":"2026-11-02T03:04:05.000000000Z","message":"line %d","attributes":[]}`, i))
	}
	inLogStage(t, func(t *testing.T, st *logStage) {
		answer := `{"data":{"deploymentLogs":[` + strings.Join(lines, ",") + `]}}`
		st.intercept(t, "DeploymentLogs", nil, func(*http.Request) string { return answer })
		n := 0
		var last error
		for _, err := range st.svc.Logs(t.Context(), incident.LogQuery{From: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)}) {
			n, last = n+1, err
		}
		assert.ErrorContains(t, last, "some are missing")
		assert.Equal(t, 1, n)

		got, err := logMessages(st.svc.Logs(t.Context(), incident.LogQuery{Tail: 5000}))
		require.NoError(t, err, "as many can be had")
		assert.Len(t, got, 5000)
	})
}

// Requirement: RW-ASK-LOGS
//
// A deployment that failed is not the current one, and what it built and printed can
// be read all the same; where nothing else is, it is what is read.
func TestLogsOfFailedDeployment(t *testing.T) {
	inLogStage(t, func(t *testing.T, st *logStage) {
		st.PrintBuild(st.older, "step 4/9: npm ci")
		st.PrintBuild(st.older, "error: exit code 1")
		st.Print(st.older, "never healthy")
		got, err := logMessages(st.svc.Logs(t.Context(), incident.LogQuery{Deployment: st.older, Kind: incident.LogBuild, Tail: 10}))
		require.NoError(t, err)
		assert.Equal(t, []string{"step 4/9: npm ci", "error: exit code 1"}, got)
		got, err = logMessages(st.svc.Logs(t.Context(), incident.LogQuery{Deployment: st.older, Tail: 10}))
		require.NoError(t, err)
		assert.Equal(t, []string{"never healthy"}, got)

		// A service whose first deployment failed has no current one.
		st.service = st.AddService(st.environment, railwaytest.Service{Name: "broken", Image: "registry.example/broken:1", Undeployed: true})
		_, err = logMessages(st.again(t).Logs(t.Context(), incident.LogQuery{Tail: 10}))
		assert.ErrorIs(t, err, incident.ErrNotFound, "nothing was ever deployed")
		failed := st.AddDeployment(st.environment, st.service, railwaytest.Deployment{Status: "FAILED"})
		st.PrintBuild(failed, "no space left")
		got, err = logMessages(st.again(t).Logs(t.Context(), incident.LogQuery{Kind: incident.LogBuild, Tail: 10}))
		require.NoError(t, err)
		assert.Equal(t, []string{"no space left"}, got)
	})
}

// The log of another service is not read under the name of this one.
func TestLogsOfAnotherService(t *testing.T) {
	inLogStage(t, func(t *testing.T, st *logStage) {
		other := st.AddService(st.environment, railwaytest.Service{Name: "db", Image: "postgres:17"})
		deployment := st.Newest(st.environment, other)
		st.Print(deployment, "hers")
		got, err := logMessages(st.svc.Logs(t.Context(), incident.LogQuery{Deployment: deployment, Tail: 10}))
		assert.ErrorIs(t, err, incident.ErrNotFound)
		assert.Empty(t, got)
	})
}

// Requirement: RW-G11
func TestLogsAreDecoded(t *testing.T) {
	inLogStage(t, func(t *testing.T, st *logStage) {
		time.Sleep(123456789) // nanoseconds
		now := time.Now()
		st.Print(st.current, "saved", "level", "warn", "user", "ann", "rows", "12", "tags", `["a","b"]`, "quoted", `"12"`)
		for l, err := range st.svc.Logs(t.Context(), incident.LogQuery{Tail: 1}) {
			require.NoError(t, err)
			assert.NotEmpty(t, l.Instance)
			l.Instance = ""
			assert.Empty(t, cmp.Diff(incident.LogLine{
				Time: now.UTC(), Message: "saved", Level: "warn", Deployment: st.current,
				Attributes: map[string]string{"user": "ann", "rows": "12", "tags": `["a","b"]`, "quoted": "12"},
			}, l))
		}
	})
}

// Requests are lines with attributes, chosen by span and text here: their dates are
// texts, and their filter has fields of its own.
func TestRequestLogs(t *testing.T) {
	inLogStage(t, func(t *testing.T, st *logStage) {
		from := time.Now()
		for i := range 5500 {
			status := 200
			if i%1000 == 999 {
				status = 502
			}
			st.Serve(st.current, railwaytest.HTTPRequest{Method: "POST", Path: fmt.Sprint("/orders/", i), Status: status, Duration: 30 * time.Millisecond, At: from.Add(time.Duration(i) * time.Millisecond)})
		}
		time.Sleep(10 * time.Second)
		got, err := logMessages(st.svc.Logs(t.Context(), incident.LogQuery{Kind: incident.LogRequest, From: from}))
		require.NoError(t, err)
		require.Len(t, got, 5500)
		assert.Equal(t, "POST /orders/0 200 30ms", got[0])
		got, err = logMessages(st.svc.Logs(t.Context(), incident.LogQuery{Kind: incident.LogRequest, Tail: 2, Any: []string{" 502 "}}))
		require.NoError(t, err)
		assert.Equal(t, []string{"POST /orders/3999 502 30ms", "POST /orders/4999 502 30ms"}, got)
		got, err = logMessages(st.svc.Logs(t.Context(), incident.LogQuery{Kind: incident.LogRequest, From: from.Add(time.Second), To: from.Add(1002 * time.Millisecond)}))
		require.NoError(t, err)
		assert.Equal(t, []string{"POST /orders/1000 200 30ms", "POST /orders/1001 200 30ms"}, got)
		for l, err := range st.svc.Logs(t.Context(), incident.LogQuery{Kind: incident.LogRequest, Tail: 1}) {
			require.NoError(t, err)
			assert.Equal(t, "POST", l.Attributes["method"])
			assert.Equal(t, "200", l.Attributes["httpStatus"])
			assert.Equal(t, "30", l.Attributes["totalDuration"])
			assert.NotEmpty(t, l.Attributes["requestId"])
			assert.NotContains(t, l.Attributes, "upstreamErrors", "it has none")
		}
	})
}

// Railway chooses lines by texts only if it surely leaves out none that is wanted.
func TestLogFilter(t *testing.T) {
	for _, c := range []struct {
		texts []string
		want  string
	}{
		{nil, ""},
		{[]string{"502"}, `"502"`},
		{[]string{"502", "10.0.0.1:80", "-1"}, `"502" OR "10.0.0.1:80" OR "-1"`},
		{[]string{"@1:2"}, `"@1:2"`},
		{[]string{"panic"}, ""},      // "Panic" is wanted too
		{[]string{"502", "err"}, ""}, // one alone would lose the other's lines
		{[]string{`"`}, ""},
		{[]string{`5"02`}, ""},
		{[]string{`\`}, ""},
		{[]string{"5\n0"}, ""},
		{[]string{" "}, ""},
		{[]string{"é"}, ""},
		{[]string{"接続"}, `"接続"`},
	} {
		got := railway.LogFilter(c.texts)
		if c.want == "" {
			assert.Nil(t, got, "%q", c.texts)
			continue
		}
		require.NotNil(t, got, "%q", c.texts)
		assert.Equal(t, c.want, *got)
	}
	inLogStage(t, func(t *testing.T, st *logStage) {
		for i := range 6000 {
			st.Print(st.current, fmt.Sprint("answer ", 400+i%200))
		}
		before := len(st.Calls())
		got, err := logMessages(st.svc.Logs(t.Context(), incident.LogQuery{Tail: 1000, Any: []string{"502", "503"}}))
		require.NoError(t, err)
		assert.Len(t, got, 60)
		assert.Equal(t, 2, len(st.Calls())-before, "calls: which deployment, and the lines")
	})
}

// Requirement: RW-LOG-ESCAPES
func TestOneLine(t *testing.T) {
	for in, want := range map[string]string{
		"plain":                                  "plain",
		"\x1b[31mred\x1b[0m text":                "red text",
		"\x1b[1;38;5;196mbold\x1b[K":             "bold",
		"\x1b]0;title\x07after":                  "after",
		"\x1b]8;;https://x.example\x1b\\link":    "link",
		"\x1bP1$r0m\x1b\\x":                      "x",
		"\x1b]52;c;aGk=\u009cclipboard":          "clipboard",
		"\u009b31mred":                           "red",
		"\u009d0;title\u009cafter":               "after",
		"\x1b(Bset":                              "set",
		"\x1bcreset":                             "reset",
		"\x1b]0;never ends, and the text counts": "0;never ends, and the text counts",
		"one\ntwo\r\n\tthree\n":                  "one two   three",
		"a\x00b\x08c\x7fd":                       "abcd",
		"\u202eevil\u202c \u2066x\u2069":         "evil x",
		"müde, 接続 🙂":                             "müde, 接続 🙂",
		"\x1b":                                   "",
		"\x1b[":                                  "",
		"\x1b[31":                                "",
		"no break\u00a0space":                    "no break space",
	} {
		assert.Equal(t, want, railway.OneLine(in), "%q", in)
	}
	inLogStage(t, func(t *testing.T, st *logStage) {
		st.Print(st.current, "\x1b]0;owned\x07hi", "bad\x1b[2J", "\x1b[2Jwiped", "level", "\x1b[31merror")
		st.Serve(st.current, railwaytest.HTTPRequest{Path: "/\x1b[2J", Error: "\x1b[31mrefused"})
		for _, kind := range []incident.LogKind{incident.LogRuntime, incident.LogRequest} {
			for l, err := range st.svc.Logs(t.Context(), incident.LogQuery{Kind: kind, Tail: 1}) {
				require.NoError(t, err)
				assert.NotContains(t, fmt.Sprintf("%+v", l), "\x1b")
			}
		}
	})
}

// Requirement: RW-LOG-ESCAPES
func FuzzOneLine(f *testing.F) {
	for _, seed := range []string{"plain", "\x1b[31mred\x1b[0m", "\x1b]0;t\x07x", "\u009b1m", "a\r\nb", "\x1bP\x1b\\", "\xff\x9b"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got := railway.OneLine(text)
		for _, r := range got {
			if !unicode.IsPrint(r) {
				t.Fatalf("%q has %q in it", got, r)
			}
		}
		if again := railway.OneLine(got); again != got {
			t.Fatalf("%q becomes %q", got, again)
		}
	})
}

// Requirement: RW-LOG-ESCAPES
func FuzzAttribute(f *testing.F) {
	for _, seed := range []string{`"text"`, `12`, `null`, `{"a":[1]}`, `"`, `"\u001b[31m"`, "bare", `"a`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		for _, r := range railway.Attribute(value) {
			if !unicode.IsPrint(r) {
				t.Fatalf("%q gives %q", value, railway.Attribute(value))
			}
		}
	})
}

// FuzzLogFilter checks that no text gets out of its quotes.
func FuzzLogFilter(f *testing.F) {
	f.Add("502", "10:00")
	f.Add(`" OR "`, "x")
	f.Fuzz(func(t *testing.T, a, b string) {
		filter := railway.LogFilter([]string{a, b})
		if filter == nil {
			return
		}
		if strings.Count(*filter, `"`) != 4 || strings.Contains(*filter, `\`) || *filter != `"`+a+`" OR "`+b+`"` {
			t.Errorf("filter %s", *filter)
		}
	})
}

// Requirement: RW-LOG-ESCAPES
func FuzzParseLogs(f *testing.F) {
	f.Add([]byte(`{"deploymentLogs":[{"timestamp":"2026-11-02T03:04:05.123456789Z","message":"hi","severity":"info","attributes":[{"key":"level","value":"\"info\""}],"tags":{"deploymentId":"d"}}]}`))
	f.Add([]byte(`{"httpLogs":[{"timestamp":"x","method":"GET","path":"/\u001b[2J","httpStatus":200}]}`))
	f.Add([]byte(`{"buildLogs":[{"timestamp":"2026-11-02T03:04:05Z","message":"a\nb"},{"timestamp":"?"}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		lines, err := railway.ParseLogs(data)
		if err != nil {
			return
		}
		for _, l := range lines {
			for _, r := range l.Message + l.Level {
				if !unicode.IsPrint(r) {
					t.Fatalf("line %+v", l)
				}
			}
		}
	})
}

// BenchmarkParseLogs parses an answer of 5,000 lines with two attributes each.
// Target: under 60 ms, which is a hundredth of what reading them from Railway takes.
func BenchmarkParseLogs(b *testing.B) {
	var lines []string
	for i := range 5000 {
		lines = append(lines, fmt.Sprintf(`{"timestamp":"2026-11-02T03:04:05.%09dZ","message":"GET /courses/%d answered in 12 ms","severity":"info",`+
			`"attributes":[{"key":"level","value":"\"info\""},{"key":"user","value":"\"u%d\""}],"tags":{"serviceId":"s","deploymentId":"d","deploymentInstanceId":"i"}}`, i, i, i))
	}
	data := []byte(`{"deploymentLogs":[` + strings.Join(lines, ",") + `]}`)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		got, err := railway.ParseLogs(data)
		if err != nil || len(got) != 5000 {
			b.Fatal(err, len(got))
		}
	}
}
