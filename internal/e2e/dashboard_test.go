package e2e_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/internal/services"
)

// board starts the program that shows the dashboard over a bad night, and returns its
// address. It is a program, because no package of examples can be imported from here.
func board(t *testing.T, flags ...string) string {
	t.Helper()
	services.Need(t, services.Chromium)
	program := filepath.Join(t.TempDir(), "demo")
	build := exec.Command("go", "build", "-o", program, "./examples/internal/dashboard/demo")
	build.Dir = filepath.Join("..", "..")
	output, err := build.CombinedOutput()
	require.NoError(t, err, "%s", output)
	run := exec.Command(program, flags...)
	out, err := run.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, run.Start())
	t.Cleanup(func() { _ = run.Process.Kill(); _ = run.Wait() })
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	return strings.TrimSpace(line)
}

// eventually waits until an expression is true in a tab, also while pages come and go.
func eventually(t testing.TB, tab context.Context, expression string) {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		yes, err := chromedp.Run(tab, chromedp.Evaluate[bool](expression))
		if err == nil && yes {
			return
		}
		if time.Now().After(end) {
			page, _ := chromedp.Run(tab, chromedp.Evaluate[string]("location.href + '\\n' + document.body.innerText"))
			require.Fail(t, "it does not happen", "%s in\n%s", expression, page)
		}
	}
}

func says(text string) string {
	return fmt.Sprintf("document.readyState === 'complete' && document.body.innerText.includes(%q)", text)
}

// tabTo presses the tabulator until something has the focus whose text begins so, and
// requires that it can be seen that it has.
func tabTo(t testing.TB, tab context.Context, text string) {
	t.Helper()
	for range 80 {
		do(t, tab, chromedp.KeyEvent("\t"))
		at := value[string](t, tab, "(e => (e.innerText || (e.labels && e.labels[0] && e.labels[0].innerText) || '').trim())(document.activeElement)")
		if strings.HasPrefix(at, text) {
			style := value[string](t, tab, "(s => s.outlineStyle + ' ' + s.outlineWidth)(getComputedStyle(document.activeElement))")
			assert.Equal(t, "solid 3px", style, "the focus on %q can be seen", text)
			return
		}
	}
	require.Fail(t, "it cannot be reached by keyboard", text)
}

func press(t testing.TB, tab context.Context, keys string) {
	t.Helper()
	do(t, tab, chromedp.KeyEvent(keys))
}

// TestDashboardByKeyboard acknowledges, approves and denies with nothing but a keyboard,
// with scripts and without.
func TestDashboardByKeyboard(t *testing.T) {
	for _, scripts := range []bool{true, false} {
		t.Run(fmt.Sprintf("scripts %v", scripts), func(t *testing.T) {
			s := new(site)
			open := func(t *testing.T) (string, context.Context) {
				address := board(t, "-as", "ana")
				tab := start(t, s)
				_, err := chromedp.Call(tab, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: !scripts})
				require.NoError(t, err)
				do(t, tab, chromedp.EmulateViewport(400, 900), chromedp.Navigate(address))
				return address, tab
			}
			t.Run("acknowledge and approve", func(t *testing.T) {
				address, tab := open(t)
				tabTo(t, tab, "Acknowledge")
				press(t, tab, "\r")
				eventually(t, tab, says("It is noted that somebody takes care of this"))
				eventually(t, tab, says("Ana Silva takes care since"))
				do(t, tab, chromedp.Navigate(address))
				tabTo(t, tab, "Look and decide")
				press(t, tab, "\r")
				eventually(t, tab, says("What would be done"))
				tabTo(t, tab, "Comment")
				press(t, tab, "looks right")
				tabTo(t, tab, "Approve")
				press(t, tab, "\r")
				eventually(t, tab, says("Your approval is recorded"))
				if !scripts {
					do(t, tab, chromedp.Navigate(strings.TrimSuffix(address, "/")+"/runs/run-rollback"))
				}
				eventually(t, tab, says("Succeeded"))
				eventually(t, tab, says("Ana Silva"))
			})
			t.Run("deny", func(t *testing.T) {
				_, tab := open(t)
				tabTo(t, tab, "Look and decide")
				press(t, tab, "\r")
				eventually(t, tab, says("What would be done"))
				tabTo(t, tab, "Deny")
				press(t, tab, "\r")
				eventually(t, tab, says("something is missing or wrong"))
				assert.Equal(t, "problem", value[string](t, tab, "document.activeElement.id"), "who listens hears it first")
				tabTo(t, tab, "Comment")
				press(t, tab, "exams today")
				tabTo(t, tab, "Deny")
				press(t, tab, "\r")
				eventually(t, tab, says("Your denial is recorded"))
				eventually(t, tab, says("exams today"))
			})
			_, console := s.taken()
			for _, line := range console {
				assert.Contains(t, line, "422", "nothing but the refusal is written to the console")
			}
		})
	}
}

