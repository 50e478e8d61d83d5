package canvasprobe_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/canvas"
	"go.acu.edu.au/runbook/canvas/canvasprobe"
	"go.acu.edu.au/runbook/canvas/canvastest"
	"go.acu.edu.au/runbook/canvas/usage"
	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/incident"
)

const (
	readUser     = "url:GET|/api/v1/users/:id"
	readKeys     = "url:GET|/api/v1/accounts/:account_id/developer_keys"
	switchKeys   = "url:POST|/api/v1/accounts/:account_id/developer_keys/:developer_key_id/developer_key_account_bindings"
	readAudit    = "url:GET|/api/v1/audit/course/accounts/:account_id"
	readToken    = "url:GET|/api/v1/users/:user_id/tokens/:id"
	readTool     = "url:GET|/api/v1/accounts/:account_id/lti_registration_by_client_id/:client_id"
	listNotices  = "url:GET|/api/v1/accounts/:account_id/account_notifications"
	makeNotice   = "url:POST|/api/v1/accounts/:account_id/account_notifications"
	changeNotice = "url:PUT|/api/v1/accounts/:account_id/account_notifications/:id"
)

// needing is a question for scopes.
func needing(scopes ...string) canvasprobe.ScopeQuestion {
	return canvasprobe.ScopeQuestion{Needs: []canvasprobe.ScopeNeed{{For: "this test", Scopes: scopes}}}
}

// scopedKey adds a developer key that enforces scopes, and a token of it with fewer.
func scopedKey(fake *canvastest.Server, key, token []string) string {
	id := fake.Add(canvastest.DeveloperKeys, canvastest.RootAccount, canvastest.Object{"name": "Operations", "require_scopes": true, "scopes": key})
	return fake.AddToken(canvastest.Token{Key: id, Scopes: token})
}

// with is an instance of a token.
func with(t testing.TB, fake *canvastest.Server, token string) *canvasprobe.Instance {
	t.Helper()
	cfg := base(fake)
	cfg.Canvas.Token = runbook.NewSecret(token)
	return instance(t, cfg)
}

// verdicts are those of a report, by scope.
func verdicts(r canvasprobe.ScopeReport) map[string]canvasprobe.ScopeVerdict {
	all := make(map[string]canvasprobe.ScopeVerdict)
	for _, f := range r.Findings {
		all[f.Scope] = f.Verdict
	}
	return all
}

