package send

import "go.acu.edu.au/runbook/alert"

// Repeated is how a message says that it may be a repetition.
const Repeated = "Possible repeat: the answer to an earlier attempt was lost, so that this may have come before."

// Text is the text of a notification, which says so if it may be a repetition.
func Text(n alert.Notification) string {
	if n.PossibleRepeat {
		return Repeated + "\n\n" + n.Text
	}
	return n.Text
}
