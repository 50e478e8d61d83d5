package incidenttest_test

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/incidenttest"
)

// A wrong platform is right where nothing else is said.
type wrong struct {
	*incidenttest.Platform
	deployments func(ctx context.Context, limit int) ([]incident.Deployment, error)
	rollback    func(ctx context.Context, to incident.Deployment) (incident.Deployment, error)
	restart     func(ctx context.Context) (incident.Deployment, error)
}

func (w wrong) Deployments(ctx context.Context, limit int) ([]incident.Deployment, error) {
	if w.deployments == nil {
		return w.Platform.Deployments(ctx, limit)
	}
	return w.deployments(ctx, limit)
}

func (w wrong) Rollback(ctx context.Context, to incident.Deployment) (incident.Deployment, error) {
	if w.rollback == nil {
		return w.Platform.Rollback(ctx, to)
	}
	return w.rollback(ctx, to)
}

func (w wrong) Restart(ctx context.Context) (incident.Deployment, error) {
	if w.restart == nil {
		return w.Platform.Restart(ctx)
	}
	return w.restart(ctx)
}

// unsent claims that nothing happened.
type unsent struct{ error }

func (unsent) SafeToRetry() bool { return true }

func (e unsent) Unwrap() error { return e.error }

// A mistake is a way of getting a port wrong, and the case that must notice.
type mistake struct {
	notices string
	suite   func(t *testing.T)
}

// deployerMistake makes the mistake of a Deployer.
func deployerMistake(notices string, change func(p *incidenttest.Platform, w *wrong)) mistake {
	return mistake{notices, func(t *testing.T) {
		testDeployer(t, func(p *incidenttest.Platform) incident.Deployer {
			w := wrong{Platform: p}
			change(p, &w)
			return w
		})
	}}
}

