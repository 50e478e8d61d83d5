package shoutrrr_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/alert/alerttest"
	"go.acu.edu.au/runbook/alert/internal/story"
	"go.acu.edu.au/runbook/alert/shoutrrr"
)

const secret = "T0kenInThePath"

// service is a webhook that keeps what it is told, and fails as it is told to.
type service struct {
	*httptest.Server
	mu   sync.Mutex
	got  []string
	next []alerttest.Fault
}

func newService(t testing.TB) *service {
	s := &service{}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	t.Cleanup(s.CloseClientConnections)
	return s
}

func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	s.mu.Lock()
	fault := alerttest.Fault(0)
	if len(s.next) > 0 {
		fault, s.next = s.next[0], s.next[1:]
	}
	if fault != alerttest.ServerError && fault != alerttest.Reset {
		s.got = append(s.got, string(body))
	}
	s.mu.Unlock()
	switch fault {
	case alerttest.ServerError, alerttest.LateError:
		w.WriteHeader(http.StatusBadGateway)
	case alerttest.Reset, alerttest.Lost:
		panic(http.ErrAbortHandler)
	case alerttest.Hang:
		<-r.Context().Done()
	}
}

func (s *service) messages() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.got)
}

func (s *service) fail(next ...alerttest.Fault) bool {
	for _, f := range next {
		// Of these the library says no more than of any other error.
		if f == alerttest.Limit || f == alerttest.Refuse || f == alerttest.Unreachable {
			return false
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next = append(s.next, next...)
	return true
}

func notifier(t testing.TB, s *service) *shoutrrr.Notifier {
	t.Helper()
	n, err := shoutrrr.New(shoutrrr.Config{URL: runbook.NewSecret("generic+" + s.URL + "/hook/" + secret)})
	require.NoError(t, err)
	return n
}

func note(kind alert.Kind, seq int) alert.Notification {
	return alert.Notification{Key: "k", Seq: seq, Kind: kind, Title: "it is slow", Text: fmt.Sprintf("it is slow: %s %d\n", kind, seq), At: time.Now()}
}

func TestNotifier(t *testing.T) {
	alerttest.TestNotifier(t, alerttest.NotifierHarness{New: func(t testing.TB) alerttest.NotifierCase {
		s := newService(t)
		c := alerttest.NotifierCase{
			Notifier: notifier(t, s), Messages: s.messages, Fail: s.fail, Secrets: []string{secret},
			Hostile: "@everyone <!channel> <@U123>", Escaped: "@\u200beveryone <\u200b!channel> <\u200b@U123>",
		}
		if strings.Contains(t.Name(), "concurrently") {
			c.Notifier = patient{c.Notifier} // four at the same time, as a target of the router has
		}
		return c
	}})
}

// patient tries again what was not sent.
type patient struct{ alert.Notifier }

func (p patient) Notify(ctx context.Context, n alert.Notification) (alert.Receipt, error) {
	for {
		r, err := p.Notifier.Notify(ctx, n)
		if err == nil || !runbook.SafeToRetry(err) {
			return r, err
		}
	}
}

// Each message is a new one, without a receipt, and its address is in nothing that anybody
// reads.
//
// Requirement: AL-SHOUTRRR-RECEIPT
func TestReceipt(t *testing.T) {
	s := newService(t)
	n := notifier(t, s)
	for i, kind := range []alert.Kind{alert.KindFiring, alert.KindUpdate, alert.KindResolved} {
		receipt, err := n.Notify(t.Context(), note(kind, i+1))
		require.NoError(t, err)
		assert.Empty(t, receipt)
	}
	assert.Equal(t, []string{"it is slow: firing 1", "it is slow: update 2", "it is slow: resolved 3"}, s.messages())

	s.fail(alerttest.LateError)
	_, err := n.Notify(t.Context(), note(alert.KindFiring, 4))
	require.Error(t, err)
	assert.False(t, runbook.SafeToRetry(err), "whether it arrived is not known")
	again := note(alert.KindFiring, 4)
	again.PossibleRepeat = true
	_, err = n.Notify(t.Context(), again)
	require.NoError(t, err)
	assert.True(t, strings.HasPrefix(s.messages()[4], "Possible repeat"))
	for _, text := range []string{err2text(err), fmt.Sprintf("%v %+v %#v", n, n, n)} {
		assert.NotContains(t, text, secret)
	}
	s.Close()
	_, err = n.Notify(t.Context(), note(alert.KindFiring, 5))
	require.Error(t, err)
	assert.NotContains(t, fmt.Sprintf("%v %+v %#v", err, err, err), secret)
	assert.NotContains(t, err.Error(), s.URL)
	assert.False(t, runbook.SafeToRetry(err), "of a refused connection the library says no more")
	assert.NotErrorIs(t, err, alert.ErrRefused)
}

func err2text(err error) string { return fmt.Sprintf("%v %+v %#v", err, err, err) }

// Sends that hang are not piled up.
func TestHangingSends(t *testing.T) {
	s := newService(t)
	n := notifier(t, s)
	for range 4 {
		s.fail(alerttest.Hang)
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
		_, err := n.Notify(ctx, note(alert.KindFiring, 1))
		cancel()
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.False(t, runbook.SafeToRetry(err))
	}
	_, err := n.Notify(t.Context(), note(alert.KindFiring, 2))
	require.Error(t, err)
	assert.True(t, runbook.SafeToRetry(err), "it was not sent")
	s.CloseClientConnections()
	require.Eventually(t, func() bool {
		_, err = n.Notify(t.Context(), note(alert.KindFiring, 3))
		return err == nil
	}, 10*time.Second, time.Millisecond)
}

// Requirement: AL-SHOUTRRR-RECEIPT
func TestNew(t *testing.T) {
	for address, want := range map[string]string{
		"":                                "URL is missing",
		secret:                            "does not begin with the name of a service",
		"https://example.edu/" + secret:   "does not begin with the name of a service",
		"nosuch://" + secret + "@host":    "does not begin with the name of a service",
		"discord://" + secret:             "the URL of service discord is not valid",
		"telegram://" + secret + "@x?y=z": "the URL of service telegram is not valid",
		"ntfy://:" + secret + "@ho st/%%": "the URL of service ntfy is not valid",
	} {
		_, err := shoutrrr.New(shoutrrr.Config{URL: runbook.NewSecret(address), MaxBytes: -1})
		require.ErrorContains(t, err, want)
		assert.ErrorContains(t, err, "MaxBytes")
		assert.NotContains(t, err.Error(), secret)
	}
	for _, address := range []string{"matrix://user:" + secret + "@host.invalid", "ntfy://:tk_a@ntfy.example.edu/alerts", "discord://token@webhookid", "logger://"} {
		_, err := shoutrrr.New(shoutrrr.Config{URL: runbook.NewSecret(address)})
		assert.NoError(t, err, address)
	}
}

func TestGolden(t *testing.T) {
	s := newService(t)
	n := notifier(t, s)
	for _, step := range story.Steps() {
		step.PossibleRepeat = step.Name == "update"
		_, err := n.Notify(t.Context(), step.Notification)
		require.NoError(t, err)
	}
	story.Golden(t, "night.txt", "=== "+strings.Join(s.messages(), "\n\n=== ")+"\n")
}

// FuzzURL feeds addresses to New: it never panics, and never says what it was given.
func FuzzURL(f *testing.F) {
	for _, a := range []string{"discord://token@id", "telegram://a@telegram?chats=1", "smtp://u:p@h:25/?from=a@b&to=c@d", "teams://", "slack://hook:a-b-c@webhook", "generic+https://h/p?x=%zz", "pushover://shoutrrr:t@u"} {
		f.Add(a)
	}
	f.Fuzz(func(t *testing.T, address string) {
		_, err := shoutrrr.New(shoutrrr.Config{URL: runbook.NewSecret(address + secret)})
		if err != nil && strings.Contains(err.Error(), secret) {
			t.Errorf("the address is in %q", err)
		}
	})
}
