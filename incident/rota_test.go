package incident_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/incidenttest"
)

// loadZone loads a zone.
func loadZone(t testing.TB, name string) *time.Location {
	z, err := health.LoadZone(name)
	require.NoError(t, err)
	return z
}

// peopleOf returns people with one contact each: "ana" for Ana.
func peopleOf(names ...string) (people []incident.Person) {
	for _, name := range names {
		people = append(people, incident.Person{Name: name, Contacts: []string{strings.ToLower(name)}})
	}
	return people
}

// onCallNames returns who is on call, as names.
func onCallNames(t testing.TB, r incident.OnCall, team string, at time.Time) string {
	t.Helper()
	people, err := r.OnCall(t.Context(), team, at)
	require.NoError(t, err)
	var names []string
	for _, p := range people {
		names = append(names, p.Name)
	}
	return strings.Join(names, ",")
}

func TestRotaTurns(t *testing.T) {
	t.Parallel()
	sydney := loadZone(t, "Australia/Sydney")
	at := func(s string) time.Time {
		when, err := time.ParseInLocation("2006-01-02 15:04", s, sydney)
		require.NoError(t, err)
		return when
	}
	r, err := incident.NewRota(incident.RotaConfig{Teams: []incident.RotaTeam{
		{Name: "daily", People: peopleOf("Ana", "Bo", "Cy"), Start: "2026-11-30", Handover: health.At(9, 0), Zone: sydney},
		{Name: "weekly", People: peopleOf("Ana", "Bo"), Every: incident.Weekly, Start: "2026-11-30", Handover: health.At(9, 0), Zone: sydney},
		{Name: "alone", People: peopleOf("Ana"), Start: "2026-11-30", Zone: sydney},
	}})
	require.NoError(t, err)
	for _, c := range []struct{ team, at, want string }{
		{"daily", "2026-11-30 08:59", "Cy"}, // a turn before the start is counted backwards
		{"daily", "2026-11-30 09:00", "Ana"},
		{"daily", "2026-12-01 08:59", "Ana"},
		{"daily", "2026-12-01 09:00", "Bo"},
		{"daily", "2026-12-02 23:00", "Cy"},
		{"daily", "2026-12-03 09:00", "Ana"},
		{"daily", "2026-11-28 12:00", "Bo"},
		{"daily", "2026-11-27 12:00", "Ana"},
		{"weekly", "2026-11-30 08:59", "Bo"},
		{"weekly", "2026-11-30 09:00", "Ana"},
		{"weekly", "2026-12-07 08:59", "Ana"},
		{"weekly", "2026-12-07 09:00", "Bo"},
		{"weekly", "2026-11-22 12:00", "Ana"},
		{"weekly", "2026-12-31 12:00", "Ana"},
		{"alone", "2027-06-01 00:00", "Ana"},
	} {
		assert.Equal(t, c.want, onCallNames(t, r, c.team, at(c.at)), "%s at %s", c.team, c.at)
	}
}

