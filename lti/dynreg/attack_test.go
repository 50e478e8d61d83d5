package dynreg_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/internal/httpx"
	"go.acu.edu.au/runbook/lti"
	"go.acu.edu.au/runbook/lti/dynreg"
)

// Where the configuration may come from.
//
// Requirement: LTI-GOTCHA-32, LTI-PEER-ROBERTJNDW-OPAQUE
func TestConfigurationAddress(t *testing.T) {
	for _, address := range []string{
		"https:register", "https:openid-configuration", "mailto:a@b.example", "//learn.example.edu/openid-configuration", "openid-configuration", "",
		"http://learn.example.edu/openid-configuration", "https:///openid-configuration", "https://me:pw@learn.example.edu/openid-configuration",
		"https://learn.example.edu/openid-configuration#x", "file:///etc/passwd", "https://%zz/openid-configuration",
		"https://127.0.0.1/openid-configuration", "https://[::1]/openid-configuration", "https://10.1.2.3/openid-configuration",
		"https://169.254.169.254/latest/openid-configuration", "https://[::ffff:192.168.0.1]/openid-configuration", "https://localhost/openid-configuration",
		"https://0x7f.1/openid-configuration", "https://2130706433/openid-configuration", "https://metadata.google.internal/openid-configuration", "https://intranet/openid-configuration",
		"https://learn.example.edu/openid-configuration?" + strings.Repeat("x", 5000),
	} {
		t.Run(address[:min(len(address), 60)], func(t *testing.T) {
			p := &platform{document: moodleDocument()}
			d := newDesk(t, p, nil)
			w := d.get(d.address(dynreg.Invitation{}, address))
			require.ErrorIs(t, d.last(), dynreg.ReasonAddress, "%v", d.last())
			assert.Equal(t, 400, w.Code)
			assert.Empty(t, p.fetches, "it was called")
			assert.Empty(t, p.elsewhere, "it was called")
			assert.True(t, runbook.SafeToRetry(d.last()))
			d.leakless(w)
		})
	}
}

