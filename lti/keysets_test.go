package lti_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/internal/httpx"
	"go.acu.edu.au/runbook/lti"
)

const jwksAddress = "https://sso.platform.example/api/lti/security/jwks"

// rsaKeys are made once, since they are dear.
var rsaKeys = sync.OnceValue(func() [2]*rsa.PublicKey {
	var keys [2]*rsa.PublicKey
	for i := range keys {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			panic(err)
		}
		keys[i] = &key.PublicKey
	}
	return keys
})

// entry returns a JWK with changes.
func entry(kid string, key *rsa.PublicKey, changes map[string]any) map[string]any {
	return changed(map[string]any{
		"kty": "RSA", "kid": kid, "use": "sig", "alg": "RS256",
		"n": base64.RawURLEncoding.EncodeToString(key.N.Bytes()), "e": base64.RawURLEncoding.EncodeToString(big.NewInt(int64(key.E)).Bytes()),
	}, changes)
}

func jwks(entries ...any) []byte {
	body, err := json.Marshal(map[string]any{"keys": append([]any{}, entries...)})
	if err != nil {
		panic(err)
	}
	return body
}

// keyServer answers with key sets.
type keyServer struct {
	mu       sync.Mutex
	body     []byte
	header   http.Header
	status   int                                         // 0 means 200
	err      error                                       // instead of an answer
	answer   func(*http.Request) (*http.Response, error) // instead of all that
	hold     chan struct{}                               // nil, or closed when answers may go out
	requests []*http.Request
}

func (k *keyServer) RoundTrip(r *http.Request) (*http.Response, error) {
	k.mu.Lock()
	k.requests = append(k.requests, r)
	body, header, status, err, answer, hold := k.body, k.header.Clone(), k.status, k.err, k.answer, k.hold
	k.mu.Unlock()
	if hold != nil {
		select {
		case <-hold:
		case <-r.Context().Done():
			return nil, r.Context().Err()
		}
	}
	if answer != nil {
		return answer(r)
	}
	if err != nil {
		return nil, err
	}
	if header == nil {
		header = http.Header{}
	}
	if status == 0 {
		status = http.StatusOK
	}
	return &http.Response{StatusCode: status, Header: header, Body: io.NopCloser(bytes.NewReader(body)), ContentLength: -1, Request: r}, nil
}

// change changes the server while it is in use.
func (k *keyServer) change(fn func()) {
	k.mu.Lock()
	defer k.mu.Unlock()
	fn()
}

func (k *keyServer) asked() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.requests)
}

func newKeySets(t testing.TB, k *keyServer, change func(*lti.KeySetsConfig)) *lti.KeySets {
	t.Helper()
	cfg := lti.KeySetsConfig{HTTP: &http.Client{Transport: k}}
	if change != nil {
		change(&cfg)
	}
	s, err := lti.NewKeySets(cfg)
	require.NoError(t, err)
	return s
}

// A platform makes a new key. It is found once the interval has passed, by one
// fetch; the known key is there all the time.
//
// Requirement: LTI-PEER-MARCGABE-REFETCH
func TestUnknownKeyIsLookedForOnce(t *testing.T) {
	keys := rsaKeys()
	synctest.Test(t, func(t *testing.T) {
		k := &keyServer{body: jwks(entry("old", keys[0], nil))}
		s := newKeySets(t, k, func(cfg *lti.KeySetsConfig) { cfg.UserAgent = "quiz/1" })
		key, err := s.Key(t.Context(), jwksAddress, "old", false)
		require.NoError(t, err)
		assert.True(t, keys[0].Equal(key))
		r := k.requests[0]
		assert.Equal(t, "GET "+jwksAddress, r.Method+" "+r.URL.String())
		assert.Equal(t, "quiz/1", r.Header.Get("User-Agent"))
		assert.Contains(t, r.Header.Get("Accept"), "application/json")

		k.change(func() { k.body = jwks(entry("old", keys[0], nil), entry("new", keys[1], nil)) })
		for range 100 {
			_, err = s.Key(t.Context(), jwksAddress, "new", false)
			require.ErrorIs(t, err, lti.ErrUnknownKey)
			require.NotErrorIs(t, err, lti.ErrKeySet)
		}
		assert.Equal(t, 1, k.asked(), "the set was read just now")
		time.Sleep(31 * time.Second)
		key, err = s.Key(t.Context(), jwksAddress, "new", false)
		require.NoError(t, err)
		assert.True(t, keys[1].Equal(key))
		assert.Equal(t, 2, k.asked())
		for range 600 { // five minutes of made up names
			_, err = s.Key(t.Context(), jwksAddress, "guess\x1b\n", false)
			require.ErrorIs(t, err, lti.ErrUnknownKey)
			assert.NotContains(t, err.Error(), "guess")
			_, err = s.Key(t.Context(), jwksAddress, "old", false)
			require.NoError(t, err)
			time.Sleep(500 * time.Millisecond)
		}
		assert.LessOrEqual(t, k.asked(), 12, "two a minute")
		assert.GreaterOrEqual(t, k.asked(), 10, "it was looked for")
		for _, kid := range []string{"", strings.Repeat("x", 513)} {
			before := k.asked()
			time.Sleep(time.Minute)
			_, err = s.Key(t.Context(), jwksAddress, kid, false)
			require.ErrorIs(t, err, lti.ErrUnknownKey)
			assert.Equal(t, before, k.asked(), "no set has such a key")
		}
	})
}

