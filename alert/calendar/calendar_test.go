package calendar_test

import (
	"math"
	"testing"
	"time"
	_ "time/tzdata"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/alert/calendar"
	"go.acu.edu.au/runbook/health"
)

func of(t testing.TB, cfg calendar.Config) *calendar.Calendar {
	t.Helper()
	c, err := calendar.New(cfg)
	require.NoError(t, err)
	return c
}

// at is an instant by the clocks of the region.
func at(t testing.TB, c *calendar.Calendar, s string) time.Time {
	t.Helper()
	v, err := time.ParseInLocation("2006-01-02 15:04", s, c.Zone())
	require.NoError(t, err)
	return v
}

func holiday(c *calendar.Calendar, t time.Time) string {
	d, _ := c.Holiday(t)
	return d.Name
}

// The holidays of 2026 and 2027 in New South Wales, as its councils list them:
// https://lgnsw.org.au/Public/Public/Members-Services/NSW_Public_Holidays.aspx (2026).
//
// Requirement: AL-CALENDAR-NSW-2026
// Requirement: AL-CALENDAR-NSW-2027
// Requirement: AL-CALENDAR-KING
func TestNewSouthWales(t *testing.T) {
	c := of(t, calendar.Config{Region: calendar.NSW})
	want := map[int][]calendar.Day{
		2026: {
			{Date: "2026-01-01", Name: "New Year's Day"}, {Date: "2026-01-26", Name: "Australia Day"}, {Date: "2026-04-03", Name: "Good Friday"},
			{Date: "2026-04-04", Name: "Easter Saturday"}, {Date: "2026-04-05", Name: "Easter Sunday"}, {Date: "2026-04-06", Name: "Easter Monday"},
			{Date: "2026-04-25", Name: "ANZAC Day"}, {Date: "2026-04-27", Name: "Anzac Day (additional day)"}, {Date: "2026-06-08", Name: "King's Birthday"},
			{Date: "2026-10-05", Name: "Labour Day"}, {Date: "2026-12-25", Name: "Christmas Day"}, {Date: "2026-12-26", Name: "Boxing Day"},
			{Date: "2026-12-28", Name: "Boxing Day (additional day)"},
		},
		2027: {
			{Date: "2027-01-01", Name: "New Year's Day"}, {Date: "2027-01-26", Name: "Australia Day"}, {Date: "2027-03-26", Name: "Good Friday"},
			{Date: "2027-03-27", Name: "Easter Saturday"}, {Date: "2027-03-28", Name: "Easter Sunday"}, {Date: "2027-03-29", Name: "Easter Monday"},
			{Date: "2027-04-25", Name: "ANZAC Day"}, {Date: "2027-04-26", Name: "Anzac Day (additional day)"}, {Date: "2027-06-14", Name: "King's Birthday"},
			{Date: "2027-10-04", Name: "Labour Day"}, {Date: "2027-12-25", Name: "Christmas Day"}, {Date: "2027-12-26", Name: "Boxing Day"},
			{Date: "2027-12-27", Name: "Christmas Day (additional day)"}, {Date: "2027-12-28", Name: "Boxing Day (additional day)"},
		},
	}
	for year, days := range want {
		if diff := cmp.Diff(days, c.Holidays(year)); diff != "" {
			t.Error(diff)
		}
	}
	assert.False(t, c.IsBusinessDay(at(t, c, "2026-04-27 10:00")))
	assert.False(t, c.IsBusinessDay(at(t, c, "2027-04-26 10:00")))
	assert.Equal(t, "Queen's Birthday", holiday(c, at(t, c, "2022-06-13 10:00")))
	victoria := of(t, calendar.Config{Region: calendar.VIC})
	assert.True(t, victoria.IsBusinessDay(at(t, victoria, "2026-04-27 10:00")), "the order is one of New South Wales")
}

// Requirement: AL-CALENDAR-KING
func TestKing(t *testing.T) {
	for region, date := range map[calendar.Region]string{
		calendar.NSW: "2026-06-08", calendar.VIC: "2026-06-08", calendar.ACT: "2026-06-08", calendar.SA: "2026-06-08", calendar.TAS: "2026-06-08",
		calendar.NT: "2026-06-08", calendar.QLD: "2026-10-05", calendar.Brisbane: "2026-10-05", calendar.WA: "2026-09-28",
	} {
		c := of(t, calendar.Config{Region: region})
		assert.Equal(t, "King's Birthday", holiday(c, at(t, c, date+" 10:00")), region)
	}
}

