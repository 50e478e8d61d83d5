package canvasprobe

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.acu.edu.au/runbook/canvas"
	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/internal/netcheck"
)

// Key returns a prober of a developer key: that it is there, active, and on in
// the account, which is a root account (canvas.Self). A key that was there before
// the instance was overwritten from production and is there no more is Unhealthy
// because of [CauseKeyGone]; one that is off because of [CauseOff], as is one
// that is meant for test and beta only in production. It measures
// test_cluster_only, since only such a key, made in production, survives the
// refresh of test and beta without being of use in production.
func (i *Instance) Key(account canvas.Ref, id canvas.ID) health.Prober {
	var known time.Time
	return i.probe(func(ctx context.Context, _ *trial) (health.Result, error) {
		k, err := i.client.GetDeveloperKey(ctx, account, id)
		if errors.Is(err, canvas.ErrNotFound) {
			i.mu.Lock()
			seen := known
			i.mu.Unlock()
			cause, why := i.lost("key", cmpTime(seen, i.cfg.LastWorked), time.Now())
			return down(cause, fmt.Sprintf("developer key %v: Canvas is up and has no such key: %s", id, why)), nil
		}
		if err != nil {
			return health.Result{}, err
		}
		i.mu.Lock()
		known = time.Now()
		i.mu.Unlock()
		return i.judgeKey(k), nil
	})
}

func (i *Instance) judgeKey(k canvas.DeveloperKey) health.Result {
	testOnly := k.TestClusterOnly.Or(false)
	r := netcheck.With(health.Result{Status: health.Healthy}, health.Measurement{Name: "test_cluster_only", Value: map[bool]float64{true: 1}[testOnly]})
	name := fmt.Sprintf("developer key %v (%s)", k.ID, netcheck.Clean(k.Name))
	if why := unusable(k); why != "" {
		r = r.Worsen(health.Unhealthy, CauseOff, name+" "+why)
	}
	switch b, ok := k.Binding.Get(); {
	case !ok:
		r = r.Worsen(health.Unknown, health.CauseMissing, name+": Canvas does not say whether it is on")
	case b.State != canvas.BindingOn:
		r = r.Worsen(health.Unhealthy, CauseOff, name+" is "+netcheck.Clean(string(b.State)))
	}
	if testOnly && i.cfg.Environment == Production {
		r = r.Worsen(health.Unhealthy, CauseOff, name+" is for test and beta only, and this is production")
	}
	return r
}

// unusable says why a key does not work wherever its switch stands.
func unusable(k canvas.DeveloperKey) string {
	if k.State != "active" {
		return "is " + netcheck.Clean(k.State)
	}
	return ""
}

// KeysConfig says whose keys [Keys] switches.
type KeysConfig struct {
	// Client calls the instance as an administrator. Required.
	Client *canvas.Client
	// Account is the root account. Empty means canvas.Self.
	Account canvas.Ref
	// Production says that the instance is production, where keys for test and
	// beta only do not work.
	Production bool
}

// Keys reads and switches the developer keys of an account. It implements
// incident.PlatformKeys and is safe for concurrent use.
type Keys struct{ cfg KeysConfig }

var _ incident.PlatformKeys = (*Keys)(nil)

// NewKeys returns a Keys, or what is wrong with cfg.
func NewKeys(cfg KeysConfig) (*Keys, error) {
	if cfg.Client == nil {
		return nil, errors.New("canvasprobe: keys: Client is required")
	}
	if cfg.Account == "" {
		cfg.Account = canvas.Self
	}
	return &Keys{cfg}, nil
}

// PlatformKey implements incident.PlatformKeys. The id is the client id.
func (k *Keys) PlatformKey(ctx context.Context, id string) (incident.PlatformKey, error) {
	n, err := canvas.ParseID(id)
	if err != nil {
		return incident.PlatformKey{}, fmt.Errorf("canvasprobe: key %s: %w: %w", netcheck.Quote(id), incident.ErrNotFound, err)
	}
	key, err := k.cfg.Client.GetDeveloperKey(ctx, k.cfg.Account, n)
	if err != nil {
		return incident.PlatformKey{}, k.fail("read", n, err)
	}
	out := incident.PlatformKey{ID: key.ID.String(), Name: key.Name, LastUsed: key.LastUsedAt.Or(canvas.Time{}).Time}
	b, known := key.Binding.Get()
	out.On = known && b.State == canvas.BindingOn
	if out.Reason = unusable(key); out.Reason == "" && k.cfg.Production && key.TestClusterOnly.Or(false) {
		out.Reason = "is for test and beta only"
	}
	if !known && out.Reason == "" {
		return out, fmt.Errorf("canvasprobe: key %v: Canvas does not say whether it is on", n)
	}
	out.On = out.On && out.Reason == ""
	return out, nil
}

// SetPlatformKey implements incident.PlatformKeys. Tokens of a key that is off do
// not work, and launches of its tool fail, at once.
func (k *Keys) SetPlatformKey(ctx context.Context, id string, on bool) (incident.PlatformKey, error) {
	n, err := canvas.ParseID(id)
	if err != nil {
		return incident.PlatformKey{}, fmt.Errorf("canvasprobe: key %s: %w: %w", netcheck.Quote(id), incident.ErrNotFound, err)
	}
	state := canvas.BindingOff
	if on {
		state = canvas.BindingOn
	}
	_, err = k.cfg.Client.BindDeveloperKey(ctx, k.cfg.Account, n, state)
	if err != nil && !mayHaveRun(err) {
		return incident.PlatformKey{}, k.fail("switch", n, err)
	}
	read, stop := afterwards(ctx)
	defer stop()
	key, readErr := k.PlatformKey(read, id)
	switch {
	case readErr == nil && (err == nil || key.On == on || key.Reason != ""):
		return key, nil
	case err == nil && readErr == nil:
		err = errors.New("it was answered as done, and another state is there")
	case err == nil:
		err = readErr
	}
	// It was asked for, and either nobody can say what came of it, or it is not so
	// yet.
	return key, unknownOutcome(fmt.Sprintf("switch key %v", n), err)
}

func (k *Keys) fail(what string, id canvas.ID, err error) error {
	return portError(fmt.Sprintf("%s key %v", what, id), err)
}