// TestDashboardFollowsARun looks at a page that nobody touches: the steps of a run go on in
// it, what was unfolded stays so, and its end is shown.
func TestDashboardFollowsARun(t *testing.T) {
	address := board(t, "-as", "val", "-pace", "2s")
	s := new(site)
	tab := start(t, s)
	do(t, tab, chromedp.EmulateViewport(400, 900), chromedp.Navigate(address+"runs/run-look"))
	value[bool](t, tab, "window.mark = true")
	eventually(t, tab, "document.getElementById('link').textContent === 'This page follows what happens.'")
	eventually(t, tab, "document.querySelectorAll('#steps .step.done').length >= 2")
	value[bool](t, tab, "document.querySelector('#steps details').open = true")
	shot(t, tab, "dashboard-followed")
	eventually(t, tab, "document.querySelectorAll('#steps .step.done').length >= 3")
	assert.True(t, value[bool](t, tab, "window.mark === true"), "it is the same page")
	assert.True(t, value[bool](t, tab, "document.querySelector('#steps details').open"), "what was unfolded stays so")
	eventually(t, tab, "document.getElementById('say').textContent !== ''") // it is read out
	eventually(t, tab, says("Succeeded"))
	eventually(t, tab, "document.getElementById('link').textContent === 'It has ended.'")
	_, console := s.taken()
	assert.Empty(t, console)
}

// TestDashboardTellsOfChangesAndMovesNoButton looks at the first page while something
// happens: the headline follows, and a line offers to show what has changed.
func TestDashboardTellsOfChangesAndMovesNoButton(t *testing.T) {
	address := board(t, "-as", "ana", "-pace", "1m")
	s := new(site)
	tab := start(t, s)
	do(t, tab, chromedp.EmulateViewport(400, 900), chromedp.Navigate(address))
	eventually(t, tab, "document.getElementById('link').textContent === 'This page follows what happens.'")
	press(t, tab, "\t") // somebody uses it
	where := value[float64](t, tab, "document.querySelector('form button').getBoundingClientRect().y + scrollY")
	value[bool](t, tab, `fetch("automation/stop", {method: "POST", body: new URLSearchParams({reason: "a test"})}), true`)
	eventually(t, tab, says("Something has changed that you may want to act on."))
	assert.InDelta(t, where, value[float64](t, tab, "document.querySelector('form button').getBoundingClientRect().y + scrollY"), 0.5, "the button is where it was")
	tabTo(t, tab, "Show it")
	press(t, tab, "\r")
	eventually(t, tab, says("All automation is stopped by Ana Silva"))
}

// boards are the pages that people look at.
var boards = []string{"", "incidents", "incidents/INC-2026-0001", "incidents/INC-2026-0003", "runs", "runs/run-rollback", "runs/run-restart", "runs/run-look", "playbooks", "playbooks/production/application-down?plan=yes", "automation", "record", "nothing"}

// pathsOf returns the pages, and that of the decision that waits.
func pathsOf(t testing.TB, tab context.Context, address string) []string {
	t.Helper()
	do(t, tab, chromedp.Navigate(address))
	decision := value[string](t, tab, "document.querySelector('a[href*=\"approvals/\"]').getAttribute('href').replace('./', '')")
	return append([]string{decision}, boards...)
}

func nameOf(path string) string {
	name, _, _ := strings.Cut(path, "?")
	if strings.HasPrefix(name, "approvals/") {
		return "decision"
	}
	if name == "" {
		return "now"
	}
	return strings.ReplaceAll(name, "/", "-")
}

