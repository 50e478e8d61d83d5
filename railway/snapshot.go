package railway

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"maps"
	"slices"
	"time"

	"filippo.io/age"

	"go.acu.edu.au/runbook/incident"
)

// snapshotFormat and snapshotVersion are at the beginning of each snapshot, inside
// of what is encrypted.
const (
	snapshotFormat  = "go.acu.edu.au/runbook/railway: configuration of an environment"
	snapshotVersion = 1
	maxSnapshot     = 64 << 20
)

// A SealedValue names a variable whose value nobody can read.
type SealedValue struct {
	// Service is the name of the service; empty for a shared variable.
	Service string
	// Name is the name of the variable.
	Name string
}

// String returns "service.NAME", and "shared.NAME" for a shared variable.
func (v SealedValue) String() string { return cmp.Or(v.Service, "shared") + "." + v.Name }

func compareSealed(a, b SealedValue) int {
	return cmp.Or(cmp.Compare(a.Service, b.Service), cmp.Compare(a.Name, b.Name))
}

// A SnapshotReport says what is in a snapshot. It has no values in it, and is kept
// beside the snapshot and in another place as well.
type SnapshotReport struct {
	// Environment is what it is of, and Time when it was taken.
	Environment Named
	Time        time.Time
	// Version is that of the format.
	Version int
	// Size is how many bytes were written, and SHA256 their hash, in lower case
	// hexadecimal digits. Both are of the encrypted bytes.
	Size   int64
	SHA256 string
	// Services are the names of the services, in order, and Variables how many
	// variables could be read.
	Services  []string
	Variables int
	// Sealed are the variables that are in it without their values, in order. Whoever
	// restores it has to have the values from elsewhere.
	Sealed []SealedValue
	// Masked are settings that Railway does not show, such as the password of a
	// registry of images: "api.deploy.registryCredentials". They are not in it.
	Masked []string
}

// Snapshot writes the whole configuration of the environment to w: the settings of
// all services, also those that this package does not know, and all variables with
// their values, raw. It is encrypted with age for the recipients, of which there
// must be one at least. It takes three calls, does not close w, and changes nothing.
//
// Not in it are the values that are sealed, what is staged, and data: that of volumes
// is a matter of backups and dumps. After an error, what was written is no snapshot.
func (e *Environment) Snapshot(ctx context.Context, w io.Writer, recipients ...age.Recipient) (SnapshotReport, error) {
	o := e.c.hiding("take a snapshot of environment %s", e)
	if len(recipients) == 0 {
		return SnapshotReport{}, o.refuse(nil, "it has no recipient: it would not be encrypted, and is full of secrets")
	}
	config, err := e.configuration(ctx, o)
	if err != nil {
		return SnapshotReport{}, err
	}
	file := snapshotFile{
		Format: snapshotFormat, Version: snapshotVersion, Time: time.Now().UTC(), Project: e.project,
		Environment: config.environment.ID, Name: config.environment.Name,
		Services: config.services, Sealed: config.sealed, Config: config.tree,
	}
	out := &hashing{w: w, hash: sha256.New()}
	if err := file.encrypt(out, recipients); err != nil {
		return SnapshotReport{}, &Error{Op: o.name, unrun: true, cause: err}
	}
	return SnapshotReport{
		Environment: config.environment, Time: file.Time, Version: file.Version, Size: out.size, SHA256: out.sum(),
		Services: slices.Sorted(maps.Values(config.services)), Variables: config.readable, Sealed: config.sealed, Masked: config.masked,
	}, nil
}

// snapshotFile is a snapshot as it is encrypted.
type snapshotFile struct {
	Format      string            `json:"format"`
	Version     int               `json:"version"`
	Time        time.Time         `json:"time"`
	Project     string            `json:"project"`
	Environment string            `json:"environment"`
	Name        string            `json:"name"`
	Services    map[string]string `json:"services"` // names by ID
	Sealed      []SealedValue     `json:"sealed"`
	Config      map[string]any    `json:"config"`
}