// The clocks of Sydney are set back on 5 April 2026 at 03:00 and forward on 4 October at
// 02:00.
func TestRotaOnDaysOnWhichClocksChange(t *testing.T) {
	t.Parallel()
	sydney := loadZone(t, "Australia/Sydney")
	for name, c := range map[string]struct {
		handover health.TimeOfDay
		change   string // the instant at which the turn of that day begins, in UTC
		hours    [2]time.Duration
	}{
		"before, 25 hours":                      {health.At(0, 30), "2026-04-04T13:30:00Z", [2]time.Duration{24, 25}},
		"after, the day before had 25 hours":    {health.At(9, 0), "2026-04-04T23:00:00Z", [2]time.Duration{25, 24}},
		"02:30 comes twice: the first":          {health.At(2, 30), "2026-04-04T15:30:00Z", [2]time.Duration{24, 25}},
		"before, 23 hours":                      {health.At(0, 30), "2026-10-03T14:30:00Z", [2]time.Duration{24, 23}},
		"after, the day before had 23 hours":    {health.At(9, 0), "2026-10-03T22:00:00Z", [2]time.Duration{23, 24}},
		"02:30 is skipped: the change, 02:00":   {health.At(2, 30), "2026-10-03T16:00:00Z", [2]time.Duration{23*time.Hour + 30*time.Minute, 23*time.Hour + 30*time.Minute}},
		"midnight, the evening of the long day": {health.At(0, 0), "2026-04-05T14:00:00Z", [2]time.Duration{25, 24}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, err := incident.NewRota(incident.RotaConfig{Teams: []incident.RotaTeam{{
				Name: "ops", People: peopleOf("Ana", "Bo", "Cy", "Dee", "Eve", "Fay", "Gus"), Start: "2026-01-01", Handover: c.handover, Zone: sydney,
			}}})
			require.NoError(t, err)
			change, err := time.Parse(time.RFC3339, c.change)
			require.NoError(t, err)
			span := func(d time.Duration) time.Duration {
				if d < time.Hour {
					d *= time.Hour
				}
				return d
			}
			before, after := change.Add(-span(c.hours[0])), change.Add(span(c.hours[1]))
			second := onCallNames(t, r, "ops", change)
			first, third := onCallNames(t, r, "ops", change.Add(-1)), onCallNames(t, r, "ops", after)
			assert.NotEqual(t, first, second, "it changes at this instant")
			assert.Equal(t, first, onCallNames(t, r, "ops", before), "the turn before began then")
			assert.NotEqual(t, first, onCallNames(t, r, "ops", before.Add(-1)))
			assert.Equal(t, second, onCallNames(t, r, "ops", after.Add(-1)), "the turn ends then")
			assert.NotEqual(t, second, third)
		})
	}
}

// TestRotaIsFair goes through a year by the hour: one person at a time, each as often as
// the others, a change at the handover and at no other time.
func TestRotaIsFair(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"Australia/Sydney", "Australia/Lord_Howe", "America/Santiago", "Africa/Cairo", "UTC"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			z := loadZone(t, name)
			r, err := incident.NewRota(incident.RotaConfig{Teams: []incident.RotaTeam{{
				Name: "ops", People: peopleOf("Ana", "Bo", "Cy", "Dee", "Eve"), Start: "2026-01-01", Handover: health.At(0, 0), Zone: z,
			}}})
			require.NoError(t, err)
			turns := make(map[string]int)
			last, from := "", time.Date(2026, 1, 1, 0, 30, 0, 0, z)
			for at := from; at.Before(time.Date(2027, 1, 1, 0, 0, 0, 0, z)); at = at.Add(30 * time.Minute) {
				now := onCallNames(t, r, "ops", at)
				if now != last {
					hour, minute, _ := at.In(z).Clock()
					require.LessOrEqual(t, hour*60+minute, 90, "a change at %v", at.In(z))
					turns[now]++
				}
				last = now
			}
			assert.Equal(t, map[string]int{"Ana": 73, "Bo": 73, "Cy": 73, "Dee": 73, "Eve": 73}, turns)
		})
	}
}

