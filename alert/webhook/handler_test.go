package webhook_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/alert/alerttest"
	"go.acu.edu.au/runbook/alert/webhook"
	"go.acu.edu.au/runbook/internal/memhttp"
)

type taker struct {
	mu  sync.Mutex
	got []webhook.Message
	err error
}

func (k *taker) take(_ context.Context, m webhook.Message) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.err == nil {
		k.got = append(k.got, m)
	}
	return k.err
}

func (k *taker) handler(t testing.TB, secrets ...string) http.Handler {
	t.Helper()
	cfg := webhook.HandlerConfig{OnMessage: k.take}
	for _, s := range secrets {
		cfg.Secrets = append(cfg.Secrets, runbook.NewSecret(s))
	}
	h, err := webhook.NewHandler(cfg)
	require.NoError(t, err)
	return h
}

func serve(h http.Handler, r *http.Request) int {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Code
}

func TestNewHandler(t *testing.T) {
	_, err := webhook.NewHandler(webhook.HandlerConfig{})
	require.Error(t, err)
	assert.ErrorContains(t, err, "no secret")
	assert.ErrorContains(t, err, "OnMessage")
	_, err = webhook.NewHandler(webhook.HandlerConfig{Secrets: []runbook.Secret{runbook.NewSecret("short")}, OnMessage: (&taker{}).take})
	assert.ErrorContains(t, err, "secret 1")
}

// What the notifier sends, the receiver takes: as it was.
func TestThereAndBack(t *testing.T) {
	k := &taker{}
	n, err := webhook.New(webhook.Config{
		URL: runbook.NewSecret(address), Secret: runbook.NewSecret(secret), HTTP: memhttp.Client(k.handler(t, "an older secret of 24 bytes", secret), nil),
	})
	require.NoError(t, err)
	what := firing()
	_, err = n.Notify(t.Context(), what)
	require.NoError(t, err)
	require.Len(t, k.got, 1)
	m := k.got[0]
	assert.Equal(t, what.Key, m.Conversation)
	assert.Equal(t, what.Kind, m.Kind)
	assert.Empty(t, cmp.Diff(what.Alerts, m.Alerts))
	_, err = n.Notify(t.Context(), what)
	require.NoError(t, err)
	assert.Len(t, k.got, 1, "it was taken already")
}

func TestReceiver(t *testing.T) {
	sender := &alerttest.Webhook{Secret: secret}
	message, err := os.ReadFile("testdata/message.json")
	require.NoError(t, err)
	const id = "9f86d081884c7d659a2feaa0c55ad015-1"
	for name, c := range map[string]struct {
		age    time.Duration
		body   string
		change func(r *http.Request)
		want   int
	}{
		"right":         {0, string(message), nil, http.StatusNoContent},
		"5 minutes old": {5 * time.Minute, string(message), nil, http.StatusNoContent},
		"too old":       {5*time.Minute + time.Second, string(message), nil, http.StatusUnauthorized},
		"too new":       {-5*time.Minute - time.Second, string(message), nil, http.StatusUnauthorized},
		"another key": {0, string(message), func(r *http.Request) {
			*r = *(&alerttest.Webhook{Secret: "another secret, of 24 bytes"}).SignedRequest(id, message, time.Now())
		}, http.StatusUnauthorized},
		"another ID":   {0, string(message), func(r *http.Request) { r.Header.Set("webhook-id", "x") }, http.StatusUnauthorized},
		"another time": {0, string(message), func(r *http.Request) { r.Header.Set("webhook-timestamp", "946684801") }, http.StatusUnauthorized},
		"no ID":        {0, string(message), func(r *http.Request) { r.Header.Del("webhook-id") }, http.StatusUnauthorized},
		"two IDs":      {0, string(message), func(r *http.Request) { r.Header.Add("webhook-id", id) }, http.StatusUnauthorized},
		"no signature": {0, string(message), func(r *http.Request) { r.Header.Set("webhook-signature", "v1,") }, http.StatusUnauthorized},
		"asymmetric":   {0, string(message), func(r *http.Request) { r.Header.Set("webhook-signature", "v1a,AAAA") }, http.StatusUnauthorized},
		"one of several": {0, string(message), func(r *http.Request) {
			r.Header.Set("webhook-signature", "v1,AAAA x "+r.Header.Get("webhook-signature"))
		}, http.StatusNoContent},
		"too many": {0, string(message), func(r *http.Request) {
			r.Header.Set("webhook-signature", strings.Repeat("v1,AAAA ", 4)+r.Header.Get("webhook-signature"))
		}, http.StatusUnauthorized},
		"version 2":    {0, strings.Replace(string(message), `"version": 1`, `"version": 2`, 1), nil, http.StatusBadRequest},
		"ID in body":   {0, strings.Replace(string(message), id, "other-1", 1), nil, http.StatusBadRequest},
		"no JSON":      {0, "hello", nil, http.StatusBadRequest},
		"a new field":  {0, strings.Replace(string(message), `"seq": 1`, `"seq": 1, "tomorrow": {}`, 1), nil, http.StatusNoContent},
		"too large":    {0, strings.Repeat(" ", 4<<20) + string(message), nil, http.StatusRequestEntityTooLarge},
		"another verb": {0, string(message), func(r *http.Request) { r.Method = http.MethodPut }, http.StatusMethodNotAllowed},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := &taker{}
				r := sender.SignedRequest(id, []byte(c.body), time.Now().Add(-c.age))
				if c.change != nil {
					c.change(r)
				}
				assert.Equal(t, c.want, serve(k.handler(t, secret), r))
				assert.Equal(t, c.want == http.StatusNoContent, len(k.got) == 1)
			})
		})
	}
}

