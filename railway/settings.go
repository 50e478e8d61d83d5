package railway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.acu.edu.au/runbook/railway/internal/gql"
)

// Settings are how a service is deployed and stopped in one environment. They take
// effect with the next deployment. As a change, what is nil or empty stays as it is.
type Settings struct {
	// HealthcheckPath is what a new deployment has to answer with status 200 before
	// it takes over, "/healthz"; empty means that there is no check.
	//
	// Railway asks for it on the variable PORT, with the host name
	// healthcheck.railway.app: an application that accepts certain hosts only, such
	// as one with TrustedHostMiddleware, must accept that one. It asks during a
	// deployment only and never afterwards, so that it does not replace a prober
	// (https://docs.railway.com/deployments/healthchecks).
	HealthcheckPath *string
	// HealthcheckTimeout is how long a new deployment may take to answer, in whole
	// seconds. Railway's default is 300 s.
	HealthcheckTimeout *time.Duration
	// Draining is how long the processes have between the signals SIGTERM and
	// SIGKILL, in whole seconds. Railway's default is 0 s: requests that are under
	// way are cut off.
	Draining *time.Duration
	// Overlap is how long the old deployment goes on after the new one is there, in
	// whole seconds.
	Overlap *time.Duration
	// PreDeployCommand runs in the new image before it is deployed, and keeps it
	// from being deployed if it fails: a migration. As a change, nil leaves it as it
	// is, and an empty one that is not nil removes it.
	PreDeployCommand []string
	// RestartPolicy says when processes that ended are started again: "ON_FAILURE",
	// "ALWAYS" or "NEVER".
	RestartPolicy string
	// RestartRetries is how often they are started again after failures.
	RestartRetries *int
}

// Settings returns the settings of the service in its environment. What nobody set
// is nil or empty.
func (s *Service) Settings(ctx context.Context) (Settings, error) {
	return s.settings(ctx, s.c.op("read the settings of service %s", s))
}

func (s *Service) settings(ctx context.Context, o op) (Settings, error) {
	got, err := gql.ServiceSettings(ctx, o, s.environment, s.id)
	if err != nil {
		return Settings{}, err
	}
	i := got.ServiceInstance
	return Settings{
		HealthcheckPath: i.HealthcheckPath, HealthcheckTimeout: fromSeconds(i.HealthcheckTimeout),
		Draining: fromSeconds(i.DrainingSeconds), Overlap: fromSeconds(i.OverlapSeconds),
		PreDeployCommand: commandOf(i.PreDeployCommand),
		RestartPolicy:    string(i.RestartPolicyType), RestartRetries: &i.RestartPolicyMaxRetries,
	}, nil
}

// UpdateSettings changes the settings of the service in its environment, and nowhere
// else, and returns them as they were read afterwards. What change does not give is
// not sent and stays as it is. Nothing is deployed.
//
// After a lost answer the settings are read, and decide. If they do not show the
// change, the error is an incident.ErrOutcomeUnknown; changing them again is safe.
func (s *Service) UpdateSettings(ctx context.Context, change Settings) (Settings, error) {
	o := s.c.op("change the settings of service %s", s)
	if err := change.validate(); err != nil {
		return Settings{}, o.refuse(nil, "%v", err)
	}
	var command *[]string
	if change.PreDeployCommand != nil {
		command = &change.PreDeployCommand
	}
	var policy *gql.RestartPolicyType
	if change.RestartPolicy != "" {
		policy = new(gql.RestartPolicyType(change.RestartPolicy))
	}
	got, err := gql.ServiceUpdate(ctx, o, s.environment, s.id, nil, command, change.HealthcheckPath, toSeconds(change.HealthcheckTimeout),
		toSeconds(change.Draining), toSeconds(change.Overlap), policy, change.RestartRetries)
	err = o.answered(got.ServiceInstanceUpdate, err)
	if err != nil && !maybeRun(err) {
		return Settings{}, err
	}
	var now Settings
	err = o.confirm(ctx, err, "read the settings, or change them again", func(ctx context.Context) (shown bool, err error) {
		now, err = s.settings(ctx, o)
		return now.shows(change), err
	})
	return now, err
}

func (c Settings) validate() error {
	if c.isZero() {
		return errors.New("nothing is to be changed")
	}
	var problems []error
	if p := c.HealthcheckPath; p != nil && *p != "" && !strings.HasPrefix(*p, "/") {
		problems = append(problems, errors.New("HealthcheckPath must begin with a slash"))
	}
	for _, d := range []*time.Duration{c.HealthcheckTimeout, c.Draining, c.Overlap} {
		if d != nil && (*d < 0 || *d%time.Second != 0) {
			problems = append(problems, fmt.Errorf("%s: a time must be whole seconds and not negative", *d))
		}
	}
	switch c.RestartPolicy {
	case "", "ON_FAILURE", "ALWAYS", "NEVER":
	default:
		problems = append(problems, errors.New("RestartPolicy must be ON_FAILURE, ALWAYS or NEVER"))
	}
	if c.RestartRetries != nil && *c.RestartRetries < 0 {
		problems = append(problems, errors.New("RestartRetries must not be negative"))
	}
	return errors.Join(problems...)
}

func (c Settings) isZero() bool {
	return c.HealthcheckPath == nil && c.HealthcheckTimeout == nil && c.Draining == nil && c.Overlap == nil &&
		c.PreDeployCommand == nil && c.RestartPolicy == "" && c.RestartRetries == nil
}

// shows reports whether the settings are what a change gives. A setting that is
// empty, and one that is absent, are the same.
func (c Settings) shows(change Settings) bool {
	return given(c.HealthcheckPath, change.HealthcheckPath) && given(c.HealthcheckTimeout, change.HealthcheckTimeout) &&
		given(c.Draining, change.Draining) && given(c.Overlap, change.Overlap) && given(c.RestartRetries, change.RestartRetries) &&
		(change.PreDeployCommand == nil || slices.Equal(c.PreDeployCommand, change.PreDeployCommand)) &&
		(change.RestartPolicy == "" || c.RestartPolicy == change.RestartPolicy)
}

func given[T comparable](is, want *T) bool {
	var zero T
	return want == nil || is != nil && *is == *want || is == nil && *want == zero
}

func fromSeconds(n *int) *time.Duration {
	if n == nil {
		return nil
	}
	return new(time.Duration(*n) * time.Second)
}

func toSeconds(d *time.Duration) *int {
	if d == nil {
		return nil
	}
	return new(int(*d / time.Second))
}

// commandOf reads a command, which is a list or one text. One of another form is
// shown as it is.
func commandOf(raw *json.RawMessage) []string {
	if raw == nil {
		return nil
	}
	var list []string
	if json.Unmarshal(*raw, &list) != nil {
		var text string
		if json.Unmarshal(*raw, &text) != nil {
			text = string(*raw)
		}
		list = []string{text}
	}
	return slices.DeleteFunc(list, func(text string) bool { return text == "" })
}