// What the configuration may say.
//
// Requirement: LTI-GOTCHA-32, LTI-PEER-LTIJS-REGISTRATION, LTI-PEER-ROBERTJNDW-OPAQUE
func TestConfigurationContents(t *testing.T) {
	for _, c := range []struct {
		name   string
		change map[string]any
		reason dynreg.Reason
		detail []string
	}{
		{name: "the issuer is somebody else", change: map[string]any{"issuer": "https://canvas.instructure.com"}, reason: dynreg.ReasonIssuer, detail: []string{"learn.example.edu", "canvas.instructure.com"}},
		{name: "the issuer is a part of the host", change: map[string]any{"issuer": "https://example.edu"}, reason: dynreg.ReasonIssuer},
		{name: "the host is below the issuer", change: map[string]any{"issuer": "https://edu"}, reason: dynreg.ReasonConfiguration},
		{name: "the issuer has another port", change: map[string]any{"issuer": moodle + ":8443"}, reason: dynreg.ReasonIssuer},
		{name: "the issuer has a user", change: map[string]any{"issuer": "https://canvas.instructure.com@learn.example.edu"}, reason: dynreg.ReasonConfiguration, detail: []string{"issuer"}},
		{name: "the issuer is http", change: map[string]any{"issuer": "http://learn.example.edu"}, reason: dynreg.ReasonConfiguration, detail: []string{"issuer must be https"}},
		{name: "the issuer is opaque", change: map[string]any{"issuer": "https:learn.example.edu"}, reason: dynreg.ReasonConfiguration, detail: []string{"issuer"}},
		{name: "the token would go elsewhere", change: map[string]any{"registration_endpoint": "https://evil.example/r"}, reason: dynreg.ReasonIssuer, detail: []string{"registration_endpoint", "evil.example"}},
		{name: "the token would go to an opaque address", change: map[string]any{"registration_endpoint": "https:register"}, reason: dynreg.ReasonConfiguration, detail: []string{"registration_endpoint must have the form"}},
		{name: "the token would go inside", change: map[string]any{"registration_endpoint": "https://10.0.0.1/r"}, reason: dynreg.ReasonConfiguration, detail: []string{"registration_endpoint", "not public"}},
		{name: "another's subdomain", change: map[string]any{"registration_endpoint": "https://learn.example.edu.evil.example/r"}, reason: dynreg.ReasonIssuer},
		{name: "private endpoints", change: map[string]any{"jwks_uri": "https://192.168.1.1/jwks", "token_endpoint": "http://learn.example.edu/t", "authorization_endpoint": "https:auth"}, reason: dynreg.ReasonConfiguration, detail: []string{"jwks_uri", "token_endpoint must be https", "authorization_endpoint must have"}},
		{name: "nothing", change: map[string]any{"issuer": nil, "jwks_uri": nil, "token_endpoint": nil, "authorization_endpoint": nil, "registration_endpoint": nil}, reason: dynreg.ReasonConfiguration, detail: []string{"issuer is required", "authorization_endpoint is required", "jwks_uri is required", "token_endpoint is required", "registration_endpoint is required"}},
		{name: "a brace", change: map[string]any{"token_endpoint": moodle + "/{host}"}, reason: dynreg.ReasonConfiguration, detail: []string{"brace"}},
		{name: "the wrong kind", change: map[string]any{"issuer": []string{moodle}}, reason: dynreg.ReasonConfiguration, detail: []string{"cannot be read"}},
		{name: "no key authentication", change: map[string]any{"token_endpoint_auth_methods_supported": []string{"client_secret_basic"}}, reason: dynreg.ReasonConfiguration, detail: []string{"private_key_jwt"}},
		{name: "no RSA", change: map[string]any{"id_token_signing_alg_values_supported": []string{"none", "HS256"}}, reason: dynreg.ReasonConfiguration, detail: []string{"RS256"}},
		{name: "no id_token", change: map[string]any{"response_types_supported": []string{"code"}}, reason: dynreg.ReasonConfiguration, detail: []string{"id_token"}},
		{name: "no message of the tool", change: map[string]any{platformSpec: map[string]any{"messages_supported": []any{map[string]any{"type": "Other"}}}}, reason: dynreg.ReasonConfiguration, detail: []string{"message"}},
		{name: "a long issuer", change: map[string]any{"issuer": moodle + "/" + strings.Repeat("i", 300)}, reason: dynreg.ReasonConfiguration, detail: []string{"issuer"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := &platform{document: with(moodleDocument(), c.change)}
			d := newDesk(t, p, nil)
			w := d.run(d.address(dynreg.Invitation{}, moodleConfig))
			e := d.last()
			require.ErrorIs(t, e, c.reason, "%v", e)
			for _, text := range c.detail {
				assert.Contains(t, e.Error(), text)
			}
			assert.Empty(t, p.posts, "it was registered")
			assert.True(t, runbook.SafeToRetry(e))
			assert.NotContains(t, w.Body.String(), "<form")
			d.leakless(w)
		})
	}
}

// Twice the same name, and a name in another case, are two readers' two values.
func TestConfigurationIsReadStrictly(t *testing.T) {
	for _, body := range []string{
		`{"issuer":"https://a.example","issuer":"https://learn.example.edu"}`, `{"ISSUER":"https://learn.example.edu"}`, `[]`, `null`, ``, `{"issuer":"` + "\xff" + `"}`,
		strings.Repeat(`{"a":`, 20000), `{"` + canary + `":1,"` + canary + `":2}`,
	} {
		p := &platform{document: moodleDocument(), configure: reply(200, body)}
		d := newDesk(t, p, nil)
		d.leakless(d.get(d.address(dynreg.Invitation{}, moodleConfig)))
		require.ErrorIs(t, d.last(), dynreg.ReasonConfiguration, "%.40q: %v", body, d.last())
		assert.Less(t, len(d.last().Error()), 600)
	}
}

