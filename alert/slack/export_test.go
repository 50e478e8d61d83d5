package slack

// For fuzzing of what foreign bytes and texts go through.
var (
	ParseActions = parseActions
	Fit          = fit
	Sections     = sections
)
