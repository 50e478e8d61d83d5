package healthtest

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"go.acu.edu.au/runbook/health"
)

// HistoryZone is the zone in which days begin in the histories that
// [TestHistory] looks at. Its days have 23 hours once a year and 25 once.
const HistoryZone = "Australia/Sydney"

// TestHistory checks what [health.History] asks of an implementation: samples
// become time in states, latencies and spells, once each however often and by
// however many they are appended, and days are civil days. open returns an
// empty history whose days are those of [HistoryZone]. The history must keep at
// least three days by the hour, and a year by the day from the newest sample of
// a check.
func TestHistory(t *testing.T, open func(t testing.TB) health.History) {
	for name, test := range map[string]func(*history){
		"unknown check": (*history).testUnknownCheck,
		"states":        (*history).testStates,
		"silence":       (*history).testSilence,
		"latencies":     (*history).testLatencies,
		"repeated":      (*history).testRepeated,
		"batches":       (*history).testBatches,
		"range":         (*history).testRange,
		"spells":        (*history).testSpells,
		"open spell":    (*history).testOpenSpell,
		"silent spell":  (*history).testSilentSpell,
		"short day":     (*history).testShortDay,
		"long day":      (*history).testLongDay,
		"concurrent":    (*history).testConcurrent,
		"cancelled":     (*history).testCancelled,
	} {
		t.Run(name, func(t *testing.T) {
			test(&history{TB: t, h: open(t), start: time.Date(2026, 3, 10, 9, 0, 0, 0, time.UTC)})
		})
	}
}

// A history is one that is looked at.
type history struct {
	testing.TB
	h     health.History
	start time.Time // 10 March 2026, 9:00 UTC
}

// at returns a sample of check "a", so many minutes after the start, that is
// valid for 5 minutes.
func (h *history) at(minute int, status health.Status) health.Sample {
	return health.Sample{Check: "a", Time: h.start.Add(time.Duration(minute) * time.Minute), Status: status, Valid: 5 * time.Minute}
}

func (h *history) append(samples ...health.Sample) {
	h.Helper()
	if err := h.h.Append(h.Context(), samples); err != nil {
		h.Fatalf("append: %v", err)
	}
}

func (h *history) buckets(check string, r health.Resolution, from, to time.Time) []health.Bucket {
	h.Helper()
	buckets, err := h.h.Buckets(h.Context(), check, r, from, to)
	if err != nil {
		h.Fatalf("buckets: %v", err)
	}
	return buckets
}

// hours returns the hourly buckets of check "a" in the hours after the start.
func (h *history) hours(n int) []health.Bucket {
	h.Helper()
	return h.buckets("a", health.Hourly, h.start, h.start.Add(time.Duration(n)*time.Hour))
}

func (h *history) spells(from, to int) []health.Spell {
	h.Helper()
	spells, err := h.h.Spells(h.Context(), "a", h.start.Add(time.Duration(from)*time.Minute), h.start.Add(time.Duration(to)*time.Minute))
	if err != nil {
		h.Fatalf("spells: %v", err)
	}
	return spells
}

// bucket demands a bucket's start and its times in minutes.
func (h *history) bucket(b health.Bucket, start time.Time, minutes map[health.Status]int) {
	h.Helper()
	if !b.Start.Equal(start) {
		h.Errorf("the bucket begins at %v, want %v", b.Start, start)
	}
	for status, got := range b.In {
		if want := time.Duration(minutes[health.Status(status)]) * time.Minute; got != want {
			h.Errorf("bucket of %v: %v for %v, want %v", start, health.Status(status), got, want)
		}
	}
}

// spellsAre demands spells by their start and end in minutes. An end of 0 means
// that the spell goes on.
func (h *history) spellsAre(got []health.Spell, want ...[2]int) {
	h.Helper()
	if len(got) != len(want) {
		h.Fatalf("%d spells, want %d: %v", len(got), len(want), got)
	}
	for i, w := range want {
		start, end := h.at(w[0], 0).Time, time.Time{}
		if w[1] != 0 {
			end = h.at(w[1], 0).Time
		}
		if !got[i].Start.Equal(start) || !got[i].End.Equal(end) {
			h.Errorf("spell %d is %v to %v, want %v to %v", i, got[i].Start, got[i].End, start, end)
		}
	}
}