func TestTrustedHosts(t *testing.T) {
	const issuer = "https://canvas.instructure.com"
	own := with(canvasDocument(), map[string]any{"registration_endpoint": "https://canvas.example.edu/api/lti/registrations"})
	for _, c := range []struct {
		name       string
		document   map[string]any
		invitation dynreg.Invitation
		change     func(*dynreg.Config)
		reason     dynreg.Reason
	}{
		{name: "a domain of its own, unknown", document: own, reason: dynreg.ReasonIssuer},
		{name: "in the invitation", document: own, invitation: dynreg.Invitation{Issuer: issuer, Hosts: []string{"canvas.example.edu"}}},
		{name: "in the configuration", document: own, change: func(c *dynreg.Config) {
			c.Trusted = []dynreg.Trust{{Issuer: issuer, Hosts: []string{"*.example.edu"}}}
		}},
		{name: "trusted for another issuer", document: own, change: func(c *dynreg.Config) {
			c.Trusted = []dynreg.Trust{{Issuer: moodle, Hosts: []string{"*.example.edu"}}}
		}, reason: dynreg.ReasonIssuer},
		{name: "hosted Canvas of another environment", document: with(canvasDocument(), map[string]any{"issuer": "https://canvas.beta.instructure.com"}), reason: dynreg.ReasonIssuer},
		{name: "an invitation for another", document: canvasDocument(), invitation: dynreg.Invitation{Issuer: moodle}, reason: dynreg.ReasonPlatform},
		{name: "only those that are listed", document: canvasDocument(), change: func(c *dynreg.Config) {
			c.OnlyTrusted, c.Trusted = true, []dynreg.Trust{{Issuer: moodle}}
		}, reason: dynreg.ReasonPlatform},
		{name: "the host program refuses", document: canvasDocument(), change: func(c *dynreg.Config) {
			c.Accept = func(_ context.Context, p dynreg.Platform, _ dynreg.Invitation) error {
				return fmt.Errorf("not %s", p.AccountName)
			}
		}, reason: dynreg.ReasonPlatform},
		{name: "a configuration elsewhere", document: with(canvasDocument(), map[string]any{"issuer": moodle, "registration_endpoint": moodle + "/r"}), change: func(c *dynreg.Config) {
			c.Trusted = []dynreg.Trust{{Issuer: moodle, ConfigurationHosts: []string{"canvas.instructure.com"}}}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := &platform{document: c.document}
			d := newDesk(t, p, c.change)
			w := d.run(d.address(c.invitation, canvasConfig))
			if c.reason == "" {
				assert.Equal(t, 200, w.Code, "%v", d.last())
				return
			}
			require.ErrorIs(t, d.last(), c.reason, "%v", d.last())
			assert.Empty(t, p.posts)
		})
	}
}

// Requirement: LTI-GOTCHA-32
func TestConfigurationTransport(t *testing.T) {
	for _, c := range []struct {
		name      string
		configure func(*http.Request) (*http.Response, error)
		status    int
	}{
		{"a redirect to another host", reply(302, "", "Location", "https://evil.example/openid-configuration"), 302},
		{"a redirect inside", reply(302, "", "Location", "https://169.254.169.254/openid-configuration"), 302},
		{"a redirect to http", reply(302, "", "Location", "http://learn.example.edu/openid-configuration"), 302},
		{"they say no", reply(401, ""), 401},
		{"not there", reply(404, ""), 404},
		{"more than a mebibyte", reply(200, strings.Repeat(" ", 1<<20+1)), 0},
		{"an endless body", func(req *http.Request) (*http.Response, error) {
			a := answer(req, 200, "")
			a.Body = io.NopCloser(endless{})
			return a, nil
		}, 0},
		{"no connection", func(*http.Request) (*http.Response, error) { return nil, errors.New("refused, " + canary) }, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := &platform{document: moodleDocument(), configure: c.configure}
				d := newDesk(t, p, nil)
				w := d.get(d.address(dynreg.Invitation{}, moodleConfig))
				e := d.last()
				require.ErrorIs(t, e, dynreg.ReasonFetch, "%v", e)
				assert.Equal(t, c.status, e.Status)
				assert.Equal(t, 502, w.Code)
				assert.Empty(t, p.elsewhere, "it went there")
				d.leakless(w)
			})
		})
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

