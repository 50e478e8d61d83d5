package alert

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// A Silence keeps people from being told that something began. Rules go on being
// evaluated, the alerts are listed with the reason, and the end of what was told
// before is told.
type Silence struct {
	// ID names it; given by the router.
	ID string `json:"id"`
	// Match chooses the alerts. It must not match everything.
	Match Matcher `json:"match"`
	// By is who wants it, Comment why. Both are required: others will ask.
	By      string `json:"by"`
	Comment string `json:"comment"`
	// Begins and Ends are when. Zero Begins means now. Ends is required, and at most 30
	// days after.
	Begins time.Time `json:"begins"`
	Ends   time.Time `json:"ends"`
	// UntilResolved ends it also when the last alert that it matches is over.
	UntilResolved bool `json:"until_resolved,omitempty"`

	// Begun and Ending are whether the notices were given.
	Begun  bool `json:"begun,omitempty"`
	Ending bool `json:"ending,omitempty"`
}

func (s Silence) validate(now time.Time) error {
	var problems []error
	if s.Match.isZero() {
		problems = append(problems, errors.New("alert: silence: it would match everything"))
	}
	if err := s.Match.validate(); err != nil {
		problems = append(problems, fmt.Errorf("alert: silence: %w", err))
	}
	if s.By == "" || s.Comment == "" {
		problems = append(problems, errors.New("alert: silence: who wants it or why is missing"))
	}
	if !storableTime(s.Begins) || !storableTime(s.Ends) {
		problems = append(problems, errors.New("alert: silence: its times are not of this calendar: years 0 to 9999"))
	}
	if !s.Ends.After(s.Begins) || !s.Ends.After(now) || s.Ends.Sub(s.Begins) > 30*24*time.Hour {
		problems = append(problems, errors.New("alert: silence: it must end in the future, after it begins, and after 30 days at most"))
	}
	return errors.Join(problems...)
}

func (s Silence) active(now time.Time) bool { return !now.Before(s.Begins) && now.Before(s.Ends) }

// Silence begins a silence and returns it with its ID.
func (r *Router) Silence(ctx context.Context, s Silence) (Silence, error) {
	now := time.Now()
	if s.Begins.IsZero() {
		s.Begins = now
	}
	if err := s.validate(now); err != nil {
		return Silence{}, err
	}
	if err := r.begin(ctx, "silence"); err != nil {
		return Silence{}, err
	}
	s.ID, s.Begun, s.Ending, s.Match = rand.Text(), false, false, s.Match.clone()
	r.silences[s.ID] = s
	r.touch("silence", s.ID)
	r.lookMuted = true
	s.Match = s.Match.clone()
	return s, r.unlockAndStore(ctx)
}

// ErrNoSilence means that there is no silence of that ID.
var ErrNoSilence = errors.New("no such silence")

// EndSilence ends a silence: what it muted, and still fires, is told now.
func (r *Router) EndSilence(ctx context.Context, id, by string) error {
	now := time.Now()
	if err := r.begin(ctx, "end silence"); err != nil {
		return err
	}
	s, ok := r.silences[id]
	if !ok {
		r.mu.Unlock()
		return fmt.Errorf("alert: end silence: %w", ErrNoSilence)
	}
	r.endSilence(s, "ended it", by, now)
	return r.unlockAndStore(ctx)
}

func (r *Router) endSilence(s Silence, why, by string, now time.Time) {
	delete(r.silences, s.ID)
	r.touch("silence", s.ID)
	r.lookMuted = true
	if s.Begun { // or nobody was told of it
		r.notice(s, silenceOver, line(by+" "+why), now)
	}
}

// Silences returns the silences that there are, the next to end first.
func (r *Router) Silences() []Silence {
	r.mu.Lock()
	defer r.mu.Unlock()
	var list []Silence
	for _, s := range r.silences {
		s.Match = s.Match.clone()
		list = append(list, s)
	}
	slices.SortFunc(list, func(a, b Silence) int {
		return cmp.Or(a.Ends.Compare(b.Ends), strings.Compare(a.ID, b.ID))
	})
	return list
}

// endSilencesOf ends the silences that were to last as long as an alert.
func (r *Router) endSilencesOf(over *Alert, now time.Time) {
	for _, s := range r.silences {
		if s.UntilResolved && s.Match.matches(over) && !r.fires(s.Match) {
			r.endSilence(s, "what it was for is over", "", now)
		}
	}
}

