package railway_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/incidenttest"
	"go.acu.edu.au/runbook/railway"
	"go.acu.edu.au/runbook/railway/railwaytest"
)

// The store is kept, over Railway in memory, with its change sets and their etag.
//
// Requirement: RW-VAR-CAS, RW-VAR-SEALED
func TestCredentialsPort(t *testing.T) {
	incidenttest.TestCredentialStore(t, incidenttest.CredentialStoreHarness{
		Run: varBubble, Races: 5,
		New: func(t testing.TB) incidenttest.CredentialStoreCase {
			h := newVars(t)
			return incidenttest.CredentialStoreCase{
				Store: railway.NewCredentials(h.svc),
				Replica: func() runbook.CredentialStore {
					s, _ := h.serve(t, h.connect(t))
					return railway.NewCredentials(s)
				},
				Seal:       func(name string) { h.SetVariable(h.environment, h.service, name, "sealed", true) },
				LoseAnswer: func() { h.Fail(railwaytest.Fault{Kind: railwaytest.LoseAnswer}) },
				Break:      func() { h.Break(true) },
			}
		},
	})
}

// Whatever becomes of an answer, a credential is written once at most, what is said
// of it is true, and nothing shows it.
//
// Requirement: RW-G4, RW-VAR-CAS
func TestACredentialIsNeverWrittenTwice(t *testing.T) {
	for name, f := range varUnclear("environmentApplyChangeSet") {
		t.Run(name, func(t *testing.T) {
			varBubble(t, func(t *testing.T) {
				h := newVars(t)
				c := railway.NewCredentials(h.svc)
				last, err := c.Put(t.Context(), "KEY", runbook.NewSecret("first"), "")
				require.NoError(t, err)
				h.Fail(f)
				v, err := c.Put(t.Context(), "KEY", runbook.NewSecret(varCanary), last)
				silent(t, varCanary, err, c)
				got, getErr := c.Get(t.Context(), "KEY")
				require.NoError(t, getErr)
				silent(t, varCanary, got, &got)
				if strings.HasSuffix(name, "instead") {
					require.ErrorIs(t, err, incident.ErrOutcomeUnknown)
					assert.False(t, runbook.SafeToRetry(err))
					assert.Equal(t, "first", got.Secret.Reveal())
					assert.Len(t, h.did(), 1)
					return
				}
				require.NoError(t, err)
				assert.Equal(t, varCanary, got.Secret.Reveal())
				assert.Equal(t, v, got.Version)
				assert.Len(t, h.did(), 2, "%v", h.Effects())
			})
		})
	}
}

// A change of something else in the environment makes Railway reject the write. It is
// tried again, since the credential itself is as it was.
//
// Requirement: RW-VAR-CAS
func TestOtherChangesDoNotStopAPut(t *testing.T) {
	for name, mutation := range map[string]string{"before it is looked at": "mutation ApplyChangeSet", "while it is applied": "query ChangeSetApply"} {
		t.Run(name, func(t *testing.T) {
			varBubble(t, func(t *testing.T) {
				h := newVars(t)
				others := 0
				h.before = func(body string) {
					if strings.Contains(body, mutation+"(") || strings.Contains(body, mutation+" (") {
						if others++; others <= 3 {
							h.SetVariable(h.environment, h.service, "A", fmt.Sprint(others), false)
						}
					}
				}
				_, err := railway.NewCredentials(h.svc).Put(t.Context(), "KEY", runbook.NewSecret("k"), "")
				require.NoError(t, err)
				assert.Equal(t, "k", h.Variables(h.environment, h.service)["KEY"])
				assert.Greater(t, others, 1, "it was tried again")
			})
		})
	}
	t.Run("without end", func(t *testing.T) {
		varBubble(t, func(t *testing.T) {
			h := newVars(t)
			n := 0
			h.before = func(body string) {
				if strings.Contains(body, "mutation ApplyChangeSet") {
					n++
					h.SetVariable(h.environment, h.service, "A", fmt.Sprint(n), false)
				}
			}
			_, err := railway.NewCredentials(h.svc).Put(t.Context(), "KEY", runbook.NewSecret(varCanary), "")
			require.ErrorIs(t, err, incident.ErrBusy)
			assert.NotErrorIs(t, err, runbook.ErrConflict)
			assert.True(t, runbook.SafeToRetry(err))
			assert.NotContains(t, h.Variables(h.environment, h.service), "KEY")
			silent(t, varCanary, err)
		})
	})
}