// A thousand names that nobody knows make one fetch. While it hangs, those whose
// key is known do not wait for a moment, and when it has ended, names that nobody
// knows are refused without waiting.
//
// Requirement: LTI-GOTCHA-18, LTI-LIB-FETCH-UNKNOWN, LTI-PEER-MARCGABE-REFETCH
func TestUnknownKeysDelayNobody(t *testing.T) {
	keys := rsaKeys()
	synctest.Test(t, func(t *testing.T) {
		k := &keyServer{body: jwks(entry("known", keys[0], nil))}
		s := newKeySets(t, k, nil)
		require.NoError(t, s.Load(t.Context(), jwksAddress, false))
		time.Sleep(31 * time.Second)
		hold := make(chan struct{})
		k.change(func() { k.hold = hold })
		var unknown, known sync.WaitGroup
		flood := func() {
			for i := range 1000 {
				unknown.Go(func() {
					_, err := s.Key(t.Context(), jwksAddress, fmt.Sprint("made-up-", i), false)
					assert.ErrorIs(t, err, lti.ErrUnknownKey)
				})
			}
		}
		flood()
		synctest.Wait()
		require.Equal(t, 2, k.asked())
		start := time.Now()
		for range 100 {
			known.Go(func() {
				key, err := s.Key(t.Context(), jwksAddress, "known", false)
				assert.NoError(t, err)
				assert.True(t, keys[0].Equal(key))
			})
		}
		known.Wait()
		assert.Zero(t, time.Since(start), "the clock of the bubble goes on as soon as somebody waits")
		time.Sleep(time.Second)
		close(hold)
		unknown.Wait()
		assert.Equal(t, 2, k.asked())

		start = time.Now()
		flood()
		unknown.Wait()
		assert.Zero(t, time.Since(start))
		assert.Equal(t, 2, k.asked())
		refused := testing.AllocsPerRun(10, func() { _, _ = s.Key(t.Context(), jwksAddress, "made-up", false) })
		assert.Less(t, refused, 8.0, "no goroutine, no channel: an error and no more")
	})
}

// Who gives up leaves; the fetch goes on for the others.
func TestGivingUpOnAKeySet(t *testing.T) {
	keys := rsaKeys()
	synctest.Test(t, func(t *testing.T) {
		hold := make(chan struct{})
		k := &keyServer{body: jwks(entry("a", keys[0], nil)), hold: hold}
		s := newKeySets(t, k, nil)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := s.Key(ctx, jwksAddress, "a", false)
		require.ErrorIs(t, err, lti.ErrKeySet)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		close(hold)
		_, err = s.Key(t.Context(), jwksAddress, "a", false)
		require.NoError(t, err)
		assert.Equal(t, 1, k.asked())
	})
}