// Requirement: AL-CALENDAR-QLD-SHOW
func TestShowDay(t *testing.T) {
	brisbane := of(t, calendar.Config{Region: calendar.Brisbane, ShowDays: []string{"2026-08-12"}})
	state := of(t, calendar.Config{Region: calendar.QLD})
	day := at(t, brisbane, "2026-08-12 10:00")
	assert.False(t, brisbane.IsBusinessDay(day))
	assert.Equal(t, "Royal Queensland Show", holiday(brisbane, day))
	assert.True(t, state.IsBusinessDay(day))
	assert.NoError(t, brisbane.Check(day))
	assert.NoError(t, state.Check(at(t, state, "2027-08-11 10:00")))
	err := brisbane.Check(at(t, brisbane, "2027-02-01 10:00"))
	assert.ErrorIs(t, err, calendar.ErrBeyond, "its date in 2027 was not given")
	assert.ErrorContains(t, err, "show day")
	_, err = brisbane.EndOfBusinessDay(at(t, brisbane, "2026-12-31 18:00"))
	assert.ErrorIs(t, err, calendar.ErrBeyond)
	_, err = calendar.New(calendar.Config{Region: calendar.QLD, ShowDays: []string{"2026-08-12"}})
	assert.ErrorContains(t, err, "Brisbane")
}

// Requirement: AL-CALENDAR-QLD-CHRISTMAS-EVE
func TestChristmasEve(t *testing.T) {
	for region, hour := range map[calendar.Region]int{calendar.QLD: 18, calendar.Brisbane: 18, calendar.SA: 19, calendar.NT: 19} {
		c := of(t, calendar.Config{Region: region, Open: health.At(8, 0), Close: health.At(22, 0), ShowDays: map[bool][]string{true: {"2026-08-12"}}[region == calendar.Brisbane]})
		eve := at(t, c, "2026-12-24 12:00")
		assert.Equal(t, "Christmas Eve", holiday(c, eve), region)
		assert.True(t, c.IsBusinessDay(eve), region)
		end, err := c.EndOfBusinessDay(eve)
		require.NoError(t, err)
		assert.Equal(t, time.Date(2026, time.December, 24, hour, 0, 0, 0, c.Zone()), end, region)
		assert.True(t, c.IsOpen(end.Add(-time.Minute)))
		assert.False(t, c.IsOpen(end))
	}
	sydney := of(t, calendar.Config{Region: calendar.NSW})
	assert.Empty(t, holiday(sydney, at(t, sydney, "2026-12-24 12:00")))
}

// Requirement: AL-CALENDAR-ZONE
func TestZone(t *testing.T) {
	c := of(t, calendar.Config{Region: calendar.NSW})
	for _, s := range []string{"2026-01-25T13:00:00Z", "2026-01-25T18:00:00Z", "2026-01-26T12:59:59Z", "2026-01-26T09:00:00-04:00"} {
		instant, err := time.Parse(time.RFC3339, s)
		require.NoError(t, err)
		want := s != "2026-01-26T09:00:00-04:00" // which is 00:00 of the 27th in Sydney
		assert.Equal(t, want, !c.IsBusinessDay(instant), s)
		assert.Equal(t, want, holiday(c, instant) == "Australia Day", s)
	}
	perth := of(t, calendar.Config{Region: calendar.WA})
	assert.True(t, perth.IsBusinessDay(time.Date(2026, time.June, 7, 23, 0, 0, 0, time.UTC)), "Monday 8 June is no holiday in Western Australia")
	for _, bad := range []*time.Location{time.Local, time.FixedZone("EST", 36000), time.FixedZone("+10", 36000)} {
		_, err := calendar.New(calendar.Config{Region: calendar.NSW, Zone: bad})
		assert.ErrorContains(t, err, "IANA", bad.String())
	}
}

