package railway_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/railway"
)

const (
	tokenDead      railway.TokenKind = "dead"
	notAuthorized                    = `{"data":null,"errors":[{"message":"Not Authorized","path":["x"],"extensions":{"code":"INTERNAL_SERVER_ERROR"}}]}`
	projectID                        = "11111111-1111-4111-8111-111111111111"
	environmentID                    = "22222222-2222-4222-8222-222222222222"
	projectAnswer                    = `{"data":{"projectToken":{"id":"t","name":"ci","project":{"id":"` + projectID + `","name":"canvas-tools"},"environment":{"id":"` + environmentID + `","name":"production"}}}}`
	workspacesBody                   = `{"data":{"apiToken":{"workspaces":[{"id":"w1","name":"ACU"},{"id":"w2","name":"Labs"}]}}}`
)

// tokenServer answers what a token of a kind may ask, and "Not Authorized" to
// everything else.
func tokenServer(kind railway.TokenKind) *coreTransport {
	s := &coreTransport{}
	s.answer = func(n int, req *http.Request) (*http.Response, error) {
		var q struct{ OperationName string }
		if err := json.Unmarshal([]byte(s.body(n)), &q); err != nil {
			return nil, err
		}
		bearer, project := req.Header.Get("Authorization") != "", req.Header.Get("Project-Access-Token") != ""
		switch {
		case q.OperationName == "TokenProject" && project && kind == railway.ProjectToken:
			return coreAnswer(200, projectAnswer), nil
		case q.OperationName == "TokenProject" && project:
			return coreAnswer(200, `{"data":null,"errors":[{"message":"Project Token not found"}]}`), nil
		case q.OperationName == "Me" && bearer && kind == railway.AccountToken:
			return coreAnswer(200, `{"data":{"me":{"id":"u"}}}`), nil
		case q.OperationName == "TokenWorkspaces" && bearer && (kind == railway.AccountToken || kind == railway.WorkspaceToken):
			return coreAnswer(200, workspacesBody), nil
		}
		return coreAnswer(200, notAuthorized), nil
	}
	return s
}

func withKind(kind railway.TokenKind) func(*railway.Config) {
	return func(cfg *railway.Config) { cfg.Kind = kind }
}

// Each kind of token answers its own question only.
//
// Requirement: RW-TOKEN-SELF-TEST, RW-TOKEN-KINDS
func TestCheckToken(t *testing.T) {
	workspaces := []railway.Named{{ID: "w1", Name: "ACU"}, {ID: "w2", Name: "Labs"}}
	for kind, want := range map[railway.TokenKind]railway.TokenInfo{
		railway.AccountToken:   {Kind: railway.AccountToken, Workspaces: workspaces},
		railway.WorkspaceToken: {Kind: railway.WorkspaceToken, Workspaces: workspaces},
		railway.ProjectToken: {
			Kind: railway.ProjectToken, Project: railway.Named{ID: projectID, Name: "canvas-tools"}, Environment: railway.Named{ID: environmentID, Name: "production"},
		},
	} {
		got, err := coreClient(t, tokenServer(kind), withKind(kind)).CheckToken(t.Context())
		require.NoError(t, err)
		assert.Equal(t, want, got)
	}
}