// How long a set counts as fresh, by its headers.
//
// Requirement: LTI-LIB-FETCH-INTERVAL
func TestLifeOfAKeySet(t *testing.T) {
	keys := rsaKeys()
	for name, tc := range map[string]struct {
		control []string
		want    time.Duration
	}{
		"Canvas":       {[]string{"max-age=864000, public"}, 24 * time.Hour},
		"nothing":      {nil, 5 * time.Minute},
		"an hour":      {[]string{"public, Max-Age=3600"}, time.Hour},
		"quoted":       {[]string{`max-age="3600"`}, time.Hour},
		"second field": {[]string{"public", "max-age=3600"}, time.Hour},
		"short":        {[]string{"max-age=1"}, 5 * time.Minute},
		"no-store":     {[]string{"no-store"}, 5 * time.Minute},
		"negative":     {[]string{"max-age=-1"}, 5 * time.Minute},
		"overflow":     {[]string{"max-age=99999999999999999999"}, 5 * time.Minute},
		"68 years":     {[]string{"max-age=2147483647"}, 24 * time.Hour},
		"shared":       {[]string{"s-maxage=3600"}, 5 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := &keyServer{body: jwks(entry("a", keys[0], nil)), header: http.Header{"Cache-Control": tc.control}}
				s := newKeySets(t, k, nil)
				get := func() int {
					_, err := s.Key(t.Context(), jwksAddress, "a", false)
					require.NoError(t, err)
					synctest.Wait() // for what goes on in the background
					return k.asked()
				}
				assert.Equal(t, 1, get())
				status, ok := s.Status(jwksAddress, false)
				require.True(t, ok)
				assert.Equal(t, tc.want, status.Fresh)
				assert.Equal(t, tc.want+7*24*time.Hour, status.Usable)
				time.Sleep(tc.want - time.Second)
				assert.Equal(t, 1, get())
				time.Sleep(2 * time.Second)
				assert.Equal(t, 2, get(), "fetched anew")
				assert.Equal(t, 2, get())
			})
		})
	}
}

// The platform's key server is down. What is known is used for a week more, at
// once and without a storm of fetches, and not for ever.
//
// Requirement: LTI-GOTCHA-18
func TestKeySetOfAPlatformThatIsDown(t *testing.T) {
	keys := rsaKeys()
	synctest.Test(t, func(t *testing.T) {
		k := &keyServer{body: jwks(entry("a", keys[0], nil))}
		var fetches []lti.KeySetFetch
		s := newKeySets(t, k, func(cfg *lti.KeySetsConfig) {
			cfg.OnFetch = func(f lti.KeySetFetch) { fetches = append(fetches, f) }
		})
		require.NoError(t, s.Load(t.Context(), jwksAddress, false))
		down := errors.New("connection refused")
		hold := make(chan struct{})
		k.change(func() { k.err, k.hold = down, hold })
		time.Sleep(time.Hour)
		start := time.Now()
		for range 1000 {
			_, err := s.Key(t.Context(), jwksAddress, "a", false)
			require.NoError(t, err)
		}
		assert.Zero(t, time.Since(start), "nobody waits for the fetch that hangs")
		synctest.Wait()
		assert.Equal(t, 2, k.asked())
		close(hold)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		require.Len(t, fetches, 2)
		require.ErrorIs(t, fetches[1].Err, down)
		before := k.asked()
		for range 100 {
			_, err := s.Key(t.Context(), jwksAddress, "a", false)
			require.NoError(t, err)
		}
		synctest.Wait()
		assert.Equal(t, before, k.asked(), "it was asked just now")
		assert.Zero(t, testing.AllocsPerRun(10, func() { _, _ = s.Key(t.Context(), jwksAddress, "a", false) }), "nothing is begun")

		time.Sleep(time.Minute)
		_, err := s.Key(t.Context(), jwksAddress, "b", false)
		require.ErrorIs(t, err, lti.ErrKeySet, "it may have b: nobody could ask")
		require.NotErrorIs(t, err, lti.ErrUnknownKey)
		require.ErrorIs(t, err, down)
		require.ErrorIs(t, s.Load(t.Context(), jwksAddress, false), down)
		status, _ := s.Status(jwksAddress, false)
		assert.Equal(t, []string{"a"}, status.Kids)
		assert.Negative(t, status.Fresh)
		require.ErrorIs(t, status.Err, down)

		time.Sleep(status.Usable - time.Second)
		_, err = s.Key(t.Context(), jwksAddress, "a", false)
		require.NoError(t, err)
		time.Sleep(time.Minute)
		_, err = s.Key(t.Context(), jwksAddress, "a", false)
		require.ErrorIs(t, err, lti.ErrKeySet)
		k.change(func() { k.err = nil })
		start = time.Now()
		_, err = s.Key(t.Context(), jwksAddress, "a", false)
		require.ErrorIs(t, err, down, "it is not asked again so soon")
		assert.Zero(t, time.Since(start))
		time.Sleep(30 * time.Second)
		_, err = s.Key(t.Context(), jwksAddress, "a", false)
		require.NoError(t, err)
	})
}