// fires reports whether an alert that a matcher chooses fires.
func (r *Router) fires(m Matcher) bool {
	for _, t := range r.alerts {
		if t.alert.State == Firing && m.matches(&t.alert) {
			return true
		}
	}
	return false
}

// noticeBefore is how long before its end people are told of a silence.
const noticeBefore = 10 * time.Minute

// silenceNotices tells of silences that begin, end soon, or are over.
func (r *Router) silenceNotices(now time.Time) {
	for _, s := range r.silences {
		switch {
		case !now.Before(s.Ends):
			r.endSilence(s, "its time is over", "", now)
			continue
		case !s.Begun && s.active(now):
			s.Begun = true
			r.lookMuted = true
			r.notice(s, silenceBegins, "", now)
		case s.Begun && !s.Ending && s.isLong() && s.Ends.Sub(now) <= noticeBefore:
			s.Ending = true
			r.notice(s, silenceEnds, "", now)
		default:
			continue
		}
		r.silences[s.ID] = s
		r.touch("silence", s.ID)
	}
}

// isLong reports whether people are told before it ends.
func (s Silence) isLong() bool { return s.Ends.Sub(s.Begins) > 2*noticeBefore }

// nextSilence returns when there is something to tell of a silence.
func (r *Router) nextSilence() (next time.Time) {
	for _, s := range r.silences {
		at := s.Ends
		switch {
		case !s.Begun:
			at = s.Begins
		case !s.Ending && s.isLong():
			at = s.Ends.Add(-noticeBefore)
		}
		if next.IsZero() || at.Before(next) {
			next = at
		}
	}
	return next
}

type silenceEvent uint8

const (
	silenceBegins silenceEvent = iota
	silenceEnds
	silenceOver
)

// notice tells of a silence those who are told of them.
func (r *Router) notice(s Silence, what silenceEvent, why string, now time.Time) {
	if len(r.cfg.Notices) == 0 {
		return
	}
	var firing []*Alert
	for _, t := range r.alerts {
		if t.alert.State == Firing && s.Match.matches(&t.alert) {
			firing = append(firing, &t.alert)
		}
	}
	slices.SortFunc(firing, worstFirst)
	title, text := view{now, r.cfg.Zone}.silence(s, what, why, firing)
	for _, name := range r.cfg.Notices {
		r.queue(r.targets[name], "silence:"+s.ID, queued{Kind: KindNotice, Title: title, Text: text, Last: what == silenceOver}, now)
	}
}

// whyMuted says why a target is not told that an alert fires, or nothing.
func (r *Router) whyMuted(t *tracked, th *thread, now time.Time) string {
	a := &t.alert
	tg := th.target
	if len(tg.Severities) > 0 && !slices.Contains(tg.Severities, a.Severity) {
		return "the target is not told of severity " + a.Severity.String()
	}
	if tg.Pages && !r.pages(a.Environment) {
		return strings.TrimSpace("nobody is paged for environment " + a.Environment)
	}
	if tg.Pages && !escalates(tg.Notifier) {
		if by := r.pagedBy(t, now); by != "" {
			return "target " + by + " pages, and goes on until somebody acknowledges"
		}
	}
	if s := r.silenceOf(a, now); s != nil {
		return fmt.Sprintf("silenced by %s until %s: %s", s.By, view{now, r.cfg.Zone}.clock(s.Ends), s.Comment)
	}
	for i := range r.cfg.Maintenance {
		if m := &r.cfg.Maintenance[i]; m.Window.Contains(now) && m.Match.matches(a) {
			return strings.TrimSpace("maintenance " + m.Window.Name)
		}
	}
	if by := r.explainedBy(t); by != nil {
		return strings.TrimSpace("explained by " + by.alert.Rule + " " + by.alert.Entity)
	}
	if a.Severity > tg.QuietUnless {
		for _, w := range tg.Quiet {
			if w.Contains(now) {
				return "quiet hours"
			}
		}
	}
	return ""
}

// pages reports whether people are paged for an environment.
func (r *Router) pages(environment string) bool {
	return slices.ContainsFunc(r.cfg.PageEnvironments, func(e string) bool { return strings.EqualFold(e, environment) })
}

// silenceOf returns the silence that mutes an alert, the last to end if there are several.
func (r *Router) silenceOf(a *Alert, now time.Time) (last *Silence) {
	for _, s := range r.silences {
		if s.active(now) && s.Match.matches(a) && (last == nil || s.Ends.After(last.Ends)) {
			last = &s
		}
	}
	return last
}
