package alerttest_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/alert/alerttest"
	"go.acu.edu.au/runbook/alert/slack"
)

const token = "xoxb-geheim"

// A mistake is a notifier that is wrong in one way, and the case that must notice.
type mistake struct {
	notices string
	wrong   func(right alert.Notifier) alert.NotifierFunc
}

// before makes a mistake with what is sent, and with the context.
func before(notices string, change func(ctx context.Context, n *alert.Notification) context.Context) mistake {
	return mistake{notices, func(right alert.Notifier) alert.NotifierFunc {
		return func(ctx context.Context, n alert.Notification) (alert.Receipt, error) {
			return right.Notify(change(ctx, &n), n)
		}
	}}
}

// text makes a mistake with the text.
func text(notices string, change func(s string) string) mistake {
	return before(notices, func(ctx context.Context, n *alert.Notification) context.Context {
		n.Title, n.Text = change(n.Title), change(n.Text)
		return ctx
	})
}

// after makes a mistake with an error.
func after(notices string, change func(e *alert.Error) error) mistake {
	return mistake{notices, func(right alert.Notifier) alert.NotifierFunc {
		return func(ctx context.Context, n alert.Notification) (alert.Receipt, error) {
			r, err := right.Notify(ctx, n)
			if e, ok := errors.AsType[*alert.Error](err); ok {
				return r, change(e)
			}
			return r, err
		}
	}}
}

// valueless is a context that has forgotten what it says.
type valueless struct{ context.Context }

func (valueless) Value(any) any { return nil }

var mention = regexp.MustCompile(`<[^>]*>`)

func mistakes() map[string]mistake {
	return map[string]mistake{
		"begins anew each time": before("from the first message to the last", func(ctx context.Context, n *alert.Notification) context.Context {
			n.Prior = ""
			return ctx
		}),
		"says nothing of the end": {"from the first message to the last", func(right alert.Notifier) alert.NotifierFunc {
			return func(ctx context.Context, n alert.Notification) (alert.Receipt, error) {
				if n.Kind == alert.KindResolved {
					return n.Prior, nil
				}
				return right.Notify(ctx, n)
			}
		}},
		"has a secret in the receipt": {"from the first message to the last", func(right alert.Notifier) alert.NotifierFunc {
			return func(ctx context.Context, n alert.Notification) (alert.Receipt, error) {
				n.Prior = alert.Receipt(strings.TrimSuffix(string(n.Prior), token))
				r, err := right.Notify(ctx, n)
				return r + token, err
			}
		}},
		"mixes conversations": {"two conversations", func(right alert.Notifier) alert.NotifierFunc {
			var mu sync.Mutex
			var last alert.Receipt
			return func(ctx context.Context, n alert.Notification) (alert.Receipt, error) {
				mu.Lock()
				defer mu.Unlock()
				n.Prior = last
				r, err := right.Notify(ctx, n)
				last = r
				return r, err
			}
		}},
		"takes a limit for a refusal": after("limited", func(e *alert.Error) error {
			if e.Kind == alert.ErrLimited {
				e.Kind = alert.ErrRefused
			}
			return e
		}),
		"forgets how long to wait": after("limited", func(e *alert.Error) error {
			e.RetryAfter = 0
			return e
		}),
		"says nothing of a refusal": after("refused", func(e *alert.Error) error {
			if e.Kind == alert.ErrRefused {
				return nil
			}
			return e
		}),
		"tells the token":     after("refused", func(e *alert.Error) error { e.Err = errors.New("invalid token " + token); return e }),
		"says unsent":         after("server error", func(e *alert.Error) error { e.Unsent = true; return e }),
		"says refused":        after("reset", func(e *alert.Error) error { e.Kind = alert.ErrRefused; return e }),
		"knows nothing":       after("unreachable", func(*alert.Error) error { return errors.New("it did not work") }),
		"hides the context":   after("hang", func(e *alert.Error) error { e.Err = errors.New("too late"); return e }),
		"repeats and says so": after("lost answer", func(*alert.Error) error { return nil }),
		"repeats silently": before("lost answer", func(ctx context.Context, n *alert.Notification) context.Context {
			n.PossibleRepeat = false
			return ctx
		}),
		"repeats by itself": {"server error", func(right alert.Notifier) alert.NotifierFunc {
			return func(ctx context.Context, n alert.Notification) (alert.Receipt, error) {
				r, err := right.Notify(ctx, n)
				if err != nil && !runbook.SafeToRetry(err) {
					return right.Notify(ctx, n)
				}
				return r, err
			}
		}},
		"goes on after the context has ended": before("ended context", func(ctx context.Context, _ *alert.Notification) context.Context {
			return context.WithoutCancel(ctx)
		}),
		"sends also where nothing may be changed": before("read-only context", func(ctx context.Context, _ *alert.Notification) context.Context {
			return valueless{ctx}
		}),
		"refuses what is long": {"long", func(right alert.Notifier) alert.NotifierFunc {
			return func(ctx context.Context, n alert.Notification) (alert.Receipt, error) {
				if len(n.Text) > 40_000 {
					return "", &alert.Error{Service: "wrong", Op: "post", Kind: alert.ErrRefused}
				}
				return right.Notify(ctx, n)
			}
		}},
		"escapes nothing": text("hostile", func(s string) string { return mention.ReplaceAllString(s, "@everybody") }),
		"fails when two come at once": {"concurrently", func(right alert.Notifier) alert.NotifierFunc {
			first, second := make(chan struct{}, 1), make(chan struct{}, 8)
			return func(ctx context.Context, n alert.Notification) (alert.Receipt, error) {
				select {
				case first <- struct{}{}:
				default:
					second <- struct{}{}
					return "", fmt.Errorf("%s: busy", n.Key)
				}
				if strings.HasPrefix(n.Key, "0") { // those that the suite sends at once
					select {
					case <-ctx.Done():
					case <-second:
					}
				}
				r, err := right.Notify(ctx, n)
				<-first
				return r, err
			}
		}},
	}
}