// A platform that sends its configuration byte by byte holds a connection for some
// seconds, and not more than a few of them.
//
// Requirement: LTI-GOTCHA-32
func TestSlowBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var open, most atomic.Int32
		p := &platform{document: moodleDocument()}
		slow := transport(func(req *http.Request) (*http.Response, error) {
			most.Store(max(most.Load(), open.Add(1)))
			defer open.Add(-1)
			<-req.Context().Done()
			return nil, req.Context().Err()
		})
		d := newDesk(t, p, func(c *dynreg.Config) { c.HTTP = &http.Client{Transport: slow} })
		address := d.address(dynreg.Invitation{}, moodleConfig)
		began := time.Now()
		d.get(address)
		require.ErrorIs(t, d.last(), dynreg.ReasonFetch)
		assert.LessOrEqual(t, time.Since(began), 30*time.Second)
		var all sync.WaitGroup
		for range 100 {
			all.Go(func() { d.get(address) })
		}
		all.Wait()
		assert.LessOrEqual(t, most.Load(), int32(16))
	})
}

type transport func(*http.Request) (*http.Response, error)

func (t transport) RoundTrip(req *http.Request) (*http.Response, error) { return t(req) }

// A name that leads inside is found out when the connection is made.
//
// Requirement: LTI-GOTCHA-32
func TestNameThatLeadsInside(t *testing.T) { //nolint:paralleltest // every name of the process leads to this machine
	var calls atomic.Int32
	srv := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { calls.Add(1) }))
	defer srv.Close()
	everyName(t, [4]byte{127, 0, 0, 1})
	_, port, err := net.SplitHostPort(srv.Listener.Addr().String())
	require.NoError(t, err)
	for name, client := range map[string]*http.Client{"own": nil, "given": {Transport: srv.Client().Transport}} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t, nil, func(c *dynreg.Config) { c.HTTP = client })
			w := d.get(d.address(dynreg.Invitation{}, "https://learn.example.com:"+port+"/openid-configuration"))
			require.ErrorIs(t, d.last(), dynreg.ReasonFetch)
			require.ErrorIs(t, d.last(), httpx.ErrPrivateAddress)
			assert.Equal(t, 502, w.Code)
			assert.Zero(t, calls.Load())
		})
	}
}

// everyName makes every name resolve to ip, until the test ends.
func everyName(t *testing.T, ip [4]byte) {
	before := net.DefaultResolver
	t.Cleanup(func() { net.DefaultResolver = before })
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		client, server := net.Pipe()
		go func() {
			defer server.Close()
			var size [2]byte
			if _, err := io.ReadFull(server, size[:]); err != nil {
				return
			}
			question := make([]byte, binary.BigEndian.Uint16(size[:]))
			if _, err := io.ReadFull(server, question); err != nil {
				return
			}
			end := 12 + bytes.IndexByte(question[12:], 0) + 5
			reply := append([]byte{}, question[:end]...)
			copy(reply[2:], []byte{0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0})
			if binary.BigEndian.Uint16(question[end-4:]) == 1 { // A
				reply[7] = 1
				reply = append(reply, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4, ip[0], ip[1], ip[2], ip[3])
			}
			_, _ = server.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(reply))), reply...))
		}()
		return client, nil
	}}
}

