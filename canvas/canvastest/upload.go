package canvastest

import (
	"encoding/json"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
)

// upload is a file on its way: between the first step and the third.
type upload struct {
	course, folder int64
	name, kind     string
	size           int64
	rename         bool
	params         []string // the names of the parameters, in order
	secret         string
	canvas         string // the address that Canvas was asked at
	data           []byte
	stored         bool
	file           int64
}

// startUpload is the first step: the name, and where to send the file.
func startUpload(c *call) answer {
	course, bad, good := c.course("course_id", true)
	if !good {
		return bad
	}
	folder := c.rootFolder(course)
	if id := c.param("parent_folder_id"); id != "" {
		if folder = c.inCourse(Folders, course, id); folder == nil {
			return notFound()
		}
	}
	return c.begin(course, folder)
}

func startFolderUpload(c *call) answer {
	folder := c.find(Folders, c.path["folder_id"])
	if folder == nil {
		return notFound()
	}
	if !c.admin() {
		return c.unauthorized()
	}
	return c.begin(c.s.world.row(Courses, folder.parent), folder)
}

func (c *call) begin(course, folder *row) answer {
	if c.param("name") == "" {
		return Object{"message": "The name parameter is required"}.as(http.StatusBadRequest)
	}
	size := atoi(c.param("size"))
	if quota, used := c.quota(course); used+size > quota {
		return Object{"message": "file size exceeds quota"}.as(http.StatusBadRequest)
	}
	u := &upload{
		course: course.id, folder: folder.id, name: path.Base(c.param("name")), kind: c.param("content_type"), size: size, rename: c.param("on_duplicate") == "rename",
		params: []string{"filename", "content_type", "upload_token"}, secret: c.s.token40(), canvas: c.host(),
	}
	id := c.s.uuid()
	c.s.world.uploads[id] = u
	// Canvas sends the parameters in this order, in which they must come back; a
	// JSON object has none, so it is sent as raw text.
	raw := `{"upload_url":` + quoted(c.filesHost()+"/upload/"+id) + `,"upload_params":{"filename":` + quoted(u.name) + `,"content_type":` + quoted(u.kind) + `,"upload_token":` + quoted(u.secret) + `},"file_param":"file","progress":null}`
	return answer{status: http.StatusOK, raw: []byte(raw), contentType: "application/json; charset=utf-8"}
}

// storeUpload is the second step, at the file service: the parameters in order,
// and the file last. There is no access token here.
func storeUpload(c *call) answer {
	u := c.s.world.uploads[c.path["uuid"]]
	switch {
	case u == nil:
		return answer{status: http.StatusNotFound}
	case c.file == nil || len(c.order) == 0 || c.order[len(c.order)-1] != "file":
		c.s.problem("upload: the file is not the last part")
		return failure(http.StatusBadRequest, "file must be the last field")
	case !slices.Equal(c.order[:len(c.order)-1], u.params):
		c.s.problem("upload: parameters %v instead of %v", c.order[:len(c.order)-1], u.params)
		return failure(http.StatusBadRequest, "invalid upload parameters")
	case c.param("upload_token") != u.secret:
		return failure(http.StatusForbidden, "invalid upload token")
	}
	u.data, u.stored = c.file.data, true
	if u.file == 0 {
		u.file = c.s.world.nextID()
	}
	location := u.canvas + "/api/v1/files/" + itoa(u.file) + "/create_success?uuid=" + c.path["uuid"]
	status := http.StatusCreated
	if c.s.UploadRedirects {
		status = http.StatusSeeOther
	}
	return answer{status: status, header: http.Header{"Location": {location}}, body: Object{"location": location, "instfs_uuid": c.path["uuid"]}}
}

// finishUpload is the third step, at Canvas again and with the token: only now is
// the file there.
func finishUpload(c *call) answer {
	u := c.s.world.uploads[c.param("uuid")]
	if u == nil || !u.stored || itoa(u.file) != c.path["id"] {
		return notFound()
	}
	if r := c.s.world.row(Files, u.file); r != nil {
		return ok(c.fileView(r))
	}
	name := u.name
	for _, r := range c.s.world.in(Files, u.course) {
		if r.obj["folder_id"] != u.folder || r.text("display_name") != u.name {
			continue
		}
		if u.rename {
			ext := path.Ext(u.name)
			name = strings.TrimSuffix(u.name, ext) + "-1" + ext
			continue
		}
		r.deleted = true // overwrite, the default
	}
	r := c.s.add(Files, u.course, Object{"id": u.file, "folder_id": u.folder, "display_name": name, "filename": url.QueryEscape(name), "content-type": orText(u.kind, "application/octet-stream")})
	r.hidden["content"], r.obj["size"] = u.data, int64(len(u.data))
	return ok(c.fileView(r))
}

// quoted is a text in JSON.
func quoted(text string) string {
	raw, err := json.Marshal(text)
	if err != nil {
		panic(err) // a text
	}
	return string(raw)
}
