package railway

// Waiting returns how many events wait for Run.
func Waiting(w *Webhook) int { return len(w.queue) }
