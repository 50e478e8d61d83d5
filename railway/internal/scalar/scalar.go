// Package scalar has the Go types of Railway's own scalars.
package scalar

import (
	"encoding/json"
	"fmt"
)

// Values are variables by name. Nil is one that is there and that is not shown: it
// is sealed.
type Values map[string]*string

// UnmarshalJSON takes values that are not text as the JSON that they are.
func (v *Values) UnmarshalJSON(b []byte) error {
	var raw map[string]json.RawMessage
	if err := json.Unmarshal(b, &raw); err != nil {
		return fmt.Errorf("variables: %w", err)
	}
	if *v = nil; raw == nil {
		return nil // null, which is not the same as no variables
	}
	*v = make(Values, len(raw))
	for name, value := range raw {
		var text *string
		if json.Unmarshal(value, &text) != nil {
			plain := string(value)
			text = &plain
		}
		(*v)[name] = text
	}
	return nil
}
