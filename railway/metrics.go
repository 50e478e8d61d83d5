package railway

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/railway/internal/gql"
)

var _ incident.Metrics = (*Service)(nil)

// A measure is how Railway measures a metric: in what, and how much of our unit its
// unit is.
type measure struct {
	name  gql.MetricMeasurement
	scale float64
}

// gigabyte is what Railway's GB are taken for. Whether they are 10⁹ bytes or 2³⁰ is
// not documented; the quotient of usage and limit is the same.
const gigabyte = 1e9

// measures are the metrics of the processes and volumes.
var measures = map[incident.Metric]measure{
	incident.MetricCPU:         {gql.MetricMeasurementCpuUsage, 1},
	incident.MetricCPULimit:    {gql.MetricMeasurementCpuLimit, 1},
	incident.MetricMemory:      {gql.MetricMeasurementMemoryUsageGb, gigabyte},
	incident.MetricMemoryLimit: {gql.MetricMeasurementMemoryLimitGb, gigabyte},
	incident.MetricDisk:        {gql.MetricMeasurementDiskUsageGb, gigabyte},
	incident.MetricNetworkIn:   {gql.MetricMeasurementNetworkRxGb, gigabyte},
	incident.MetricNetworkOut:  {gql.MetricMeasurementNetworkTxGb, gigabyte},
}

// Metrics implements [incident.Metrics], with all metrics of that package. What the
// processes and volumes use comes as a series for each region, labelled "region"; the
// values of replicas are added up. Requests, errors and latencies are those of the
// whole service, as Railway's edge sees them: of a service without a domain there are
// none. A step in which there were requests, and none of them failed, has zero errors.
//
// GB are taken for 10⁹ bytes: Railway does not say which it means. If Step is zero it
// is that of Railway's dashboard: 30 s for an hour, a minute for 6 hours, 4 minutes
// for a day, an hour for a week, and else 4 hours. It takes a call for each of usage,
// requests and latency, whatever the number of metrics.
func (s *Service) Metrics(ctx context.Context, q incident.MetricQuery) ([]incident.Series, error) {
	o := s.c.op("read the metrics of %s", s)
	if err := q.Validate(); err != nil {
		return nil, o.refuse(nil, "%s", err)
	}
	for _, m := range q.Metrics {
		if m.Unit() == "" {
			return nil, o.refuse(incident.ErrUnsupported, "Railway does not measure %q", printable(string(m), 60))
		}
	}
	if q.To.IsZero() {
		q.To = time.Now()
	}
	r := &metricReader{s: s, o: o, q: q, step: stepSeconds(q), found: make(map[incident.Metric][]incident.Series)}
	for _, read := range []func(context.Context) error{r.usage, r.requests, r.latency} {
		if err := read(ctx); err != nil {
			return nil, err
		}
	}
	var all []incident.Series
	for _, m := range q.Metrics {
		list := r.found[m]
		if len(list) == 0 {
			list = []incident.Series{{}} // which has no points
		}
		for _, series := range list {
			series.Metric, series.Unit = m, m.Unit()
			all = append(all, series)
		}
	}
	return all, nil
}

// stepSeconds returns the time between points
// (https://github.com/railwayapp/cli/blob/master/src/controllers/metrics.rs).
func stepSeconds(q incident.MetricQuery) int {
	if q.Step > 0 {
		return max(1, int(q.Step.Seconds()))
	}
	switch span := q.To.Sub(q.From); {
	case span <= time.Hour:
		return 30
	case span <= 6*time.Hour:
		return 60
	case span <= 24*time.Hour:
		return 240
	case span <= 7*24*time.Hour:
		return 3600
	}
	return 14400
}

// A metricReader is one reading of metrics on its way.
type metricReader struct {
	s     *Service
	o     op
	q     incident.MetricQuery
	step  int
	found map[incident.Metric][]incident.Series
}

func (r *metricReader) wants(metrics ...incident.Metric) bool {
	return slices.ContainsFunc(metrics, func(m incident.Metric) bool { return slices.Contains(r.q.Metrics, m) })
}

