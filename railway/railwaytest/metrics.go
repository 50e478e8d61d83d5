package railwaytest

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

// sample is something that was measured of a service.
type sample struct {
	measurement string
	at          time.Time
	value       float64
}

// Measure adds a measurement of a service, such as "CPU_USAGE" in cores,
// "MEMORY_USAGE_GB" or "NETWORK_TX_GB". It panics if there is no such service in the
// environment.
func (s *Server) Measure(environment, service, measurement string, at time.Time, value float64) {
	defer s.lock()()
	i := s.live(time.Now()).mustInstance(environment, service)
	i.samples = append(i.samples, sample{measurement, at, value})
	slices.SortStableFunc(i.samples, func(a, b sample) int { return a.at.Compare(b.at) })
}

// metrics returns a series for each measurement. One that is not grouped is there
// though it may be empty; one that is grouped has a part only where something was
// measured.
func metrics(r *request, a args) (any, error) {
	w, i, err := r.instance(a.text("environmentId"), a.text("serviceId"))
	if err != nil {
		return nil, err
	}
	from, to, err := a.span("startDate", "endDate")
	if err != nil {
		return nil, err
	}
	if to.IsZero() {
		to = w.now.Add(time.Second)
	}
	list := []object{}
	for _, m := range a.texts("measurements") {
		values := i.measured(m, from, to, time.Duration(a.number("sampleRateSeconds", 0))*time.Second)
		if len(values) == 0 && a.has("groupBy") {
			continue
		}
		list = append(list, object{"measurement": m, "tags": i.tags(a.texts("groupBy")), "values": values})
	}
	return list, nil
}

// tags are those of the part of a service that a series is about. All that was
// measured counts for the first replica.
func (i *instance) tags(by []string) object {
	tags := object{}
	d := i.active
	if d == nil || len(d.replicas) == 0 {
		return tags
	}
	for _, tag := range by {
		switch tag {
		case "REGION":
			tags["region"] = d.replicas[0].region
		case "DEPLOYMENT_ID":
			tags["deploymentId"] = d.id
		case "DEPLOYMENT_INSTANCE_ID":
			tags["deploymentInstanceId"] = d.replicas[0].id
		}
	}
	return tags
}

// measured are the values of a span, averaged over steps.
func (i *instance) measured(measurement string, from, to time.Time, step time.Duration) []object {
	step = max(step, time.Second)
	sums := make(map[int64][]float64)
	for _, v := range i.samples {
		if v.measurement == measurement && !v.at.Before(from) && v.at.Before(to) {
			t := v.at.Truncate(step).Unix()
			sums[t] = append(sums[t], v.value)
		}
	}
	values := []object{}
	for _, t := range slices.Sorted(maps.Keys(sums)) {
		total := 0.0
		for _, v := range sums[t] {
			total += v
		}
		values = append(values, object{"ts": t, "value": total / float64(len(sums[t]))})
	}
	return values
}

// requests returns the requests of a span by step, of which the arguments say which.
func (r *request) requests(a args) (map[int64][]*HTTPRequest, error) {
	_, i, err := r.instance(a.text("environmentId"), a.text("serviceId"))
	if err != nil {
		return nil, err
	}
	from, to, err := a.span("startDate", "endDate")
	if err != nil {
		return nil, err
	}
	step := time.Duration(max(1, a.number("stepSeconds", 60))) * time.Second
	steps := make(map[int64][]*HTTPRequest)
	for _, d := range i.deployments {
		for _, l := range d.requests {
			if l.at.Before(from) || !l.at.Before(to) || a.has("method") && l.request.Method != a.text("method") || a.has("path") && l.request.Path != a.text("path") {
				continue
			}
			t := l.at.Truncate(step).Unix()
			steps[t] = append(steps[t], l.request)
		}
	}
	return steps, nil
}

func httpMetricsGroupedByStatus(r *request, a args) (any, error) {
	steps, err := r.requests(a)
	if err != nil {
		return nil, err
	}
	by := make(map[int][]object)
	for _, t := range slices.Sorted(maps.Keys(steps)) {
		counts := make(map[int]int)
		for _, q := range steps[t] {
			counts[q.Status]++
		}
		for status, n := range counts {
			by[status] = append(by[status], object{"ts": t, "value": float64(n)})
		}
	}
	list := []object{}
	for _, status := range slices.Sorted(maps.Keys(by)) {
		list = append(list, object{"statusCode": status, "samples": by[status]})
	}
	return list, nil
}

// httpDurationMetrics are in milliseconds.
func httpDurationMetrics(r *request, a args) (any, error) {
	steps, err := r.requests(a)
	if err != nil {
		return nil, err
	}
	samples := []object{}
	for _, t := range slices.Sorted(maps.Keys(steps)) {
		all := slices.SortedFunc(slices.Values(steps[t]), func(a, b *HTTPRequest) int { return cmp.Compare(a.Duration, b.Duration) })
		at := func(percent int) float64 {
			return float64(all[min(len(all)-1, len(all)*percent/100)].Duration) / float64(time.Millisecond)
		}
		samples = append(samples, object{"ts": t, "p50": at(50), "p90": at(90), "p95": at(95), "p99": at(99)})
	}
	return object{"samples": samples}, nil
}
