package sqlhealth

// The encodings of the database, for tests.
var (
	EncodeLatencies = encodeLatencies
	DecodeLatencies = decodeLatencies
	EncodeResult    = encodeResult
	DecodeResult    = decodeResult
)
