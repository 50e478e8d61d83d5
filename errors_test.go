package runbook_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"

	"go.acu.edu.au/runbook"
)

// A verdict is an error that knows whether anything happened.
type verdict struct {
	safe  bool
	cause error
}

func (v *verdict) Error() string     { return fmt.Sprintf("verdict %v", v.safe) }
func (v *verdict) Unwrap() error     { return v.cause }
func (v *verdict) SafeToRetry() bool { return v.safe }

// several unwraps to what it lists, nil included.
type several []error

func (s several) Error() string   { return "several" }
func (s several) Unwrap() []error { return s }

// single unwraps to nothing.
type single struct{}

func (single) Error() string { return "single" }
func (single) Unwrap() error { return nil }

// misleading has a method of the name with another shape.
type misleading struct{ error }

func (misleading) SafeToRetry() (bool, error) { return true, nil }

func TestSafeToRetry(t *testing.T) {
	safe, unsafe, unknown := &verdict{safe: true}, &verdict{safe: false}, errors.New("unknown")
	wrap := func(err error) error { return fmt.Errorf("wrapped: %w", err) }
	for _, test := range []struct {
		name string
		err  error
		want bool
	}{
		{"nil", nil, false},
		{"unknown", unknown, false},
		{"context ended", context.Canceled, false},
		{"safe", safe, true},
		{"unsafe", unsafe, false},
		{"safe, wrapped", wrap(wrap(safe)), true},
		{"unsafe, wrapped", wrap(wrap(unsafe)), false},
		{"unknown, wrapped", wrap(unknown), false},
		{"unsafe around safe", &verdict{safe: false, cause: wrap(safe)}, false},
		{"safe around unsafe", &verdict{safe: true, cause: wrap(unsafe)}, true},
		{"wrapped unsafe around safe", wrap(&verdict{safe: false, cause: safe}), false},
		{"all joined are safe", errors.Join(safe, wrap(safe)), true},
		{"one joined is unsafe", errors.Join(safe, unsafe), false},
		{"one joined is unknown", errors.Join(safe, unknown), false},
		{"the first joined is unknown", errors.Join(unknown, safe), false},
		{"one joined alone", errors.Join(nil, safe, nil), true},
		{"nested joins, all safe", errors.Join(safe, wrap(errors.Join(safe, wrap(safe)))), true},
		{"nested joins, one unsafe", errors.Join(safe, wrap(errors.Join(safe, wrap(unsafe)))), false},
		{"nested joins, one unknown", errors.Join(wrap(errors.Join(unknown, safe)), safe), false},
		{"a verdict above a join", &verdict{safe: false, cause: errors.Join(safe, safe)}, false},
		{"two wrapped at once, both safe", fmt.Errorf("%w and %w", safe, safe), true},
		{"two wrapped at once, one unknown", fmt.Errorf("%w and %w", safe, unknown), false},
		{"joined nothing", several{}, false},
		{"joined nil", several{safe, nil}, false},
		{"wrapped nothing", single{}, false},
		{"printed, not wrapped", fmt.Errorf("printed: %v", safe), false},
		{"a method of another shape", misleading{safe}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			assert.Equal(t, test.want, runbook.SafeToRetry(test.err))
		})
	}
}
