package incident

import (
	"fmt"
	"time"

	"go.acu.edu.au/runbook/alert"
)

// take notes what a notification says of the alerts of an incident.
func (d *draft) take(g *alertGroup, n alert.Notification) {
	for _, a := range g.firing {
		d.fires(a, g.binding, n)
	}
	firing := make(map[string]bool)
	for _, a := range n.Alerts {
		i := d.inc.link(a.Key)
		if a.State == alert.Firing {
			firing[a.Key] = true
			if i >= 0 && !d.inc.State.Open() {
				d.stillFires(a, d.inc.Alerts[i], n)
			}
		}
		if i < 0 {
			continue
		}
		if a.State == alert.Resolved {
			at := endedAt(a, n.At)
			if l := d.inc.Alerts[i]; firedAt(a, time.Time{}).Equal(l.Fired) && at.Before(l.Fired) {
				at = l.Fired // the clock was set back in between
			}
			d.ends(i, at)
		}
		d.alertAcknowledged(i, a)
	}
	// A notification names all that still fires, up to 30: what is not in it is over.
	if complete := n.Kind == alert.KindResolved || len(n.Alerts) < 30; complete {
		for i, l := range d.inc.Alerts {
			if l.Conversation == n.Key && !firing[l.Key] {
				d.ends(i, endedAt(alert.Alert{}, n.At))
			}
		}
	}
	d.calm()
}

// fires notes that an alert fires.
func (d *draft) fires(a alert.Alert, b *Binding, n alert.Notification) {
	fired := firedAt(a, n.At)
	i := d.inc.link(a.Key)
	worse := false
	switch {
	case i < 0 && len(d.inc.Alerts) >= maxAlerts:
		d.m.cfg.Logger.Warn("incident: an incident has so many alerts that another one is not linked", "incident", d.inc.ID, "rule", a.Rule, "entity", a.Entity)
		return
	case i < 0:
		i, worse = len(d.inc.Alerts), true
		d.inc.Alerts = append(d.inc.Alerts, linkTo(a, fired))
		d.addEntry(Entry{Key: alertKey("fired", a.Key, fired), At: fired, Kind: entryFired, Text: aboutAlert(a)}, entryData{Alert: a.Key, Severity: WorseSeverity(a.Severity)})
		d.hurts(a)
	case fired.After(d.inc.Alerts[i].Fired):
		l := &d.inc.Alerts[i]
		l.Fired, l.Ended, l.AckOwed, l.StillTold = fired, time.Time{}, false, false
		l.Times++
		worse = true
		d.addEntry(Entry{Key: alertKey("fired", a.Key, fired), At: fired, Kind: entryAgain, Text: aboutAlert(a)}, entryData{Alert: a.Key, Severity: WorseSeverity(a.Severity)})
		d.hurts(a)
	case !d.inc.Alerts[i].Ended.IsZero():
		return // it is being told again what was so before it ended
	}
	l := &d.inc.Alerts[i]
	l.Conversation = n.Key
	if s := WorseSeverity(a.Severity); s < l.Severity {
		worse = true
		l.Severity = s
		d.addEntry(Entry{At: d.now, Kind: entryWorse, Text: "an alert became " + s.String() + ": " + aboutAlert(a)}, entryData{Alert: a.Key, Severity: s})
	}
	if worse {
		d.raise(b.severity(a), a)
	}
}

// hurts notes that users are hurt again, if they were not any more.
func (d *draft) hurts(a alert.Alert) {
	if d.inc.State == Mitigated {
		d.unmitigate("an alert fires: " + aboutAlert(a))
	}
}

// raise makes the incident as severe as an alert of it, unless a person chose its
// severity.
func (d *draft) raise(s alert.Severity, a alert.Alert) {
	switch {
	case s >= d.inc.Severity:
	case d.inc.SeverityBy != "":
		d.add(entryNote, fmt.Sprintf("an alert is %s, and %s chose %s, which stays: %s", s, d.inc.SeverityBy, d.inc.Severity, aboutAlert(a)), entryData{Alert: a.Key})
	default:
		d.setSeverity(s, "an alert is worse: "+aboutAlert(a))
	}
}

// stillFires notes that an alert goes on firing although its incident was closed, once
// for each time that it fires.
func (d *draft) stillFires(a alert.Alert, l LinkedAlert, n alert.Notification) {
	if l.Ended.IsZero() && !l.StillTold && !firedAt(a, n.At).After(l.Fired) {
		d.inc.Alerts[d.inc.link(a.Key)].StillTold = true
		d.addEntry(Entry{
			Key: alertKey("still", a.Key, l.Fired) + fmt.Sprint("/", d.inc.Reopens), At: d.now, Kind: entryStill,
			Text: "an alert still fires although this was " + string(d.inc.State) + ": " + aboutAlert(a),
		}, entryData{Alert: a.Key})
	}
}

