package health

import (
	"context"
	"sync"
	"time"
)

// What a MemoryHistory keeps of a check.
const (
	hoursKept  = 72
	daysKept   = 91 // 90 whole days and the one that has begun
	spellsKept = 100
)

// MemoryHistory is a [History] in memory: 72 hours by the hour, 90 days by the
// day, and the last 100 spells of downtime, in at most 32 KB a check. It is
// lost when the process ends. The zero value is empty and ready to use. It must
// not be copied after first use.
type MemoryHistory struct {
	// Location is the zone in which days begin. Nil means UTC. It must not be
	// changed after first use.
	Location *time.Location

	mu     sync.Mutex
	tracks map[string]*track
}

var _ History = (*MemoryHistory)(nil)

// A track is the history of one check.
type track struct {
	last        Sample // without the name
	hours, days []cell // by start
	spells      []spell
}

// A spell is a Spell in less memory.
type spell struct {
	start, end int64 // Unix nanoseconds; end is 0 while the spell goes on
}

// A cell is a Bucket in less memory.
type cell struct {
	start     int64            // Unix seconds
	in        [statuses]uint32 // milliseconds
	latencies Latencies
}

// Append implements [History].
func (h *MemoryHistory) Append(ctx context.Context, samples []Sample) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.tracks == nil {
		h.tracks = make(map[string]*track)
	}
	for _, s := range samples {
		t := h.tracks[s.Check]
		if t == nil {
			t = &track{}
			h.tracks[s.Check] = t
		}
		if s.Time.After(t.last.Time) {
			h.add(t, s)
		}
	}
	return nil
}

// add takes in a sample that is newer than the last.
func (h *MemoryHistory) add(t *track, s Sample) {
	s.Check = ""
	if !t.last.Time.IsZero() {
		for span := range t.last.after(s.Time.AddDate(0, 0, -daysKept)).Spans(s.Time) {
			hour, day := t.cells(span.Start, h.Location)
			// Differences of rounded times add up; rounded differences do not.
			ms := uint32(span.Start.Add(span.Length).UnixMilli() - span.Start.UnixMilli())
			hour.in[span.Status] += ms
			day.in[span.Status] += ms
		}
	}
	hour, day := t.cells(s.Time, h.Location)
	hour.latencies.Add(s.Latency)
	day.latencies.Add(s.Latency)
	t.addSpell(s)
	t.last = s
}

// after returns s without the time before t, so that a check that comes back
// after years does not fill buckets that are no longer kept.
func (s Sample) after(t time.Time) Sample {
	if t = t.Truncate(15 * time.Minute); s.Time.Before(t) {
		s.Valid -= t.Sub(s.Time)
		s.Time = t
	}
	return s
}

// addSpell begins or ends a spell of downtime. t.last is the sample before s.
func (t *track) addSpell(s Sample) {
	expires := t.last.Time.Add(t.last.Valid)
	open := len(t.spells) > 0 && t.spells[len(t.spells)-1].end == 0
	if open && (s.Status != Unhealthy || s.Time.After(expires)) {
		t.spells[len(t.spells)-1].end = earlier(s.Time, expires).UnixNano()
		open = false
	}
	if s.Status == Unhealthy && !open {
		t.spells = appendKept(t.spells, spell{start: s.Time.UnixNano()}, spellsKept)
	}
}

// cells returns the cells of the hour and the day in which at lies. They are
// valid until the next call.
func (t *track) cells(at time.Time, zone *time.Location) (hour, day *cell) {
	t.hours = withCell(t.hours, at.Truncate(time.Hour).Unix(), hoursKept)
	t.days = withCell(t.days, midnight(at, zone).Unix(), daysKept)
	return &t.hours[len(t.hours)-1], &t.days[len(t.days)-1]
}

// midnight returns the first instant of the civil day of t.
func midnight(t time.Time, zone *time.Location) time.Time {
	if zone == nil {
		zone = time.UTC
	}
	first, _ := civil(t.In(zone), 0, zone)
	return first
}

// withCell returns cells with one that begins at start as the last.
func withCell(cells []cell, start int64, most int) []cell {
	if len(cells) > 0 && cells[len(cells)-1].start >= start {
		return cells
	}
	return appendKept(cells, cell{start: start}, most)
}

// appendKept appends, and drops the first once there are more than most. It
// never allocates room for more than most.
func appendKept[T any](list []T, item T, most int) []T {
	switch {
	case len(list) >= most:
		copy(list, list[1:])
		list[len(list)-1] = item
		return list
	case len(list) == cap(list):
		list = append(make([]T, 0, min(most, max(4, 2*len(list)))), list...)
	}
	return append(list, item)
}

// Buckets implements [History].
func (h *MemoryHistory) Buckets(ctx context.Context, check string, r Resolution, from, to time.Time) ([]Bucket, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	t := h.tracks[check]
	if t == nil || !from.Before(to) {
		return nil, nil
	}
	cells := t.hours
	if r == Daily {
		cells = t.days
	}
	var buckets []Bucket
	for i := range cells {
		b := h.bucket(&cells[i])
		if !b.empty() && b.Start.Before(to) && h.end(b.Start, r).After(from) {
			buckets = append(buckets, b)
		}
	}
	return buckets, nil
}

func (h *MemoryHistory) bucket(c *cell) Bucket {
	b := Bucket{Start: h.in(time.Unix(c.start, 0)), Latencies: c.latencies}
	for i, ms := range c.in {
		b.In[i] = time.Duration(ms) * time.Millisecond
	}
	return b
}

// in returns t in the zone of the history.
func (h *MemoryHistory) in(t time.Time) time.Time {
	if h.Location == nil {
		return t.UTC()
	}
	return t.In(h.Location)
}

// end returns where a bucket that begins at start ends.
func (h *MemoryHistory) end(start time.Time, r Resolution) time.Time {
	if r == Hourly {
		return start.Add(time.Hour)
	}
	// The next date, and not a time on it: its midnight may not exist.
	year, month, day := start.Date()
	first, _ := civil(time.Date(year, month, day+1, 0, 0, 0, 0, time.UTC), 0, start.Location())
	return first
}

// Spells implements [History].
func (h *MemoryHistory) Spells(ctx context.Context, check string, from, to time.Time) ([]Spell, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	t := h.tracks[check]
	if t == nil || !from.Before(to) {
		return nil, nil
	}
	expires := t.last.Time.Add(t.last.Valid)
	var spells []Spell
	for _, kept := range t.spells {
		s := Spell{Start: h.in(time.Unix(0, kept.start))}
		switch {
		case kept.end != 0:
			s.End = h.in(time.Unix(0, kept.end))
		case expires.Before(to): // silent since
			s.End = h.in(expires)
		}
		if s.Start.Before(to) && (s.End.IsZero() || s.End.After(from)) {
			spells = append(spells, s)
		}
	}
	return spells, nil
}
