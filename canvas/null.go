package canvas

import (
	"bytes"
	"encoding/json"
	"errors"
	"time"
)

// A Null is a field that Canvas may leave out, or answer with null. Canvas does
// both, and they differ: a field is absent if the token may not see it or an
// include[] was not asked for, and null if there is no value. Neither is zero.
//
// It is a type of its own rather than a pointer because it keeps the three
// apart, cannot be dereferenced by mistake, and can say "set this to null" in an
// update, where with the tag `json:",omitzero"` an absent field is not sent.
//
// The zero Null is absent. Nulls of comparable types can be compared with ==.
type Null[T any] struct {
	value T
	state nullState
}

type nullState uint8

const (
	stateAbsent nullState = iota
	stateNull
	statePresent
)

// Value returns a Null that holds v.
func Value[T any](v T) Null[T] { return Null[T]{value: v, state: statePresent} }

// NullValue returns a Null that holds JSON's null.
func NullValue[T any]() Null[T] { return Null[T]{state: stateNull} }

// Get returns the value, and whether there is one.
func (n Null[T]) Get() (T, bool) { return n.value, n.state == statePresent }

// Or returns the value, or other if there is none.
func (n Null[T]) Or(other T) T {
	if n.state == statePresent {
		return n.value
	}
	return other
}

// IsNull reports whether the field was there and null.
func (n Null[T]) IsNull() bool { return n.state == stateNull }

// IsZero reports whether the field was absent. It makes the option omitzero of
// encoding/json leave it out.
func (n Null[T]) IsZero() bool { return n.state == stateAbsent }

// MarshalJSON writes the value, or null.
func (n Null[T]) MarshalJSON() ([]byte, error) {
	if n.state != statePresent {
		return []byte("null"), nil
	}
	return json.Marshal(n.value)
}

// UnmarshalJSON reads a value or null.
func (n *Null[T]) UnmarshalJSON(data []byte) error {
	var v T
	if bytes.Equal(data, []byte("null")) {
		*n = Null[T]{state: stateNull}
		return nil
	}
	if err := json.Unmarshal(data, &v); err != nil {
		return err
	}
	*n = Null[T]{value: v, state: statePresent}
	return nil
}

// A Time is a moment as Canvas writes it: RFC 3339, in UTC or with an offset,
// or, in some answers, a date alone, which is read as its midnight in UTC. For a
// field that may be null, use Null[Time].
type Time struct{ time.Time }

var errTime = errors.New("canvas: time: is neither RFC 3339 nor a date")

// UnmarshalJSON reads a moment or a date. As for all types of Go, null changes
// nothing.
func (t *Time) UnmarshalJSON(data []byte) error {
	if bytes.Equal(data, []byte("null")) {
		return nil
	}
	var s string
	if json.Unmarshal(data, &s) != nil {
		return errTime
	}
	for _, layout := range [...]string{time.RFC3339Nano, time.DateOnly} {
		if parsed, err := time.Parse(layout, s); err == nil {
			t.Time = parsed
			return nil
		}
	}
	return errTime
}

// MarshalJSON writes RFC 3339 in UTC.
func (t Time) MarshalJSON() ([]byte, error) {
	return json.Marshal(t.UTC().Format(time.RFC3339Nano))
}