// ends notes that an alert has ended.
func (d *draft) ends(i int, at time.Time) {
	l := &d.inc.Alerts[i]
	if !l.Ended.IsZero() || at.Before(l.Fired) {
		return
	}
	l.Ended, l.AckOwed = at, false
	text := fmt.Sprintf("after %v it is over: %s", at.Sub(l.Fired).Round(time.Second), l.about())
	d.addEntry(Entry{Key: alertKey("ended", l.Key, l.Fired), At: at, Kind: entryEnded, Text: text}, entryData{Alert: l.Key})
}

// alertAcknowledged makes the acknowledgement of an alert one of its incident, once. It
// is not sent back to where it comes from.
func (d *draft) alertAcknowledged(i int, a alert.Alert) {
	ack, l := a.Acknowledged, &d.inc.Alerts[i]
	if ack == nil || a.State != alert.Firing || !l.Ended.IsZero() {
		return
	}
	at := ack.At.UTC().Truncate(time.Microsecond)
	if !at.After(l.Acknowledged) {
		return
	}
	l.Acknowledged, l.AckOwed = at, false
	by := cleanLine(ack.By)
	known := d.inc.AcknowledgedBy != "" && (d.inc.AcknowledgedBy == by || !at.After(d.inc.AckAt))
	if by == "" || known || !d.inc.State.Open() {
		return
	}
	at = minTime(at, d.now)
	if from := d.inc.from(); at.Before(from) {
		at = from
	}
	expires := d.m.expiry(at, 0)
	if !expires.IsZero() && !d.now.Before(expires) {
		return // it is long ago
	}
	d.as(author{by, true}, func() {
		if err := d.acknowledge(acknowledgement{by: by, comment: cleanWords(ack.Comment, maxWords), at: at, expires: expires}); err != nil {
			d.m.cfg.Logger.Warn("incident: the acknowledgement of an alert is not one of its incident", "incident", d.inc.ID, "error", err)
		}
	})
}

// as makes a part of a change in the name of somebody else.
func (d *draft) as(who author, do func()) {
	by, isPerson := d.by, d.person
	d.by, d.person = who.name, who.person
	do()
	d.by, d.person = by, isPerson
}

// calm notes that no alert fires any more, or that one does.
func (d *draft) calm() {
	if len(d.inc.Alerts) == 0 || d.inc.fires() {
		d.inc.AlertsEnded = time.Time{}
		return
	}
	if !d.inc.AlertsEnded.IsZero() {
		return
	}
	for _, l := range d.inc.Alerts {
		if l.Ended.After(d.inc.AlertsEnded) {
			d.inc.AlertsEnded = l.Ended
		}
	}
	switch {
	case !d.inc.State.Open():
	case d.m.cfg.AutoResolve:
		// It is open, so this cannot be refused.
		if err := d.resolve("", "", "resolved, since none of its alerts fires any more"); err != nil {
			d.m.cfg.Logger.Error("incident: not resolved", "incident", d.inc.ID, "error", err)
		}
	default:
		d.addEntry(Entry{At: d.inc.AlertsEnded, Kind: entryAllEnded, Text: "none of its alerts fires any more; resolve it if it is over"}, entryData{})
	}
}

// linkTo returns an alert as it is linked to an incident.
func linkTo(a alert.Alert, fired time.Time) LinkedAlert {
	l := LinkedAlert{
		Key: a.Key, Rule: cleanShort(a.Rule), Entity: cleanShort(a.Entity), Severity: WorseSeverity(a.Severity), Summary: cleanShort(a.Summary),
		Fired: fired, Times: 1,
	}
	if a.State == alert.Resolved {
		l.Ended = endedAt(a, fired)
	}
	return l
}

// about says in a line what an alert is about.
func (l LinkedAlert) about() string {
	text := l.Summary
	if text == "" {
		text = l.Rule
	}
	if l.Entity != "" {
		text += " (" + l.Entity + ")"
	}
	return text
}

func aboutAlert(a alert.Alert) string { return linkTo(a, a.Fired).about() }

// alertKey is the key of an entry about one time that an alert fires.
func alertKey(what, key string, fired time.Time) string {
	return fmt.Sprintf("%s/%s/%d", what, key, fired.UnixMicro())
}

// endedAt returns when an alert was over, or another time if it does not say.
func endedAt(a alert.Alert, or time.Time) time.Time {
	if !a.Ended.IsZero() {
		or = a.Ended
	}
	return or.UTC().Truncate(time.Microsecond)
}

func minTime(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}
