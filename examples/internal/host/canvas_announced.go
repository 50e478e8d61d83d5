package host

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"time"

	"go.acu.edu.au/runbook/canvas/canvasprobe"
)

// Bounds of what is believed of a status page: it is not ours, and can be wrong, or broken
// into. What it says mutes nothing but Canvas, and that only for so long.
const (
	farthest       = 60 * 24 * time.Hour // what is further ahead is taken when it is nearer
	longestWindow  = 48 * time.Hour      // what is to last longer is left to people
	mostAnnounced  = 10                  // that are followed at once, and left to people at once
	mostMuted      = 72 * time.Hour      // of all that are followed
	mostChanges    = 30                  // within a day that people are told of; then the page is not believed
	rememberedOver = 7 * 24 * time.Hour  // what is over is known for, so that it does not begin anew
	longestName    = 80                  // characters of a name that are shown
)

// What has become of an announcement. Empty means that it is ahead, or under way.
const (
	announcedOff  = "called off"
	announcedOver = "over"
	announcedLeft = "left to people" // longer than is believed
)

// An announcement is a maintenance that the operator of Canvas announces, and what was done
// about it. It is kept in the store, so that a restart or another replica goes on with it.
type announcement struct {
	// Key names it: a digest, since what the page has as its ID is the page's.
	Key string `json:"key"`
	// Name and URL are for operators alone. They are foreign text, and cut.
	Name string `json:"name"`
	URL  string `json:"url,omitempty"`
	// From and To are when it is to be. Early is when it began, if that was before.
	From  time.Time `json:"from"`
	To    time.Time `json:"to"`
	Early time.Time `json:"early,omitzero"`
	// Begun says that its operator said that it is under way.
	Begun bool `json:"begun,omitempty"`
	// State is what has become of it, since Ended.
	State string    `json:"state,omitempty"`
	Ended time.Time `json:"ended,omitzero"`
	// Gone is when it was missing on the page first. It is gone only if it is missing again.
	Gone time.Time `json:"gone,omitzero"`
	// Revision counts the times for which it was announced to begin: each has a run of its
	// own. Edition counts what people have to be told of. Moved says that it was announced for
	// another time before.
	Revision int  `json:"revision"`
	Edition  int  `json:"edition"`
	Moved    bool `json:"moved,omitempty"`
	// Told is the edition that operators and the status page know, Noticed the one that users
	// were told of, or were to be. Offered is the revision of which the run was offered, and
	// Missed the one of which people were told that it did not begin.
	Told    int `json:"told,omitempty"`
	Noticed int `json:"noticed,omitempty"`
	Offered int `json:"offered,omitempty"`
	Missed  int `json:"missed,omitempty"`
	// Off says that users were told that it is called off, Closed that the status page has it
	// as over.
	Off    bool `json:"off,omitempty"`
	Closed bool `json:"closed,omitempty"`
	// Silences are those of the router, and SilentTo when they end.
	Silences []string  `json:"silences,omitempty"`
	SilentTo time.Time `json:"silent_to,omitzero"`
}

// announcements are all that are known of a page.
type announcements struct {
	All []announcement `json:"all"`
	// Day is that of Changes, the number of changes on it that people were to be told of.
	Day     string `json:"day,omitempty"`
	Changes int    `json:"changes,omitempty"`
	// Crowd is how many were left out last since they are too many, and CrowdTold, FloodTold
	// the days on which people were told of that, and that there are too many changes.
	Crowd     int    `json:"crowd,omitempty"`
	CrowdTold string `json:"crowd_told,omitempty"`
	FloodTold string `json:"flood_told,omitempty"`
}

// start is when it begins, or began.
func (a announcement) start() time.Time {
	if !a.Early.IsZero() && a.Early.Before(a.From) {
		return a.Early
	}
	return a.From
}

// begun reports whether it has begun.
func (a announcement) begun(now time.Time) bool { return a.Begun || !now.Before(a.From) }

// keyOf names a maintenance by the page's ID of it or, if it has none, by its address or name.
func keyOf(m canvasprobe.Maintenance) string {
	sum := sha256.Sum256([]byte(cmp.Or(m.ID, m.URL, m.Name)))
	return hex.EncodeToString(sum[:8])
}

// follow takes what the page says now. Nothing is changed if it says what it said. It does not
// change what it was made from.
func (all announcements) follow(s canvasprobe.Summary, now time.Time) announcements {
	next := all
	next.All = slices.Clone(all.All)
	if day := now.UTC().Format(time.DateOnly); next.Day != day {
		next.Day, next.Changes = day, 0
	}
	said := saidOf(s)
	for i := range next.All {
		a := &next.All[i]
		m, there := said[a.Key]
		delete(said, a.Key)
		next.update(a, m, there, s.Time, now)
	}
	next.bound(now)
	next.All = slices.DeleteFunc(next.All, func(a announcement) bool {
		return a.State != "" && now.Sub(a.Ended) > rememberedOver && now.After(a.To)
	})
	fresh := make([]canvasprobe.Maintenance, 0, len(said))
	for _, m := range said {
		// What is announced only once it has begun was not announced to anybody: it is an
		// outage that has a name, and people are told as of any.
		if m.From.After(now) && m.From.Sub(now) <= farthest {
			fresh = append(fresh, m)
		}
	}
	slices.SortFunc(fresh, func(a, b canvasprobe.Maintenance) int {
		return cmp.Or(a.From.Compare(b.From), strings.Compare(keyOf(a), keyOf(b)))
	})
	next.Crowd = 0
	for _, m := range fresh {
		if !next.take(m, now) {
			next.Crowd++
		}
	}
	return next
}