// Somebody who changes the credential itself in between wins, also with the value
// that it had, and nothing is overwritten.
//
// Requirement: RW-VAR-CAS
func TestAChangeInBetweenIsAConflict(t *testing.T) {
	varBubble(t, func(t *testing.T) {
		h := newVars(t)
		c := railway.NewCredentials(h.svc)
		last, err := c.Put(t.Context(), "KEY", runbook.NewSecret("one"), "")
		require.NoError(t, err)
		h.before = func(body string) {
			if strings.Contains(body, "mutation ApplyChangeSet") {
				h.before = nil
				h.SetVariable(h.environment, h.service, "KEY", "theirs", false)
			}
		}
		_, err = c.Put(t.Context(), "KEY", runbook.NewSecret("two"), last)
		require.ErrorIs(t, err, runbook.ErrConflict)
		assert.True(t, runbook.SafeToRetry(err))
		assert.Equal(t, "theirs", h.Variables(h.environment, h.service)["KEY"])
		h.SetVariable(h.environment, h.service, "KEY", "one", false)
		_, err = c.Put(t.Context(), "KEY", runbook.NewSecret("two"), last)
		require.ErrorIs(t, err, runbook.ErrConflict, "the value is as it was, and was changed in between")
	})
}

// A lost write that somebody overwrote is neither a success nor a conflict.
//
// Requirement: RW-G4
func TestALostPutThatWasOverwrittenIsUnknown(t *testing.T) {
	varBubble(t, func(t *testing.T) {
		h := newVars(t)
		h.Working = -1
		h.Fail(railwaytest.Fault{Op: "environmentApplyChangeSet", Kind: railwaytest.LoseAnswer})
		h.before = func(body string) {
			if len(h.did("environmentApplyChangeSet")) > 0 {
				h.before = nil
				h.SetVariable(h.environment, h.service, "KEY", "theirs", false)
			}
		}
		_, err := railway.NewCredentials(h.svc).Put(t.Context(), "KEY", runbook.NewSecret(varCanary), "")
		require.ErrorIs(t, err, incident.ErrOutcomeUnknown)
		assert.NotErrorIs(t, err, runbook.ErrConflict)
		assert.False(t, runbook.SafeToRetry(err))
		silent(t, varCanary, err)
	})
}

// A change set that failed is a failure, though it is answered like one that did not.
//
// Requirement: RW-PEER-CLI-EXIT
func TestAChangeSetThatFailedIsAFailure(t *testing.T) {
	answers := map[string]string{
		"at once":       `{"id":"c1","status":"failed","changes":[],"diagnostics":[{"message":"` + varCanary + `"}]}`,
		"in capitals":   `{"id":"c1","status":"FAILED","changes":[],"diagnostics":[]}`,
		"one change":    `{"id":"c1","status":"applied","changes":[{"kind":"variable.set","path":"p","status":"failed"}],"diagnostics":[]}`,
		"after a while": `{"id":"c1","status":"applying","changes":[],"diagnostics":[]}`,
	}
	for name, answer := range answers {
		t.Run(name, func(t *testing.T) {
			varBubble(t, func(t *testing.T) {
				h := newVars(t)
				h.answer = func(body string) string {
					switch {
					case strings.Contains(body, "mutation ApplyChangeSet"):
						return `{"data":{"environmentApplyChangeSet":` + answer + `}}`
					case strings.Contains(body, "query ChangeSetApply"):
						return `{"data":{"environmentChangeSetApply":` + answers["at once"] + `}}`
					}
					return ""
				}
				c := railway.NewCredentials(h.svc)
				_, put := c.Put(t.Context(), "KEY", runbook.NewSecret(varCanary), "")
				for _, err := range []error{put, c.Delete(t.Context(), "A")} {
					var e *railway.Error
					require.ErrorAs(t, err, &e)
					assert.Equal(t, "change set", e.Code)
					assert.True(t, runbook.SafeToRetry(err))
					silent(t, varCanary, err)
				}
			})
		})
	}
}