// What a token may not do is told apart by its reason: a scope, a permission, an object that is
// not there, a token that is not accepted, and a Canvas that does not answer, whether Canvas
// answers with 401 or with 403.
//
// Requirement: CV-ERROR-SCOPE
func TestScopesTellReasonsApart(t *testing.T) {
	t.Parallel()
	type want = map[string]canvasprobe.ScopeVerdict
	for name, tt := range map[string]struct {
		token  func(fake *canvastest.Server) string
		change func(fake *canvastest.Server)
		want   want
		status health.Status
		says   string
	}{
		"made by hand, of an administrator": {
			want: want{readUser: canvasprobe.ScopeAllowed, readKeys: canvasprobe.ScopeAllowed, switchKeys: canvasprobe.ScopeAllowed, readTool: canvasprobe.ScopeNoObject}, status: health.Healthy,
		},
		"a scope is missing": {
			token: func(fake *canvastest.Server) string {
				return scopedKey(fake, []string{readUser, readKeys, readToken}, []string{readUser, readKeys, readToken})
			},
			want:   want{readUser: canvasprobe.ScopeAllowed, readKeys: canvasprobe.ScopeAllowed, switchKeys: canvasprobe.ScopeMissing, readTool: canvasprobe.ScopeMissing},
			status: health.Unhealthy, says: "lacks the scope " + readTool + ": add it to developer key",
		},
		"the user may not": {
			token: func(fake *canvastest.Server) string {
				return fake.AddToken(canvastest.Token{User: fake.Add(canvastest.Users, canvastest.RootAccount, canvastest.Object{"name": "Kim"})})
			},
			want:   want{readUser: canvasprobe.ScopeAllowed, readKeys: canvasprobe.ScopeForbidden, switchKeys: canvasprobe.ScopeAllowed, readTool: canvasprobe.ScopeForbidden},
			status: health.Unhealthy, says: "a permission is missing in a role",
		},
		"the token is wrong": {
			token:  func(*canvastest.Server) string { return "1~of-somebody-who-has-left" },
			want:   want{readUser: canvasprobe.ScopeRefused, readKeys: canvasprobe.ScopeRefused, switchKeys: canvasprobe.ScopeUntried, readTool: canvasprobe.ScopeRefused},
			status: health.Unhealthy, says: "answered 401",
		},
		"maintenance": {
			change: func(fake *canvastest.Server) { fake.SetMaintenance(true) },
			want:   want{readUser: canvasprobe.ScopeNotAsked, readKeys: canvasprobe.ScopeNotAsked, switchKeys: canvasprobe.ScopeUntried, readTool: canvasprobe.ScopeNotAsked},
			status: health.Unknown, says: "answered 503",
		},
		"no network": {
			change: func(fake *canvastest.Server) { fake.SetNetworkError(errors.New("no route to host")) },
			want:   want{readUser: canvasprobe.ScopeNotAsked, readKeys: canvasprobe.ScopeNotAsked, switchKeys: canvasprobe.ScopeUntried, readTool: canvasprobe.ScopeNotAsked},
			status: health.Unknown,
		},
		"the bucket is full": {
			change: func(fake *canvastest.Server) {
				fake.Inject(canvastest.Fault{Status: http.StatusTooManyRequests, Body: "429 Forbidden (Rate Limit Exceeded)\n", Times: -1})
			},
			want:   want{readUser: canvasprobe.ScopeNotAsked, readKeys: canvasprobe.ScopeNotAsked, switchKeys: canvasprobe.ScopeUntried, readTool: canvasprobe.ScopeNotAsked},
			status: health.Unknown,
		},
	} {
		for _, updates := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/%v", name, updates), func(t *testing.T) {
				t.Parallel()
				fake := &canvastest.Server{AuthErrorUpdates: updates}
				token := canvastest.AdminToken
				if tt.token != nil {
					token = tt.token(fake)
				}
				if tt.change != nil {
					tt.change(fake)
				}
				r := with(t, fake, token).Scopes(t.Context(), needing(readUser, readKeys, switchKeys, readTool))
				assert.Empty(t, cmp.Diff(tt.want, verdicts(r)))
				result := r.Result()
				assert.Equal(t, tt.status, result.Status, "%s", result.Message)
				said := result.Message
				for _, f := range r.Findings {
					said += "\n" + f.Message
				}
				assert.Contains(t, said, tt.says)
				assert.NotContains(t, said, token)
				clean(t, fake)
				for _, asked := range fake.Requests() {
					assert.Equal(t, http.MethodGet, asked.Method, "nothing but reads: %s", asked.Route)
				}
			})
		}
	}
}

// The developer key of the token is compared with what is needed: what it lacks, what the token
// was authorized without, and what it has beyond.
//
// Requirement: CV-ERROR-SCOPE, CV-OAUTH-INCLUDES
func TestScopesOfTheDeveloperKey(t *testing.T) {
	t.Parallel()
	fake := new(canvastest.Server)
	deleteNotice := "url:DELETE|/api/v1/accounts/:account_id/account_notifications/:id"
	token := scopedKey(fake,
		[]string{readUser, readKeys, readToken, listNotices, changeNotice, deleteNotice, readAudit},
		[]string{readUser, readKeys, readToken, listNotices, changeNotice})
	r := with(t, fake, token).Scopes(t.Context(), needing(readUser, readKeys, listNotices, makeNotice, changeNotice, readAudit))
	require.NotNil(t, r.Key, r.Why)
	assert.True(t, r.TokenKnown)
	assert.True(t, r.Key.Limits)
	assert.True(t, r.Key.IgnoresIncludes)
	assert.Equal(t, []string{makeNotice}, r.Key.Missing)
	assert.Equal(t, []string{deleteNotice}, r.Key.Excess)
	says := make(map[string]string)
	for _, f := range r.Findings {
		says[f.Scope] = f.Message
	}
	assert.Equal(t, canvasprobe.ScopeMissing, verdicts(r)[makeNotice])
	assert.Contains(t, says[makeNotice], "add it to developer key "+r.Key.ID.String()+" (Operations)")
	assert.Contains(t, says[readAudit], "has it: have the token authorized anew")
	assert.Empty(t, says[changeNotice])
	clean(t, fake)
}