// Sydney's clocks are set forward on 2026-10-04 and back on 2026-04-05, both Sundays.
//
// Requirement: AL-CALENDAR-DAY-25
func TestDaysOnWhichClocksChange(t *testing.T) {
	every := []time.Weekday{0, 1, 2, 3, 4, 5, 6}
	around := of(t, calendar.Config{
		Region: calendar.NSW, Weekdays: every, Open: health.At(0, 0), Close: health.At(24, 0),
		Days: []calendar.Day{{Date: "2026-04-05", Name: "open at Easter", Working: true}, {Date: "2026-04-06", Name: "open at Easter", Working: true}},
	})
	for date, hours := range map[string]int{"2026-04-05": 25, "2026-04-12": 24, "2026-10-04": 23, "2026-10-06": 24} {
		begin := at(t, around, date+" 00:00")
		next := begin.AddDate(0, 0, 1)
		assert.Equal(t, time.Duration(hours)*time.Hour, around.BusinessTime(begin, next), date)
		got, err := around.AddBusinessTime(begin, time.Duration(hours)*time.Hour)
		require.NoError(t, err)
		assert.Equal(t, next, got, date)
	}
	// By the clock on the wall it is open from 9 to 17 also on these days.
	office := of(t, calendar.Config{Region: calendar.NSW, Weekdays: every, Days: []calendar.Day{{Date: "2026-04-05", Name: "open", Working: true}}})
	for _, date := range []string{"2026-04-05", "2026-10-04"} {
		assert.Equal(t, 8*time.Hour, office.BusinessTime(at(t, office, date+" 00:00"), at(t, office, date+" 23:59")), date)
		assert.True(t, office.IsOpen(at(t, office, date+" 09:00")))
		assert.False(t, office.IsOpen(at(t, office, date+" 08:59")))
		assert.False(t, office.IsOpen(at(t, office, date+" 17:00")))
	}
	// Hours that hold the change are longer or shorter by it.
	night := of(t, calendar.Config{Region: calendar.NSW, Weekdays: every, Open: health.At(1, 0), Close: health.At(5, 0), Days: []calendar.Day{{Date: "2026-04-05", Name: "open", Working: true}}})
	assert.Equal(t, 5*time.Hour, night.BusinessTime(at(t, night, "2026-04-05 00:00"), at(t, night, "2026-04-05 12:00")))
	assert.Equal(t, 3*time.Hour, night.BusinessTime(at(t, night, "2026-10-04 00:00"), at(t, night, "2026-10-04 12:00")))
}

func TestAddBusinessTime(t *testing.T) {
	c := of(t, calendar.Config{Region: calendar.NSW})
	for name, x := range map[string]struct {
		from string
		add  time.Duration
		want string
	}{
		"within a day":                 {"2026-11-23 10:00", 2 * time.Hour, "2026-11-23 12:00"},
		"to the end of the day":        {"2026-11-23 10:00", 7 * time.Hour, "2026-11-23 17:00"},
		"over the night":               {"2026-11-23 16:00", 2 * time.Hour, "2026-11-24 10:00"},
		"before work":                  {"2026-11-23 03:00", time.Hour, "2026-11-23 10:00"},
		"after work":                   {"2026-11-23 17:00", time.Hour, "2026-11-24 10:00"},
		"over Labour Day and a change": {"2026-10-02 16:30", 2 * time.Hour, "2026-10-06 10:30"},
		"over Christmas":               {"2026-12-24 16:00", 2 * time.Hour, "2026-12-29 10:00"},
		"over Easter":                  {"2026-04-02 16:00", 2 * time.Hour, "2026-04-07 10:00"},
		"nothing, while open":          {"2026-11-23 10:00", 0, "2026-11-23 10:00"},
		"nothing, while closed":        {"2026-11-21 10:00", 0, "2026-11-23 09:00"},
		"weeks":                        {"2026-11-23 09:00", 80 * time.Hour, "2026-12-04 17:00"},
	} {
		got, err := c.AddBusinessTime(at(t, c, x.from).UTC(), x.add)
		require.NoError(t, err, name)
		assert.Equal(t, x.want, got.Format("2006-01-02 15:04"), name)
		if x.add > 0 {
			assert.Equal(t, x.add, c.BusinessTime(at(t, c, x.from), got), name)
		}
	}
	_, err := c.AddBusinessTime(time.Now(), -1)
	assert.Error(t, err)
	assert.Zero(t, c.BusinessTime(at(t, c, "2026-11-24 10:00"), at(t, c, "2026-11-23 10:00")))
}

