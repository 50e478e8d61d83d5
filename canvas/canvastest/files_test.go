package canvastest_test

import (
	"bytes"
	"fmt"
	"mime/multipart"
	"net/http"
	"net/url"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/canvas/canvastest"
)

// upload is the second step: the parameters in their order, and the file last.
func upload(t *testing.T, client *http.Client, address string, params [][2]string, file string, headers ...string) reply {
	t.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for _, p := range params {
		require.NoError(t, w.WriteField(p[0], p[1]))
	}
	f, err := w.CreateFormFile("file", "syllabus.txt")
	require.NoError(t, err)
	_, err = f.Write([]byte(file))
	require.NoError(t, err)
	require.NoError(t, w.Close())
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, address, &b)
	require.NoError(t, err)
	req.Header.Set("Content-Type", w.FormDataContentType())
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	return do(t, noRedirects(client), req)
}

func TestFilesInThreeSteps(t *testing.T) {
	for _, redirects := range []bool{false, true} {
		for name, client := range clients(t) {
			t.Run(fmt.Sprintf("%s, redirects %v", name, redirects), func(t *testing.T) {
				fake, c, base := client()
				fake.UploadRedirects = redirects
				course := fmt.Sprintf("%s/api/v1/courses/%d", base, fake.Add(canvastest.Courses, canvastest.RootAccount, nil))
				start := do(t, c, request(t, "POST", course+"/files", url.Values{"name": {"syllabus.txt"}, "size": {"5"}, "content_type": {"text/plain"}}))
				step := start.json(t)
				params := [][2]string{}
				for _, name := range []string{"filename", "content_type", "upload_token"} {
					params = append(params, [2]string{name, step["upload_params"].(map[string]any)[name].(string)})
				}
				assert.Regexp(t, `"filename":.*"content_type":.*"upload_token":`, string(start.body), "the order is the order to send them in")
				address := step["upload_url"].(string)
				swapped := [][2]string{params[1], params[0], params[2]}
				assert.Equal(t, http.StatusBadRequest, upload(t, c, address, swapped, "hello").StatusCode)
				second := upload(t, c, address, params, "hello")
				if redirects {
					assert.Equal(t, http.StatusSeeOther, second.StatusCode)
				} else {
					assert.Equal(t, http.StatusCreated, second.StatusCode)
				}
				assert.Empty(t, second.Header.Get("X-Rate-Limit-Remaining"), "the file service has no bucket")
				assert.Empty(t, do(t, c, request(t, "GET", course+"/files", nil)).list(t), "not yet there")
				file := do(t, c, request(t, "GET", second.Header.Get("Location"), nil)).json(t)
				assert.Equal(t, 5.0, file["size"])
				assert.Equal(t, "syllabus.txt", file["display_name"])
				assert.Len(t, fake.Problems(), 1, "the swapped parameters")

				// The download leads away from Canvas, without the token.
				away := do(t, noRedirects(c), request(t, "GET", file["url"].(string), nil, "Authorization", ""))
				require.Equal(t, http.StatusFound, away.StatusCode)
				assert.Equal(t, "hello", string(do(t, c, request(t, "GET", away.Header.Get("Location"), nil, "Authorization", "")).body))
				if name == "in memory" {
					assert.Contains(t, away.Header.Get("Location"), "files.canvastest.example")
				}
				upload(t, c, address, params, "hello", bearer(canvastest.AdminToken)...)
				assert.Len(t, fake.Problems(), 2)
				quota := do(t, c, request(t, "GET", course+"/files/quota", nil)).json(t)
				assert.Equal(t, 5.0, quota["quota_used"])
				over := do(t, c, request(t, "POST", course+"/files", url.Values{"name": {"big"}, "size": {"999999999999"}}))
				assert.Equal(t, http.StatusBadRequest, over.StatusCode)
				root := do(t, c, request(t, "GET", course+"/folders/root", nil)).json(t)
				assert.Equal(t, 1.0, root["files_count"])
			})
		}
	}
}

func TestFilesOneByOne(t *testing.T) {
	var fake canvastest.Server
	course := fake.Add(canvastest.Courses, canvastest.RootAccount, nil)
	file := fake.Add(canvastest.Files, course, canvastest.Object{"display_name": "a.txt", "content": "hello"})
	one := fmt.Sprintf("/api/v1/files/%d", file)
	assert.Equal(t, 5.0, get(t, &fake, one).json(t)["size"])
	assert.Equal(t, "a.txt", get(t, &fake, fmt.Sprintf("/api/v1/courses/%d/files/%d", course, file)).json(t)["display_name"])
	assert.Equal(t, "b.txt", send(t, &fake, "PUT", one, url.Values{"name": {"b.txt"}, "locked": {"true"}}).json(t)["display_name"])
	address := get(t, &fake, one+"/public_url").json(t)["public_url"].(string)
	assert.Equal(t, "hello", string(get(t, &fake, address, "Authorization", "").body))
	folders := get(t, &fake, fmt.Sprintf("/api/v1/courses/%d/folders", course)).list(t)
	require.Len(t, folders, 1)
	folder := fmt.Sprintf("/api/v1/folders/%.0f", folders[0]["id"])
	assert.Equal(t, "course files", get(t, &fake, folder).json(t)["name"])
	assert.Empty(t, get(t, &fake, folder+"/files").list(t))
	begun := send(t, &fake, "POST", folder+"/files", url.Values{"name": {"c.txt"}, "size": {"1"}, "on_duplicate": {"rename"}})
	assert.Contains(t, begun.json(t), "upload_url")
	assert.Equal(t, http.StatusBadRequest, send(t, &fake, "POST", folder+"/files", nil).StatusCode)
	stranger := bearer(fake.AddToken(canvastest.Token{User: fake.Add(canvastest.Users, canvastest.RootAccount, nil)}))
	for _, path := range []string{one, folder, folder + "/files"} {
		assert.Equal(t, http.StatusUnauthorized, get(t, &fake, path, stranger...).StatusCode, path)
	}
	send(t, &fake, "DELETE", one, nil)
	assert.Equal(t, http.StatusNotFound, get(t, &fake, one).StatusCode)
	assert.Empty(t, fake.Problems())
}

func TestDuplicatesOfFiles(t *testing.T) {
	var fake canvastest.Server
	course := fake.Add(canvastest.Courses, canvastest.RootAccount, nil)
	put := func(text, duplicate string) {
		t.Helper()
		step := send(t, &fake, "POST", fmt.Sprintf("/api/v1/courses/%d/files", course), url.Values{"name": {"a.txt"}, "on_duplicate": {duplicate}}).json(t)
		p := step["upload_params"].(map[string]any)
		params := [][2]string{{"filename", p["filename"].(string)}, {"content_type", ""}, {"upload_token", p["upload_token"].(string)}}
		get(t, &fake, upload(t, fake.Client(), step["upload_url"].(string), params, text).Header.Get("Location"))
	}
	put("one", "overwrite")
	put("three", "overwrite")
	put("two", "rename")
	var names []any
	for _, f := range get(t, &fake, fmt.Sprintf("/api/v1/courses/%d/files", course)).list(t) {
		names = append(names, f["display_name"], f["size"])
	}
	assert.Equal(t, []any{"a.txt", 5.0, "a-1.txt", 3.0}, names)
}