// Where neither the token nor its key can be read, it is said what cannot be known.
func TestScopesThatCannotBeKnown(t *testing.T) {
	t.Parallel()
	fake := new(canvastest.Server)
	r := with(t, fake, scopedKey(fake, []string{readUser}, []string{readUser})).Scopes(t.Context(), needing(readUser, makeNotice))
	assert.Nil(t, r.Key)
	assert.False(t, r.TokenKnown)
	assert.Contains(t, r.Why, readToken)
	assert.Equal(t, canvasprobe.ScopeUntried, r.Findings[1].Verdict)
	assert.Contains(t, r.Findings[1].Message, "it writes, so that it is not tried; a token with scopes needs "+makeNotice)
	assert.Equal(t, health.Healthy, r.Result().Status)

	// Two tokens may begin alike: one whose scopes do not allow what was done is another.
	fake = new(canvastest.Server)
	fake.AddToken(canvastest.Token{Text: "1~abc-another-one-that-begins-alike", Scopes: []string{readUser}})
	r = with(t, fake, "1~abc-that-is-not-known-to-canvas-").Scopes(t.Context(), needing(readUser))
	assert.Equal(t, canvasprobe.ScopeRefused, r.Findings[0].Verdict)
}

// Each list of scopes has exactly those of the calls that the code beside it makes: a program
// whose token has no others can do everything, and one more is never asked for.
func TestScopesAreThoseOfTheCalls(t *testing.T) {
	t.Parallel()
	now := time.Now()
	announcement := incident.Announcement{Key: "m-1", Subject: "Maintenance", Message: "Tonight.", Start: now.Add(time.Hour), End: now.Add(2 * time.Hour)}
	for name, tt := range map[string]struct {
		scopes func(i *canvasprobe.Instance) []string
		does   func(ctx context.Context, t *testing.T, i *canvasprobe.Instance, key canvas.ID)
	}{
		"token": {(*canvasprobe.Instance).TokenScopes, func(ctx context.Context, t *testing.T, i *canvasprobe.Instance, _ canvas.ID) {
			assert.Equal(t, health.Healthy, i.Token().Probe(ctx).Status)
			assert.NotEqual(t, health.Unhealthy, i.Quota().Probe(ctx).Status)
		}},
		"key": {(*canvasprobe.Instance).KeyScopes, func(ctx context.Context, t *testing.T, i *canvasprobe.Instance, key canvas.ID) {
			assert.Equal(t, health.Healthy, i.Key(canvas.Self, key).Probe(ctx).Status)
		}},
		"tool": {(*canvasprobe.Instance).ToolScopes, func(ctx context.Context, t *testing.T, i *canvasprobe.Instance, key canvas.ID) {
			_, err := i.ReadTool(ctx, canvas.Self, key)
			require.NoError(t, err)
		}},
		"keys": {func(i *canvasprobe.Instance) []string {
			k, _ := canvasprobe.NewKeys(canvasprobe.KeysConfig{Client: i.Client()})
			return k.Scopes()
		}, func(ctx context.Context, t *testing.T, i *canvasprobe.Instance, key canvas.ID) {
			k, err := canvasprobe.NewKeys(canvasprobe.KeysConfig{Client: i.Client()})
			require.NoError(t, err)
			_, err = k.SetPlatformKey(ctx, key.String(), true)
			require.NoError(t, err)
		}},
		"announcer": {func(i *canvasprobe.Instance) []string {
			n, _ := canvasprobe.NewAnnouncer(canvasprobe.AnnouncerConfig{Client: i.Client()})
			return n.Scopes()
		}, func(ctx context.Context, t *testing.T, i *canvasprobe.Instance, _ canvas.ID) {
			n, err := canvasprobe.NewAnnouncer(canvasprobe.AnnouncerConfig{Client: i.Client()})
			require.NoError(t, err)
			_, err = n.Announce(ctx, announcement)
			require.NoError(t, err)
			changed := announcement
			changed.Message = "Tomorrow."
			_, err = n.Announce(ctx, changed)
			require.NoError(t, err)
			require.NoError(t, n.Withdraw(ctx, announcement.Key))
		}},
		"audit log": {func(i *canvasprobe.Instance) []string {
			l, _ := usage.NewAuditLog(usage.AuditLogConfig{Client: i.Client()})
			return l.Scopes()
		}, func(ctx context.Context, t *testing.T, i *canvasprobe.Instance, _ canvas.ID) {
			l, err := usage.NewAuditLog(usage.AuditLogConfig{Client: i.Client()})
			require.NoError(t, err)
			for _, actor := range []string{"", string(canvas.Self)} {
				q := incident.AuditQuery{From: now.Add(-time.Hour), To: now, Actor: actor}
				if actor != "" {
					q.Kinds = []incident.AuditKind{incident.AuditAuthentication, incident.AuditRequest}
				}
				for _, err := range l.AuditEvents(ctx, q) {
					require.NoError(t, err)
				}
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fake := new(canvastest.Server)
			scopes := tt.scopes(with(t, fake, canvastest.AdminToken))
			tool := fake.Add(canvastest.DeveloperKeys, canvastest.RootAccount, canvastest.Object{"name": "Tool", "is_lti_key": true, "state": "on"})
			fake.Add(canvastest.Registrations, canvastest.RootAccount, canvastest.Object{"name": "Tool", "developer_key_id": tool})
			i := with(t, fake, scopedKey(fake, scopes, scopes))
			tt.does(t.Context(), t, i, canvas.ID(tool))
			var called []string
			for _, r := range fake.Requests() {
				assert.Less(t, r.Status, 400, "%s", r.Route)
				method, path, _ := strings.Cut(r.Route, " ")
				if s := "url:" + method + "|" + path; !slices.Contains(called, s) {
					called = append(called, s)
				}
			}
			slices.Sort(called)
			slices.Sort(scopes)
			assert.Empty(t, cmp.Diff(scopes, called))
		})
	}
}

func ExampleInstance_Scopes() {
	fake := new(canvastest.Server)
	has := []string{"url:GET|/api/v1/users/:id", "url:GET|/api/v1/users/:user_id/tokens/:id"}
	key := fake.Add(canvastest.DeveloperKeys, canvastest.RootAccount, canvastest.Object{"id": 77, "name": "Operations", "require_scopes": true, "scopes": has})
	token := fake.AddToken(canvastest.Token{Key: key, Scopes: has})

	test, err := canvasprobe.New(canvasprobe.Config{
		Canvas: canvas.Config{BaseURL: "https://school.example.com", Token: runbook.NewSecret(token), HTTP: fake.Client()},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	announcer, err := canvasprobe.NewAnnouncer(canvasprobe.AnnouncerConfig{Client: test.Client()})
	if err != nil {
		fmt.Println(err)
		return
	}
	report := test.Scopes(context.Background(), canvasprobe.ScopeQuestion{Needs: []canvasprobe.ScopeNeed{
		{For: "to watch the token", Scopes: test.TokenScopes()},
		{For: "to announce maintenance", Scopes: announcer.Scopes()},
	}})
	for _, f := range report.Findings {
		fmt.Printf("%-7s  %s  (%s)\n", f.Verdict, f.Scope, f.For[0])
	}
	// Output:
	// allowed  url:GET|/api/v1/users/:id  (to watch the token)
	// missing  url:GET|/api/v1/accounts/:account_id/account_notifications  (to announce maintenance)
	// missing  url:POST|/api/v1/accounts/:account_id/account_notifications  (to announce maintenance)
	// missing  url:PUT|/api/v1/accounts/:account_id/account_notifications/:id  (to announce maintenance)
	// missing  url:DELETE|/api/v1/accounts/:account_id/account_notifications/:id  (to announce maintenance)
}