func TestEndAndNext(t *testing.T) {
	c := of(t, calendar.Config{Region: calendar.NSW})
	for from, want := range map[string][2]string{
		"2026-11-23 03:00": {"2026-11-23 17:00", "2026-11-24 09:00"},
		"2026-11-23 16:59": {"2026-11-23 17:00", "2026-11-24 09:00"},
		"2026-11-23 17:00": {"2026-11-24 17:00", "2026-11-24 09:00"},
		"2026-10-02 18:00": {"2026-10-06 17:00", "2026-10-06 09:00"}, // a Friday, and Labour Day
		"2026-12-24 18:00": {"2026-12-29 17:00", "2026-12-29 09:00"},
	} {
		end, err := c.EndOfBusinessDay(at(t, c, from))
		require.NoError(t, err)
		next, err := c.NextBusinessDay(at(t, c, from))
		require.NoError(t, err)
		assert.Equal(t, want, [2]string{end.Format("2006-01-02 15:04"), next.Format("2006-01-02 15:04")}, from)
	}
	// A day that is closed in its middle ends at its end.
	lunch := of(t, calendar.Config{Region: calendar.NSW, Days: []calendar.Day{{Date: "2026-11-23", Name: "Meeting of all", From: health.At(11, 0), To: health.At(14, 0)}}})
	end, err := lunch.EndOfBusinessDay(at(t, lunch, "2026-11-23 08:00"))
	require.NoError(t, err)
	assert.Equal(t, at(t, lunch, "2026-11-23 17:00"), end)
	assert.Equal(t, 5*time.Hour, lunch.BusinessTime(at(t, lunch, "2026-11-23 00:00"), end))
	assert.False(t, lunch.IsOpen(at(t, lunch, "2026-11-23 12:00")))
}

// Requirement: AL-CALENDAR-OVERRIDE
func TestOverride(t *testing.T) {
	c := of(t, calendar.Config{Region: calendar.NSW, Days: []calendar.Day{
		{Date: "2026-11-24", Name: "University closed"},
		{Date: "2026-04-27", Name: "Exams", Working: true},     // over a correction
		{Date: "2026-10-05", Name: "Enrolment", Working: true}, // over a rule
		{Date: "2026-11-28", Name: "Open day", Working: true},  // a Saturday
		{Date: "2026-11-30", Name: "Move", From: health.At(12, 0), To: health.At(24, 0)},
	}})
	for date, open := range map[string]bool{"2026-11-24": false, "2026-04-27": true, "2026-10-05": true, "2026-11-28": true, "2026-11-29": false, "2026-11-30": true} {
		assert.Equal(t, open, c.IsBusinessDay(at(t, c, date+" 10:00")), date)
	}
	assert.Equal(t, "Exams", holiday(c, at(t, c, "2026-04-27 10:00")))
	assert.Equal(t, 3*time.Hour, c.BusinessTime(at(t, c, "2026-11-30 00:00"), at(t, c, "2026-12-01 00:00")))
	assert.Equal(t, 8*time.Hour, c.BusinessTime(at(t, c, "2026-11-28 00:00"), at(t, c, "2026-11-29 00:00")))
}

// Requirement: AL-CALENDAR-VALID-UNTIL
func TestValidUntil(t *testing.T) {
	c := of(t, calendar.Config{Region: calendar.NSW})
	assert.Equal(t, time.Date(2028, time.January, 1, 0, 0, 0, 0, c.Zone()), c.ValidUntil())
	assert.NoError(t, c.Check(c.ValidUntil().Add(-1)))
	assert.ErrorIs(t, c.Check(c.ValidUntil()), calendar.ErrBeyond)
	got, err := c.AddBusinessTime(at(t, c, "2027-12-31 16:00"), 2*time.Hour)
	assert.ErrorIs(t, err, calendar.ErrBeyond)
	assert.Equal(t, "2028-01-04 10:00", got.Format("2006-01-02 15:04"), "the answer by the rules comes with it")
	later := of(t, calendar.Config{Region: calendar.NSW, Until: 2028})
	assert.NoError(t, later.Check(at(t, later, "2028-06-01 00:00")))
}

