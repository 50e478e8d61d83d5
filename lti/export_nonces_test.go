package lti

// SweepAt forgets what has expired at a time, in Unix seconds, as if it were that
// late.
func (m *MemoryNonces) SweepAt(second int64) {
	for i := range m.shards {
		m.count.Add(-int64(m.shards[i].rebuild(m, second, 0)))
	}
}