// What a set loses by its answer. Nothing of what an answer says is in the error.
//
// Requirement: LTI-LIB-FETCH-BOUNDED
func TestKeySetAnswersThatAreRefused(t *testing.T) {
	keys := rsaKeys()
	good := jwks(entry("a", keys[0], nil))
	for name, tc := range map[string]struct {
		address string
		server  *keyServer
		want    string
		asked   int
	}{
		"larger than a MiB": {server: &keyServer{body: append(good, bytes.Repeat([]byte(" "), 1<<20+1-len(good))...)}, want: "too large", asked: 1},
		"10 KB a second":    {server: &keyServer{answer: slow(good)}, want: "deadline", asked: 1},
		"silence":           {server: &keyServer{answer: silence}, want: "deadline", asked: 1},
		"another host":      {server: &keyServer{status: 302, header: http.Header{"Location": {"https://thief.example/canary"}}}, want: "redirects", asked: 1},
		"http":              {server: &keyServer{status: 301, header: http.Header{"Location": {"http://sso.platform.example/canary"}}}, want: "redirects", asked: 1},
		"loop":              {server: &keyServer{status: 302, header: http.Header{"Location": {"/api/lti/security/jwks"}}}, want: "redirects", asked: 6},
		"404":               {server: &keyServer{status: 404, body: []byte("canary")}, want: "status 404", asked: 1},
		"503":               {server: &keyServer{status: 503, body: []byte("canary")}, want: "status 503 (3 attempts)", asked: 3},
		"HTML":              {server: &keyServer{body: []byte("<html>canary")}, want: "not a key set", asked: 1},
		"cut":               {server: &keyServer{body: good[:len(good)-9]}, want: "not a key set", asked: 1},
		"nothing":           {server: &keyServer{}, want: "not a key set", asked: 1},
		"a list":            {server: &keyServer{body: []byte("[]")}, want: "not a key set", asked: 1},
		"keys is null":      {server: &keyServer{body: []byte(`{"keys":null}`)}, want: "not a key set", asked: 1},
		"deep":              {server: &keyServer{body: []byte(`{"keys":` + strings.Repeat("[", 1<<19))}, want: "not a key set", asked: 1},
		"a single key":      {server: &keyServer{body: good[len(`{"keys":[`) : len(good)-2]}, want: "0 members keys", asked: 1},
		"keys twice":        {server: &keyServer{body: append([]byte(`{"\u006beys":[],`), good[1:]...)}, want: "2 members keys", asked: 1},
		"an empty set":      {server: &keyServer{body: jwks()}, want: "empty", asked: 1},
		"nothing usable":    {server: &keyServer{body: jwks(1, "x", nil)}, want: "none of its 3 entries", asked: 1},
		"2000 keys":         {server: &keyServer{body: []byte(`{"keys":[` + strings.Repeat("1,", 2000) + `1]}`)}, want: "too many", asked: 1},
		"not https":         {address: "http://sso.platform.example/jwks", want: "must be https"},
		"no address":        {address: "", want: "is required"},
		"a user":            {address: "https://me:canary@sso.platform.example/jwks", want: "neither a user"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k, address := tc.server, jwksAddress
				if tc.asked == 0 {
					k, address = new(keyServer), tc.address
				}
				s := newKeySets(t, k, nil)
				start := time.Now()
				_, err := s.Key(t.Context(), address, "a", false)
				require.ErrorIs(t, err, lti.ErrKeySet)
				require.NotErrorIs(t, err, lti.ErrUnknownKey)
				require.ErrorContains(t, err, tc.want)
				assert.NotContains(t, err.Error(), "canary")
				assert.Less(t, len(err.Error()), 500)
				assert.LessOrEqual(t, time.Since(start), 5*time.Second)
				assert.Equal(t, tc.asked, k.asked())
				for _, r := range k.requests {
					assert.Equal(t, "https://sso.platform.example", r.URL.Scheme+"://"+r.URL.Host)
				}
				// The next one does not ask, and says the same.
				_, again := s.Key(t.Context(), address, "b", false)
				require.ErrorContains(t, again, tc.want)
				assert.Equal(t, tc.asked, k.asked())
			})
		})
	}
}

// silence never answers.
func silence(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

// slow answers with 10 KB a second, for as long as it is asked.
func slow(body []byte) func(*http.Request) (*http.Response, error) {
	return func(r *http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 200, Header: http.Header{}, Body: &slowBody{r: r, body: body}, ContentLength: -1, Request: r}, nil
	}
}

type slowBody struct {
	r    *http.Request
	body []byte
}

func (b *slowBody) Read(p []byte) (int, error) {
	select {
	case <-time.After(100 * time.Millisecond):
	case <-b.r.Context().Done():
		return 0, b.r.Context().Err() // as net/http does
	}
	if len(b.body) == 0 {
		b.body = []byte(" ")
	}
	n := copy(p[:min(len(p), 1000)], b.body)
	b.body = b.body[n:]
	return n, nil
}