func TestNewSaysAllProblems(t *testing.T) {
	_, err := calendar.New(calendar.Config{
		Region: "Wales", Open: health.At(17, 0), Close: health.At(9, 0), Weekdays: []time.Weekday{7}, Until: 2020, ShowDays: []string{"soon"},
		Days: []calendar.Day{{Date: "29.12.2026", Name: "x"}, {Date: "2026-12-29"}, {Date: "2026-12-29", Name: "x", Working: true, From: 60, To: 120}},
	})
	for _, want := range []string{`region "Wales"`, "Open 17:00", "no day of the week", "Until 2020", "29.12.2026", "has no name", "there twice", "working day", "soon"} {
		assert.ErrorContains(t, err, want)
	}
	// A host that closes everything gets an error, and no endless loop.
	var days []calendar.Day
	for d := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC); d.Year() < 2036; d = d.AddDate(0, 0, 1) {
		days = append(days, calendar.Day{Date: d.Format("2006-01-02"), Name: "closed"})
	}
	closed := of(t, calendar.Config{Region: calendar.NSW, Days: days})
	_, err = closed.AddBusinessTime(at(t, closed, "2026-11-23 10:00"), time.Hour)
	assert.ErrorContains(t, err, "no business time")
	_, err = closed.EndOfBusinessDay(at(t, closed, "2026-11-23 10:00"))
	assert.ErrorContains(t, err, "no business time")
	_, err = closed.NextBusinessDay(at(t, closed, "2026-11-23 10:00"))
	assert.ErrorContains(t, err, "no business time")
}

// BusinessTime is additive and AddBusinessTime its inverse, wherever one begins.
func FuzzAddBusinessTime(f *testing.F) {
	f.Add(int64(1775310000), uint16(90), uint16(600))
	f.Add(int64(1790950000), uint16(1), uint16(60000))
	c, err := calendar.New(calendar.Config{Region: calendar.NSW, Open: health.At(0, 0), Close: health.At(24, 0), Weekdays: []time.Weekday{0, 1, 2, 3, 4, 5, 6}})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, unix int64, a, b uint16) {
		from := time.Unix(1767225600+max(0, unix)%(2*365*86400), 0)
		first, second := time.Duration(a)*time.Minute+time.Minute, time.Duration(b)*time.Minute
		mid, _ := c.AddBusinessTime(from, first)
		end, _ := c.AddBusinessTime(mid, second)
		once, _ := c.AddBusinessTime(from, first+second)
		if second > 0 && !end.Equal(once) {
			t.Errorf("from %v: %v in two steps, %v in one", from, end, once)
		}
		if got := c.BusinessTime(from, once); got != first+second {
			t.Errorf("from %v to %v there are %v; want %v", from, once, got, first+second)
		}
	})
}

// BenchmarkIsBusinessDay: under 5 µs, so that it may be asked for each alert.
func BenchmarkIsBusinessDay(b *testing.B) {
	c := of(b, calendar.Config{Region: calendar.NSW})
	now := at(b, c, "2026-11-23 10:00")
	b.ReportAllocs()
	for b.Loop() {
		c.IsBusinessDay(now)
	}
}

// The time since the zero Time, and one that never ends, are counted within a moment, and are
// not negative.
func TestTimesThatCannotBe(t *testing.T) {
	c := of(t, calendar.Config{Region: calendar.NSW})
	year := func(y int) time.Time { return time.Date(y, time.January, 1, 0, 0, 0, 0, c.Zone()) }
	assert.Equal(t, c.BusinessTime(year(1900), year(1902)), c.BusinessTime(time.Time{}, year(1902)))
	assert.Equal(t, c.BusinessTime(year(2198), year(2200)), c.BusinessTime(year(2198), year(9999)))
	_, err := c.AddBusinessTime(time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC), math.MaxInt64)
	assert.ErrorContains(t, err, "100,000 hours")
}
