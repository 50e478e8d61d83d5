package alert

// A Ticket is how far a ticket is, as the system that keeps it says. The notifiers that
// keep tickets have a method State that reads it back:
//
//	State(ctx context.Context, receipt Receipt) (Ticket, error)
//
// They open a ticket with the first notification of a conversation, comment on it with
// those that follow, and resolve it with the last.
type Ticket struct {
	// ID is what people call it: "OPS-42".
	ID string `json:"id"`
	// URL is where people read it.
	URL string `json:"url"`
	// State is its state in the words, or the number, of the system: "In Progress".
	State string `json:"state"`
	// Done means that nobody works on it any more.
	Done bool `json:"done"`
}