func (h *history) testUnknownCheck() {
	h.append(h.at(0, health.Healthy), h.at(60, health.Healthy))
	for _, r := range []health.Resolution{health.Hourly, health.Daily} {
		if got := h.buckets("b", r, h.start, h.start.Add(time.Hour)); len(got) != 0 {
			h.Errorf("a check that is not known has buckets: %v", got)
		}
	}
	spells, err := h.h.Spells(h.Context(), "b", h.start, h.start.Add(time.Hour))
	if err != nil || len(spells) != 0 {
		h.Errorf("a check that is not known has spells %v, error %v", spells, err)
	}
}

// Each sample speaks until the next one, and a stretch that crosses a full hour
// is divided.
func (h *history) testStates() {
	h.append(h.at(50, health.Healthy), h.at(55, health.Degraded), h.at(58, health.Unhealthy),
		h.at(62, health.Maintenance), h.at(65, health.Unknown), h.at(69, health.Healthy), h.at(120, health.Healthy))
	got := h.hours(2)
	if len(got) != 2 {
		h.Fatalf("%d buckets, want 2: %v", len(got), got)
	}
	h.bucket(got[0], h.start, map[health.Status]int{health.Healthy: 5, health.Degraded: 3, health.Unhealthy: 2})
	h.bucket(got[1], h.start.Add(time.Hour), map[health.Status]int{
		health.Unhealthy: 2, health.Maintenance: 3, health.Unknown: 4 + 46, health.Healthy: 5,
	})
	if share, ok := got[0].Uptime(); !ok || share != 0.8 {
		h.Errorf("uptime %v, %v; want 0.8", share, ok)
	}
}

// When samples stop, time is unknown from the end of the last one's validity.
func (h *history) testSilence() {
	h.append(h.at(58, health.Healthy))
	h.append(h.at(121, health.Healthy))
	got := h.hours(3)
	if len(got) != 3 {
		h.Fatalf("%d buckets, want 3: %v", len(got), got)
	}
	h.bucket(got[0], h.start, map[health.Status]int{health.Healthy: 2})
	h.bucket(got[1], h.start.Add(time.Hour), map[health.Status]int{health.Healthy: 3, health.Unknown: 57})
	h.bucket(got[2], h.start.Add(2*time.Hour), map[health.Status]int{health.Unknown: 1})
}

func (h *history) testLatencies() {
	var want health.Latencies
	for i := range 59 {
		s := h.at(i, health.Healthy)
		s.Latency = time.Duration(i) * 20 * time.Millisecond
		want.Add(s.Latency)
		h.append(s)
	}
	h.append(h.at(60, health.Healthy))
	got := h.hours(1)
	if len(got) != 1 || got[0].Latencies != want {
		h.Errorf("latencies %v, want one bucket with %v", got, want)
	}
}

// Appending again, and samples that are too old, change nothing.
func (h *history) testRepeated() {
	first, second := h.at(0, health.Unhealthy), h.at(3, health.Healthy)
	first.Latency, second.Latency = time.Second, time.Second
	other := second
	other.Status = health.Unhealthy
	for range 2 {
		h.append(first, second)
		h.append(second)
		h.append(first)
		h.append(other, h.at(1, health.Degraded))
		h.append()
	}
	h.append(h.at(6, health.Healthy), h.at(6, health.Unhealthy), h.at(60, health.Healthy))
	got := h.hours(1)
	if len(got) != 1 {
		h.Fatalf("%d buckets, want 1: %v", len(got), got)
	}
	h.bucket(got[0], h.start, map[health.Status]int{health.Unhealthy: 3, health.Healthy: 3 + 5, health.Unknown: 49})
	var want health.Latencies
	want.Add(time.Second)
	want.Add(time.Second)
	if got[0].Latencies != want {
		h.Errorf("latencies %v, want two of 1 s", got[0].Latencies)
	}
	h.spellsAre(h.spells(0, 60), [2]int{0, 3})
}