// Requirement: INC-ESC-OVERRIDE
func TestRotaOverrides(t *testing.T) {
	t.Parallel()
	from := time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)
	override := func(remove string, add incident.Person) incident.RotaOverride {
		return incident.RotaOverride{Team: "ops", Remove: remove, Add: add, From: from.Add(6 * time.Hour), To: from.Add(30 * time.Hour)}
	}
	zed := incident.Person{Name: "Zed", Contacts: []string{"zed-phone"}}
	for name, c := range map[string]struct {
		overrides []incident.RotaOverride
		// Who is on call a second before the override begins, at its begin, on the second
		// day, and at its end.
		want [4]string
	}{
		"none":                         {nil, [4]string{"Ana", "Ana", "Bo", "Bo"}},
		"add":                          {[]incident.RotaOverride{override("", zed)}, [4]string{"Ana", "Ana,Zed", "Bo,Zed", "Bo"}},
		"add who is on call":           {[]incident.RotaOverride{override("", incident.Person{Name: "Ana"})}, [4]string{"Ana", "Ana", "Bo,Ana", "Bo"}},
		"remove":                       {[]incident.RotaOverride{override("Ana", incident.Person{})}, [4]string{"Ana", "", "Bo", "Bo"}},
		"replace":                      {[]incident.RotaOverride{override("Ana", zed)}, [4]string{"Ana", "Zed", "Bo", "Bo"}},
		"swap":                         {[]incident.RotaOverride{override("Ana", incident.Person{Name: "Bo"})}, [4]string{"Ana", "Bo", "Bo", "Bo"}},
		"replace who is not on call":   {[]incident.RotaOverride{override("Cy", zed)}, [4]string{"Ana", "Ana", "Bo", "Bo"}},
		"replace the replacement":      {[]incident.RotaOverride{override("Ana", zed), override("Zed", incident.Person{Name: "Cy"})}, [4]string{"Ana", "Cy", "Bo", "Bo"}},
		"replace by who is there":      {[]incident.RotaOverride{override("", zed), override("Ana", zed)}, [4]string{"Ana", "Zed", "Bo,Zed", "Bo"}},
		"of another team, and too old": {[]incident.RotaOverride{{Team: "dev", Remove: "Ana", From: from, To: from.Add(48 * time.Hour)}}, [4]string{"Ana", "Ana", "Bo", "Bo"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			team := incident.RotaTeam{Name: "ops", People: peopleOf("Ana", "Bo", "Cy"), Start: "2026-12-01", Zone: time.UTC}
			dev := team
			dev.Name = "dev"
			r, err := incident.NewRota(incident.RotaConfig{Teams: []incident.RotaTeam{team, dev}})
			require.NoError(t, err)
			require.NoError(t, r.SetOverrides(c.overrides))
			var got [4]string
			for i, at := range []time.Duration{6*time.Hour - 1, 6 * time.Hour, 29 * time.Hour, 30 * time.Hour} {
				got[i] = onCallNames(t, r, "ops", from.Add(at))
			}
			assert.Equal(t, c.want, got)
		})
	}
}

func TestRotaSaysEverythingThatIsWrong(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)
	_, err := incident.NewRota(incident.RotaConfig{
		Teams: []incident.RotaTeam{
			{Name: "two words", Every: "monthly", Start: "30 November", Handover: health.At(24, 0)},
			{Name: "ops", Zone: time.FixedZone("AEST", 36000), Start: "2026-12-01", People: []incident.Person{
				{Name: "Ana", Contacts: []string{"ana", "ana"}}, {Name: "Ana", Contacts: []string{"a b"}}, {},
			}},
			{Name: "ops", Zone: time.UTC, Start: "2026-12-01", People: peopleOf("Ana")},
		},
		Overrides: []incident.RotaOverride{
			{Team: "marketing", Remove: "Ana", From: at, To: at.Add(1)},
			{Team: "ops", From: at, To: at},
			{Team: "ops", Remove: "Zed", Add: incident.Person{Name: "Zed"}, From: at, To: at.Add(1)},
		},
	})
	for _, problem := range []string{
		`team "two words": its name`, `team "two words": there is nobody`, `Every is "monthly"`, `Handover 24:00`, `team "two words": Zone is missing`, `Start "30 November"`,
		`team "ops": Zone: health: "AEST"`, `"Ana": the contact "ana"`, `"Ana": the contact "a b"`, `"Ana" is in it twice`, `the name "" is empty`, `"" has no contact`, `team "ops" is there twice`,
		`override 1 of team "marketing": there is no such team`, `override 2 of team "ops": it ends`, `override 2 of team "ops": it neither adds nor removes`,
		`override 3 of team "ops": it puts "Zed" in their own place`, `override 3 of team "ops": "Zed", who is to be removed, is not in the rota`, `override 3 of team "ops": "Zed" has no contact`,
	} {
		assert.ErrorContains(t, err, problem)
	}
	_, err = incident.NewRota(incident.RotaConfig{})
	require.ErrorContains(t, err, "there is no team")
}

