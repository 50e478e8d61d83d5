package send

import (
	"slices"

	"go.acu.edu.au/runbook/alert"
)

// Repeated is how a message says that it may be a repetition.
const Repeated = "Possible repeat: the answer to an earlier attempt was lost, so that this may have come before."

// Text is the text of a notification, which says so if it may be a repetition.
func Text(n alert.Notification) string {
	if n.PossibleRepeat {
		return Repeated + "\n\n" + n.Text
	}
	return n.Text
}

// maxAlerts is how many alerts a notification has at most. What fires comes first.
const maxAlerts = 30

// Taken returns who takes care of what fires, and whether everything that fires is taken
// care of. Of more alerts than a notification has that is not known.
func Taken(n alert.Notification) (by []string, all bool) {
	open, firing := 0, 0
	for _, a := range n.Alerts {
		if a.State == alert.Resolved {
			continue
		}
		firing++
		if a.Acknowledged == nil {
			open++
		} else if name := Line(a.Acknowledged.By); !slices.Contains(by, name) {
			by = append(by, name)
		}
	}
	return by, firing > 0 && open == 0 && firing < maxAlerts
}