// TestDashboardLooksRight opens all pages by day and by night, on a desk, on a phone and on
// paper: none is wider than the window, and none writes to the console.
func TestDashboardLooksRight(t *testing.T) {
	for _, night := range []struct {
		name  string
		flags []string
	}{{"bad", []string{"-as", "ana"}}, {"broken", []string{"-as", "ben", "-broken"}}} {
		address := board(t, night.flags...)
		s := new(site)
		tab := start(t, s)
		paths := boards[:1]
		if night.name == "bad" {
			paths = pathsOf(t, tab, address)
		}
		for _, path := range paths {
			for _, kind := range []struct {
				name, media, scheme string
				width               int64
			}{{"light", "screen", "light", 1000}, {"dark", "screen", "dark", 1000}, {"phone", "screen", "light", 320}, {"phone-dark", "screen", "dark", 400}, {"print", "print", "dark", 794}} {
				media(t, tab, kind.media, kind.scheme)
				s.taken()
				do(t, tab, chromedp.EmulateViewport(kind.width, 800), chromedp.Navigate(address+path))
				_, console := s.taken()
				where := fmt.Sprint(path, " ", kind.name)
				if path != "nothing" { // whose status the console notes
					assert.Empty(t, console, where)
				}
				assert.EqualValues(t, kind.width, value[int](t, tab, "document.documentElement.scrollWidth"), "%s: nothing is wider than the window", where)
				want := map[string]string{"light": "rgb(255, 255, 255)", "dark": "rgb(13, 17, 23)"}[kind.scheme]
				if kind.media == "print" {
					want = "rgb(255, 255, 255)"
					assert.Zero(t, value[int](t, tab, "[...document.querySelectorAll('button, .button')].filter(e => e.offsetParent !== null).length"), "%s: there are no buttons on paper", where)
				} else {
					small := value[string](t, tab, "[...document.querySelectorAll('button, .button, main input:not([type=hidden]), select, summary')].filter(e => e.offsetParent !== null && !e.classList.contains('small') && e.getBoundingClientRect().height < 40).map(e => e.outerHTML).join('\\n')")
					assert.Empty(t, small, "%s: what is pressed is large enough for a thumb", where)
				}
				assert.Equal(t, want, value[string](t, tab, "getComputedStyle(document.body).backgroundColor"), where)
				shot(t, tab, "dashboard-"+night.name+"-"+nameOf(path)+"-"+kind.name)
			}
		}
	}
}

// TestDashboardIsAccessible asks axe about all pages, with everything unfolded.
func TestDashboardIsAccessible(t *testing.T) {
	library, err := os.ReadFile(services.Need(t, axe))
	require.NoError(t, err)
	address := board(t, "-as", "ana", "-pace", "5m")
	s := new(site)
	tab := start(t, s)
	for _, path := range pathsOf(t, tab, address) {
		for _, kind := range []struct {
			scheme string
			width  int64
		}{{"light", 1000}, {"dark", 1000}, {"dark", 320}} {
			media(t, tab, "screen", kind.scheme)
			do(t, tab, chromedp.EmulateViewport(kind.width, 800), chromedp.Navigate(address+path))
			value[bool](t, tab, string(library)+"; document.querySelectorAll('details').forEach(d => d.open = true); true")
			limited, cancel := context.WithTimeout(tab, patience)
			text, err := chromedp.Run(limited, chromedp.Evaluate[string]("axe.run(document).then(r => JSON.stringify({violations: r.violations, passes: r.passes.length}))", chromedp.EvalAwaitPromise))
			cancel()
			require.NoError(t, err)
			var found struct {
				Violations []violation
				Passes     int
			}
			require.NoError(t, json.Unmarshal([]byte(text), &found))
			assert.Greater(t, found.Passes, 10, "axe has looked at it")
			for _, v := range found.Violations {
				assert.Fail(t, v.Help, "%s, %+v: %s (%s): %+v", path, kind, v.ID, v.Impact, v.Nodes)
			}
		}
	}
}

// TestDashboardRefusesOtherSites sends a form from a page of another host.
func TestDashboardRefusesOtherSites(t *testing.T) {
	address := board(t, "-as", "ana")
	other := newOther(t, `<form method="post" action="`+address+`automation/stop"><input name="reason" value="x"><button>go</button></form>`)
	tab := start(t, new(site))
	do(t, tab, chromedp.Navigate(other))
	value[bool](t, tab, "document.querySelector('button').click(), true")
	eventually(t, tab, says("This came from another site"))
	do(t, tab, chromedp.Navigate(address+"automation"))
	eventually(t, tab, says("Automation is allowed"))
}

// newOther serves one page under another host.
func newOther(t *testing.T, page string) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte(page))
	}))
	t.Cleanup(s.Close)
	return strings.Replace(s.URL, "127.0.0.1", "localhost", 1)
}
