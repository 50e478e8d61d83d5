package playbooks_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"testing"
	"time"

	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/incidenttest"
	"go.acu.edu.au/runbook/incident/playbooks"
)

// securityHouse is a house with credentials, and with a desk for security.
type securityHouse struct {
	*house
	ledger
	keys  *incidenttest.PlatformKeys
	audit *incidenttest.AuditLog
	quota *incidenttest.Quota
	told  sync.Mutex
	// letters are what those who answer for security were told.
	letters []incident.Message
	// taken are the bundles of evidence, as what they were made of.
	taken []incident.Evidence
	// unproven are the credentials that the application does not take up.
	unproven map[string]bool
	// noEvidence is what taking evidence fails with.
	noEvidence error
	// refused means that Canvas does not let us switch keys.
	refused bool
	from    int
}

func newSecurityHouse(t testing.TB) *securityHouse {
	t.Helper()
	h := &securityHouse{
		house: newHouse(t), keys: new(incidenttest.PlatformKeys), audit: new(incidenttest.AuditLog), quota: new(incidenttest.Quota), unproven: make(map[string]bool),
	}
	h.done = func() int { return len(h.platform.Effects()) }
	h.keys.Add(incident.PlatformKey{ID: "42", Name: "QA tool", On: true})
	h.keys.Add(incident.PlatformKey{ID: "43", Name: "QA tool, new", On: true})
	h.PlatformKeys, h.Key, h.AuditLog, h.Quota = ledgerKeys{h.keys, h}, "42", h.audit, h.quota
	h.Defaults.Security = "security@acu.edu.au"
	h.Rotations = []playbooks.Rotation{h.rotation("SECRET_KEY"), h.rotation("CANVAS_PROD_PRIVATE_KEY")}
	h.platform.SetSessions(12)
	h.platform.Print(incident.LogLine{Message: "login failed for user 7"}, incident.LogLine{Message: "task 3 done"}, incident.LogLine{Message: "Unauthorized token"})
	now := time.Now()
	h.audit.Add(
		incident.AuditEvent{ID: "1", Time: now.Add(-50 * time.Hour), Kind: incident.AuditAuthentication, Action: "login", Actor: "7", Address: "10.0.0.1"},
		incident.AuditEvent{ID: "2", Time: now.Add(-time.Hour), Kind: incident.AuditAuthentication, Action: "login", Actor: "7", Address: "10.0.0.1"},
		incident.AuditEvent{ID: "3", Time: now.Add(-time.Hour), Kind: incident.AuditChange, Action: "updated", Actor: "7", Address: "203.0.113.9"},
	)
	for i := range 60 { // 20 addresses from which there is more, so that the new one is none of the most frequent
		h.audit.Add(incident.AuditEvent{ID: fmt.Sprint("usual ", i), Time: now.Add(-49 * time.Hour), Kind: incident.AuditAuthentication, Action: "login", Actor: "8", Address: fmt.Sprint("10.0.1.", i%20)})
	}
	h.from = len(h.platform.Effects())
	return h
}

// ledgerKeys are keys of which each change is noted.
type ledgerKeys struct {
	*incidenttest.PlatformKeys
	h *securityHouse
}

func (k ledgerKeys) SetPlatformKey(ctx context.Context, id string, on bool) (incident.PlatformKey, error) {
	if k.h.refused {
		return incident.PlatformKey{}, fmt.Errorf("key %s: %w", id, incident.ErrNotPermitted)
	}
	state, err := k.PlatformKeys.SetPlatformKey(ctx, id, on)
	if err == nil || errors.Is(err, incident.ErrOutcomeUnknown) {
		what := map[bool]string{true: "on", false: "off"}[on]
		k.h.add("key " + id + " " + what)
	}
	return state, err
}

// rotation is one whose steps are noted.
func (h *securityHouse) rotation(name string) playbooks.Rotation {
	return playbooks.Rotation{
		Name: name, About: "for tests", Owner: "operations", Redeploys: true,
		Begin: func(context.Context) error { h.add("begin " + name); return nil },
		Prove: func(context.Context) error {
			if h.unproven[name] {
				return errors.New("the application still signs with the old one")
			}
			return nil
		},
		End: func(context.Context) error { h.add("end " + name); return nil },
		Age: func(context.Context) (time.Duration, error) { return 100 * 24 * time.Hour, nil },
	}
}

func (h *securityHouse) desk() playbooks.SecurityDesk {
	return playbooks.SecurityDesk{
		Notify: func(_ context.Context, contact string, m incident.Message) error {
			h.told.Lock()
			defer h.told.Unlock()
			if contact == h.Defaults.Security {
				h.letters = append(h.letters, m)
			}
			return nil
		},
		Preserve: func(ctx context.Context, e incident.Evidence) (incident.EvidenceReceipt, error) {
			if h.noEvidence != nil {
				return incident.EvidenceReceipt{}, h.noEvidence
			}
			h.add("evidence")
			h.told.Lock()
			h.taken = append(h.taken, e)
			h.told.Unlock()
			return e.Collect(ctx, io.Discard)
		},
	}
}

// effects are those of the playbook, in order.
func (h *securityHouse) effects() []string {
	return append([]string{}, h.among(h.platform.Effects())[h.from:]...)
}

// letter returns what those who answer for security were told last.
func (h *securityHouse) letter() string {
	h.told.Lock()
	defer h.told.Unlock()
	if len(h.letters) == 0 {
		return ""
	}
	return h.letters[len(h.letters)-1].Text
}

// saying answers what is said for a step, and else agrees.
func saying(step, kind string, output any) func(q incident.Question) incident.Answer {
	return func(q incident.Question) incident.Answer {
		if q.Step != step {
			return agreeing(q)
		}
		a := incident.Answer{Kind: kind, Actor: "kim", Comment: "said so"}
		if output != nil {
			a.Output, _ = json.Marshal(output)
		}
		return a
	}
}

// repeatable says which effects may come twice after a crash.
func repeatable(effects ...string) func(string) bool {
	return func(effect string) bool { return slices.Contains(effects, effect) }
}