func (b *slowBody) Close() error { return nil }

// A redirect within the platform's host is followed, and a server that was away
// for a moment is asked again.
func TestKeySetAfterARedirectAndAFailure(t *testing.T) {
	keys := rsaKeys()
	synctest.Test(t, func(t *testing.T) {
		k := &keyServer{}
		k.answer = func(r *http.Request) (*http.Response, error) {
			w := &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(bytes.NewReader(jwks(entry("a", keys[0], nil)))), ContentLength: -1, Request: r}
			switch {
			case len(k.requests) == 1:
				w.StatusCode = 503
			case r.URL.Path == "/api/lti/security/jwks":
				w.StatusCode, w.Header = 302, http.Header{"Location": {"/keys"}}
			}
			return w, nil
		}
		_, err := newKeySets(t, k, nil).Key(t.Context(), jwksAddress, "a", false)
		require.NoError(t, err)
		assert.Equal(t, 3, k.asked())
	})
}

// A set of which nothing can be used does not replace one with keys.
func TestKeySetThatBecomesUseless(t *testing.T) {
	keys := rsaKeys()
	for name, body := range map[string][]byte{
		"empty":    jwks(),
		"garbage":  jwks(entry("a", keys[0], map[string]any{"use": "enc"})),
		"not JSON": []byte("maintenance"),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := &keyServer{body: jwks(entry("a", keys[0], nil))}
				s := newKeySets(t, k, nil)
				require.NoError(t, s.Load(t.Context(), jwksAddress, false))
				k.change(func() { k.body = body })
				time.Sleep(time.Hour)
				require.ErrorIs(t, s.Load(t.Context(), jwksAddress, false), lti.ErrKeySet)
				_, err := s.Key(t.Context(), jwksAddress, "a", false)
				require.NoError(t, err)
				// One with other keys does, also if that one is gone.
				k.change(func() { k.body = jwks(entry("b", keys[1], nil)) })
				time.Sleep(time.Hour)
				require.NoError(t, s.Load(t.Context(), jwksAddress, false))
				_, err = s.Key(t.Context(), jwksAddress, "a", false)
				require.ErrorIs(t, err, lti.ErrUnknownKey)
			})
		})
	}
}