func (f snapshotFile) encrypt(w io.Writer, recipients []age.Recipient) error {
	to, err := age.Encrypt(w, recipients...)
	if err != nil {
		return fmt.Errorf("encrypt: %w", err)
	}
	if err := json.NewEncoder(to).Encode(f); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	return to.Close()
}

// hashing counts and hashes what goes through it.
type hashing struct {
	w    io.Writer
	hash hash.Hash
	size int64
}

// Write implements io.Writer.
func (h *hashing) Write(p []byte) (int, error) {
	n, err := h.w.Write(p)
	if n < 0 || n > len(p) {
		return 0, errors.New("the writer returned an impossible count")
	}
	_, _ = h.hash.Write(p[:n]) // a hash never fails
	h.size += int64(n)
	return n, err
}

func (h *hashing) sum() string { return hex.EncodeToString(h.hash.Sum(nil)) }

// A Snapshot is the configuration of an environment at one time. It holds secrets,
// which no formatter, logger or encoder shows. It may be used concurrently.
type Snapshot struct {
	// Environment is what it is of, and Time when it was taken.
	Environment Named
	Time        time.Time
	// SHA256 is the hash of the encrypted bytes that were read, to be compared with
	// that of the [SnapshotReport].
	SHA256 string

	file func() snapshotFile
}

// OpenSnapshot reads a snapshot to its end. The error is an incident.ErrNotPermitted
// if none of the identities can open it, and an incident.ErrUnsupported if it is of
// a newer format.
func OpenSnapshot(r io.Reader, identities ...age.Identity) (*Snapshot, error) {
	o := op{name: "open the snapshot"}
	in := &hashing{w: io.Discard, hash: sha256.New()}
	// What is encrypted is larger than what it holds by less than one hundredth.
	encrypted := io.TeeReader(io.LimitReader(r, maxSnapshot+maxSnapshot/100), in)
	plain, err := age.Decrypt(encrypted, identities...)
	if _, ok := errors.AsType[*age.NoIdentityMatchError](err); ok {
		return nil, o.refuse(incident.ErrNotPermitted, "none of the identities can open it")
	}
	if err != nil {
		return nil, &Error{Op: o.name, unrun: true, cause: err}
	}
	body, err := io.ReadAll(io.LimitReader(plain, maxSnapshot+1))
	switch {
	case err != nil:
		return nil, &Error{Op: o.name, unrun: true, cause: err}
	case len(body) > maxSnapshot:
		return nil, o.refuse(nil, "it is larger than %d bytes", maxSnapshot)
	}
	file, err := parseSnapshot(o, body)
	if err != nil {
		return nil, err
	}
	return &Snapshot{
		Environment: Named{file.Environment, file.Name}, Time: file.Time, SHA256: in.sum(),
		file: func() snapshotFile { return file },
	}, nil
}

// parseSnapshot reads what was decrypted. No error quotes it.
func parseSnapshot(o op, body []byte) (snapshotFile, error) {
	var head struct {
		Format  string
		Version int
	}
	if err := json.Unmarshal(body, &head); err != nil {
		return snapshotFile{}, o.refuse(nil, "what is in it is no snapshot: %s", decodeProblem(err))
	}
	switch {
	case head.Format != snapshotFormat:
		return snapshotFile{}, o.refuse(nil, "what is in it is no snapshot")
	case head.Version != snapshotVersion:
		return snapshotFile{}, o.refuse(incident.ErrUnsupported, "it is of version %d; this program knows version %d", head.Version, snapshotVersion)
	}
	var file snapshotFile
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber() // a number stays as it is written
	if err := decoder.Decode(&file); err != nil {
		return snapshotFile{}, o.refuse(nil, "what is in it is no snapshot: %s", decodeProblem(err))
	}
	if file.Environment == "" || file.Config == nil {
		return snapshotFile{}, o.refuse(nil, "it has no environment or no configuration in it")
	}
	return file, nil
}

// NeedsValues returns the variables whose values are not in the snapshot, since they
// were sealed, in order. Whoever restores it gives them.
func (s *Snapshot) NeedsValues() []SealedValue { return slices.Clone(s.file().Sealed) }

// Services returns the names of the services, in order.
func (s *Snapshot) Services() []string { return slices.Sorted(maps.Values(s.file().Services)) }