// Requirement: LTI-GOTCHA-32
func TestInvitations(t *testing.T) {
	t.Run("none, and forged", func(t *testing.T) {
		p := &platform{document: moodleDocument()}
		d := newDesk(t, p, nil)
		good := d.address(dynreg.Invitation{For: "ACU"}, moodleConfig)
		u, err := url.Parse(good)
		require.NoError(t, err)
		token := u.Query().Get("invitation")
		other := newDesk(t, p, func(c *dynreg.Config) { c.Keys = []runbook.Secret{key("o")} }).address(dynreg.Invitation{}, moodleConfig)
		foreign, err := url.Parse(other)
		require.NoError(t, err)
		confirm := seal(t, d.get(good))
		p.fetches = nil
		forged := []string{"", "x", token[:len(token)-2], token + "AA", "A" + token[1:], confirm, strings.Repeat("A", 10_000), foreign.Query().Get("invitation")}
		for i := range token {
			forged = append(forged, token[:i]+string(rune('A'+(token[i]+1)%26))+token[i+1:])
		}
		for _, f := range forged {
			if f == token {
				continue
			}
			query := u.Query()
			query.Set("invitation", f)
			w := d.get("https://qa.example.edu/lti/register?" + query.Encode())
			require.ErrorIs(t, d.last(), dynreg.ReasonInvitation, "%.40q", f)
			assert.Equal(t, 403, w.Code)
			w = d.post("https://qa.example.edu/lti/register?"+query.Encode(), confirm)
			require.ErrorIs(t, d.last(), dynreg.ReasonInvitation, "%.40q", f)
			assert.Equal(t, 403, w.Code)
		}
		assert.Empty(t, p.fetches, "somebody was called without an invitation")
		assert.Empty(t, p.posts)
	})
	t.Run("expired", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			d := newDesk(t, &platform{document: moodleDocument()}, nil)
			address := d.address(dynreg.Invitation{For: "ACU", Life: time.Hour}, moodleConfig)
			require.Equal(t, 200, d.get(address).Code)
			time.Sleep(time.Hour)
			assert.Equal(t, 403, d.get(address).Code)
			require.ErrorIs(t, d.last(), dynreg.ReasonExpired)
		})
	})
	t.Run("used", func(t *testing.T) {
		p := &platform{document: moodleDocument()}
		d := newDesk(t, p, nil)
		address := d.address(dynreg.Invitation{}, moodleConfig)
		require.Equal(t, 200, d.run(address).Code, "%v", d.last())
		assert.Equal(t, 403, d.run(address).Code)
		require.ErrorIs(t, d.last(), dynreg.ReasonUsed)
		assert.Len(t, p.posts, 1)
	})
	t.Run("not used up by failures before", func(t *testing.T) {
		p := &platform{document: moodleDocument(), configure: reply(404, "")}
		d := newDesk(t, p, nil)
		address := d.address(dynreg.Invitation{}, moodleConfig)
		d.run(address)
		require.ErrorIs(t, d.last(), dynreg.ReasonFetch)
		p.configure = nil
		assert.Equal(t, 400, d.post(address, "forged").Code)
		require.ErrorIs(t, d.last(), dynreg.ReasonConfirmation)
		assert.Equal(t, 200, d.run(address).Code, "%v", d.last())
	})
	t.Run("a former key", func(t *testing.T) {
		p := &platform{document: moodleDocument()}
		old := newDesk(t, p, nil).address(dynreg.Invitation{}, moodleConfig)
		d := newDesk(t, p, func(c *dynreg.Config) { c.Keys = []runbook.Secret{key("n"), key("k")} })
		assert.Equal(t, 200, d.run(old).Code, "%v", d.last())
	})
	t.Run("the store is down", func(t *testing.T) {
		p := &platform{document: moodleDocument()}
		down := errors.New("redis is down")
		d := newDesk(t, p, func(c *dynreg.Config) { c.Nonces = brokenNonces{down} })
		w := d.run(d.address(dynreg.Invitation{}, moodleConfig))
		require.ErrorIs(t, d.last(), dynreg.ReasonNonces)
		require.ErrorIs(t, d.last(), down)
		assert.Equal(t, 503, w.Code)
		assert.Empty(t, p.posts, "it was sent though nobody knows whether it may be")
	})
}

type brokenNonces struct{ err error }

func (b brokenNonces) Use(context.Context, lti.NonceID, time.Time) error { return b.err }
func (b brokenNonces) PurgeExpired(context.Context) (int, error)         { return 0, b.err }

