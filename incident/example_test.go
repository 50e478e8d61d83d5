package incident_test

import (
	"fmt"
	"time"

	"go.acu.edu.au/runbook/incident"
)

// What is wrong with an announcement is found before anything is sent.
func ExampleAnnouncement_Validate() {
	a := incident.Announcement{Key: "saturday maintenance", Subject: "Maintenance", Message: "From 22:00 to 23:00.", Start: time.Now()}
	fmt.Println(a.Validate())
	// Output:
	// incident: announcement: the key must be 1 to 64 letters, digits, dots, hyphens and underscores
	// incident: announcement: Start is required and must be before End
}
