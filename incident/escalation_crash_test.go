package incident_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/incident"
)

// A crashStory is an escalation with everything in it, from the first call to the end, in which
// a process is killed at most once, and another one starts a while later.
type crashStory struct {
	w *escalationWorld
	l *ledger
	// points are all points at which a process could have been killed.
	points []string
	run    string
}

// tellStory tells the story. Kill is the number of the point at which the process is killed, -1
// for none; down is for how long nothing runs then.
func tellStory(t *testing.T, kill int, down time.Duration) *crashStory {
	policy := threeLevels()
	policy.AckTimeout, policy.Repeat = time.Hour, 1
	policy.Levels[0].Targets = append(policy.Levels[0].Targets, incident.EscalationTarget{Channel: "phone"})
	s := &crashStory{w: newEscalationWorld(t, policy), l: newLedger()}
	w := s.w
	w.cfg.Runs = s.l
	x, err := incident.NewEscalations(w.cfg)
	require.NoError(t, err)
	programs := map[string]incident.Program{incident.EscalationProgram: x.Program()}
	inc := criticalOutage()
	inc.Severity = alert.High
	w.incidents[inc.ID] = inc
	s.run, err = x.Begin(t.Context(), inc)
	require.NoError(t, err)

	p := s.l.process(t.Context(), "first", programs, func(point string, id incident.StepID) bool {
		s.points = append(s.points, point+" "+string(id))
		return len(s.points)-1 == kill
	})
	watch := func(until time.Duration) {
		for time.Since(w.start) < until {
			letPass(time.Minute)
			if !p.alive() && p.name == "first" {
				letPass(down)
				p = s.l.process(t.Context(), "second", programs, nil)
			}
		}
	}
	step := func(at time.Duration, do func() error) {
		watch(at)
		require.NoError(t, do())
		synctest.Wait()
	}
	nothing := func() error { return nil }
	step(20*time.Minute, func() error { return x.Acknowledged(t.Context(), s.run, "Bo") })
	step(80*time.Minute, nothing) // expires, and level 2 is called again
	step(85*time.Minute, func() error { return x.Force(t.Context(), s.run, "Dee") })
	step(110*time.Minute, func() error { return x.Unacknowledged(t.Context(), s.run) }) // nothing
	step(3*time.Hour, func() error { return x.Worse(t.Context(), s.run, alert.Critical, "Dee") })
	step(4*time.Hour, func() error { return x.Ended(t.Context(), s.run) })
	watch(5 * time.Hour)
	p.stop()
	return s
}

// arrived counts how often each message arrived, by channel, number and kind, and how
// often it did not say that it may be a repetition.
func (s *crashStory) arrived() (all, plain map[string]int) {
	all, plain = make(map[string]int), make(map[string]int)
	for _, m := range s.w.messages() {
		name := fmt.Sprintf("%s %d %s", m.channel, m.Seq, m.Kind)
		all[name]++
		if !m.PossibleRepeat {
			plain[name]++
		}
	}
	return all, plain
}

// events returns what happened, each event once, without when.
func (s *crashStory) events() (lines []string) {
	var keys []string
	for _, e := range s.w.events {
		if !slices.Contains(keys, e.Key) {
			keys = append(keys, e.Key)
			lines = append(lines, fmt.Sprintf("%s %s %d %d", e.Key, e.Kind, e.Level, e.Round))
		}
	}
	return lines
}

