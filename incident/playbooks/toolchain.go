package playbooks

import (
	"context"
	"fmt"
	"strings"
	"time"

	"go.acu.edu.au/runbook/incident"
)

// A Toolchain is what a host can do with the source of the application, where it has the
// tools for it: on the machine of its builds. Each func changes nothing, and may be called
// again.
type Toolchain struct {
	// Audit looks for known weaknesses in what the application depends on, as pip-audit
	// does, and returns them, a line each.
	Audit func(ctx context.Context) (weaknesses []string, err error)
	// SecurityTests runs the tests of security of a commit, as pytest tests/security/ does,
	// and returns those that failed, a line each.
	SecurityTests func(ctx context.Context, commit string) (failed []string, err error)
}

// Report is what a tool found.
type Report struct {
	// Lines are what it found, at most 100 of them, a line each. More is how many there
	// were beyond those.
	Lines []string `json:"lines"`
	More  int      `json:"more,omitempty"`
}

// String says how much it is.
func (r Report) String() string {
	if len(r.Lines) == 0 {
		return "nothing"
	}
	return fmt.Sprintf("%d: %s", len(r.Lines)+r.More, strings.Join(r.Lines[:min(len(r.Lines), 5)], "; "))
}

func reportOf(lines []string) Report {
	r := Report{Lines: make([]string, 0, min(len(lines), 100))}
	for _, line := range lines[:min(len(lines), 100)] {
		r.Lines = append(r.Lines, cut(line, 300))
	}
	r.More = len(lines) - len(r.Lines)
	return r
}

// audit is a step that looks for known weaknesses.
func (t Toolchain) audit(id string) incident.Step {
	return incident.Step{
		ID: id, Title: "Look for known weaknesses in what the application depends on", Timeout: 15 * time.Minute, Replaces: []string{"pip audit"},
		When: func(*incident.Scope) (bool, string) {
			return t.Audit != nil, "this host has no tool that looks for them"
		},
		Do: incident.Check{Run: func(ctx context.Context, _ *incident.Scope) (any, error) {
			found, err := t.Audit(ctx)
			if err != nil {
				return nil, err
			}
			return reportOf(found), nil
		}},
	}
}

// tests is a step that runs the tests of security, which fails if one of them does. A plan
// does not run them.
func (t Toolchain) tests(id string, commit func(s *incident.Scope) string) incident.Step {
	return incident.Step{
		ID: id, Title: "Run the tests of security", Needs: []incident.Need{incident.Needs("Toolchain.SecurityTests", t.SecurityTests)},
		Timeout: time.Hour, Attempts: 1, Replaces: []string{"pytest tests/security/"},
		Do: incident.Check{Run: func(ctx context.Context, s *incident.Scope) (any, error) {
			if s.Planning {
				return nil, nil
			}
			failed, err := t.SecurityTests(ctx, commit(s))
			if err != nil {
				return nil, err
			}
			if len(failed) > 0 {
				return nil, incident.Final(fmt.Errorf("tests of security fail: %s", reportOf(failed)))
			}
			return Report{Lines: []string{}}, nil
		}},
	}
}
