package railway

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"strings"
	"time"

	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/internal/httpx"
	"go.acu.edu.au/runbook/railway/internal/gql"
)

// An Upload is source code to be built and deployed, as the command "railway up"
// does it. Exactly one of Files and Archive is set. It is held in memory, up to
// 512 MiB once compressed.
type Upload struct {
	// Files are packed as they are, with nothing left out: neither .gitignore nor
	// .railwayignore counts, and a .git that is in there goes along. Give the files
	// that are meant.
	Files fs.FS
	// Archive is a tar file compressed with gzip, read to its end.
	Archive io.Reader
	// Message is shown with the deployment. May be empty.
	Message string
}

// Upload deploys source code and returns the new deployment as it was observed,
// which may not be settled yet: [Service.WaitDeployment] gives the verdict. It is
// sent in one attempt. What Railway refuses is not deployed: the error is an
// incident.ErrNotFound if the service has no instance in the environment, and the
// Status of the [*Error] is 413 if the code is too large, or 400 with a Message if
// Railway cannot read it.
//
// After a lost answer the deployments are read: one that is new, and is neither of a
// commit nor of an image, is taken for it. If there is none, the error is an
// incident.ErrOutcomeUnknown.
func (s *Service) Upload(ctx context.Context, u Upload) (incident.Deployment, error) {
	o := s.c.op("upload code to %s", s)
	if err := (httpx.Call{Op: o.name, Method: http.MethodPost, URL: s.c.endpoint}).Refused(ctx); err != nil {
		return incident.Deployment{}, o.failed(err)
	}
	body, err := u.pack()
	if err != nil {
		return incident.Deployment{}, &Error{Op: o.name, unrun: true, cause: err}
	}
	before, err := s.history(ctx, o, newest, nil)
	if err != nil {
		return incident.Deployment{}, err
	}
	id, err := s.upload(ctx, o, body, u.Message)
	return s.made(ctx, o, before, id, err, func(d *gql.DeploymentFields) bool {
		meta := metaOf(d.Meta)
		return meta.CommitHash == "" && meta.Image == ""
	})
}

const (
	maxUpload = 512 << 20
	// uploadTime is for one attempt: much longer than for a call.
	uploadTime = 15 * time.Minute
)

var errUploadSize = fmt.Errorf("the code is larger than %d MiB", maxUpload>>20)

// pack returns the archive.
func (u Upload) pack() ([]byte, error) {
	if (u.Files == nil) == (u.Archive == nil) {
		return nil, errors.New("exactly one of Files and Archive must be set")
	}
	if u.Archive != nil {
		body, err := io.ReadAll(io.LimitReader(u.Archive, maxUpload+1))
		switch {
		case err != nil:
			return nil, fmt.Errorf("reading the archive: %w", err)
		case len(body) > maxUpload:
			return nil, errUploadSize
		case !bytes.HasPrefix(body, []byte{0x1f, 0x8b}):
			return nil, errors.New("the archive is not compressed with gzip")
		}
		return body, nil
	}
	var out limited
	zipped := gzip.NewWriter(&out)
	files := tar.NewWriter(zipped)
	if err := errors.Join(files.AddFS(u.Files), files.Close(), zipped.Close()); err != nil {
		return nil, fmt.Errorf("packing the files: %w", err)
	}
	return out.Bytes(), nil
}

// limited is a buffer that does not grow for ever.
type limited struct{ bytes.Buffer }

func (l *limited) Write(p []byte) (int, error) {
	if l.Len()+len(p) > maxUpload {
		return 0, errUploadSize
	}
	return l.Buffer.Write(p)
}

// upload sends the archive and returns the ID of the deployment. The answer is not
// GraphQL.
func (s *Service) upload(ctx context.Context, o op, body []byte, message string) (id string, err error) {
	start := time.Now()
	defer func() {
		if s.c.hooks.OnCall != nil {
			s.c.hooks.OnCall(ctx, CallInfo{Op: o.name, Mutation: true, Attempts: 1, Duration: time.Since(start), Err: err})
		}
	}()
	token, err := s.c.auth(ctx)
	if err == nil && !isToken(token.Reveal()) {
		err = errors.New("what Auth gave is none")
	}
	if err != nil {
		return "", &Error{Op: o.name, unrun: true, cause: fmt.Errorf("no token: %w", err)}
	}
	header := http.Header{"Content-Type": {"application/gzip"}, "Accept": {"application/json"}}
	o.kind.authorize(header, token)
	client := httpx.New(httpx.Config{
		HTTP: s.c.raw, UserAgent: s.c.agent, AttemptTimeout: max(s.c.timeout, uploadTime), MaxBody: 1 << 20, Retries: -1, MaxRejections: 3,
		Admit: func(next http.RoundTripper) http.RoundTripper { return &admission{b: s.c.budget, next: next} },
		Unrun: s.c.budget.unrun,
	})
	r, err := client.Do(ctx, httpx.Call{Op: o.name, Method: http.MethodPost, URL: s.uploadURL(message), Header: header, Body: body})
	if err != nil {
		return "", o.failed(err)
	}
	id, e := o.readUpload(r)
	if e == nil {
		return id, nil
	}
	e.Message = printable(strings.ReplaceAll(e.Message, token.Reveal(), "[redacted]"), maxText)
	if errors.Is(e, ErrNotAuthorized) {
		e.Diagnosis = s.c.diagnose(ctx)
	}
	return "", e
}

// uploadURL is beside the address of GraphQL.
func (s *Service) uploadURL(message string) *url.URL {
	to := *s.c.endpoint
	to.Path = strings.TrimSuffix(to.Path, "/graphql/v2") + "/project/" + s.project + "/environment/" + s.environment + "/up"
	query := to.Query()
	query.Set("serviceId", s.id)
	if message != "" {
		query.Set("message", message)
	}
	to.RawQuery = query.Encode()
	return &to
}

func (o op) readUpload(r *httpx.Response) (id string, _ *Error) {
	var answer struct {
		DeploymentID string `json:"deploymentId"`
		Message      string `json:"message"`
	}
	err := json.Unmarshal(r.Body, &answer)
	if err == nil && r.Status == http.StatusOK && answer.DeploymentID != "" {
		return answer.DeploymentID, nil
	}
	e := &Error{Op: o.name, Status: r.Status, unrun: r.Unrun, Message: answer.Message}
	e.RetryAfter, _ = retryAfterOf(r.Header)
	switch r.Status {
	case http.StatusUnauthorized, http.StatusForbidden:
		e.kind, e.refused = ErrNotAuthorized, true
	case http.StatusNotFound:
		e.kind, e.refused = incident.ErrNotFound, true
		if e.Message == "" {
			e.Message = "the service has no instance in the environment"
		}
	case http.StatusBadRequest:
		e.refused = true
	case http.StatusRequestEntityTooLarge:
		e.refused = true
		if e.Message == "" {
			e.Message = "the code is too large"
		}
	case http.StatusTooManyRequests:
		e.kind = ErrRateLimited
	case http.StatusOK:
		e.Code = "unreadable"
	}
	return "", e
}
