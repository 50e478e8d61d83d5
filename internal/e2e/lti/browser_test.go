package lti_test

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/internal/services"
)

// shots names a folder in which the tests leave pictures of pages, for people to
// look at.
const shots = "RUNBOOK_E2E_SHOTS"

// A policy is what a browser does with cookies.
type policy string

const (
	// everything is a browser that blocks no cookies.
	everything policy = "all cookies are allowed"
	// partitioned is the setting of Chrome that blocks those of third parties: it
	// leaves a tool the cookies that are partitioned.
	partitioned policy = "third-party cookies are blocked"
	// nothing is a browser that lets the tool keep no cookies at all in frames of
	// the platform, as some privacy settings do. On its own page it may.
	nothing policy = "no cookies in frames"
)

// preferences returns those of a profile.
func (p policy) preferences() map[string]any {
	profile := map[string]any{"cookie_controls_mode": 0}
	switch p {
	case partitioned:
		profile["cookie_controls_mode"] = 1
		profile["block_third_party_cookies"] = true
	case nothing:
		const block = 2
		profile["content_settings"] = map[string]any{"exceptions": map[string]any{"cookies": map[string]any{
			"[*.]" + site(toolHost) + ",[*.]" + site(courseHost): map[string]any{"setting": block},
		}}}
	}
	return map[string]any{"profile": profile}
}

// site returns the registrable domain of a host of these tests.
func site(host string) string {
	labels := strings.Split(host, ".")
	return strings.Join(labels[len(labels)-2:], ".")
}

// openBrowser starts a browser for which every host is the server at an address.
func openBrowser(t *testing.T, p policy, address, spki string) (context.Context, *console) {
	t.Helper()
	program := services.Need(t, services.Chromium)
	profile := t.TempDir()
	text, err := json.Marshal(p.preferences())
	require.NoError(t, err)
	require.NoError(t, os.Mkdir(filepath.Join(profile, "Default"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(profile, "Default", "Preferences"), text, 0o600))
	c := new(console)
	options := []chromedp.ExecAllocatorOption{
		chromedp.ExecPath(program), chromedp.UserDataDir(profile), chromedp.Headless, chromedp.NoFirstRun, chromedp.NoDefaultBrowserCheck,
		chromedp.WindowSize(1000, 700), chromedp.CombinedOutput(c.follow(t)),
		chromedp.Flag("host-resolver-rules", "MAP * "+address),
		chromedp.Flag("ignore-certificate-errors-spki-list", spki),
		chromedp.Flag("enable-logging", "stderr"), // the console of all frames, which the protocol tells one by one
		chromedp.Flag("force-color-profile", "srgb"),
	}
	for _, flag := range []string{
		"disable-gpu", "disable-quic", "disable-background-networking", "disable-component-update", "disable-sync",
		"disable-dev-shm-usage", "disable-extensions", "disable-default-apps", "disable-breakpad",
	} {
		options = append(options, chromedp.Flag(flag, true))
	}
	if os.Getuid() == 0 {
		options = append(options, chromedp.NoSandbox) // it refuses to be root otherwise
	}
	allocator, stop := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(stop)
	ctx, cancel := chromedp.NewContext(allocator)
	t.Cleanup(cancel)
	require.NoError(t, chromedp.Do(ctx), "start %s", program)
	return ctx, c
}

// console has what pages wrote to the console, in all frames and tabs.
type console struct {
	mu    sync.Mutex
	lines []string
}

// follow returns where the output of the browser goes.
func (c *console) follow(t *testing.T) io.Writer {
	r, w := io.Pipe()
	t.Cleanup(func() { _ = w.Close() })
	go func() {
		lines := bufio.NewScanner(r)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			if _, text, ok := strings.Cut(lines.Text(), ":CONSOLE:"); ok {
				c.mu.Lock()
				c.lines = append(c.lines, text)
				c.mu.Unlock()
			}
		}
	}()
	return w
}

// take returns the lines that came so far, but for those that contain one of
// some texts, and forgets them.
func (c *console) take(but ...string) (lines []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
next:
	for _, line := range c.lines {
		for _, text := range but {
			if strings.Contains(line, text) {
				continue next
			}
		}
		lines = append(lines, line)
	}
	c.lines = nil
	return lines
}

// patience is how long a page may take.
const patience = 15 * time.Second

// eventually waits until something holds.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !holds(); time.Sleep(20 * time.Millisecond) {
		require.True(t, time.Now().Before(end), "after %v: not yet %s", patience, what)
	}
}

// do runs actions in a tab or frame.
func do(t testing.TB, ctx context.Context, actions ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	limited, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	require.NoError(t, chromedp.Do(limited, actions...))
}

// value evaluates an expression in a tab or frame.
func value[T any](t testing.TB, ctx context.Context, expression string) T {
	t.Helper()
	limited, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	v, err := chromedp.Run(limited, chromedp.Evaluate[T](expression))
	require.NoError(t, err)
	return v
}

// attach returns the context of a target that exists.
func attach(t testing.TB, tab context.Context, id target.ID) context.Context {
	ctx, cancel := chromedp.NewContext(tab, chromedp.WithTargetID(id), chromedp.WithDetachOnCancel())
	t.Cleanup(cancel)
	return ctx
}

// frame waits for a frame of another site whose page has a text, and returns its
// context. Frames come and go while a launch is under way.
func frame(t testing.TB, tab context.Context, text string) (found context.Context) {
	t.Helper()
	var last string
	end := time.Now().Add(patience)
	for time.Now().Before(end) {
		infos, err := chromedp.Targets(tab)
		require.NoError(t, err)
		for _, info := range infos {
			if info.Type != "iframe" {
				continue
			}
			ctx, cancel := chromedp.NewContext(tab, chromedp.WithTargetID(info.TargetID), chromedp.WithDetachOnCancel())
			page, err := chromedp.Run(ctx, chromedp.Evaluate[string]("document.body ? document.body.innerText : ''"))
			if err == nil && strings.Contains(page, text) {
				t.Cleanup(cancel)
				return ctx
			}
			cancel()
			last += "\n" + info.URL + ": " + page
		}
		time.Sleep(50 * time.Millisecond)
	}
	require.Fail(t, "no frame has the text", "%q; there were %s", text, last[max(0, len(last)-3000):])
	return nil
}

// shot saves a picture of a tab, if somebody wants to see it.
func shot(t testing.TB, tab context.Context, name string) {
	t.Helper()
	dir := os.Getenv(shots)
	if dir == "" {
		return
	}
	limited, cancel := context.WithTimeout(tab, patience)
	defer cancel()
	png, err := chromedp.Run(limited, chromedp.CaptureScreenshot())
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, name+".png"), png, 0o600))
}
