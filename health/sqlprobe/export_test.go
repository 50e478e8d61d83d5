package sqlprobe

// Parsers of foreign text, for tests.
var (
	OneLine  = oneLine
	ToNumber = toNumber
)
