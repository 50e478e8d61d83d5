package drill

import (
	"time"

	"go.acu.edu.au/runbook/alert"
)

// launches is the oracle of what stops launches: critical, and never a matter of deployments
// or of data.
func launches(allowed ...rule) oracle {
	return oracle{
		Severity: alert.Critical, Required: told(), Allowed: allowed,
		Forbidden: none("users cannot launch: neither older code nor older data helps", "rollback", "scale", "restore", "restart-database", "end-sessions", "key-off"),
		Detected:  8 * time.Minute, Acknowledged: 15 * time.Minute, Mitigated: 45 * time.Minute, Resolved: 2 * time.Hour,
	}
}

func ltiScenarios() []scenario {
	restart := rule{Kind: "restart", Max: 1, Why: "Playbook 2: restart to refresh Canvas tokens"}
	revoked := launches(restart, rule{Kind: "canvas-refresh"}, rule{Kind: "key-on", Max: 1})
	revoked.Forbidden = append(revoked.Forbidden, none("the key is off, not stolen", "begin", "end", "purge-nonces")...)
	rotated := launches(restart, rule{Kind: "canvas-refresh"})
	rotated.Forbidden = append(rotated.Forbidden, none("the keys of Canvas changed, not ours", "begin", "end", "key-on", "purge-nonces")...)
	expired := launches(restart, rule{Kind: "begin", Max: 1}, rule{Kind: "prove"}, rule{Kind: "end", Max: 1},
		rule{Kind: "set-variable", Detail: "PRIVATE_KEY"}, rule{Kind: "redeploy"}, rule{Kind: "delete-variable", Detail: "PREVIOUS"}, rule{Kind: "canvas-refresh"})
	expired.Mitigated, expired.Resolved = 2*time.Hour, 4*time.Hour
	skew := launches(restart, rule{Kind: "redeploy", Max: 1}, rule{Kind: "purge-nonces", Why: "Nonce Validation Failures: expired ones only"})
	skew.Mitigated, skew.Resolved = 2*time.Hour, 3*time.Hour
	skew.Forbidden = append(skew.Forbidden, none("the clock is wrong, not the keys", "begin", "end", "key-on")...)
	return []scenario{
		{
			Name: "key-revoked", Title: "After a refresh of Canvas our developer key is off",
			Faults: []fault{{Kind: "key-revoked"}}, At: 8 * time.Hour, Watch: 4 * time.Hour,
			People: people{Mends: []string{"key-revoked"}}, Oracle: revoked,
		},
		{
			Name: "keys-rotated", Title: "Canvas replaces its whole key set at once",
			Faults: []fault{{Kind: "keys-rotated"}}, At: 9 * time.Hour, Watch: 4 * time.Hour, Oracle: rotated,
		},
		{
			Name: "key-expired", Title: "The key of the tool has expired",
			Faults: []fault{{Kind: "key-expired"}}, At: 10 * time.Hour, Watch: 6 * time.Hour,
			People: people{Mends: []string{"key-expired"}}, Oracle: expired,
		},
		{
			Name: "clock-skew", Title: "The clock of the machine is ten minutes wrong",
			Faults: []fault{{Kind: "clock-skew"}}, At: 13 * time.Hour, Watch: 4 * time.Hour,
			People: people{Mends: []string{"clock-skew"}}, Oracle: skew,
		},
	}
}
