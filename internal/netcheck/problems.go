package netcheck

import (
	"errors"
	"fmt"
)

// Problems collects everything that is wrong with a configuration, in the order
// in which it is found. Each problem is one line that begins with the package.
type Problems struct {
	// Package is the package whose configuration it is.
	Package string

	found []error
}

// Add adds a problem.
func (p *Problems) Add(format string, args ...any) {
	p.found = append(p.found, fmt.Errorf(p.Package+": "+format, args...))
}

// In adds what is wrong with one field, unless err is nil. Errors that were
// joined are as many problems.
func (p *Problems) In(field string, err error) {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, err := range joined.Unwrap() {
			p.In(field, err)
		}
		return
	}
	if err != nil {
		p.Add("%s: %w", field, err)
	}
}

// Err returns the problems as one error, or nil if there are none.
func (p *Problems) Err() error { return errors.Join(p.found...) }