func suite(t *testing.T, wrong func(right alert.Notifier) alert.NotifierFunc) {
	alerttest.TestNotifier(t, alerttest.NotifierHarness{New: func(t testing.TB) alerttest.NotifierCase {
		s := &alerttest.Slack{Token: token}
		n, err := slack.New(slack.Config{Token: runbook.NewSecret(token), Channel: "#alerts", HTTP: s.Client(), Timeout: time.Second})
		require.NoError(t, err)
		return alerttest.NotifierCase{
			Notifier: wrong(n), Secrets: []string{token}, Hostile: "<!here>", Escaped: "<!here>",
			Fail: func(next ...alerttest.Fault) bool { s.Fail(next...); return true },
			Messages: func() (texts []string) {
				for _, m := range s.Messages() {
					texts = append(texts, m.Posted)
				}
				return texts
			},
			Conversations: func() (n int) {
				for _, m := range s.Messages() {
					if m.ThreadTS == "" {
						n++
					}
				}
				return n
			},
		}
	}})
}

// TestSuiteNotices runs the suite on notifiers that are wrong, each in a process of its own,
// which must fail where it is said; and on the right one, which must not.
func TestSuiteNotices(t *testing.T) {
	if name := os.Getenv("NOTIFIER_MISTAKE"); name != "" {
		suite(t, mistakes()[name].wrong)
		return
	}
	t.Run("right", func(t *testing.T) {
		suite(t, func(right alert.Notifier) alert.NotifierFunc { return right.Notify })
	})
	for name, m := range mistakes() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestSuiteNotices$", "-test.v", "-test.timeout=60s")
			cmd.Env = append(os.Environ(), "NOTIFIER_MISTAKE="+name)
			out, err := cmd.CombinedOutput()
			require.Error(t, err, "the suite accepts it")
			failed := "--- FAIL: TestSuiteNotices/" + strings.ReplaceAll(m.notices, " ", "_") + " ("
			assert.Contains(t, string(out), failed)
		})
	}
}