// Of a hundred confirmations at the same time one is sent.
//
// Requirement: LTI-GOTCHA-32
func TestConfirmedAtTheSameTime(t *testing.T) {
	p := &platform{document: moodleDocument()}
	d := newDesk(t, p, nil)
	address := d.address(dynreg.Invitation{}, moodleConfig)
	confirm := seal(t, d.get(address))
	var done atomic.Int32
	var all sync.WaitGroup
	for range 100 {
		all.Go(func() {
			if d.post(address, confirm).Code == 200 {
				done.Add(1)
			}
		})
	}
	all.Wait()
	_, posts := p.counts()
	assert.Equal(t, 1, posts)
	assert.EqualValues(t, 1, done.Load())
	assert.Len(t, d.stored, 1)
	assert.Len(t, d.errs, 99)
	for _, e := range d.errs {
		require.ErrorIs(t, e, dynreg.ReasonUsed)
	}
}

// A confirmation is for one invitation and one platform, as it was shown.
func TestConfirmation(t *testing.T) {
	p := &platform{document: moodleDocument()}
	d := newDesk(t, p, nil)
	address := d.address(dynreg.Invitation{}, moodleConfig)
	confirm := seal(t, d.get(address))
	refused := func(address, confirm string) {
		t.Helper()
		assert.Equal(t, 400, d.post(address, confirm).Code)
		require.ErrorIs(t, d.last(), dynreg.ReasonConfirmation, "%v", d.last())
	}
	refused(address, "")
	refused(address, confirm[:len(confirm)-4]+"AAAA")
	u, err := url.Parse(address)
	require.NoError(t, err)
	refused(address, u.Query().Get("invitation"))
	refused(d.address(dynreg.Invitation{}, moodleConfig), confirm)
	refused(strings.Replace(address, "openid-configuration.php", "openid-configuration.php%3Fa", 1), confirm)

	t.Run("no field", func(t *testing.T) {
		r := httptest.NewRequest(http.MethodPost, address, nil)
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		d.registrar.Handler().ServeHTTP(httptest.NewRecorder(), r)
		require.ErrorIs(t, d.last(), dynreg.ReasonConfirmation)
	})
	t.Run("the platform says something else", func(t *testing.T) {
		p.document = with(moodleDocument(), map[string]any{"jwks_uri": "https://evil.example/jwks"})
		refused(address, confirm)
		p.document = moodleDocument()
	})
	t.Run("too late", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			d := newDesk(t, &platform{document: moodleDocument()}, nil)
			address := d.address(dynreg.Invitation{}, moodleConfig)
			confirm := seal(t, d.get(address))
			time.Sleep(30 * time.Minute)
			assert.Equal(t, 400, d.post(address, confirm).Code)
			require.ErrorIs(t, d.last(), dynreg.ReasonConfirmation)
		})
	})
	assert.Empty(t, p.posts)
	assert.Equal(t, 200, d.post(address, confirm).Code, "%v", d.last())
}

// When the browser goes away after the button, the answer is still kept.
func TestBrowserGoesAway(t *testing.T) {
	ctx, gone := context.WithCancel(t.Context())
	p := &platform{document: moodleDocument()}
	p.register = func(req *http.Request) (*http.Response, error) {
		gone()
		if err := req.Context().Err(); err != nil {
			return nil, err
		}
		return answer(req, 200, `{"client_id":"c-1"}`), nil
	}
	d := newDesk(t, p, nil)
	address := d.address(dynreg.Invitation{}, moodleConfig)
	r := httptest.NewRequest(http.MethodPost, address, strings.NewReader("confirm="+seal(t, d.get(address)))).WithContext(ctx)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	d.registrar.Handler().ServeHTTP(httptest.NewRecorder(), r)
	require.Len(t, d.stored, 1, "%v", d.last())
	assert.Equal(t, "c-1", d.stored[0].Registration.ClientID)
}

