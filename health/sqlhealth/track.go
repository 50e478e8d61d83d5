package sqlhealth

import (
	"database/sql"
	"time"

	"go.acu.edu.au/runbook/health"
)

// A track is the history of one check while samples are added to it.
type track struct {
	check     string
	last      health.Sample   // the newest; its Time is zero if there is none
	downSince time.Time       // when the spell that lasts began; zero if none does
	hours     []health.Bucket // those that samples touched, by Start; full values
	spells    []health.Spell  // those that began or ended
	changed   bool
}

// add takes in a sample. One that is not newer than the last is ignored.
func (t *track) add(s health.Sample, retention time.Duration) {
	s.Time = fromNanos(nanos(s.Time)) // without the monotonic clock: compared as it is stored
	if !t.last.Time.IsZero() {
		if !s.Time.After(t.last.Time) {
			return
		}
		for span := range shorten(t.last, s.Time.Add(-retention)).Spans(s.Time) {
			t.hour(span.Start).In[span.Status] += span.Length
		}
	}
	if s.Latency > 0 {
		t.hour(s.Time).Latencies.Add(s.Latency)
	}
	t.addSpell(s)
	t.last, t.changed = s, true
}

// addSpell begins or ends a spell of downtime. t.last is the sample before s.
func (t *track) addSpell(s health.Sample) {
	down := s.Status == health.Unhealthy
	if !t.downSince.IsZero() {
		end := s.Time
		if expires := t.last.Time.Add(t.last.Valid); expires.Before(end) {
			end = expires // nothing was known from then on
		} else if down {
			return // it goes on
		}
		t.note(health.Spell{Start: t.downSince, End: end})
		t.downSince = time.Time{}
	}
	if down {
		t.downSince = s.Time
		t.note(health.Spell{Start: s.Time})
	}
}

// note adds a spell, or replaces the one that began at the same time.
func (t *track) note(spell health.Spell) {
	if last := len(t.spells) - 1; last >= 0 && t.spells[last].Start.Equal(spell.Start) {
		t.spells[last] = spell
		return
	}
	t.spells = append(t.spells, spell)
}

// hour returns the bucket of the hour in which at lies, which is the last there
// is or later. It is valid until the next call.
func (t *track) hour(at time.Time) *health.Bucket {
	start := at.Truncate(time.Hour)
	if n := len(t.hours); n == 0 || t.hours[n-1].Start.Before(start) {
		t.hours = append(t.hours, health.Bucket{Start: start})
	}
	return &t.hours[len(t.hours)-1]
}

// shorten returns s without the time before from, so that a check that comes
// back after years does not make rows that are too old to be kept.
func shorten(s health.Sample, from time.Time) health.Sample {
	if from = from.Truncate(time.Hour); s.Time.Before(from) {
		s.Valid = max(0, s.Valid-from.Sub(s.Time))
		s.Time = from
	}
	return s
}

// scanHour reads a row of hourColumns.
func scanHour(rows *sql.Rows) (check string, b health.Bucket, err error) {
	var hour int64
	var latencies string
	err = rows.Scan(&check, &hour, &b.In[health.Unknown], &b.In[health.Healthy], &b.In[health.Degraded],
		&b.In[health.Unhealthy], &b.In[health.Maintenance], &latencies)
	if err != nil {
		return "", b, err
	}
	b.Start = hourStart(hour)
	b.Latencies, err = decodeLatencies(latencies)
	return check, b, err
}