// One batch has many samples of many checks; they are independent.
func (h *history) testBatches() {
	var samples []health.Sample
	for minute := 0; minute <= 60; minute++ {
		for check := range 20 {
			s := h.at(minute, health.Healthy)
			s.Check = fmt.Sprintf("check %d 'é\"", check)
			if minute < check {
				s.Status = health.Unhealthy
			}
			samples = append(samples, s)
		}
	}
	h.append(samples...)
	for check := range 20 {
		got := h.buckets(fmt.Sprintf("check %d 'é\"", check), health.Hourly, h.start, h.start.Add(time.Hour))
		if len(got) != 1 {
			h.Fatalf("%d buckets, want 1: %v", len(got), got)
		}
		h.bucket(got[0], h.start, map[health.Status]int{health.Unhealthy: check, health.Healthy: 60 - check})
	}
}

// A range has the buckets that overlap it, whole, and none that are empty.
func (h *history) testRange() {
	for minute := 0; minute <= 180; minute += 5 {
		h.append(h.at(minute, health.Healthy))
	}
	for _, test := range []struct {
		from, to time.Duration
		want     int
	}{
		{0, 5 * time.Hour, 3},
		{time.Hour, 2 * time.Hour, 1},
		{time.Hour - 1, 2 * time.Hour, 2},
		{time.Hour, 2*time.Hour + 1, 2},
		{90 * time.Minute, 91 * time.Minute, 1},
		{time.Hour, time.Hour, 0},
		{2 * time.Hour, time.Hour, 0},
		{-5 * time.Hour, 0, 0},
		{3 * time.Hour, 9 * time.Hour, 0},
	} {
		got := h.buckets("a", health.Hourly, h.start.Add(test.from), h.start.Add(test.to))
		if len(got) != test.want {
			h.Errorf("%v to %v: %d buckets, want %d", test.from, test.to, len(got), test.want)
		}
		for _, b := range got {
			h.bucket(b, b.Start.Truncate(time.Hour), map[health.Status]int{health.Healthy: 60})
		}
	}
	if got := h.buckets("a", health.Hourly, time.Time{}, h.start.AddDate(400, 0, 0)); len(got) != 3 {
		h.Errorf("all time: %d buckets, want 3", len(got))
	}
}

// A spell lasts from the first sample that is down to the first that is not.
func (h *history) testSpells() {
	h.append(h.at(0, health.Healthy), h.at(5, health.Unhealthy), h.at(10, health.Unhealthy), h.at(15, health.Degraded),
		h.at(20, health.Unhealthy), h.at(25, health.Maintenance), h.at(30, health.Unhealthy))
	h.append(h.at(35, health.Unknown), h.at(40, health.Healthy))
	all := [][2]int{{5, 15}, {20, 25}, {30, 35}}
	h.spellsAre(h.spells(0, 60), all...)
	h.spellsAre(h.spells(10, 21), all[:2]...)
	h.spellsAre(h.spells(15, 20))
	h.spellsAre(h.spells(25, 31), all[2])
	h.spellsAre(h.spells(40, 60))
	h.spellsAre(h.spells(60, 0))
}

func (h *history) testOpenSpell() {
	h.append(h.at(5, health.Unhealthy))
	h.append(h.at(10, health.Unhealthy))
	h.spellsAre(h.spells(0, 14), [2]int{5, 0})
	h.spellsAre(h.spells(8, 15), [2]int{5, 0})
	h.spellsAre(h.spells(0, 5))
	h.append(h.at(14, health.Healthy))
	h.spellsAre(h.spells(0, 60), [2]int{5, 14})
}

// A spell ends when its last sample stops to be valid, also if what comes after
// the silence is down again, and also before anything comes.
func (h *history) testSilentSpell() {
	h.append(h.at(0, health.Unhealthy), h.at(3, health.Unhealthy))
	h.spellsAre(h.spells(0, 60), [2]int{0, 8})
	h.spellsAre(h.spells(8, 60))
	h.append(h.at(20, health.Unhealthy))
	h.spellsAre(h.spells(0, 25), [2]int{0, 8}, [2]int{20, 0})
	h.append(h.at(25, health.Unhealthy), h.at(40, health.Healthy))
	h.spellsAre(h.spells(0, 60), [2]int{0, 8}, [2]int{20, 30})
}

