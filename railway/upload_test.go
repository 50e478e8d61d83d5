package railway_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"strings"
	"testing"
	"testing/fstest"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/railway"
	"go.acu.edu.au/runbook/railway/railwaytest"
)

// uploadHost is a service that is connected to nothing.
func uploadHost(t testing.TB) *opsHost { return newOps(t, railwaytest.Service{}) }

func uploadFiles() railway.Upload {
	return railway.Upload{Files: fstest.MapFS{"main.py": {Data: []byte("print('hi')\n")}, "app/.gitignore": {Data: []byte("*\n")}, "app/x.py": {}}, Message: "mended"}
}

// unpack returns the files of an archive.
func unpack(t testing.TB, archive string) map[string]string {
	t.Helper()
	zipped, err := gzip.NewReader(strings.NewReader(archive))
	require.NoError(t, err)
	files := map[string]string{}
	for r := tar.NewReader(zipped); ; {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		require.NoError(t, err)
		body, err := io.ReadAll(r)
		require.NoError(t, err)
		if header.Typeflag == tar.TypeReg {
			files[header.Name] = string(body)
		}
	}
}

// archive is the last one that was sent.
func (h *opsHost) archive() string {
	last := ""
	for _, body := range h.bodies {
		if strings.HasPrefix(body, "\x1f\x8b") {
			last = body
		}
	}
	return last
}

// Requirement: RW-DEPLOY-UPLOAD
// Requirement: RB-CMD-RAILWAY-DEPLOY
func TestUpload(t *testing.T) {
	opsBubble(t, func(t *testing.T) {
		h := uploadHost(t)
		before := h.Newest(h.environment, h.service)
		d, err := h.svc.Upload(t.Context(), uploadFiles())
		require.NoError(t, err)
		assert.NotEqual(t, before, d.ID)
		assert.Equal(t, h.Newest(h.environment, h.service), d.ID)
		assert.Len(t, h.did("up"), 1)
		sent := h.archive()
		assert.Equal(t, map[string]string{"main.py": "print('hi')\n", "app/.gitignore": "*\n", "app/x.py": ""}, unpack(t, sent), "nothing is left out")

		// The same as a ready archive.
		again, err := h.svc.Upload(t.Context(), railway.Upload{Archive: strings.NewReader(sent)})
		require.NoError(t, err)
		assert.NotEqual(t, d.ID, again.ID)
		assert.Equal(t, sent, h.archive())
	})
}

// What Railway refuses is told apart, and is not deployed.
//
// Requirement: RW-DEPLOY-UPLOAD
func TestUploadRefused(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		body   string
		kind   error
		text   string
	}{
		"no instance":    {404, `{"message":"Service instance not found"}`, incident.ErrNotFound, "Service instance not found"},
		"plain 404":      {404, "<html>", incident.ErrNotFound, "no instance in the environment"},
		"bad request":    {400, `{"message":"Invalid archive\u001b[31m"}`, nil, "Invalid archive"},
		"too large":      {413, "Payload Too Large", nil, "the code is too large"},
		"not authorized": {401, `{"message":"Unauthorized"}`, incident.ErrNotPermitted, "the token is valid"},
	} {
		t.Run(name, func(t *testing.T) {
			opsBubble(t, func(t *testing.T) {
				h := uploadHost(t)
				h.answer = func(req *http.Request) *http.Response {
					if !strings.HasSuffix(req.URL.Path, "/up") {
						return nil
					}
					assert.Equal(t, "application/gzip", req.Header.Get("Content-Type"))
					assert.Equal(t, "Bearer "+h.token, req.Header.Get("Authorization"))
					assert.Equal(t, "/project/"+h.project+"/environment/"+h.environment+"/up", req.URL.Path)
					assert.Equal(t, "mended", req.URL.Query().Get("message"))
					assert.Equal(t, h.service, req.URL.Query().Get("serviceId"))
					assert.NotEmpty(t, req.URL.Query().Get("source"))
					return &http.Response{StatusCode: c.status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(c.body))}
				}
				_, err := h.svc.Upload(t.Context(), uploadFiles())
				require.Error(t, err)
				e, ok := errors.AsType[*railway.Error](err)
				require.True(t, ok)
				assert.Equal(t, c.status, e.Status)
				require.ErrorContains(t, err, c.text)
				assert.NotContains(t, err.Error(), "\x1b")
				for _, kind := range []error{incident.ErrNotFound, incident.ErrNotPermitted, incident.ErrOutcomeUnknown} {
					assert.Equal(t, errors.Is(c.kind, kind), errors.Is(err, kind), "%v: %v", kind, err)
				}
				assert.True(t, runbook.SafeToRetry(err))
			})
		})
	}
}