// A status that nobody knows is not believed either way: the variable decides.
func TestAnUnknownStatusOfAChangeSetIsDecidedByReading(t *testing.T) {
	varBubble(t, func(t *testing.T) {
		h := newVars(t)
		made := true
		h.answer = func(body string) string {
			if !strings.Contains(body, "mutation ApplyChangeSet") {
				return ""
			}
			if made {
				h.SetVariable(h.environment, h.service, "KEY", "k", false)
			}
			return `{"data":{"environmentApplyChangeSet":{"id":"c1","status":"settled","changes":[],"diagnostics":[]}}}`
		}
		c := railway.NewCredentials(h.svc)
		v, err := c.Put(t.Context(), "KEY", runbook.NewSecret("k"), "")
		require.NoError(t, err)
		made = false
		_, err = c.Put(t.Context(), "KEY", runbook.NewSecret("l"), v)
		require.ErrorIs(t, err, incident.ErrOutcomeUnknown)
	})
}

// An error that nobody knows, of a change that was made all the same, is not taken for
// a conflict: the value decides.
//
// Requirement: RW-G4
func TestAnUnknownErrorOfAChangeSetIsDecidedByReading(t *testing.T) {
	for name, value := range map[string]string{"made": varCanary, "somebody else's": "theirs"} {
		t.Run(name, func(t *testing.T) {
			varBubble(t, func(t *testing.T) {
				h := newVars(t)
				h.answer = func(body string) string {
					if !strings.Contains(body, "mutation ApplyChangeSet") {
						return ""
					}
					h.SetVariable(h.environment, h.service, "KEY", value, false)
					return `{"errors":[{"message":"odd: ` + varCanary + `","extensions":{"code":"INTERNAL_SERVER_ERROR"}}],"data":null}`
				}
				c := railway.NewCredentials(h.svc)
				v, err := c.Put(t.Context(), "KEY", runbook.NewSecret(varCanary), "")
				silent(t, varCanary, err)
				if value != varCanary {
					require.ErrorIs(t, err, runbook.ErrConflict)
					return
				}
				require.NoError(t, err)
				got, err := c.Get(t.Context(), "KEY")
				require.NoError(t, err)
				assert.Equal(t, got.Version, v)
			})
		})
	}
}

// If nothing can be read after such an error, or after a lost answer, it is not known
// what happened.
//
// Requirement: RW-G4
func TestAPutThatCannotBeReadBackIsUnknown(t *testing.T) {
	for name, answer := range map[string]string{"an unknown error": `{"errors":[{"message":"odd"}],"data":null}`, "no data": `{"data":null}`} {
		t.Run(name, func(t *testing.T) {
			varBubble(t, func(t *testing.T) {
				h := newVars(t)
				h.answer = func(body string) string {
					if !strings.Contains(body, "mutation ApplyChangeSet") {
						return ""
					}
					h.Break(true)
					return answer
				}
				_, err := railway.NewCredentials(h.svc).Put(t.Context(), "KEY", runbook.NewSecret(varCanary), "")
				require.Error(t, err)
				assert.False(t, runbook.SafeToRetry(err))
				assert.NotErrorIs(t, err, runbook.ErrConflict)
				silent(t, varCanary, err)
			})
		})
	}
}

// The change is in the words that Railway knows, with the name that the service has
// now, and says what it is based on.
func TestTheChangeSetOfACredential(t *testing.T) {
	varBubble(t, func(t *testing.T) {
		h := newVars(t)
		var inputs []map[string]any
		h.before = func(body string) {
			if !strings.Contains(body, "mutation ApplyChangeSet") {
				return
			}
			var request struct{ Variables map[string]any }
			require.NoError(t, json.Unmarshal([]byte(body), &request))
			assert.NotEmpty(t, request.Variables["baseConfigEtag"])
			assert.Equal(t, h.environment, request.Variables["environmentId"])
			assert.NotContains(t, request.Variables["commitMessage"], "secret")
			inputs = append(inputs, request.Variables["input"].(map[string]any))
		}
		c := railway.NewCredentials(h.svc)
		_, err := c.Put(t.Context(), "KEY", runbook.NewSecret("secret"), "")
		require.NoError(t, err)
		require.NoError(t, c.Delete(t.Context(), "KEY"))
		want := []string{
			`{"version":1,"declared":[],"diagnostics":[],"changes":[{"kind":"variable.set","address":"service.api","variable":"KEY",
				"after":{"type":"literal","value":"secret"},"path":"resources.service.api.variables.KEY","summary":"Set variable api.KEY","severity":"safe","deployEffect":"deploy"}]}`,
			`{"version":1,"declared":[],"diagnostics":[],"changes":[{"kind":"variable.delete","address":"service.api","variable":"KEY",
				"previous":{"type":"preserve"},"path":"resources.service.api.variables.KEY","summary":"Delete variable api.KEY","severity":"destructive","deployEffect":"deploy"}]}`,
		}
		require.Len(t, inputs, 2)
		for i := range inputs {
			got, err := json.Marshal(inputs[i])
			require.NoError(t, err)
			assert.JSONEq(t, want[i], string(got))
		}
		assert.GreaterOrEqual(t, len(h.Calls()), 1)
	})
}

