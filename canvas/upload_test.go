package canvas_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/canvas"
	"go.acu.edu.au/runbook/canvas/canvastest"
)

func copyAll(to io.Writer, from io.Reader) (int64, error) { return io.Copy(to, from) }

// Requirement: CV-GOTCHA-7
func TestUpload(t *testing.T) {
	for _, redirects := range []bool{false, true} {
		t.Run(fmt.Sprintf("redirects=%v", redirects), func(t *testing.T) {
			c, fake := campus(t)
			fake.UploadRedirects = redirects
			course := ref(fake.Add(canvastest.Courses, canvastest.RootAccount, nil))
			text := strings.Repeat("0123456789", 20_000)
			var steps []int64
			file, err := c.UploadFile(t.Context(), course, canvas.Upload{
				Name: `report "final" ä.txt`, Size: int64(len(text)), ContentType: "text/plain", Content: iotest.HalfReader(strings.NewReader(text)),
				OnProgress: func(n int64) { steps = append(steps, n) },
			})
			require.NoError(t, err)
			assert.Equal(t, int64(len(text)), file.Size)
			assert.Equal(t, "text/plain", file.ContentType)
			assert.IsIncreasing(t, steps)
			assert.Equal(t, int64(len(text)), steps[len(steps)-1])
			assert.NotContains(t, fmt.Sprintf("%+v", file), "verifier")
			assert.Contains(t, file.URL.Reveal(), "verifier=")

			quota, used, err := c.GetFileQuota(t.Context(), course)
			require.NoError(t, err)
			assert.Equal(t, int64(500<<20), quota)
			assert.Equal(t, int64(len(text)), used)
			files := all(t, c.Files(t.Context(), course, ""))
			require.Len(t, files, 1)
			assert.Equal(t, file.ID, files[0].ID)
			folders := all(t, c.Folders(t.Context(), course))
			require.Len(t, folders, 1)
			assert.True(t, folders[0].ParentID.IsNull())
			assert.Len(t, all(t, c.FolderFiles(t.Context(), folders[0].ID)), 1)

			again, err := c.UploadFile(t.Context(), course, canvas.Upload{Name: file.DisplayName, Size: 3, Content: strings.NewReader("abc"), Rename: true, FolderID: folders[0].ID})
			require.NoError(t, err)
			assert.NotEqual(t, file.DisplayName, again.DisplayName)
			got, err := c.GetFile(t.Context(), file.ID)
			require.NoError(t, err)
			assert.Equal(t, int64(len(text)), got.Size, "the first one is still there")
			require.NoError(t, c.DeleteFile(t.Context(), file.ID))
			_, err = c.GetFile(t.Context(), file.ID)
			require.ErrorIs(t, err, canvas.ErrNotFound)
		})
	}
}

func TestUploadOfNothing(t *testing.T) {
	c, fake := campus(t)
	course := ref(fake.Add(canvastest.Courses, canvastest.RootAccount, nil))
	file, err := c.UploadFile(t.Context(), course, canvas.Upload{Name: "empty", Content: strings.NewReader("")})
	require.NoError(t, err)
	assert.Zero(t, file.Size)
}

func TestUploadOverRealConnections(t *testing.T) {
	fake := &canvastest.Server{}
	server := httptest.NewServer(fake)
	defer server.Close()
	course := ref(fake.Add(canvastest.Courses, canvastest.RootAccount, nil))
	c, err := canvas.New(canvas.Config{BaseURL: server.URL, Token: runbook.NewSecret(canvastest.AdminToken)})
	require.NoError(t, err)
	content := bytes.Repeat([]byte{0, 1, 2, 3}, 1<<18)
	file, err := c.UploadFile(t.Context(), course, canvas.Upload{Name: "big.bin", Size: int64(len(content)), Content: bytes.NewReader(content)})
	require.NoError(t, err)
	assert.Equal(t, int64(len(content)), file.Size)
	_, err = c.UploadFile(t.Context(), course, canvas.Upload{Name: "cut.bin", Size: int64(len(content)), Content: bytes.NewReader(content[1:])})
	require.ErrorContains(t, err, "the content ended after 1048575 bytes, 1 before its announced end")
	assert.Len(t, all(t, c.Files(t.Context(), course, "")), 1)
	assert.Empty(t, fake.Problems())
}

func TestUploadRefusesWhatCannotWork(t *testing.T) {
	c, fake := campus(t)
	course := ref(fake.Add(canvastest.Courses, canvastest.RootAccount, nil))
	_, err := c.UploadFile(t.Context(), course, canvas.Upload{Name: "a/b", Size: -1, ContentType: "x\r\ny", FolderID: 1, FolderPath: "x"})
	for _, want := range []string{"slash", "negative", "no content", "content type", "both FolderID"} {
		assert.ErrorContains(t, err, want)
	}
	assert.True(t, runbook.SafeToRetry(err))
	_, err = c.UploadFile(t.Context(), course, canvas.Upload{Name: "huge", Size: 1 << 40, Content: strings.NewReader("")})
	require.ErrorIs(t, err, canvas.ErrInvalid, "more than the quota")
	for content, want := range map[string]string{"ab": "ended after 2 bytes", "abcd": "longer than the 3 bytes"} {
		_, err = c.UploadFile(t.Context(), course, canvas.Upload{Name: "x", Size: 3, Content: strings.NewReader(content)})
		require.ErrorContains(t, err, want)
	}
	_, err = c.UploadFile(t.Context(), course, canvas.Upload{Name: "x", Size: 3, Content: iotest.ErrReader(errors.New("disk on fire"))})
	require.ErrorContains(t, err, "disk on fire")
	assert.Empty(t, all(t, c.Files(t.Context(), course, "")))
}

