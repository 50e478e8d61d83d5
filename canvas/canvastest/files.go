package canvastest

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// fileRoutes: documentation, pages "Files", "File Uploads".
func fileRoutes() []*route {
	const files = "/api/v1/courses/:course_id/files"
	start := "name size content_type parent_folder_id parent_folder_path folder on_duplicate url submit_assignment success_include[]"
	listed := "content_types[] exclude_content_types[] search_term sort order only[] include[]=user"
	edge := func(rt *route) *route { rt.edge = true; return rt }
	return []*route{
		lists("GET "+files, asUser, listFiles, listed),
		on("POST "+files, asUser, startUpload, start),
		on("GET "+files+"/quota", asUser, getQuota, ""),
		on("GET "+files+"/:id", asUser, getCourseFile, "include[]=user,usage_rights"),
		on("GET /api/v1/files/:id", asUser, getFile, "include[]=user,usage_rights"),
		on("PUT /api/v1/files/:id", asUser, putFile, "name parent_folder_id on_duplicate lock_at unlock_at locked hidden visibility_level"),
		on("DELETE /api/v1/files/:id", asUser, deleteFile, "replace"),
		on("GET /api/v1/files/:id/public_url", asUser, publicURL, "submission_id"),
		on("GET /api/v1/files/:id/create_success", asUser, finishUpload, "uuid include[]"),
		lists("GET /api/v1/courses/:course_id/folders", asUser, listFolders, ""),
		on("GET /api/v1/courses/:course_id/folders/:id", asUser, getFolder, ""),
		on("GET /api/v1/folders/:id", asUser, getAnyFolder, ""),
		lists("GET /api/v1/folders/:id/files", asUser, listFolderFiles, listed),
		on("POST /api/v1/folders/:folder_id/files", asUser, startFolderUpload, start),
		on("GET /files/:id/download", open, download, "download_frd verifier"),
		edge(on("POST /upload/:uuid", open, storeUpload, "*")),
		edge(on("GET /stored/:uuid/:name", open, stored, "token")),
	}
}

// filesHost is where the file service is.
func (c *call) filesHost() string {
	scheme, _, _ := strings.Cut(c.host(), "://")
	switch {
	case c.s.FilesHost != "":
		return scheme + "://" + c.s.FilesHost
	case c.memory:
		return scheme + "://files.canvastest.example"
	}
	return c.host()
}

func (c *call) fileView(r *row) Object {
	o := plain(r, "content")
	o["url"] = c.host() + "/files/" + itoa(r.id) + "/download?download_frd=1&verifier=" + r.text("uuid")
	return o
}

func (c *call) listFilesOf(course int64, in int64) answer {
	term := strings.ToLower(c.param("search_term"))
	keep := func(r *row) bool {
		return (in == 0 || r.obj["folder_id"] == in) && strings.Contains(strings.ToLower(r.text("display_name")), term)
	}
	return c.paged(c.rows(Files, course, keep, c.fileView), paging{})
}

func listFiles(c *call) answer {
	course, bad, good := c.course("course_id", false)
	if !good {
		return bad
	}
	return c.listFilesOf(course.id, 0)
}

func getQuota(c *call) answer {
	course, bad, good := c.course("course_id", true)
	if !good {
		return bad
	}
	quota, used := c.quota(course)
	return ok(Object{"quota": quota, "quota_used": used})
}

func (c *call) quota(course *row) (quota, used int64) {
	mb, _ := course.obj["storage_quota_mb"].(int64)
	for _, r := range c.s.world.in(Files, course.id) {
		n, _ := r.obj["size"].(int64)
		used += n
	}
	return mb * 1024 * 1024, used
}

func getCourseFile(c *call) answer {
	course, bad, good := c.course("course_id", false)
	if !good {
		return bad
	}
	r := c.inCourse(Files, course, c.path["id"])
	if r == nil {
		return notFound()
	}
	return ok(c.fileView(r))
}