var mistakes = map[string]mistake{
	"lets everybody approve": approvalsMistake("somebody may not", func(context.Context, string, error) error { return nil }),
	"lets nobody approve":    approvalsMistake("somebody may", func(context.Context, string, error) error { return incident.ErrNotPermitted }),
	"a no without a reason": approvalsMistake("nobody knows them", func(_ context.Context, _ string, right error) error {
		if right != nil {
			return incident.ErrNotPermitted
		}
		return nil
	}),
	"a no that is none": approvalsMistake("somebody may not", func(_ context.Context, _ string, right error) error {
		if right != nil {
			return errors.New("no")
		}
		return nil
	}),
	"lets who has no name approve": approvalsMistake("no name", func(_ context.Context, actor string, right error) error {
		if actor == "" {
			return nil
		}
		return right
	}),
	"what cannot be told is a yes": approvalsMistake("it cannot be told", func(_ context.Context, _ string, right error) error { return right }),
	"an ended context is a no": approvalsMistake("ended context", func(ctx context.Context, _ string, right error) error {
		if ctx.Err() != nil {
			return errors.Join(incident.ErrNotPermitted, ctx.Err())
		}
		return right
	}),
	"restarts where nothing may be changed": deployerMistake("restart/read-only_context", func(p *incidenttest.Platform, w *wrong) {
		w.restart = func(ctx context.Context) (incident.Deployment, error) {
			if runbook.IsReadOnly(ctx) {
				return p.Restart(context.Background())
			}
			return p.Restart(ctx)
		}
	}),
	"does not say that it refused a rollback in a plan": deployerMistake("rollback/read-only_context", func(p *incidenttest.Platform, w *wrong) {
		w.rollback = func(ctx context.Context, to incident.Deployment) (incident.Deployment, error) {
			if runbook.IsReadOnly(ctx) {
				return to, nil
			}
			return p.Rollback(ctx, to)
		}
	}),
	"lists the oldest first": deployerMistake("list", func(p *incidenttest.Platform, w *wrong) {
		w.deployments = func(ctx context.Context, limit int) ([]incident.Deployment, error) {
			list, err := p.Deployments(ctx, limit)
			slices.Reverse(list)
			return list, err
		}
	}),
	"lists only those that succeeded": deployerMistake("list", func(p *incidenttest.Platform, w *wrong) {
		w.deployments = func(ctx context.Context, limit int) ([]incident.Deployment, error) {
			list, err := p.Deployments(ctx, limit)
			return slices.DeleteFunc(list, func(d incident.Deployment) bool { return d.Status != incident.DeploymentSucceeded }), err
		}
	}),
	"takes no heed of the limit": deployerMistake("list", func(p *incidenttest.Platform, w *wrong) {
		w.deployments = func(ctx context.Context, limit int) ([]incident.Deployment, error) {
			return p.Deployments(ctx, limit*10)
		}
	}),
	"returns the deployment that was asked for": deployerMistake("rollback/takes effect once", func(p *incidenttest.Platform, w *wrong) {
		w.rollback = func(ctx context.Context, to incident.Deployment) (incident.Deployment, error) {
			_, err := p.Rollback(ctx, to)
			return to, err
		}
	}),
	"believes that a lost answer means success": deployerMistake("rollback/lost answer", func(p *incidenttest.Platform, w *wrong) {
		w.rollback = func(ctx context.Context, to incident.Deployment) (incident.Deployment, error) {
			d, err := p.Rollback(ctx, to)
			if errors.Is(err, incident.ErrOutcomeUnknown) {
				return to, nil
			}
			return d, err
		}
	}),
	"sends a rollback again": deployerMistake("rollback/lost answer", func(p *incidenttest.Platform, w *wrong) {
		w.rollback = func(ctx context.Context, to incident.Deployment) (incident.Deployment, error) {
			d, err := p.Rollback(ctx, to)
			if errors.Is(err, incident.ErrOutcomeUnknown) {
				return p.Rollback(ctx, to)
			}
			return d, err
		}
	}),
	"claims that an unknown outcome is safe": deployerMistake("restart/lost answer", func(p *incidenttest.Platform, w *wrong) {
		w.restart = func(ctx context.Context) (incident.Deployment, error) {
			d, err := p.Restart(ctx)
			if errors.Is(err, incident.ErrOutcomeUnknown) {
				return d, unsent{err}
			}
			return d, err
		}
	}),
	"does not know that it is refused": deployerMistake("restart/refused", func(p *incidenttest.Platform, w *wrong) {
		w.restart = func(ctx context.Context) (incident.Deployment, error) {
			d, err := p.Restart(ctx)
			if errors.Is(err, incident.ErrNotPermitted) {
				return d, errors.New("something went wrong")
			}
			return d, err
		}
	}),
	"says not found when it cannot ask": deployerMistake("restart/unreachable", func(p *incidenttest.Platform, w *wrong) {
		w.restart = func(ctx context.Context) (incident.Deployment, error) {
			d, err := p.Restart(ctx)
			if err != nil && strings.Contains(err.Error(), "connection refused") {
				return d, incident.ErrNotFound
			}
			return d, err
		}
	}),
	"acts though the context has ended": deployerMistake("restart/ended context", func(p *incidenttest.Platform, w *wrong) {
		w.restart = func(ctx context.Context) (incident.Deployment, error) {
			d, err := p.Restart(context.WithoutCancel(ctx))
			return d, cmp.Or(ctx.Err(), err)
		}
	}),
	"rolls back to whatever is named": deployerMistake("what cannot be rolled back to", func(p *incidenttest.Platform, w *wrong) {
		w.rollback = func(ctx context.Context, to incident.Deployment) (incident.Deployment, error) {
			d, err := p.Rollback(ctx, to)
			if errors.Is(err, incident.ErrUnsupported) {
				return p.Redeploy(ctx)
			}
			return d, err
		}
	}),
	"restarts every time it is not sure": deployerMistake("restarts at the same time", func(p *incidenttest.Platform, w *wrong) {
		w.restart = func(ctx context.Context) (incident.Deployment, error) {
			_, _ = p.Restart(ctx)
			return p.Restart(ctx)
		}
	}),
	"does not wait": {"wait", func(t *testing.T) {
		testDeployer(t, func(p *incidenttest.Platform) incident.Deployer { return impatient{p} })
	}},
	"says stopped before it is": {"stop and start", func(t *testing.T) {
		testStopper(t, func(p *incidenttest.Platform) incident.Stopper { return sluggish{p} })
	}},
	"says frozen because it was asked to": {"change/takes effect once", func(t *testing.T) {
		testFreezer(t, func(p *incidenttest.Platform) incident.DeployFreezer { return hopeful{p} })
	}},
	"forgets other regions": {"replicas/takes effect once", func(t *testing.T) {
		testScaler(t, func(p *incidenttest.Platform) incident.Scaler { return forgetful{p} })
	}},
	"applies by a restart": {"a restart applies nothing, a redeployment does", func(t *testing.T) {
		testVariables(t, func(p *incidenttest.Platform) incident.Variables { return p }, func(p *incidenttest.Platform) incident.Deployer {
			return wrong{Platform: p, restart: func(ctx context.Context) (incident.Deployment, error) { return p.Redeploy(ctx) }}
		})
	}},
	"proves what is configured": variablesMistake("a restart applies nothing, a redeployment does", func(v *wrongVariables) { v.proves = true }),
	"writes one at a time":      variablesMistake("set/takes effect once", func(v *wrongVariables) { v.single = true }),
	"reads sealed as empty":     variablesMistake("read", func(v *wrongVariables) { v.blank = true }),
	"tells values":              variablesMistake("set/refused", func(v *wrongVariables) { v.tells = true }),
	"compares no versions":      variablesMistake("versions", func(v *wrongVariables) { v.blind = true }),
	"plans without what is lost": backupsMistake("plan", func(b *wrongBackups) {
		b.hides = true
	}),
	"restores by a stale plan":    backupsMistake("stale plans", func(b *wrongBackups) { b.stale = true }),
	"makes two backups of a name": backupsMistake("create again", func(b *wrongBackups) { b.twice = true }),
	"hashes what it did not write": {"dump", func(t *testing.T) {
		testDumper(t, func(p *incidenttest.Platform) incident.Dumper { return &wrongDumper{Platform: p, hash: true} })
	}},
	"loads what it did not check": {"what is not what the receipt says", func(t *testing.T) {
		testDumper(t, func(p *incidenttest.Platform) incident.Dumper { return &wrongDumper{Platform: p, load: true} })
	}},
	"takes a failure for an error": {"a failure is a result", func(t *testing.T) {
		testMigrator(t, func(p *incidenttest.Platform) incident.Migrator { return incident.MigratorFunc(failing(p)) })
	}},
	"counts sessions that it guessed": {"end/takes effect once", func(t *testing.T) {
		testSessions(t, func(p *incidenttest.Platform) incident.Sessions {
			return incident.SessionsFunc(func(ctx context.Context) (int, error) {
				n, err := p.EndSessions(ctx)
				return n + 1, err
			})
		})
	}},
	"returns one line too many": logsMistake("tail", func(q *incident.LogQuery) { q.Tail *= 2 }),
	"looks at upper and lower case": logsMistake("chosen", func(q *incident.LogQuery) {
		q.Any = slices.DeleteFunc(q.Any, func(s string) bool { return s == "FAILED" })
	}),
	"shows another deployment's log": logsMistake("another deployment", func(q *incident.LogQuery) { q.Deployment = "" }),
	"follows what it had already": {"follow", func(t *testing.T) {
		testLogs(t, func(p *incidenttest.Platform) incident.Logs { return repeating{p} })
	}},
	"takes nothing for zero": {"nothing measured is not zero", func(t *testing.T) {
		testMetrics(t, func(p *incidenttest.Platform) incident.Metrics { return zeroes{p, false} })
	}},
	"measures in gigabytes": {"read", func(t *testing.T) {
		testMetrics(t, func(p *incidenttest.Platform) incident.Metrics { return zeroes{p, true} })
	}},
	"makes a project each time": {"from nothing, twice", func(t *testing.T) {
		testProvisioner(t, func(p *incidenttest.Platform) incident.Provisioner { return &wasteful{Platform: p} })
	}},
	"removes what it was told": {"the service of users", func(t *testing.T) {
		testDisposer(t, func(p *incidenttest.Platform) disposing { return trusting{p} })
	}},
	"asks again after a lost answer": {"again after a lost answer", func(t *testing.T) {
		testDisposer(t, func(p *incidenttest.Platform) disposing { return eager{p} })
	}},
	"writes without comparing":     storeMistake("what is based on an old version is refused", func(s *wrongStore) { s.blind = true }),
	"compares, then writes":        storeMistake("one winner", func(s *wrongStore) { s.racy = true }),
	"counts each name's versions":  storeMistake("versions are never used again", func(s *wrongStore) { s.counts = true }),
	"tells the credential":         storeMistake("what is based on an old version is refused", func(s *wrongStore) { s.tells = true }),
	"makes names upper case":       storeMistake("round trip", func(s *wrongStore) { s.upper = true }),
	"says none when it is down":    faultMistake("unreachable", errDown, runbook.ErrNoCredential),
	"says none when it is sealed":  faultMistake("sealed", incident.ErrSealed, runbook.ErrNoCredential),
	"says safe when it is unknown": faultMistake("lost answer", incident.ErrOutcomeUnknown, unsent{errDown}),
	"deletes what it did not find": storeMistake("delete", func(s *wrongStore) { s.strict = true }),
}

// TestSuitesNotice runs the suites on implementations that are wrong, each in a
// process of its own, which must fail.
func TestSuitesNotice(t *testing.T) {
	all := maps.Clone(mistakes)
	maps.Copy(all, playbookMistakes)
	if name := os.Getenv("PORT_MISTAKE"); name != "" {
		all[name].suite(t)
		return
	}
	for name, m := range all {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestSuitesNotice$", "-test.v")
			cmd.Env = append(os.Environ(), "PORT_MISTAKE="+name)
			out, err := cmd.CombinedOutput()
			require.Error(t, err, "the suite accepts it")
			failed := "--- FAIL: TestSuitesNotice/" + strings.ReplaceAll(m.notices, " ", "_") + " ("
			assert.Contains(t, string(out), failed)
		})
	}
}
