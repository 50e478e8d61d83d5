package incident

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"go.acu.edu.au/runbook"
)

// Provisioner makes from nothing what a service runs in: for disaster recovery.
//
// Each method makes sure that there is one of a name, waits until it can be used,
// and returns it. What is there already is returned as it is and not changed; the
// caller looks at [Provisioned.Created], for what is there may be what the disaster
// left. So a call can be repeated after any error, and none makes two. Methods may
// be called concurrently; calls for one name at the same time may make two.
//
// A specification that is invalid is an error without a call. The error is
// [ErrNotPermitted]; [ErrNotFound] if what it is to be made in is not there;
// [ErrUnsupported]; or another one, also if there are several of the name, whose
// IDs it lists, or if the name is taken by something that cannot be seen; and
// nothing was made. [ErrOutcomeUnknown] means that it may be there later. A context
// that has ended before changes nothing.
type Provisioner interface {
	// EnsureProject makes sure that there is a project.
	EnsureProject(ctx context.Context, p ProjectSpec) (Provisioned, error)
	// EnsureEnvironment makes sure that a project has an environment.
	EnsureEnvironment(ctx context.Context, e EnvironmentSpec) (Provisioned, error)
	// EnsureService makes sure that an environment has a service, with its
	// variables from the start. It may be deploying when the call returns. A host
	// makes the other ports of the service from its ID.
	EnsureService(ctx context.Context, s ServiceSpec) (Provisioned, error)
}

// Provisioned is a project, an environment or a service.
type Provisioned struct {
	// ID is what the platform calls it, Name what people do.
	ID, Name string
	// Created is true if this call made it, false if it was there.
	Created bool
}

// ProjectSpec is what a project is to be like.
type ProjectSpec struct {
	// Name is what people call it.
	Name string
	// Owner is the platform's ID of who pays for it: a workspace, an organisation.
	// Empty is right only if there is one.
	Owner string
}

// EnvironmentSpec is what an environment is to be like.
type EnvironmentSpec struct {
	// Project is the ID of the project.
	Project string
	// Name is what people call it: "production".
	Name string
}

// ServiceSpec is what a service is to be like.
type ServiceSpec struct {
	// Project and Environment are the IDs of what it is made in.
	Project, Environment string
	// Name is what people call it.
	Name string
	// Image is the name of an image, Repository that of a repository, with an
	// optional Branch, and Template the platform's name of something ready-made:
	// "postgres". At most one of the three. None makes a service without anything
	// to run.
	Image, Repository, Branch, Template string
	// Variables are its variables, raw.
	Variables map[string]runbook.Secret
	// Seal are the names of variables that nobody can read from then on.
	Seal []string
	// Mark is a line that says who makes it, and for what: "rehearsal/production/run-17". The
	// service keeps it, and a [Disposer] removes no service that has none. It is put on a
	// service that is made anew and never on one that is there, so that what the project
	// has of that name in another environment is an ErrUnsupported. Empty means none.
	Mark string
}

// Validate returns what is wrong with the specification, or nil.
func (p ProjectSpec) Validate() error {
	if p.Name == "" {
		return errors.New("incident: project: the name is missing")
	}
	return nil
}

// Validate returns what is wrong with the specification, or nil.
func (e EnvironmentSpec) Validate() error {
	if e.Project == "" || e.Name == "" {
		return errors.New("incident: environment: the project or the name is missing")
	}
	return nil
}

// Validate returns everything that is wrong with the specification, or nil.
func (s ServiceSpec) Validate() error {
	var problems []error
	if s.Project == "" || s.Environment == "" || s.Name == "" {
		problems = append(problems, errors.New("incident: service: the project, the environment or the name is missing"))
	}
	sources := []string{s.Image, s.Repository, s.Template}
	if len(slices.DeleteFunc(sources, func(source string) bool { return source == "" })) > 1 {
		problems = append(problems, errors.New("incident: service: name an image, a repository or a template, and not several"))
	}
	if s.Branch != "" && s.Repository == "" {
		problems = append(problems, errors.New("incident: service: a branch without a repository"))
	}
	if len(s.Variables) > 0 || len(s.Seal) > 0 {
		if err := (VariableBatch{Set: s.Variables, Seal: s.Seal}).Validate(); err != nil {
			problems = append(problems, fmt.Errorf("incident: service: %w", err))
		}
	}
	if s.Mark != "" {
		problems = append(problems, validateMark(s.Mark))
	}
	return errors.Join(problems...)
}