// Requirement: LTI-LIB-JWX-STRICT
func TestEntriesThatAreSkipped(t *testing.T) {
	keys := rsaKeys()
	numbers := func(bits int, low int64) string {
		n := new(big.Int).Lsh(big.NewInt(1), uint(bits-1))
		return base64.RawURLEncoding.EncodeToString(n.Add(n, big.NewInt(low)).Bytes())
	}
	for name, tc := range map[string]struct {
		entry any
		want  string // empty means that it is used
	}{
		"as Canvas":        {entry("x", keys[1], nil), ""},
		"no use, no alg":   {entry("x", keys[1], map[string]any{"use": gone{}, "alg": gone{}}), ""},
		"RS384":            {entry("x", keys[1], map[string]any{"alg": "RS384"}), ""},
		"RS512":            {entry("x", keys[1], map[string]any{"alg": "RS512"}), ""},
		"more fields":      {entry("x", keys[1], map[string]any{"foo": []int{1}, "key_ops": []string{"verify"}}), ""},
		"8192 bits":        {entry("x", keys[1], map[string]any{"n": numbers(8192, 1)}), ""},
		"exponent 3":       {entry("x", keys[1], map[string]any{"e": "Aw"}), ""},
		"a number":         {7, "cannot be read"},
		"null":             {nil, "cannot be read"},
		"empty":            {map[string]any{}, "cannot be read"},
		"no kty":           {entry("x", keys[1], map[string]any{"kty": gone{}}), "cannot be read"},
		"unknown kty":      {entry("x", keys[1], map[string]any{"kty": "AKP\n"}), "cannot be read"},
		"no n":             {entry("x", keys[1], map[string]any{"n": gone{}}), "cannot be read"},
		"n is a number":    {entry("x", keys[1], map[string]any{"n": 12}), "cannot be read"},
		"n is not base64":  {entry("x", keys[1], map[string]any{"n": "*"}), "cannot be read"},
		"kid is a number":  {entry("x", keys[1], map[string]any{"kid": 12}), "cannot be read"},
		"no kid":           {entry("x", keys[1], map[string]any{"kid": gone{}}), "no kid"},
		"empty kid":        {entry("", keys[1], nil), "no kid"},
		"long kid":         {entry(strings.Repeat("x", 513), keys[1], nil), "513 bytes"},
		"encryption":       {entry("x", keys[1], map[string]any{"use": "enc"}), "its use"},
		"PS256":            {entry("x", keys[1], map[string]any{"alg": "PS256"}), "its alg"},
		"RSA-OAEP":         {entry("x", keys[1], map[string]any{"alg": "RSA-OAEP"}), "its alg"},
		"HS256":            {entry("x", keys[1], map[string]any{"alg": "HS256"}), "its alg"},
		"1024 bits":        {entry("x", keys[1], map[string]any{"n": numbers(1024, 1)}), "cannot be read"},
		"2047 bits":        {entry("x", keys[1], map[string]any{"n": numbers(2047, 1)}), "cannot be read"},
		"8193 bits":        {entry("x", keys[1], map[string]any{"n": numbers(8193, 1)}), "8193 bits"},
		"16384 bits":       {entry("x", keys[1], map[string]any{"n": numbers(16384, 1)}), "16384 bits"},
		"even modulus":     {entry("x", keys[1], map[string]any{"n": numbers(2048, 2)}), "its numbers"},
		"exponent 1":       {entry("x", keys[1], map[string]any{"e": "AQ"}), "cannot be read"},
		"even exponent":    {entry("x", keys[1], map[string]any{"e": "AQAA"}), "cannot be read"},
		"huge exponent":    {entry("x", keys[1], map[string]any{"e": numbers(2048, 1)}), "cannot be read"},
		"large exponent":   {entry("x", keys[1], map[string]any{"e": numbers(40, 1)}), "its numbers"},
		"zero modulus":     {entry("x", keys[1], map[string]any{"n": "AAAA"}), "cannot be read"},
		"private":          {entry("x", keys[1], map[string]any{"d": "AQAB", "p": "Aw", "q": "Aw"}), "private"},
		"a part of one":    {entry("x", keys[1], map[string]any{"p": "AQAB"}), "private"},
		"elliptic curve":   {map[string]any{"kty": "EC", "kid": "x", "crv": "P-256", "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4", "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}, "not RSA"},
		"symmetric":        {map[string]any{"kty": "oct", "kid": "x", "k": "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ"}, "not RSA"},
		"Ed25519":          {map[string]any{"kty": "OKP", "kid": "x", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}, "not RSA"},
		"broken x5c":       {entry("x", keys[1], map[string]any{"x5c": []any{"*", 1}}), "cannot be read"},
		"an address of it": {entry("x", keys[1], map[string]any{"x5u": "https://thief.example", "jku": "https://thief.example"}), ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := &keyServer{body: jwks(entry("before", keys[0], nil), tc.entry, entry("after", keys[0], nil))}
			var fetch lti.KeySetFetch
			s := newKeySets(t, k, func(cfg *lti.KeySetsConfig) { cfg.OnFetch = func(f lti.KeySetFetch) { fetch = f } })
			require.NoError(t, s.Load(t.Context(), jwksAddress, false), "it does not spoil the set")
			status, ok := s.Status(jwksAddress, false)
			require.True(t, ok)
			assert.Equal(t, 1, k.asked())
			assert.Equal(t, len(status.Kids), fetch.Keys)
			assert.Equal(t, len(status.Skipped), fetch.Skipped)
			if tc.want == "" {
				assert.Equal(t, []string{"after", "before", "x"}, status.Kids)
				assert.Empty(t, status.Skipped)
				return
			}
			assert.Equal(t, []string{"after", "before"}, status.Kids)
			require.Len(t, status.Skipped, 1)
			assert.Contains(t, status.Skipped[0], "entry 2: ")
			assert.Contains(t, status.Skipped[0], tc.want)
			assert.NotContains(t, status.Skipped[0], "\n")
			_, err := s.Key(t.Context(), jwksAddress, "x", false)
			require.ErrorIs(t, err, lti.ErrUnknownKey)
		})
	}
}

// Requirement: LTI-LIB-JWX-DUPLICATE
func TestTwoEntriesWithOneKid(t *testing.T) {
	t.Parallel()
	keys := rsaKeys()
	elliptic := map[string]any{"kty": "EC", "kid": "a", "crv": "P-256", "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4", "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}
	for name, tc := range map[string]struct {
		entries []any
		want    *rsa.PublicKey
		skipped int
	}{
		"the same key":        {[]any{entry("a", keys[0], nil), entry("a", keys[0], map[string]any{"alg": "RS512"})}, keys[0], 0},
		"another key":         {[]any{entry("a", keys[0], nil), entry("a", keys[1], nil)}, nil, 2},
		"and the first again": {[]any{entry("a", keys[0], nil), entry("a", keys[1], nil), entry("a", keys[0], nil)}, nil, 3},
		"another type":        {[]any{elliptic, entry("a", keys[0], nil)}, keys[0], 1},
		"another use":         {[]any{entry("a", keys[0], nil), entry("a", keys[1], map[string]any{"use": "enc"})}, keys[0], 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newKeySets(t, &keyServer{body: jwks(append(tc.entries, entry("b", keys[1], nil))...)}, nil)
			_, err := s.Key(t.Context(), jwksAddress, "b", false)
			require.NoError(t, err)
			status, _ := s.Status(jwksAddress, false)
			assert.Len(t, status.Skipped, tc.skipped)
			key, err := s.Key(t.Context(), jwksAddress, "a", false)
			if tc.want == nil {
				require.ErrorIs(t, err, lti.ErrUnknownKey)
				return
			}
			require.NoError(t, err)
			assert.True(t, tc.want.Equal(key))
		})
	}
}

// Addresses from outside lead to public hosts only, and share nothing with those
// of an operator.
func TestExternalKeySets(t *testing.T) {
	t.Parallel()
	keys := rsaKeys()
	k := &keyServer{body: jwks(entry("a", keys[0], nil))}
	s := newKeySets(t, k, nil)
	for _, address := range []string{
		"https://127.0.0.1/jwks", "http://127.0.0.1/jwks", "https://localhost/jwks", "https://[::1]/jwks", "https://[::ffff:10.0.0.1]/jwks", "https://10.1.2.3/jwks",
		"https://169.254.169.254/latest/meta-data", "https://100.64.0.1/", "https://224.0.0.1/", "https://[fd00::1]/", "https://[fe80::1%25eth0]/",
		"https://db.railway.internal/", "https://printer.local/", "https://redis:6379/", "https://2130706433/", "https://localhost./", "http://school.example.com/jwks",
	} {
		_, err := s.Key(t.Context(), address, "a", true)
		require.ErrorIs(t, err, lti.ErrKeySet, address)
		if !strings.Contains(address, "school.example.com") {
			require.ErrorIs(t, err, httpx.ErrPrivateAddress, address)
		}
		_, known := s.Status(address, true)
		assert.False(t, known)
	}
	assert.Zero(t, k.asked())
	_, err := s.Key(t.Context(), "http://localhost:3000/jwks", "a", false)
	require.NoError(t, err, "an operator may have a platform on his machine")
	_, err = s.Key(t.Context(), jwksAddress, "a", false)
	require.NoError(t, err)
	before := k.asked()
	_, err = s.Key(t.Context(), jwksAddress, "a", true)
	require.NoError(t, err)
	assert.Equal(t, before+1, k.asked())
}

// For addresses from outside, the transport of the host is used without its own
// way to dial, behind which nobody could see where it leads.
func TestExternalKeySetsAreNotDialledByTheHost(t *testing.T) { //nolint:paralleltest // changes the resolver of the process
	before := net.DefaultResolver
	t.Cleanup(func() { net.DefaultResolver = before })
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		return nil, errors.New("no resolver in this test")
	}}
	var dialled atomic.Int32
	transport := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
		dialled.Add(1)
		return nil, errors.New("dialled by the host")
	}}
	s, err := lti.NewKeySets(lti.KeySetsConfig{HTTP: &http.Client{Transport: transport}})
	require.NoError(t, err)
	_, err = s.Key(t.Context(), jwksAddress, "a", true)
	require.ErrorContains(t, err, "lookup sso.platform.example")
	assert.Zero(t, dialled.Load())
	_, err = s.Key(t.Context(), jwksAddress, "a", false)
	require.ErrorContains(t, err, "dialled by the host")
}

