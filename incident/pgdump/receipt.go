package pgdump

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"time"
)

// Format is what a receipt of this package says it is.
const Format = "runbook-pgdump/1"

// Receipt describes a dump that is whole. It has no secret and no data, but the
// names of tables. Keep it apart from the dump, where whoever can replace the
// dump cannot replace the receipt: it is what tells one from another.
type Receipt struct {
	// Format is [Format].
	Format string `json:"format"`
	// Started is when the dump was begun, about the moment that it shows.
	Started time.Time `json:"started"`
	// Duration is how long it took, in nanoseconds in JSON.
	Duration time.Duration `json:"duration_ns"`
	// Database is the name of the database.
	Database string `json:"database"`
	// ServerVersion and DumpVersion are the versions of the server and of pg_dump.
	ServerVersion string `json:"server_version"`
	DumpVersion   string `json:"pg_dump_version"`
	// PlainBytes and PlainSHA256 are the size and the hash, in lower-case
	// hexadecimal, of the archive; CipherBytes and CipherSHA256 those of what was
	// written.
	PlainBytes   int64  `json:"plain_bytes"`
	PlainSHA256  string `json:"plain_sha256"`
	CipherBytes  int64  `json:"cipher_bytes"`
	CipherSHA256 string `json:"cipher_sha256"`
	// Tables are the tables of the dump, sorted. Rows are not counted when a
	// dump is made, since that would read everything twice; see [Contents].
	Tables []TableName `json:"tables"`
}

// TableName is the name of a table.
type TableName struct {
	// Schema and Name are the parts of the name, unquoted.
	Schema string `json:"schema"`
	Name   string `json:"name"`
}

// String returns schema.name, for people.
func (n TableName) String() string { return n.Schema + "." + n.Name }

// MaxReceipt is how long a receipt may be in JSON.
const MaxReceipt = 16 << 20

var digestPattern = regexp.MustCompile(`^[0-9a-f]{64}$`)

// ParseReceipt reads the JSON of a receipt. A field that is not known, or one
// that cannot be, is an error: half a receipt proves nothing.
func ParseReceipt(text []byte) (Receipt, error) {
	if len(text) > MaxReceipt {
		return Receipt{}, fmt.Errorf("pgdump: receipt: longer than %d bytes", MaxReceipt)
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	var r Receipt
	if err := decoder.Decode(&r); err != nil {
		return Receipt{}, fmt.Errorf("pgdump: receipt: not the JSON of a receipt: %s", quote(err.Error()))
	}
	if _, err := decoder.Token(); err != io.EOF {
		return Receipt{}, errors.New("pgdump: receipt: something follows the JSON object")
	}
	if err := r.check(); err != nil {
		return Receipt{}, err
	}
	return r, nil
}

func (r *Receipt) check() error {
	var problems []error
	if r.Format != Format {
		problems = append(problems, fmt.Errorf("pgdump: receipt: format %s is not %s", quote(r.Format), Format))
	}
	if r.Started.IsZero() || r.Duration < 0 {
		problems = append(problems, errors.New("pgdump: receipt: started and duration_ns are not those of a dump"))
	}
	if r.PlainBytes <= 0 || r.CipherBytes <= r.PlainBytes {
		problems = append(problems, errors.New("pgdump: receipt: plain_bytes and cipher_bytes are not sizes of a dump"))
	}
	if !digestPattern.MatchString(r.PlainSHA256) || !digestPattern.MatchString(r.CipherSHA256) {
		problems = append(problems, errors.New("pgdump: receipt: plain_sha256 or cipher_sha256 is not a hash of 64 lower-case hexadecimal digits"))
	}
	return errors.Join(problems...)
}