// Requirement: RW-DEPLOY-UPLOAD
func TestUploadUnclear(t *testing.T) {
	for name, fault := range opsUnclear("up") {
		switch fault.Kind {
		case railwaytest.Gateway, railwaytest.GatewayAfter, railwaytest.Partial:
			continue // of GraphQL only
		}
		t.Run(name, func(t *testing.T) {
			opsBubble(t, func(t *testing.T) {
				h := uploadHost(t)
				h.Fail(fault)
				d, err := h.svc.Upload(t.Context(), uploadFiles())
				assert.False(t, runbook.SafeToRetry(err))
				if fault.Kind == railwaytest.BadGateway {
					assert.Empty(t, h.did("up"))
					require.ErrorIs(t, err, incident.ErrOutcomeUnknown)
					return
				}
				assert.Len(t, h.did("up"), 1, "it is sent once")
				require.NoError(t, err)
				assert.Equal(t, h.Newest(h.environment, h.service), d.ID)
			})
		})
	}
	t.Run("unreachable", func(t *testing.T) {
		opsBubble(t, func(t *testing.T) {
			h := uploadHost(t)
			h.Fail(railwaytest.Fault{Op: "up", Kind: railwaytest.Unreachable})
			_, err := h.svc.Upload(t.Context(), uploadFiles())
			require.Error(t, err)
			assert.True(t, runbook.SafeToRetry(err))
			require.NotErrorIs(t, err, incident.ErrOutcomeUnknown)
			assert.Empty(t, h.did("up"))
		})
	})
}

// After a lost answer, what somebody else deployed at the same time is not taken for
// it.
//
// Requirement: RW-DEPLOY-UPLOAD
func TestUploadBesideAnother(t *testing.T) {
	opsBubble(t, func(t *testing.T) {
		h := uploadHost(t)
		h.Fail(railwaytest.Fault{Op: "up", Kind: railwaytest.BadGateway})
		h.after = map[string]func(){"up": func() {
			h.AddDeployment(h.environment, h.service, railwaytest.Deployment{Status: "BUILDING", Commit: strings.Repeat("ab", 20)})
		}}
		_, err := h.svc.Upload(t.Context(), uploadFiles())
		require.ErrorIs(t, err, incident.ErrOutcomeUnknown)
	})
}

func TestUploadInvalid(t *testing.T) {
	h := uploadHost(t)
	calls := len(h.Calls())
	for name, u := range map[string]railway.Upload{
		"nothing":         {},
		"both":            {Files: fstest.MapFS{}, Archive: &bytes.Buffer{}},
		"no gzip":         {Archive: strings.NewReader("PK\x03\x04")},
		"a broken reader": {Archive: iotest.ErrReader(io.ErrUnexpectedEOF)},
		"a device":        {Files: fstest.MapFS{"x": {Mode: fs.ModeDevice}}},
	} {
		_, err := h.svc.Upload(t.Context(), u)
		require.Error(t, err, name)
		assert.True(t, runbook.SafeToRetry(err), name)
	}
	assert.Len(t, h.Calls(), calls)
}

// Requirement: RW-ASK-TOKENS
func TestUploadWithProjectToken(t *testing.T) {
	opsBubble(t, func(t *testing.T) {
		h := uploadHost(t)
		h.connect(t, "project")
		_, err := h.svc.Upload(t.Context(), uploadFiles())
		require.NoError(t, err)
		assert.Len(t, h.did("up"), 1)
	})
}
