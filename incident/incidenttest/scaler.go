package incidenttest

import (
	"context"
	"slices"
	"testing"

	"go.acu.edu.au/runbook/incident"
)

// ScalerCase is a service with replicas, for one test.
type ScalerCase struct {
	Faults
	// Scaler is the implementation.
	Scaler incident.Scaler
	// Region is one in which there is exactly one replica, and Other another region
	// with at least one. An empty Other says that there is one region only.
	Region, Other string
	// Replicas returns how many there are in a region, as the platform knows it.
	Replicas func(region string) int
	// Most is more replicas than the platform allows. Zero declines.
	Most int
}

// ScalerHarness is what [TestScaler] needs of an implementation.
type ScalerHarness struct {
	// New returns a fresh service.
	New func(t testing.TB) ScalerCase
	// Run runs each test; for what goes by package time it may be synctest.Test. Nil
	// means directly.
	Run Runner
}

// TestScaler checks what [incident.Scaler] asks of an implementation.
func TestScaler(t *testing.T, h ScalerHarness) {
	to := func(region string, n int) incident.Scale {
		return incident.Scale{Regions: []incident.RegionScale{{Region: region, Replicas: n}}}
	}
	t.Run("replicas", func(t *testing.T) {
		testChange(t, h.Run, h.New, func(t testing.TB, ctx context.Context, c ScalerCase) error {
			others := c.Replicas(c.Other)
			got, err := c.Scaler.SetScale(ctx, to(c.Region, 3))
			if err != nil {
				return err
			}
			if c.Replicas(c.Region) != 3 || c.Other != "" && c.Replicas(c.Other) != others {
				t.Errorf("there are %d and %d replicas; want 3, and %d in the region that was not named", c.Replicas(c.Region), c.Replicas(c.Other), others)
			}
			c.observed(t, got)
			return nil
		})
	})
	h.Run.sub(t, "the rest stays", func(t *testing.T) {
		c := h.New(t)
		before, err := c.Scaler.Scale(t.Context())
		if err != nil || before.Replicas() == 0 {
			t.Fatalf("scale %+v, error %v; want replicas", before, err)
		}
		after, err := c.Scaler.SetScale(t.Context(), to(c.Region, 2))
		if err != nil || after.CPU != before.CPU || after.Memory != before.Memory {
			t.Errorf("scale %+v, error %v; want the limits of %+v", after, err, before)
		}
		c.observed(t, after)
	})
	h.Run.sub(t, "a region less", func(t *testing.T) {
		c := h.New(t)
		if c.Other == "" {
			t.Skip("one region only")
		}
		got, err := c.Scaler.SetScale(t.Context(), to(c.Region, 0))
		if err != nil || slices.ContainsFunc(got.Regions, func(r incident.RegionScale) bool { return r.Region == c.Region }) {
			t.Errorf("scale %+v, error %v; want it without %q", got, err, c.Region)
		}
		c.observed(t, got)
	})
	h.Run.sub(t, "what is refused", func(t *testing.T) {
		c := h.New(t)
		none := to(c.Region, 0)
		if c.Other != "" {
			none.Regions = append(none.Regions, incident.RegionScale{Region: c.Other})
		}
		_, err := c.Scaler.SetScale(t.Context(), none)
		wants(t, err, incident.ErrUnsupported)
		if c.Most > 0 {
			_, err = c.Scaler.SetScale(t.Context(), to(c.Region, c.Most))
			wants(t, err, incident.ErrUnsupported)
		}
		for _, s := range []incident.Scale{{}, to(c.Region, -1), {CPU: -1}} {
			if _, err := c.Scaler.SetScale(t.Context(), s); err == nil {
				t.Errorf("%+v was taken", s)
			}
		}
		effects(t, c.Faults, 0)
	})
}

// observed checks that a scale is what there is.
func (c ScalerCase) observed(t testing.TB, s incident.Scale) {
	t.Helper()
	for i, r := range s.Regions {
		if r.Replicas < 1 || r.Replicas != c.Replicas(r.Region) || i > 0 && r.Region <= s.Regions[i-1].Region {
			t.Errorf("scale %+v; want what is true, ordered by region: there are %d in %q", s, c.Replicas(r.Region), r.Region)
		}
	}
	if now, err := c.Scaler.Scale(t.Context()); err != nil || !slices.Equal(now.Regions, s.Regions) {
		t.Errorf("scale %+v, error %v; want %+v", now, err, s)
	}
}