// The answer of the file service is lost after the file was stored, or before:
// the client cannot know, says so, and does not send it again.
func TestUploadWithoutAnswer(t *testing.T) {
	for name, fault := range map[string]canvastest.Fault{
		"broken":  {Route: "POST /upload/:uuid", Reset: true, Times: -1},
		"gateway": {Route: "POST /upload/:uuid", Status: 502, Times: -1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, fake := campus(t)
				course := ref(fake.Add(canvastest.Courses, canvastest.RootAccount, nil))
				fake.Inject(fault)
				_, err := c.UploadFile(t.Context(), course, canvas.Upload{Name: "x", Size: 3, Content: strings.NewReader("abc")})
				e, ok := errors.AsType[*canvas.Error](err)
				require.True(t, ok)
				assert.Equal(t, "unknown outcome", e.Code)
				assert.False(t, runbook.SafeToRetry(err))
				sent := 0
				for _, r := range fake.Requests() {
					if strings.HasPrefix(r.Path, "/upload/") {
						sent++
					}
				}
				assert.Equal(t, 1, sent)
			})
		})
	}
}

// The file is stored, and only the answer that says so is lost.
func TestUploadWhoseAnswerIsLost(t *testing.T) {
	fake := &canvastest.Server{}
	sent := 0
	c := newClient(t, &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
		resp, err := fake.Client().Transport.RoundTrip(r)
		if !strings.HasPrefix(r.URL.Path, "/upload/") || err != nil {
			return resp, err
		}
		sent++
		return nil, errors.Join(io.ErrUnexpectedEOF, resp.Body.Close())
	})})
	course := ref(fake.Add(canvastest.Courses, canvastest.RootAccount, nil))
	_, err := c.UploadFile(t.Context(), course, canvas.Upload{Name: "x", Size: 3, Content: strings.NewReader("abc")})
	require.ErrorContains(t, err, "unknown outcome")
	assert.False(t, runbook.SafeToRetry(err))
	assert.Equal(t, 1, sent)
}

func TestUploadIsConfirmedAgainAfterAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, fake := campus(t)
		course := ref(fake.Add(canvastest.Courses, canvastest.RootAccount, nil))
		fake.Inject(canvastest.Fault{Route: "GET /api/v1/files/:id/create_success", Status: 503, Times: 2})
		file, err := c.UploadFile(t.Context(), course, canvas.Upload{Name: "x", Size: 3, Content: strings.NewReader("abc")})
		require.NoError(t, err)
		assert.Equal(t, int64(3), file.Size)
	})
}

// scripted answers the first step of an upload with text, and the second one with
// location; it notes whom the token was sent to.
func scripted(t testing.TB, text, location string, tokens *[]string) *canvas.Client {
	return newClient(t, &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
		if r.Header.Get("Authorization") != "" {
			*tokens = append(*tokens, r.URL.Host)
		}
		switch {
		case r.URL.Host != "school.test":
			_, err := io.Copy(io.Discard, r.Body)
			require.NoError(t, err)
			return answering(http.StatusCreated, `{}`, "Location", location).Transport.RoundTrip(r)
		case r.Method == http.MethodPost:
			return answering(http.StatusOK, text).Transport.RoundTrip(r)
		}
		return answering(http.StatusOK, `{"id":5,"size":0}`).Transport.RoundTrip(r)
	})})
}

// Requirement: CV-GOTCHA-7
func TestUploadKeepsTheTokenAtHome(t *testing.T) {
	const slot = `{"upload_url":"https://files.test/put?policy=hush","upload_params":{"key":"k"}}`
	for name, test := range map[string]struct{ slot, location, want string }{
		"good":               {slot, "https://school.test/api/v1/files/5/create_success?uuid=u", ""},
		"relative":           {slot, "/api/v1/files/5", "another host (files.test)"},
		"confirm elsewhere":  {slot, "https://evil.test/api/v1/files/5", "another host (evil.test)"},
		"confirm by http":    {slot, "http://school.test/api/v1/files/5", "another host"},
		"no confirmation":    {slot, "", "does not say where"},
		"not a URL":          {slot, "https://[", "not a URL"},
		"sent by http":       {`{"upload_url":"http://files.test/put"}`, "", "http and not https"},
		"sent with password": {`{"upload_url":"https://a:b@files.test/put"}`, "", "not a URL"},
		"sent nowhere":       {`{}`, "", "not a URL"},
		"odd parameters":     {`{"upload_url":"https://files.test/put","upload_params":["x"]}`, "", "not an object of texts"},
		"nested parameters":  {`{"upload_url":"https://files.test/put","upload_params":{"x":{"y":1}}}`, "", "not an object of texts"},
	} {
		t.Run(name, func(t *testing.T) {
			var tokens []string
			_, err := scripted(t, test.slot, test.location, &tokens).UploadFile(t.Context(), "1", canvas.Upload{Name: "x", Content: strings.NewReader("")})
			if test.want == "" {
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, test.want)
				assert.NotContains(t, err.Error(), "hush")
			}
			for _, host := range tokens {
				assert.Equal(t, "school.test", host)
			}
		})
	}
}