// Requirement: LTI-PEER-ROBERTJNDW-GLOBAL
func TestKeySetsShareNothing(t *testing.T) {
	t.Parallel()
	keys := rsaKeys()
	var sets [2]*lti.KeySets
	for i := range sets {
		k := &keyServer{body: jwks(entry("a", keys[i], nil))}
		sets[i] = newKeySets(t, k, nil)
	}
	for i, s := range sets {
		key, err := s.Key(t.Context(), jwksAddress, "a", false)
		require.NoError(t, err)
		assert.True(t, keys[i].Equal(key))
	}
}

func TestForgetAKeySet(t *testing.T) {
	t.Parallel()
	keys := rsaKeys()
	k := &keyServer{body: jwks(entry("a", keys[0], nil))}
	s := newKeySets(t, k, nil)
	for range 2 {
		require.NoError(t, s.Load(t.Context(), jwksAddress, false))
	}
	assert.Equal(t, 1, k.asked())
	k.change(func() { k.body = jwks(entry("b", keys[1], nil)) })
	s.Forget(jwksAddress, false)
	s.Forget("https://never.example", true)
	_, known := s.Status(jwksAddress, false)
	assert.False(t, known)
	_, err := s.Key(t.Context(), jwksAddress, "a", false)
	require.ErrorIs(t, err, lti.ErrUnknownKey, "withdrawn at once")
	assert.Equal(t, 2, k.asked())
}