// anyFile finds a file by its id alone.
func (c *call) anyFile(manage bool) (r *row, bad answer, ok bool) {
	r = c.find(Files, c.path["id"])
	if r == nil {
		return nil, notFound(), false
	}
	if !c.admin() && (manage || !c.s.world.enrolled[r.parent][c.who.user]) {
		return nil, c.unauthorized(), false
	}
	return r, answer{}, true
}

func getFile(c *call) answer {
	r, bad, good := c.anyFile(false)
	if !good {
		return bad
	}
	return ok(c.fileView(r))
}

func putFile(c *call) answer {
	r, bad, good := c.anyFile(true)
	if !good {
		return bad
	}
	if wrong := c.change(r.obj, "", "lock_at:t unlock_at:t locked:b hidden:b visibility_level:s"); wrong != "" {
		return invalid(wrong, "invalid", "is invalid")
	}
	if c.has("name") {
		r.obj["display_name"] = c.param("name")
	}
	return ok(c.fileView(r))
}

func deleteFile(c *call) answer {
	r, bad, good := c.anyFile(true)
	if !good {
		return bad
	}
	r.deleted = true
	return ok(c.fileView(r))
}

func publicURL(c *call) answer {
	r, bad, good := c.anyFile(false)
	if !good {
		return bad
	}
	return ok(Object{"public_url": c.storedURL(r)})
}

func (c *call) storedURL(r *row) string {
	return c.filesHost() + "/stored/" + r.text("uuid") + "/" + url.PathEscape(r.text("filename")) + "?token=" + c.s.token40()
}

// download leads to the file service, on another host.
func download(c *call) answer {
	r := c.find(Files, c.path["id"])
	if r == nil || r.text("uuid") != c.param("verifier") {
		return notFound()
	}
	return redirect(c.storedURL(r))
}

func stored(c *call) answer {
	for _, r := range c.s.world.all(Files) {
		if r.text("uuid") == c.path["uuid"] {
			data, _ := r.hidden["content"].([]byte)
			return answer{status: http.StatusOK, raw: slices.Clone(data), contentType: orText(r.text("content-type"), "application/octet-stream")}
		}
	}
	return answer{status: http.StatusNotFound}
}

// rootFolder is the folder that each course has.
func (c *call) rootFolder(course *row) *row {
	for _, r := range c.s.world.in(Folders, course.id) {
		if r.obj["parent_folder_id"] == nil {
			return r
		}
	}
	return c.s.add(Folders, course.id, Object{"name": "course files", "full_name": "course files"})
}

func (c *call) folderView(r *row) Object {
	o := plain(r)
	n := 0
	for _, f := range c.s.world.in(Files, r.parent) {
		if f.obj["folder_id"] == r.id {
			n++
		}
	}
	o["files_count"] = n
	o["files_url"], o["folders_url"] = c.host()+"/api/v1/folders/"+itoa(r.id)+"/files", c.host()+"/api/v1/folders/"+itoa(r.id)+"/folders"
	return o
}

func listFolders(c *call) answer {
	course, bad, good := c.course("course_id", false)
	if !good {
		return bad
	}
	c.rootFolder(course)
	return c.paged(c.rows(Folders, course.id, nil, c.folderView), paging{})
}

func getFolder(c *call) answer {
	course, bad, good := c.course("course_id", false)
	if !good {
		return bad
	}
	r := c.rootFolder(course)
	if c.path["id"] != "root" {
		r = c.inCourse(Folders, course, c.path["id"])
	}
	if r == nil {
		return notFound()
	}
	return ok(c.folderView(r))
}

func getAnyFolder(c *call) answer {
	r := c.find(Folders, c.path["id"])
	if r == nil {
		return notFound()
	}
	if !c.admin() && !c.s.world.enrolled[r.parent][c.who.user] {
		return c.unauthorized()
	}
	return ok(c.folderView(r))
}

func listFolderFiles(c *call) answer {
	r := c.find(Folders, c.path["id"])
	if r == nil {
		return notFound()
	}
	if !c.admin() && !c.s.world.enrolled[r.parent][c.who.user] {
		return c.unauthorized()
	}
	return c.listFilesOf(r.parent, r.id)
}