// bound leaves to people what would mute more than is muted, the last to begin first.
func (all *announcements) bound(now time.Time) {
	order := make([]*announcement, 0, len(all.All))
	for i := range all.All {
		if all.All[i].State == "" {
			order = append(order, &all.All[i])
		}
	}
	slices.SortFunc(order, func(a, b *announcement) int { return a.From.Compare(b.From) })
	var muted time.Duration
	for _, a := range order {
		if muted += a.To.Sub(a.From); muted > mostMuted {
			muted -= a.To.Sub(a.From)
			a.State, a.Ended = announcedLeft, now
			all.changed(a)
		}
	}
}

// saidOf returns what a page says of maintenances that can be at all, by their keys.
func saidOf(s canvasprobe.Summary) map[string]canvasprobe.Maintenance {
	said := make(map[string]canvasprobe.Maintenance)
	for _, m := range s.Maintenances {
		m.From, m.Until = m.From.UTC(), m.Until.UTC()
		key := keyOf(m)
		if _, twice := said[key]; twice || m.From.IsZero() || !m.Until.After(m.From) || m.Until.Year() > 9000 {
			continue
		}
		said[key] = m
	}
	return said
}

// take begins to follow what is announced anew. False means that there are too many.
func (all *announcements) take(m canvasprobe.Maintenance, now time.Time) bool {
	a := announcement{Key: keyOf(m), Name: shortName(m.Name), URL: shownURL(m.URL), From: m.From, To: m.Until, Revision: 1, Edition: 1}
	followed, left, muted := 0, 0, m.Until.Sub(m.From)
	for _, other := range all.All {
		switch other.State {
		case "":
			followed++
			muted += other.To.Sub(other.From)
		case announcedLeft:
			left++
		}
	}
	switch {
	case all.Changes >= mostChanges:
		return false
	case m.Until.Sub(m.From) > longestWindow && left < mostAnnounced:
		a.State, a.Ended = announcedLeft, now
	case m.Until.Sub(m.From) > longestWindow, followed >= mostAnnounced, muted > mostMuted:
		return false
	}
	all.Changes++
	all.All = append(all.All, a)
	return true
}

// update takes what the page says of what is known. read is when it was read.
func (all *announcements) update(a *announcement, m canvasprobe.Maintenance, there bool, read, now time.Time) {
	switch {
	case !there && a.State != "":
	case !there && a.Gone.IsZero():
		a.Gone = read
	case !there && read.After(a.Gone):
		a.State, a.Ended = announcedOver, now
		if !a.begun(now) {
			a.State = announcedOff
			all.changed(a)
		}
	case !there:
	case a.State != "":
		all.revive(a, m, now)
	default:
		a.Gone = time.Time{}
		all.move(a, m, now)
	}
}

// changed notes that people are to be told. Of a page that changes too often they are not.
func (all *announcements) changed(a *announcement) {
	all.Changes++
	if all.Changes <= mostChanges {
		a.Edition++
	}
}

// revive takes up what was over or called off, or was too long, and is announced again.
func (all *announcements) revive(a *announcement, m canvasprobe.Maintenance, now time.Time) {
	if !m.From.After(now) || m.Until.Sub(m.From) > longestWindow || all.Changes >= mostChanges {
		return
	}
	again := *a
	*a = announcement{
		Key: a.Key, Name: shortName(m.Name), URL: shownURL(m.URL), From: m.From, To: m.Until,
		Revision: a.Revision + 1, Edition: a.Edition, Moved: !again.From.Equal(m.From), Told: a.Told, Noticed: a.Noticed, Offered: a.Offered, Missed: a.Missed,
	}
	all.changed(a)
}

// move takes other times of what is ahead or under way.
func (all *announcements) move(a *announcement, m canvasprobe.Maintenance, now time.Time) {
	until, before := m.Until, *a
	if m.Active() && !a.Begun {
		a.Begun = true
		if now.Before(a.From) {
			a.Early = now
		}
	}
	if !m.From.Equal(a.From) && (!a.begun(now) || m.From.After(now) && !m.Active()) {
		a.From, a.Early, a.Begun, a.Moved = m.From, time.Time{}, m.Active(), true
		a.Revision++
	}
	switch {
	case until.Sub(a.From) <= longestWindow:
		a.To = until
	case a.begun(now):
		a.To = a.From.Add(longestWindow)
	default:
		a.To, a.State, a.Ended = until, announcedLeft, now
	}
	if !a.To.After(a.start()) {
		a.To = before.To
	}
	if !a.From.Equal(before.From) || !a.To.Equal(before.To) || a.State != before.State {
		all.changed(a)
	}
	a.Name, a.URL = shortName(m.Name), shownURL(m.URL)
}

// shortName is a foreign name as it is shown to operators.
func shortName(name string) string {
	r := []rune(name)
	if len(r) > longestName {
		return string(r[:longestName]) + "…"
	}
	return name
}

// shownURL is the address of an announcement, if it looks like one and nothing else.
func shownURL(url string) string {
	odd := func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune("<>|\"'`()[]*", r) }
	if !strings.HasPrefix(url, "https://") || len(url) > 120 || strings.ContainsFunc(url, odd) {
		return ""
	}
	return url
}