func TestTooManyKeySets(t *testing.T) {
	t.Parallel()
	keys := rsaKeys()
	s := newKeySets(t, &keyServer{body: jwks(entry("a", keys[0], nil))}, nil)
	address := func(i int) string { return fmt.Sprintf("https://p%d.example/jwks", i) }
	for i := range 1000 {
		_, err := s.Key(t.Context(), address(i), "a", false)
		require.NoError(t, err)
	}
	_, err := s.Key(t.Context(), address(1000), "a", false)
	require.ErrorIs(t, err, lti.ErrKeySet)
	require.ErrorContains(t, err, "1000")
	s.Forget(address(0), false)
	_, err = s.Key(t.Context(), address(1000), "a", false)
	require.NoError(t, err)
}

// A transport or a hook that panics takes nobody with it, and the next fetch
// waits its time.
func TestPanicsWhileFetching(t *testing.T) {
	keys := rsaKeys()
	synctest.Test(t, func(t *testing.T) {
		k := &keyServer{answer: func(*http.Request) (*http.Response, error) { panic("oops") }}
		s := newKeySets(t, k, func(cfg *lti.KeySetsConfig) { cfg.OnFetch = func(lti.KeySetFetch) { panic("oops") } })
		for range 2 {
			_, err := s.Key(t.Context(), jwksAddress, "a", false)
			require.ErrorIs(t, err, lti.ErrKeySet)
			require.ErrorContains(t, err, "panic")
			assert.Equal(t, 1, k.asked())
		}
		time.Sleep(30 * time.Second)
		k.change(func() { k.answer, k.body = nil, jwks(entry("a", keys[0], nil)) })
		_, err := s.Key(t.Context(), jwksAddress, "a", false)
		require.ErrorContains(t, err, "panic", "the hook's")
		_, err = s.Key(t.Context(), jwksAddress, "a", false)
		require.NoError(t, err)
		assert.Equal(t, 2, k.asked())
	})
}

func TestKeySetsConfig(t *testing.T) {
	t.Parallel()
	_, err := lti.NewKeySets(lti.KeySetsConfig{RefetchEvery: -1, MinLife: -1, MaxLife: -1, MaxStale: -1, Timeout: -1})
	for _, field := range []string{"RefetchEvery", "MinLife", "MaxLife", "MaxStale", "Timeout"} {
		assert.ErrorContains(t, err, field+" -1ns")
	}
	_, err = lti.NewKeySets(lti.KeySetsConfig{RefetchEvery: 2 * time.Hour, MinLife: time.Hour, MaxLife: time.Minute, Timeout: time.Hour})
	for _, text := range []string{"MinLife 1h0m0s is longer than MaxLife", "RefetchEvery 2h0m0s is longer", "Timeout 1h0m0s"} {
		assert.ErrorContains(t, err, text)
	}
}

// Many do everything at once, for the race detector.
func TestKeySetsInParallel(t *testing.T) {
	keys := rsaKeys()
	synctest.Test(t, func(t *testing.T) {
		k := &keyServer{body: jwks(entry("a", keys[0], nil)), header: http.Header{"Cache-Control": {"max-age=1"}}}
		s := newKeySets(t, k, func(cfg *lti.KeySetsConfig) { cfg.MinLife, cfg.RefetchEvery = 20*time.Millisecond, 10*time.Millisecond })
		var wg sync.WaitGroup
		for i := range 32 {
			wg.Go(func() {
				for n := range 200 {
					address := fmt.Sprintf("https://p%d.example/jwks", n%3)
					_, err := s.Key(t.Context(), address, "a", i%2 == 0)
					assert.NoError(t, err)
					_, err = s.Key(t.Context(), address, "b", i%2 == 0)
					assert.ErrorIs(t, err, lti.ErrUnknownKey)
					s.Status(address, false)
					if n%50 == i {
						s.Forget(address, false)
					}
					time.Sleep(time.Millisecond)
				}
			})
		}
		wg.Wait()
	})
}
