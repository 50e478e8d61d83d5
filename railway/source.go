package railway

import (
	"context"
	"fmt"

	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/railway/internal/gql"
)

// DeploySource implements [incident.SourceDeployer]. A commit is built. An image is
// first made the source of the service in this environment, and then deployed: a
// redeployment would run the old one again. If the new deployment runs another image
// than the one that was asked for, its Reason says so. The zero source is the newest
// commit of the branch, or the image that is configured.
//
// A service that is built from a repository takes no image, because that would
// disconnect it, and one of an image takes no commit; the error is an
// incident.ErrUnsupported.
func (s *Service) DeploySource(ctx context.Context, from incident.DeploymentSource) (incident.Deployment, error) {
	if err := from.Validate(); err != nil {
		return incident.Deployment{}, err
	}
	o := s.c.op("deploy %s of %s", sourceText(from), s)
	before, err := s.history(ctx, o, newest, nil)
	switch {
	case err != nil:
		return incident.Deployment{}, err
	case from.Image != "":
		return s.deployImage(ctx, o, before, from.Image)
	case from.Commit != "" && before.repo == "":
		return incident.Deployment{}, o.refuse(incident.ErrUnsupported, "it is not connected to a repository")
	case from.Commit != "":
		got, err := gql.ServiceDeploy(ctx, o, s.environment, s.id, &from.Commit)
		return s.made(ctx, o, before, got.ServiceInstanceDeployV2, err, ofCommit(from.Commit))
	case before.repo == "" && before.image == "":
		return incident.Deployment{}, o.refuse(incident.ErrUnsupported, "it is connected to nothing that could be deployed")
	}
	return s.deployNewest(ctx, o, before)
}

func sourceText(from incident.DeploymentSource) string {
	switch {
	case from.Commit != "":
		return "commit " + printable(from.Commit, 60)
	case from.Image != "":
		return "image " + printable(from.Image, 200)
	}
	return "the newest version"
}

// deployNewest deploys the newest commit, or the image that is configured. What it
// is, is not known before, so that after a lost answer a deployment counts only if
// it cannot be the rollback of somebody else: of a version that was not there
// before, or was the newest.
func (s *Service) deployNewest(ctx context.Context, o op, before history) (incident.Deployment, error) {
	got, err := gql.ServiceDeployLatest(ctx, o, s.environment, s.id)
	err = o.answered(got.ServiceInstanceDeploy, err)
	is := func(*gql.DeploymentFields) bool { return true }
	switch {
	case before.repo == "":
		is = ofImage(before.image)
	case err != nil:
		is = before.isForward
	}
	return s.made(ctx, o, before, "", err, is)
}

// isForward reports whether a deployment goes to no older version.
func (h history) isForward(d *gql.DeploymentFields) bool {
	same := sameVersion(d)
	for i, old := range h.newest {
		if same(old) {
			return i == 0
		}
	}
	return true
}

// deployImage makes an image the source, unless it is, and deploys it.
func (s *Service) deployImage(ctx context.Context, o op, before history, image string) (incident.Deployment, error) {
	if before.repo != "" {
		return incident.Deployment{}, o.refuse(incident.ErrUnsupported, "it is built from %s; an image would disconnect it", printable(before.repo, 200))
	}
	set := before.image != image
	if set {
		if err := s.setImage(ctx, o, image); err != nil {
			return incident.Deployment{}, err
		}
	}
	got, err := gql.ServiceDeploy(ctx, o, s.environment, s.id, nil)
	if err != nil && !maybeRun(err) && set {
		return incident.Deployment{}, o.unknown(err, "the image is configured now and is not deployed; asking again is safe")
	}
	d, err := s.made(ctx, o, before, got.ServiceInstanceDeployV2, err, ofImage(image))
	if err == nil && d.Image != image {
		d.Reason = fmt.Sprintf("it was asked for image %s and Railway deploys %q", printable(image, 200), printable(d.Image, 200))
	}
	return d, err
}

// setImage makes an image the source of the service in this environment. Nothing
// else of its settings is sent, so that nothing else changes.
func (s *Service) setImage(ctx context.Context, o op, image string) error {
	got, err := gql.ServiceSetImage(ctx, o, s.environment, s.id, image)
	err = o.answered(got.ServiceInstanceUpdate, err)
	if !maybeRun(err) {
		return err
	}
	set := watch(ctx, showLimit, func(ctx context.Context) (bool, error) {
		h, err := s.history(ctx, o, 1, nil)
		return h.image == image, err
	})
	if !set {
		return o.unknown(err, "nothing was deployed; look at the image that is configured. Asking again is safe")
	}
	return nil
}