// A process is killed at each point of an escalation in turn, and another one goes on.
//
// Requirement: INC-ESC-DURABLE
func TestEscalationSurvivesACrashAtEachPoint(t *testing.T) {
	t.Parallel()
	var whole *crashStory
	synctest.Test(t, func(t *testing.T) { whole = tellStory(t, -1, 0) })
	record := whole.l.runs[whole.run]
	require.Equal(t, incident.RunFinished, record.Status, "%s", record.Error)
	all, _ := whole.arrived()
	require.Len(t, all, 16, "%v", all)
	t.Logf("%d points", len(whole.points))

	repeats := 0
	for kill, point := range whole.points {
		synctest.Test(t, func(t *testing.T) {
			s := tellStory(t, kill, 30*time.Second)
			require.Equal(t, point, s.points[kill])
			record := s.l.runs[s.run]
			require.Equal(t, incident.RunFinished, record.Status, "killed %s: %s", point, record.Error)
			require.Equal(t, whole.events(), s.events(), "killed %s", point)
			got, plain := s.arrived()
			require.ElementsMatch(t, slices.Collect(maps.Keys(all)), slices.Collect(maps.Keys(got)), "killed %s", point)
			for name, times := range got {
				require.LessOrEqual(t, plain[name], 1, "killed %s: %s came twice and did not say so", point, name)
				if times > 1 { // only where nobody can know whether it arrived
					require.Contains(t, point, afterEffect, "killed %s: %s came %d times", point, name, times)
					require.Contains(t, point, "/tell-", "killed %s: %s came %d times", point, name, times)
					require.Equal(t, 2, times)
					repeats++
				}
			}
		})
	}
	assert.Equal(t, len(all), repeats, "each message was repeated in the one case in which it must be")
}

// Nothing runs for hours: whoever should have been called meanwhile is called when it is
// back, one level at a time and not all at once.
func TestEscalationAfterALongOutage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, l := newEscalationWorld(t, threeLevels()), newLedger()
		w.cfg.Runs = l
		x, err := incident.NewEscalations(w.cfg)
		require.NoError(t, err)
		programs := map[string]incident.Program{incident.EscalationProgram: x.Program()}
		inc := criticalOutage()
		w.incidents[inc.ID] = inc
		_, err = x.Begin(t.Context(), inc)
		require.NoError(t, err)
		p := l.process(t.Context(), "first", programs, nil)
		letPass(10 * time.Minute)
		p.stop()
		letPass(5 * time.Hour)
		p = l.process(t.Context(), "second", programs, nil)
		letPass(20 * time.Minute)
		assert.Equal(t, []string{"0s ana firing", "5h10m0s bo firing", "5h25m0s infra firing"}, w.told())
		p.stop()
	})
}

// A wait for the hours of a level ends at its original time.
func TestEscalationWaitsForHoursAcrossACrash(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, l := newEscalationWorld(t, heldWithin(nineToFive(time.UTC), incident.Hold)), newLedger() // 1 January 2000 is a Saturday
		w.cfg.Runs = l
		x, err := incident.NewEscalations(w.cfg)
		require.NoError(t, err)
		programs := map[string]incident.Program{incident.EscalationProgram: x.Program()}
		inc := criticalOutage()
		w.incidents[inc.ID] = inc
		_, err = x.Begin(t.Context(), inc)
		require.NoError(t, err)
		for i := range 5 {
			p := l.process(t.Context(), fmt.Sprint(i), programs, nil)
			letPass(10 * time.Hour)
			p.stop()
			letPass(time.Hour)
		}
		p := l.process(t.Context(), "last", programs, nil)
		letPass(3 * time.Hour)
		assert.Equal(t, []string{"57h0m0s ana firing", "57h15m0s bo firing", "57h30m0s infra firing"}, w.told())
		p.stop()
	})
}

// What is recorded is small, and the input is all that the program depends on.
func TestWhatAnEscalationRecords(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := tellStory(t, -1, 0)
		record := s.l.runs[s.run]
		for _, e := range record.Entries {
			if e.Outcome != nil {
				assert.Less(t, len(e.Outcome.Output), 4096, "%s", e.ID)
			}
		}
		assert.Less(t, len(record.Input), 4096)
		// A program of a host that knows nothing any more tells the same story.
		w := newEscalationWorld(t, threeLevels())
		w.cfg.Channels = map[string]alert.Notifier{"infra": w.channel("infra")}
		w.cfg.Hooks = incident.EscalationHooks{}
		x, err := incident.NewEscalations(w.cfg)
		require.NoError(t, err)
		result, err := x.Program()(t.Context(), &ledgerEngine{&ledgerProcess{l: s.l}, record}, record.RunStart)
		require.NoError(t, err)
		assert.JSONEq(t, string(record.Result), string(result))
	})
}