// Credentials have an age, deploy, and cannot be what Railway makes itself.
func TestWhatACredentialIs(t *testing.T) {
	varBubble(t, func(t *testing.T) {
		h := newVars(t)
		c := railway.NewCredentials(h.svc)
		before := h.Newest(h.environment, h.service)
		time.Sleep(time.Hour)
		start := time.Now()
		h.AddService(h.environment, railwaytest.Service{Name: "other", Variables: map[string]string{"KEY": "of another service"}})
		h.SetVariable(h.environment, "", "KEY", "shared", false)
		_, err := c.Get(t.Context(), "KEY")
		require.ErrorIs(t, err, runbook.ErrNoCredential)
		_, err = c.Put(t.Context(), "KEY", runbook.NewSecret("k"), "")
		require.NoError(t, err)
		got, err := c.Get(t.Context(), "KEY")
		require.NoError(t, err)
		assert.WithinDuration(t, start, got.Written, time.Minute)
		assert.NotEqual(t, before, h.Newest(h.environment, h.service), "Railway deploys the service")

		_, err = c.Get(t.Context(), "RAILWAY_SERVICE_ID")
		require.ErrorIs(t, err, runbook.ErrNoCredential)
		n := len(h.did())
		for _, name := range []string{"RAILWAY_SERVICE_ID", "", "A B", "A=B"} {
			_, err = c.Put(t.Context(), name, runbook.NewSecret(varCanary), "")
			require.Error(t, err)
			assert.True(t, runbook.SafeToRetry(err))
			silent(t, varCanary, err)
			require.Error(t, c.Delete(t.Context(), name))
		}
		assert.Len(t, h.did(), n)
	})
}

// A variable that is sealed by somebody is neither overwritten nor taken for missing.
//
// Requirement: RW-VAR-SEALED
func TestASealedCredential(t *testing.T) {
	varBubble(t, func(t *testing.T) {
		h := newVars(t)
		c := railway.NewCredentials(h.svc)
		_, err := c.Get(t.Context(), "S")
		require.ErrorIs(t, err, incident.ErrSealed)
		_, err = c.Put(t.Context(), "S", runbook.NewSecret("x"), "")
		require.ErrorIs(t, err, runbook.ErrConflict)
		assert.Equal(t, "s", h.Variables(h.environment, h.service)["S"])
		require.NoError(t, c.Delete(t.Context(), "S"), "a deletion needs no value")
		_, err = c.Get(t.Context(), "S")
		require.ErrorIs(t, err, runbook.ErrNoCredential)
	})
}

// A Put costs seven calls, and one for every second that Railway takes at most.
func TestWhatAPutCosts(t *testing.T) {
	varBubble(t, func(t *testing.T) {
		h := newVars(t)
		h.Working = 10 * time.Second
		before := len(h.Calls())
		_, err := railway.NewCredentials(h.svc).Put(t.Context(), "KEY", runbook.NewSecret("k"), "")
		require.NoError(t, err)
		assert.LessOrEqual(t, len(h.Calls())-before, 7+10, "%v", h.Calls()[before:])
	})
}

// A Put that Railway applies at once: under 2 ms in memory, with the server's part.
func BenchmarkCredentialsPut(b *testing.B) {
	h := newVars(b)
	h.Lag, h.PerHour, h.PerSecond = -1, 1<<40, 1<<40
	h.budget = &railway.Budget{PerSecond: 1e9}
	s, _ := h.serve(b, h.connect(b))
	store := railway.NewCredentials(s)
	text := ""
	h.answer = func(body string) string {
		if !strings.Contains(body, "mutation ApplyChangeSet") {
			return ""
		}
		h.SetVariable(h.environment, h.service, "KEY", text, false)
		return `{"data":{"environmentApplyChangeSet":{"id":"c1","status":"applied","changes":[],"diagnostics":[]}}}`
	}
	var last runbook.Version
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		text = fmt.Sprint(i)
		var err error
		if last, err = store.Put(b.Context(), "KEY", runbook.NewSecret(text), last); err != nil {
			b.Fatal(err)
		}
	}
}