// In Sydney clocks are put forward on 4 October 2026.
func (h *history) testShortDay() { h.testDay(2026, time.October, 4, 23) }

// In Sydney clocks are put back on 5 April 2026.
func (h *history) testLongDay() { h.testDay(2026, time.April, 5, 25) }

// testDay fills a day, the one before and the one after, and demands that each
// has as many hours as it has.
func (h *history) testDay(year int, month time.Month, day, hours int) {
	zone, err := time.LoadLocation(HistoryZone)
	if err != nil {
		h.Fatalf("the time zone database is needed: %v", err)
	}
	midnight := func(n int) time.Time { return time.Date(year, month, day+n, 0, 0, 0, 0, zone) }
	status := []health.Status{health.Healthy, health.Degraded, health.Unhealthy}
	var samples []health.Sample
	for n := range status {
		for at := midnight(n - 1); at.Before(midnight(n)); at = at.Add(30 * time.Minute) {
			samples = append(samples, health.Sample{Check: "a", Time: at, Status: status[n], Valid: time.Hour})
		}
	}
	h.append(append(samples, health.Sample{Check: "a", Time: midnight(2)})...)

	noon := time.Date(year, month, day, 12, 0, 0, 0, zone)
	got := h.buckets("a", health.Daily, noon.AddDate(0, 0, -1), noon.AddDate(0, 0, 1))
	if len(got) != 3 {
		h.Fatalf("%d buckets, want 3: %v", len(got), got)
	}
	for n, hours := range []int{24, hours, 24} {
		h.bucket(got[n], midnight(n-1), map[health.Status]int{status[n]: hours * 60})
	}
	got = h.buckets("a", health.Daily, midnight(0), midnight(1))
	if len(got) != 1 {
		h.Fatalf("the day alone: %d buckets, want 1: %v", len(got), got)
	}
	h.bucket(got[0], midnight(0), map[health.Status]int{health.Degraded: hours * 60})
}

// Several append the same samples, and others of their own, at the same time.
func (h *history) testConcurrent() {
	var wg sync.WaitGroup
	for writer := range 8 {
		wg.Go(func() {
			for minute := 0; minute <= 60; minute += 5 {
				shared, own := h.at(minute, health.Unhealthy), h.at(minute, health.Healthy)
				shared.Latency = 10 * time.Millisecond
				own.Check = fmt.Sprint("own ", writer)
				if err := h.h.Append(h.Context(), []health.Sample{shared, own}); err != nil {
					h.Errorf("append: %v", err)
				}
			}
		})
	}
	wg.Wait()
	got := h.hours(1)
	if len(got) != 1 {
		h.Fatalf("%d buckets, want 1: %v", len(got), got)
	}
	h.bucket(got[0], h.start, map[health.Status]int{health.Unhealthy: 60})
	for writer := range 8 {
		got := h.buckets(fmt.Sprint("own ", writer), health.Hourly, h.start, h.start.Add(time.Hour))
		if len(got) != 1 {
			h.Fatalf("%d buckets, want 1: %v", len(got), got)
		}
		h.bucket(got[0], h.start, map[health.Status]int{health.Healthy: 60})
	}
	if spells := h.spells(0, 60); len(spells) != 1 {
		h.Errorf("%d spells, want 1: %v", len(spells), spells)
	}
}

func (h *history) testCancelled() {
	ctx, cancel := context.WithCancel(h.Context())
	cancel()
	if err := h.h.Append(ctx, []health.Sample{h.at(0, health.Healthy)}); err == nil {
		h.Error("append does not honour its context")
	}
	if _, err := h.h.Buckets(ctx, "a", health.Hourly, h.start, h.start.Add(time.Hour)); err == nil {
		h.Error("buckets does not honour its context")
	}
	if _, err := h.h.Spells(ctx, "a", h.start, h.start.Add(time.Hour)); err == nil {
		h.Error("spells does not honour its context")
	}
}