// What came before is not taken again, and what could not be taken is.
func TestReplay(t *testing.T) {
	message, err := os.ReadFile("testdata/message.json")
	require.NoError(t, err)
	const id = "9f86d081884c7d659a2feaa0c55ad015-1"
	sender := &alerttest.Webhook{Secret: secret}
	k := &taker{err: errors.New("down")}
	h := k.handler(t, secret)
	post := func() int { return serve(h, sender.SignedRequest(id, message, time.Now())) }
	assert.Equal(t, http.StatusServiceUnavailable, post())
	k.err = nil
	assert.Equal(t, http.StatusNoContent, post())
	assert.Equal(t, http.StatusNoContent, post())
	assert.Len(t, k.got, 1)
}

// The same message twice at the same time is taken once; the second one comes again.
func TestBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		message, err := os.ReadFile("testdata/message.json")
		require.NoError(t, err)
		const id = "9f86d081884c7d659a2feaa0c55ad015-1"
		sender := &alerttest.Webhook{Secret: secret}
		h, err := webhook.NewHandler(webhook.HandlerConfig{Secrets: []runbook.Secret{runbook.NewSecret(secret)}, OnMessage: func(context.Context, webhook.Message) error {
			time.Sleep(time.Second)
			return nil
		}})
		require.NoError(t, err)
		var all sync.WaitGroup
		all.Go(func() { assert.Equal(t, http.StatusNoContent, serve(h, sender.SignedRequest(id, message, time.Now()))) })
		synctest.Wait()
		assert.Equal(t, http.StatusServiceUnavailable, serve(h, sender.SignedRequest(id, message, time.Now())))
		all.Wait()
		assert.Equal(t, http.StatusNoContent, serve(h, sender.SignedRequest(id, message, time.Now())))
	})
}

func FuzzReceiver(f *testing.F) {
	message, err := os.ReadFile("testdata/message.json")
	require.NoError(f, err)
	f.Add("9f86d081884c7d659a2feaa0c55ad015-1", "v1,AAAA", message)
	f.Add("a-1", "v1a,x v1,", []byte(`{"version":1,"id":"a-1","severity":"high","at":"2026-10-05T03:12:00Z"}`))
	f.Add("a-1", "", []byte(`{"version":1,"id":"a-1","alerts":[{}],"post":null}`))
	sender := &alerttest.Webhook{Secret: secret}
	f.Fuzz(func(t *testing.T, id, signature string, body []byte) {
		k := &taker{}
		h := k.handler(t, secret)
		code := serve(h, sender.SignedRequest(id, body, time.Now()))
		if code == http.StatusNoContent {
			if len(k.got) != 1 || k.got[0].ID != id || k.got[0].Version != 1 {
				t.Errorf("taken: %+v", k.got)
			}
			if _, err := json.Marshal(k.got[0]); err != nil && k.got[0].Severity != 0 {
				t.Errorf("it cannot be passed on: %v", err)
			}
		} else if len(k.got) > 0 {
			t.Errorf("status %d, and taken", code)
		}
		r := sender.SignedRequest(id, body, time.Now())
		right := r.Header.Get("webhook-signature")
		r.Header.Set("webhook-signature", signature)
		given, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(strings.TrimSpace(signature), "v1,"))
		if code := serve(h, r); code < 300 && (err != nil || !strings.Contains(right, base64.StdEncoding.EncodeToString(given))) && !strings.Contains(signature, right) {
			t.Errorf("signature %q: status %d", signature, code)
		}
	})
}

// BenchmarkReceiver measures how much it costs to refuse a request that is not signed by the
// sender, which anybody can send. The target is 50 µs for one of usual size.
func BenchmarkReceiver(b *testing.B) {
	message, err := os.ReadFile("testdata/message.json")
	require.NoError(b, err)
	h := (&taker{}).handler(b, secret)
	r := (&alerttest.Webhook{Secret: "another secret, of 24 bytes"}).SignedRequest("a-1", message, time.Now())
	b.ReportAllocs()
	for b.Loop() {
		if r.Body, err = r.GetBody(); err != nil {
			b.Fatal(err)
		}
		h.ServeHTTP(httptest.NewRecorder(), r)
	}
}
