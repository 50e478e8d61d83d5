package webhook

// For the vector of the specification.
var (
	Key       = key
	Signature = signature
)