func TestUploadSendsParametersInOrderAndTheFileLast(t *testing.T) {
	var names, values []string
	c := newClient(t, &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
		switch {
		case r.Method == http.MethodPost && r.URL.Host == "school.test":
			return answering(http.StatusOK, `{"upload_url":"https://files.test/put","file_param":"Filedata","upload_params":{"zeta":"1","alpha":2,"mid":null,"beta":"ä\n"}}`).Transport.RoundTrip(r)
		case r.Method == http.MethodGet:
			return answering(http.StatusOK, `{"id":5}`).Transport.RoundTrip(r)
		}
		_, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
		require.NoError(t, err)
		body, err := io.ReadAll(r.Body)
		require.NoError(t, err)
		assert.Equal(t, r.ContentLength, int64(len(body)), "the length is stated")
		parts := multipart.NewReader(bytes.NewReader(body), params["boundary"])
		for {
			part, err := parts.NextPart()
			if err == io.EOF {
				break
			}
			require.NoError(t, err)
			value, err := io.ReadAll(part)
			require.NoError(t, err)
			names, values = append(names, part.FormName()), append(values, string(value))
		}
		return answering(http.StatusSeeOther, "", "Location", "https://school.test/api/v1/files/5").Transport.RoundTrip(r)
	})})
	_, err := c.UploadFile(t.Context(), "1", canvas.Upload{Name: "x", Size: 3, Content: strings.NewReader("abc")})
	require.NoError(t, err)
	assert.Equal(t, []string{"zeta", "alpha", "mid", "beta", "Filedata"}, names)
	assert.Equal(t, []string{"1", "2", "", "ä\n", "abc"}, values)
}

func TestUploadThatTheFileServiceRefuses(t *testing.T) {
	c, fake := campus(t)
	course := ref(fake.Add(canvastest.Courses, canvastest.RootAccount, nil))
	fake.Inject(canvastest.Fault{Route: "POST /upload/:uuid", Status: 403, Body: `{"error":"invalid upload token"}`})
	_, err := c.UploadFile(t.Context(), course, canvas.Upload{Name: "x", Size: 3, Content: strings.NewReader("abc")})
	e, ok := errors.AsType[*canvas.Error](err)
	require.True(t, ok)
	assert.Equal(t, http.StatusForbidden, e.Status)
	assert.Equal(t, "upload", e.Code)
	require.NotErrorIs(t, err, canvas.ErrForbidden, "that is about the user of the token")
}

// A file service that answers before it has read everything leaves a transport
// that goes on reading for a while.
func TestUploadThatIsRefusedEarly(t *testing.T) {
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/put" {
			http.Error(w, `{"message":"too large"}`, http.StatusRequestEntityTooLarge)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"upload_url":"http://%s/put","upload_params":{"policy":"{\"a\":1}"}}`, r.Host)
	}))
	defer service.Close()
	c, err := canvas.New(canvas.Config{BaseURL: service.URL, Token: runbook.NewSecret("t")})
	require.NoError(t, err)
	sent := int64(0)
	_, err = c.UploadFile(t.Context(), "1", canvas.Upload{Name: "x", Size: 64 << 20, Content: io.LimitReader(zeros{}, 64<<20), OnProgress: func(n int64) { sent = n }})
	require.Error(t, err)
	assert.False(t, runbook.SafeToRetry(err))
	assert.Less(t, sent, int64(64<<20))
}

func TestUploadEndsWithItsContext(t *testing.T) {
	c, fake := campus(t)
	course := ref(fake.Add(canvastest.Courses, canvastest.RootAccount, nil))
	ctx, cancel := context.WithCancel(t.Context())
	returned := make(chan struct{})
	content := io.MultiReader(strings.NewReader("abc"), stopper(func() {
		cancel()
		<-returned // else all of it may have been sent before the end of the context is noticed
	}))
	_, err := c.UploadFile(ctx, course, canvas.Upload{Name: "x", Size: 1 << 20, Content: content})
	close(returned)
	require.ErrorIs(t, err, context.Canceled)
	fake.Wait()
	assert.Empty(t, all(t, c.Files(t.Context(), course, "")))
}

// stopper calls a function when it is read.
type stopper func()

func (s stopper) Read([]byte) (int, error) { s(); return 0, io.EOF }

// zeros is without end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }
