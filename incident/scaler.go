package incident

import (
	"context"
	"errors"
	"fmt"
)

// Scaler changes how much there is of one service in one environment.
type Scaler interface {
	// Scale returns what there is, as the platform has it; processes may still be
	// starting or ending. It may be called concurrently. Errors are those
	// of SetScale.
	Scale(ctx context.Context) (Scale, error)
	// SetScale changes what is named in s, keeps the rest, and returns the scale
	// that was observed afterwards, not the one that was asked for. It may be called
	// concurrently; calls may take effect in any order.
	//
	// A scale that is invalid is an error without a call. The error is
	// ErrNotPermitted, ErrNotFound for a region that there is none of, and
	// ErrUnsupported for what the platform does not allow; nothing was changed
	// then. If the answer is lost, the implementation reads the state; if that
	// fails too, the error is ErrOutcomeUnknown. Setting the same scale again is
	// then safe. A context that has ended before changes nothing.
	SetScale(ctx context.Context, s Scale) (Scale, error)
}

// A Scale is how much there is of a service.
type Scale struct {
	// Regions are the replicas by region. In the answer they are ordered by name,
	// and none has zero replicas. In a change, a region that is not named stays as
	// it is, and zero replicas remove it. The slice belongs to the caller.
	Regions []RegionScale
	// CPU is the limit of each replica in cores, Memory in bytes. Zero means in the
	// answer that there is no limit or that it is not known, and in a change that
	// it stays as it is.
	CPU    float64
	Memory int64
}

// RegionScale is how many replicas there are in a region.
type RegionScale struct {
	// Region is the platform's name of it; the empty name is the region of a
	// platform that has one only.
	Region string
	// Replicas is how many there are.
	Replicas int
}

// Replicas returns how many replicas there are in all regions.
func (s Scale) Replicas() int {
	n := 0
	for _, r := range s.Regions {
		n += r.Replicas
	}
	return n
}

// Validate returns everything that is wrong with a scale as a change, or nil.
func (s Scale) Validate() error {
	var problems []error
	seen := make(map[string]bool)
	for _, r := range s.Regions {
		if r.Replicas < 0 {
			problems = append(problems, fmt.Errorf("incident: scale: region %q: %d replicas", r.Region, r.Replicas))
		}
		if seen[r.Region] {
			problems = append(problems, fmt.Errorf("incident: scale: region %q is named twice", r.Region))
		}
		seen[r.Region] = true
	}
	if s.CPU < 0 || s.Memory < 0 {
		problems = append(problems, errors.New("incident: scale: a limit is negative"))
	}
	if len(s.Regions) == 0 && s.CPU == 0 && s.Memory == 0 {
		problems = append(problems, errors.New("incident: scale: nothing is to be changed"))
	}
	return errors.Join(problems...)
}