func TestRequests(t *testing.T) {
	d := newDesk(t, &platform{document: moodleDocument()}, nil)
	good := d.address(dynreg.Invitation{}, moodleConfig)
	for _, c := range []struct {
		name, method, address, kind, body string
		reason                            dynreg.Reason
		status                            int
	}{
		{"another method", http.MethodPut, good, "", "", dynreg.ReasonMethod, 405},
		{"a large query", http.MethodGet, good + "&x=" + strings.Repeat("x", 17000), "", "", dynreg.ReasonRequest, 400},
		{"a query that is none", http.MethodGet, good + "&%zz", "", "", dynreg.ReasonRequest, 400},
		{"twice", http.MethodGet, good + "&openid_configuration=https://evil.example", "", "", dynreg.ReasonRequest, 400},
		{"two tokens", http.MethodGet, good + "&registration_token=b", "", "", dynreg.ReasonRequest, 400},
		{"a token that breaks a header", http.MethodGet, strings.Replace(good, canary, "a%0d%0aX-Evil:+1", 1), "", "", dynreg.ReasonRequest, 400},
		{"opened by a person", http.MethodGet, strings.Split(good, "&")[0], "", "", dynreg.ReasonAddress, 400},
		{"not a form", http.MethodPost, good, "application/json", "{}", dynreg.ReasonRequest, 400},
		{"a large form", http.MethodPost, good, "application/x-www-form-urlencoded", "confirm=" + strings.Repeat("x", 5000), dynreg.ReasonRequest, 400},
		{"two confirmations", http.MethodPost, good, "application/x-www-form-urlencoded", "confirm=a&confirm=b", dynreg.ReasonConfirmation, 400},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := httptest.NewRequest(c.method, c.address, strings.NewReader(c.body))
			r.Header.Set("Content-Type", c.kind)
			w := httptest.NewRecorder()
			d.registrar.Handler().ServeHTTP(w, r)
			require.ErrorIs(t, d.last(), c.reason, "%v", d.last())
			assert.Equal(t, c.status, w.Code)
			assert.Equal(t, "no-store", w.Header().Get("Cache-Control"))
		})
	}
}

// What platforms call themselves is text, whatever is in it.
func TestNamesAreText(t *testing.T) {
	const evil = `<script>alert(1)</script>"'><img src=x onerror=alert(1)>`
	p := &platform{document: with(moodleDocument(), map[string]any{platformSpec: map[string]any{
		"product_family_code": "moodle" + evil, "version": evil + "\u202e\u0000" + strings.Repeat("v", 5000),
		"https://canvas.instructure.com/lti/account_name": evil,
	}})}
	d := newDesk(t, p, func(c *dynreg.Config) { c.Tool.Name = evil })
	address := d.address(dynreg.Invitation{For: evil}, moodleConfig)
	w := d.get(address)
	require.Equal(t, 200, w.Code, "%v", d.last())
	check := func(w *httptest.ResponseRecorder) {
		t.Helper()
		body := w.Body.String()
		assert.NotContains(t, body, "<script>")
		assert.NotContains(t, body, "<img")
		assert.NotContains(t, body, "\u202e")
		assert.Less(t, len(body), 8000)
		policy := w.Header().Get("Content-Security-Policy")
		assert.Contains(t, policy, "default-src 'none'")
		assert.NotContains(t, policy, "unsafe")
		assert.Equal(t, "no-referrer", w.Header().Get("Referrer-Policy"), "the address has the token")
	}
	check(w)
	assert.Contains(t, w.Header().Get("Content-Security-Policy"), "frame-ancestors 'self' https://learn.example.edu")
	p.register = reply(400, `{"error":"`+"invalid"+`","error_description":"<script>alert(1)</script><img src=x>"}`)
	w = d.post(address, seal(t, w))
	check(w)
	assert.Contains(t, w.Body.String(), "&lt;script&gt;")
	assert.NotContains(t, d.last().Error(), "script>alert(1)</script><img src=x>\"")

	p = &platform{document: moodleDocument(), register: reply(200, `{"client_id":"</code><script>"}`)}
	d = newDesk(t, p, nil)
	check(d.run(d.address(dynreg.Invitation{}, moodleConfig)))
}
