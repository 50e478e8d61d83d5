//go:build linux

package e2e_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/charmbracelet/x/vt"
	"github.com/creack/pty"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/incident"
)

// opsdIn is the folder of the program that opsd built; empty if it built none.
var opsdIn string

func TestMain(m *testing.M) {
	code := m.Run()
	if opsdIn != "" {
		_ = os.RemoveAll(opsdIn) // it is in the folder for temporary files
	}
	os.Exit(code)
}

// opsd builds the program, once.
var opsd = sync.OnceValues(func() (path string, err error) {
	if opsdIn, err = os.MkdirTemp("", "opsd-terminal-"); err != nil {
		return "", err
	}
	path = filepath.Join(opsdIn, "opsd")
	cmd := exec.Command("go", "build", "-o", path, "./examples/opsd")
	cmd.Dir = filepath.Join("..", "..")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return path, nil
})

// A story is a server of one run, which goes on as a test says.
type story struct {
	*httptest.Server
	next chan incident.Run
	run  incident.Run
}

// tell starts a story with steps that have these titles.
func tell(t *testing.T, titles ...string) *story {
	t.Helper()
	s := &story{next: make(chan incident.Run)}
	s.run = incident.Run{ID: "run-1", Playbook: "restart", Environment: "test", By: "Ana Silva", Severity: alert.High, State: incident.StateRunning, Started: time.Now()}
	for i, title := range titles {
		step := incident.StepRun{State: incident.StepPending}
		step.ID, step.Title = fmt.Sprintf("s%d", i+1), title
		s.run.Steps = append(s.run.Steps, step)
	}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasSuffix(r.URL.Path, "/events") {
			_ = json.NewEncoder(w).Encode(incident.Run{ID: "run-1"})
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		w.WriteHeader(http.StatusOK)
		w.(http.Flusher).Flush()
		for {
			select {
			case run := <-s.next:
				data, err := json.Marshal(run)
				assert.NoError(t, err)
				fmt.Fprintf(w, "id: %d\nevent: run\ndata: %s\n\n", run.Revision, data)
				w.(http.Flusher).Flush()
			case <-r.Context().Done():
				return
			}
		}
	}))
	t.Cleanup(s.Close)
	return s
}

// took is how long every step takes.
const took = 90 * time.Second

// step gives a step a state, and the time that this takes.
func (s *story) step(i int, state incident.StepState, message string) {
	step := &s.run.Steps[i-1]
	step.State, step.Message, step.Visits = state, message, 1
	step.Began, step.Ended = time.Now().Add(-took-took/90/2), time.Time{}
	switch state {
	case incident.StepDone, incident.StepFailed, incident.StepSkipped:
		step.Ended = step.Began.Add(took)
	}
}

// end ends the run.
func (s *story) end(state incident.RunState, reason string) {
	s.run.State, s.run.Reason, s.run.Question = state, reason, nil
	s.run.Ended = s.run.Started.Add(10 * time.Minute)
}

// A term is opsd on a terminal.
type term struct {
	t     *testing.T
	pty   *os.File
	cmd   *exec.Cmd
	ended chan struct{}

	mu     sync.Mutex
	screen *vt.Emulator
	raw    strings.Builder
}

// follow starts opsd on a terminal of that size, after what a person did there before.
func (s *story) follow(t *testing.T, columns, rows int, env []string, args ...string) *term {
	t.Helper()
	args = append([]string{"runs", "run-1", "-server", s.URL}, args...)
	return terminal(t, columns, rows, env, args...)
}

func terminal(t *testing.T, columns, rows int, env []string, args ...string) *term {
	t.Helper()
	path, err := opsd()
	require.NoError(t, err)
	m := &term{t: t, screen: vt.NewEmulator(columns, rows), ended: make(chan struct{})}
	m.cmd = exec.Command(path, args...)
	m.cmd.Env = append([]string{"TERM=xterm-256color", "PATH=/usr/bin:/bin", "TMPDIR=" + t.TempDir()}, env...)
	_, _ = m.screen.WriteString("$ ls\r\nnotes\r\n$ opsd\r\n")
	m.pty, err = pty.StartWithSize(m.cmd, &pty.Winsize{Rows: uint16(rows), Cols: uint16(columns)})
	require.NoError(t, err)
	go func() {
		defer close(m.ended)
		b := make([]byte, 4096)
		for {
			n, err := m.pty.Read(b)
			if err != nil {
				return // the other side is closed
			}
			m.mu.Lock()
			m.raw.Write(b[:n])
			_, _ = m.screen.Write(b[:n])
			m.mu.Unlock()
		}
	}()
	t.Cleanup(func() {
		_ = m.cmd.Process.Kill() // it has ended, but for a test that failed
		<-m.ended
		_ = m.pty.Close()
	})
	return m
}

