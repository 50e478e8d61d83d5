package playbooks

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/incident"
)

// memory is the gauge of the memory in use, against a limit in percent. It is what the
// application says of itself (memory_usage in percent, or memory_usage_mb against
// MEMORY_LIMIT_MB), or else what the platform measures.
func (e Environment) memory(limit float64) gauge {
	return gauge{name: "the memory in use", read: func(ctx context.Context) (float64, string, error) {
		used, source, err := e.memoryUsed(ctx)
		if err != nil {
			return 0, "", err
		}
		return 100 * used / limit, fmt.Sprintf("%.0f %% of the memory is in use, as %s says (limit %.0f %%)", 100*used, source, limit), nil
	}}
}

// memoryUsed returns the share of the memory that is in use, and who says so.
func (e Environment) memoryUsed(ctx context.Context) (float64, string, error) {
	for _, p := range []health.Prober{e.Probes.Activity, e.Probes.Performance} {
		if p == nil {
			continue
		}
		r := p.Probe(ctx)
		if m, ok := r.Measurement("memory_usage"); ok && m.Text == "" {
			return m.Value / 100, "the application", nil
		}
		if used, ok := reading(r, "memory_usage_mb"); ok {
			if limit := e.memoryLimitMB(ctx); limit > 0 {
				return used / limit, "the application", nil
			}
		}
	}
	if e.Metrics == nil {
		return 0, "", incident.Final(errors.New("no probe measures memory_usage, or memory_usage_mb beside a MEMORY_LIMIT_MB, and there are no metrics of the platform"))
	}
	now := time.Now()
	series, err := e.Metrics.Metrics(ctx, incident.MetricQuery{Metrics: []incident.Metric{incident.MetricMemory, incident.MetricMemoryLimit}, From: now.Add(-15 * time.Minute)})
	if err != nil {
		return 0, "", err
	}
	latest := make(map[incident.Metric]float64)
	for _, s := range series {
		if n := len(s.Points); n > 0 {
			latest[s.Metric] = max(latest[s.Metric], s.Points[n-1].Value)
		}
	}
	if latest[incident.MetricMemoryLimit] <= 0 || latest[incident.MetricMemory] <= 0 {
		return 0, "", errors.New("the platform measured no memory, or no limit of it, in the last 15 minutes")
	}
	return latest[incident.MetricMemory] / latest[incident.MetricMemoryLimit], "the platform", nil
}

// memoryLimitMB returns MEMORY_LIMIT_MB as it is configured, zero if that is not known.
func (e Environment) memoryLimitMB(ctx context.Context) float64 {
	if e.Variables == nil {
		return 0
	}
	now, err := e.Variables.Variables(ctx)
	if err != nil {
		return 0
	}
	limit, err := strconv.ParseFloat(now.Values["MEMORY_LIMIT_MB"].Reveal(), 64)
	if err != nil {
		return 0
	}
	return limit
}