// What "Not Authorized" means is found out by asking as each kind of token.
//
// Requirement: RW-G14, RW-TOKEN-SELF-TEST
func TestDiagnosis(t *testing.T) {
	const (
		noRight = ": it has no right to that, the environment is restricted, or there is no such thing"
		dead    = "the token is not valid: it was deleted, or is mistyped; make a new one in the settings of the "
		correct = ": correct the kind in the configuration"
	)
	for _, test := range []struct {
		real, stated railway.TokenKind
		want         string
	}{
		{railway.AccountToken, railway.AccountToken, "the token is valid, of the kind account" + noRight},
		{railway.WorkspaceToken, railway.WorkspaceToken, "the token is valid, of the kind workspace" + noRight},
		{railway.ProjectToken, railway.ProjectToken, `the token is valid, for environment "production" of project "canvas-tools" only: what was asked for is elsewhere, needs another kind of token, or does not exist`},
		{railway.WorkspaceToken, railway.AccountToken, "the token is valid, but its kind is workspace and not account" + correct},
		{railway.ProjectToken, railway.AccountToken, "the token is valid, but its kind is project and not account" + correct},
		{railway.AccountToken, railway.ProjectToken, "the token is valid, but its kind is account and not project" + correct},
		{railway.WorkspaceToken, railway.ProjectToken, "the token is valid, but its kind is workspace and not project" + correct},
		{tokenDead, railway.AccountToken, dead + "account"},
		{tokenDead, railway.ProjectToken, dead + "project"},
	} {
		t.Run(string(test.real+" as "+test.stated), func(t *testing.T) {
			server := tokenServer(test.real)
			c := coreClient(t, server, withKind(test.stated))
			_, err := coreSend(t.Context(), c, coreMutation)
			e, ok := errors.AsType[*railway.Error](err)
			require.True(t, ok)
			require.ErrorIs(t, err, railway.ErrNotAuthorized)
			require.ErrorIs(t, err, incident.ErrNotPermitted)
			assert.Equal(t, test.want, e.Diagnosis)
			assert.ErrorContains(t, err, test.want)
			assert.NotContains(t, err.Error(), coreToken)
			assert.LessOrEqual(t, server.requests(), 6)
			assert.True(t, runbook.SafeToRetry(err))

			if test.real != test.stated {
				before := server.requests()
				_, err = c.CheckToken(t.Context())
				require.ErrorIs(t, err, railway.ErrNotAuthorized)
				assert.ErrorContains(t, err, test.want)
				assert.Equal(t, before+1, server.requests(), "the diagnosis is still known")
			}
		})
	}
}

// Many calls that are refused at the same time, and soon after, cost one diagnosis.
//
// Requirement: RW-G14
func TestOneDiagnosisForMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := tokenServer(tokenDead)
		answer := server.answer
		server.answer = func(n int, req *http.Request) (*http.Response, error) {
			time.Sleep(time.Second)
			return answer(n, req)
		}
		c := coreClient(t, server, nil)
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				_, err := coreSend(t.Context(), c, coreMutation)
				e, _ := errors.AsType[*railway.Error](err)
				assert.Contains(t, e.Diagnosis, "the token is not valid")
			})
		}
		wg.Wait()
		assert.Equal(t, 20+3, server.requests(), "three questions")

		time.Sleep(2 * time.Minute)
		_, err := coreSend(t.Context(), c, coreMutation)
		require.Error(t, err)
		assert.Equal(t, 23+1+3, server.requests(), "a diagnosis is believed for a minute")
	})
}

// Who waits for the diagnosis of another call gives up with his own context.
func TestDiagnosisAndContexts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := tokenServer(tokenDead)
		answer := server.answer
		server.answer = func(n int, req *http.Request) (*http.Response, error) {
			if strings.Contains(server.body(n), `"Something"`) {
				return answer(n, req)
			}
			return coreSilent(req)
		}
		c := coreClient(t, server, nil)
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
				defer cancel()
				began := time.Now()
				_, err := coreSend(ctx, c, coreMutation)
				assert.ErrorIs(t, err, railway.ErrNotAuthorized, "what Railway said is not forgotten")
				assert.Equal(t, 3*time.Second, time.Since(began))
			})
		}
		wg.Wait()
	})
}

// If the token cannot be tested, nothing is claimed, and it is tried again.
//
// Requirement: RW-G14
func TestDiagnosisThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := tokenServer(tokenDead)
		answer, broken := server.answer, true
		server.answer = func(n int, req *http.Request) (*http.Response, error) {
			if broken && n > 1 {
				return coreAnswer(502, ""), nil
			}
			return answer(n, req)
		}
		c := coreClient(t, server, nil)
		_, err := coreSend(t.Context(), c, coreMutation)
		require.ErrorIs(t, err, railway.ErrNotAuthorized)
		assert.ErrorContains(t, err, "whether the token is valid could not be found out")
		broken = false
		_, err = coreSend(t.Context(), c, coreMutation)
		assert.ErrorContains(t, err, "the token is not valid")
	})
}