// resize is what a person does to the window.
func (m *term) resize(columns, rows int) {
	m.t.Helper()
	m.mu.Lock()
	m.screen.Resize(columns, rows)
	m.mu.Unlock()
	require.NoError(m.t, pty.Setsize(m.pty, &pty.Winsize{Rows: uint16(rows), Cols: uint16(columns)}))
}

var spans = regexp.MustCompile(`\b(\d+(\.\d+)?m?s|\d+m\d\ds)(\s|$)`)

// show is what a person sees, from the top to the last row with a text; times of the run and
// of what goes on are as good as another.
func (m *term) show() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var rows []string
	for y := range m.screen.Height() {
		rows = append(rows, line(m.screen.Width(), func(x int) string {
			if c := m.screen.CellAt(x, y); c != nil {
				return c.Content
			}
			return " "
		}))
	}
	return strings.TrimRight(spans.ReplaceAllString(strings.Join(rows, "\n"), "TIME$3"), "\n ")
}

// above is what one sees when scrolling back.
func (m *term) above() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var rows []string
	for y := range m.screen.ScrollbackLen() {
		rows = append(rows, line(m.screen.Width(), func(x int) string {
			if c := m.screen.ScrollbackCellAt(x, y); c != nil {
				return c.Content
			}
			return " "
		}))
	}
	return spans.ReplaceAllString(strings.Join(rows, "\n"), "TIME$3")
}

func line(width int, at func(x int) string) string {
	var b strings.Builder
	for x := range width {
		b.WriteString(at(x))
	}
	return strings.TrimRight(b.String(), " ")
}

// wrote is what opsd wrote, with all commands to the terminal.
func (m *term) wrote() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.raw.String()
}

// shows waits until a person sees that, and nothing else.
func (m *term) shows(want string) {
	m.t.Helper()
	want = strings.Trim(want, "\n")
	for end := time.Now().Add(3 * time.Second); time.Now().Before(end) && m.show() != want; {
		time.Sleep(5 * time.Millisecond)
	}
	require.Equal(m.t, want, m.show(), "%q", m.wrote())
}

// exits waits for the end, after which the terminal is as it was.
func (m *term) exits(code int) {
	m.t.Helper()
	err := m.cmd.Wait()
	<-m.ended
	if code != 0 {
		assert.Error(m.t, err)
	}
	assert.Equal(m.t, code, m.cmd.ProcessState.ExitCode(), "%s", m.show())
	m.mu.Lock()
	defer m.mu.Unlock()
	assert.False(m.t, m.screen.CursorHidden())
	assert.False(m.t, m.screen.IsAltScreen())
	assert.Zero(m.t, m.screen.CursorPosition().X, "what comes next begins a row")
	raw := m.raw.String()
	assert.Equal(m.t, strings.Count(raw, "\x1b[?7l"), strings.Count(raw, "\x1b[?7h"), "rows are broken again")
	assert.Greater(m.t, strings.LastIndex(raw, "\x1b[?7h"), strings.LastIndex(raw, "\x1b[?7l")-1)
	if at := strings.LastIndex(raw, "\x1b["); at >= 0 {
		assert.Contains(m.t, []string{"\x1b[?7h", "\x1b[J"}, regexp.MustCompile(`^\x1b\[\??\d*[a-zA-Z]`).FindString(raw[at:]), "colours are off")
	}
}

// goesOn sends the run as it is.
func (s *story) goesOn(t *testing.T) {
	t.Helper()
	s.run.Revision++
	run := s.run
	run.Steps = append([]incident.StepRun(nil), s.run.Steps...)
	select {
	case s.next <- run:
	case <-time.After(patience):
		require.Fail(t, "nobody follows")
	}
}
