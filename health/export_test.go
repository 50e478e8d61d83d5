package health

import "context"

// Take takes in a result as if the prober of the named check had just returned
// it: benchmarks measure with it what a result costs without its probe.
func (m *Monitor) Take(ctx context.Context, check string, result Result) {
	m.mu.Lock()
	m.record(&run{entry: m.entries[check], base: ctx, began: result.Time}, result)
	m.mu.Unlock()
}

// Flush writes to the history what it has not got yet.
func (m *Monitor) Flush(ctx context.Context) error { return m.flush(ctx) }
