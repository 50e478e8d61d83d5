package lti_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
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

// A browser is one for which every host is the server at an address.
type browser struct {
	program, profile string
	policy           policy
	address          string
	spki             string // of the certificate that it trusts
}

// start starts the browser, which follows nothing but what it is told.
func (b browser) start(t *testing.T, c *console) (context.Context, func()) {
	t.Helper()
	text, err := json.Marshal(b.policy.preferences())
	require.NoError(t, err)
	require.NoError(t, os.Mkdir(filepath.Join(b.profile, "Default"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(b.profile, "Default", "Preferences"), text, 0o600))
	output, w := io.Pipe()
	go c.follow(output)
	options := []chromedp.ExecAllocatorOption{
		chromedp.ExecPath(b.program), chromedp.UserDataDir(b.profile), chromedp.Headless, chromedp.NoFirstRun, chromedp.NoDefaultBrowserCheck,
		chromedp.WindowSize(1000, 700), chromedp.CombinedOutput(w),
		chromedp.Flag("host-resolver-rules", "MAP * "+b.address),
		chromedp.Flag("ignore-certificate-errors-spki-list", b.spki),
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
	limited, end := context.WithTimeout(context.Background(), limit)
	allocator, stop := chromedp.NewExecAllocator(limited, options...)
	ctx, cancel := chromedp.NewContext(allocator)
	require.NoError(t, chromedp.Do(ctx), "start %s", b.program)
	return ctx, func() { cancel(); stop(); end(); _ = w.Close() }
}

// console has what pages wrote to the console, in all frames and tabs.
type console struct {
	mu    sync.Mutex
	lines []string
}

// follow reads the output of the browser.
func (c *console) follow(output io.Reader) {
	lines := bufio.NewScanner(output)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if _, text, ok := strings.Cut(lines.Text(), ":CONSOLE:"); ok {
			c.mu.Lock()
			c.lines = append(c.lines, text)
			c.mu.Unlock()
		}
	}
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

// has reports whether a line contains a text.
func (c *console) has(text string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.ContainsFunc(c.lines, func(line string) bool { return strings.Contains(line, text) })
}

// How long things may take.
const (
	patience = 30 * time.Second // how long a page may take
	limit    = 5 * time.Minute  // how long a browser may run
)

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

// shows waits until the page of a tab has a text.
func shows(t testing.TB, tab context.Context, text string) {
	t.Helper()
	eventually(t, "a page that says "+text, func() bool {
		page, err := chromedp.Run(tab, chromedp.Evaluate[string](innerText))
		return err == nil && strings.Contains(page, text)
	})
}

const innerText = "document.body ? document.body.innerText : ''"

// frame waits for a frame of another site whose page has a text, and returns its
// context. Frames come and go while a launch is under way.
func frame(t testing.TB, tab context.Context, text string) context.Context {
	t.Helper()
	return find(t, tab, "iframe", text)
}

// page waits for another tab whose page has a text, and returns its context. The
// tab is closed when the test ends.
func page(t testing.TB, tab context.Context, text string) context.Context {
	t.Helper()
	ctx := find(t, tab, "page", text)
	id := chromedp.FromContext(ctx).Target.TargetID
	t.Cleanup(func() {
		_, err := chromedp.CallBrowser(tab, target.CloseTarget, target.CloseTargetParams{TargetID: id})
		require.NoError(t, err)
	})
	return ctx
}

func find(t testing.TB, tab context.Context, kind, text string) (found context.Context) {
	t.Helper()
	seen := make(map[string]bool)
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		infos, err := chromedp.Targets(tab)
		require.NoError(t, err)
		for _, info := range infos {
			if info.Type != kind || info.TargetID == chromedp.FromContext(tab).Target.TargetID {
				continue
			}
			ctx, cancel := chromedp.NewContext(tab, chromedp.WithTargetID(info.TargetID), chromedp.WithDetachOnCancel())
			page, err := chromedp.Run(ctx, chromedp.Evaluate[string](innerText))
			if err == nil && strings.Contains(page, text) {
				t.Cleanup(cancel)
				return ctx
			}
			cancel()
			seen[info.URL+": "+page] = true
		}
	}
	require.Fail(t, "no "+kind+" has the text", "%q; there were %q", text, slices.Collect(maps.Keys(seen)))
	return nil
}

// click clicks on an element in the frame of the tool, as a person does.
func click(t testing.TB, tab, f context.Context, selector string) {
	t.Helper()
	const middle = "(() => { const r = document.querySelector(%q).getBoundingClientRect(); return [r.x + %s, r.y + %s]; })()"
	outer := value[[]float64](t, tab, fmt.Sprintf(middle, "iframe.tool", "1", "1")) // its border
	inner := value[[]float64](t, f, fmt.Sprintf(middle, selector, "r.width / 2", "r.height / 2"))
	do(t, tab, chromedp.MouseClickXY(outer[0]+inner[0], outer[1]+inner[1]))
}

// allowScripts says whether a page may run scripts from its next load on.
func allowScripts(t testing.TB, ctx context.Context, yes bool) {
	t.Helper()
	_, err := chromedp.Call(ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: !yes})
	require.NoError(t, err)
}

// prefer sets the colour scheme of pages.
func prefer(t testing.TB, scheme string, pages ...context.Context) {
	t.Helper()
	for _, ctx := range pages {
		_, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
		})
		require.NoError(t, err)
	}
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