// usage reads what the processes and volumes use.
func (r *metricReader) usage(ctx context.Context) error {
	var names []gql.MetricMeasurement
	metrics := make(map[gql.MetricMeasurement]incident.Metric)
	for _, m := range r.q.Metrics {
		if known, ok := measures[m]; ok {
			names = append(names, known.name)
			metrics[known.name] = m
		}
	}
	if len(names) == 0 {
		return nil
	}
	got, err := gql.Metrics(ctx, r.o, r.s.environment, r.s.id, names, []gql.MetricTag{gql.MetricTagRegion}, r.q.From, &r.q.To, &r.step)
	if err != nil {
		return err
	}
	for _, result := range got.Metrics {
		m, ok := metrics[result.Measurement]
		if !ok {
			continue
		}
		values := make(map[int]float64, len(result.Values))
		for _, v := range result.Values {
			values[v.Ts] = v.Value * measures[m].scale
		}
		series := r.series(values)
		if result.Tags != nil {
			series.Labels = labels(result.Tags)
		}
		r.found[m] = append(r.found[m], series)
	}
	for _, list := range r.found {
		slices.SortStableFunc(list, func(a, b incident.Series) int { return strings.Compare(a.Labels["region"], b.Labels["region"]) })
	}
	return nil
}

// labels tell of which part a series is.
func labels(tags *gql.MetricsMetricsMetricsResultTagsMetricTags) map[string]string {
	all := map[string]string{"region": gql.Text(tags.Region), "volume": gql.Text(tags.VolumeId)}
	maps.DeleteFunc(all, func(_, value string) bool { return value == "" })
	return all
}

// requests reads how many requests there were, and how many of them failed.
func (r *metricReader) requests(ctx context.Context) error {
	if !r.wants(incident.MetricRequests, incident.MetricErrors) {
		return nil
	}
	got, err := gql.HTTPStatusMetrics(ctx, r.o, r.s.environment, r.s.id, r.q.From, r.q.To, &r.step, nil, nil)
	if err != nil {
		return err
	}
	requests, failed := make(map[int]float64), make(map[int]float64)
	for _, result := range got.HttpMetricsGroupedByStatus {
		for _, v := range result.Samples {
			requests[v.Ts] += v.Value
			if result.StatusCode >= 500 {
				failed[v.Ts] += v.Value
			} else {
				failed[v.Ts] += 0 // requests were counted then, and this is no error
			}
		}
	}
	r.found[incident.MetricRequests] = []incident.Series{r.series(requests)}
	r.found[incident.MetricErrors] = []incident.Series{r.series(failed)}
	return nil
}

// latency reads how long requests took.
func (r *metricReader) latency(ctx context.Context) error {
	if !r.wants(incident.MetricLatencyP50, incident.MetricLatencyP95, incident.MetricLatencyP99) {
		return nil
	}
	got, err := gql.HTTPDurationMetrics(ctx, r.o, r.s.environment, r.s.id, r.q.From, r.q.To, &r.step, nil, nil)
	if err != nil {
		return err
	}
	p50, p95, p99 := make(map[int]float64), make(map[int]float64), make(map[int]float64)
	for _, v := range got.HttpDurationMetrics.Samples {
		const millisecond = 1e-3
		p50[v.Ts], p95[v.Ts], p99[v.Ts] = v.P50*millisecond, v.P95*millisecond, v.P99*millisecond
	}
	r.found[incident.MetricLatencyP50] = []incident.Series{r.series(p50)}
	r.found[incident.MetricLatencyP95] = []incident.Series{r.series(p95)}
	r.found[incident.MetricLatencyP99] = []incident.Series{r.series(p99)}
	return nil
}

// series makes a series of values by time, in seconds since 1970: those in the span,
// in order.
func (r *metricReader) series(values map[int]float64) (s incident.Series) {
	for _, second := range slices.Sorted(maps.Keys(values)) {
		at := time.Unix(int64(second), 0).UTC()
		if !at.Before(r.q.From) && at.Before(r.q.To) {
			s.Points = append(s.Points, incident.Point{Time: at, Value: values[second]})
		}
	}
	return s
}
