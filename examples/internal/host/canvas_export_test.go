package host

import (
	"time"

	"go.acu.edu.au/runbook/canvas/canvasprobe"
)

// Announcements are what is followed of a page.
type Announcements = announcements

// Follow takes what the page says.
func (all announcements) Follow(s canvasprobe.Summary, now time.Time) Announcements {
	return all.follow(s, now)
}