// A wrong list of overrides changes nothing.
func TestRotaKeepsItsOverrides(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)
	good := incident.RotaOverride{Team: "ops", Remove: "Ana", Add: incident.Person{Name: "Bo"}, From: at, To: at.Add(time.Hour)}
	r, err := incident.NewRota(incident.RotaConfig{
		Teams:     []incident.RotaTeam{{Name: "ops", People: peopleOf("Ana", "Bo"), Start: "2026-12-01", Zone: time.UTC}},
		Overrides: []incident.RotaOverride{good},
	})
	require.NoError(t, err)
	require.Error(t, r.SetOverrides([]incident.RotaOverride{{Team: "ops"}}))
	assert.Equal(t, "Bo", onCallNames(t, r, "ops", at))
	require.NoError(t, r.SetOverrides(nil))
	assert.Equal(t, "Ana", onCallNames(t, r, "ops", at))
}

func TestRotaIsAnOnCall(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC)
	incidenttest.TestOnCall(t, incidenttest.OnCallHarness{New: func(t testing.TB) incidenttest.OnCallCase {
		people := peopleOf("Ana", "Bo")
		r, err := incident.NewRota(incident.RotaConfig{
			Teams: []incident.RotaTeam{
				{Name: "ops", People: people, Start: "2026-12-01", Zone: time.UTC},
				{Name: "nights", People: people, Start: "2026-12-01", Zone: time.UTC},
			},
			Overrides: []incident.RotaOverride{
				{Team: "nights", Remove: "Ana", From: at, To: at.Add(time.Hour)},
				{Team: "ops", Add: incident.Person{Name: "Zed", Contacts: []string{"zed"}}, From: at, To: at.Add(time.Hour)},
			},
		})
		require.NoError(t, err)
		people[0].Contacts[0] = "changed after it was made"
		return incidenttest.OnCallCase{OnCall: r, Team: "ops", At: at, Names: []string{"Ana", "Zed"}, Nobody: "nights", Missing: "marketing"}
	}})
}

// Two people take turns by the week; one of them swaps a day.
func ExampleRota() {
	sydney, err := health.LoadZone("Australia/Sydney")
	if err != nil {
		fmt.Println(err)
		return
	}
	rota, err := incident.NewRota(incident.RotaConfig{Teams: []incident.RotaTeam{{
		Name: "operations", Every: incident.Weekly, Start: "2026-11-30", Handover: health.At(9, 0), Zone: sydney,
		People: []incident.Person{
			{Name: "Ana Silva", Contacts: []string{"ana-phone"}},
			{Name: "Bo Chen", Contacts: []string{"bo-phone"}},
		},
	}}})
	if err != nil {
		fmt.Println(err)
		return
	}
	wednesday := time.Date(2026, 12, 2, 0, 0, 0, 0, sydney)
	err = rota.SetOverrides([]incident.RotaOverride{{
		Team: "operations", Remove: "Ana Silva", Add: incident.Person{Name: "Bo Chen"},
		From: wednesday, To: wednesday.AddDate(0, 0, 1), Reason: "Ana is at a wedding",
	}})
	if err != nil {
		fmt.Println(err)
		return
	}
	for day := range 3 {
		people, err := rota.OnCall(context.Background(), "operations", wednesday.AddDate(0, 0, day-1).Add(12*time.Hour))
		fmt.Println(people[0].Name, err)
	}
	// Output:
	// Ana Silva <nil>
	// Bo Chen <nil>
	// Ana Silva <nil>
}
