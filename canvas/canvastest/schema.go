package canvastest

import (
	"encoding/hex"
	"strings"
)

// blank is a new resource with the fields that the documentation gives its kind
// (developerdocs.instructure.com, page named at each, as published on
// 2026-02-15) and the values that Canvas gives them. Fields whose value depends
// on others are filled by complete.
func (s *Server) blank(kind Kind, r *row) Object {
	now := stamp(s.now())
	switch kind {
	case Accounts: // "Accounts"
		return Object{
			"name": "Account " + itoa(r.id), "uuid": s.token40(), "parent_account_id": parentOrNil(r.parent), "root_account_id": rootOrNil(r.parent), "workflow_state": "active",
			"default_storage_quota_mb": int64(500), "default_user_storage_quota_mb": int64(50), "default_group_storage_quota_mb": int64(50), "default_time_zone": "Australia/Brisbane",
			"sis_account_id": nil, "integration_id": nil, "sis_import_id": nil, "course_template_id": nil, "lti_guid": s.token40() + ":canvas-lms",
		}
	case Users: // "Users"
		return Object{
			"name": "User " + itoa(r.id), "sortable_name": nil, "short_name": nil, "last_name": nil, "first_name": nil, "created_at": now, "sis_user_id": nil, "sis_import_id": nil,
			"integration_id": nil, "login_id": "user" + itoa(r.id), "avatar_url": "https://canvas.instructure.com/images/messages/avatar-50.png", "email": nil, "locale": nil,
			"effective_locale": "en-AU", "time_zone": "Australia/Brisbane", "bio": nil, "pronouns": nil, "uuid": s.token40(),
		}
	case Courses: // "Courses"
		return Object{
			"name": "Course " + itoa(r.id), "account_id": r.parent, "root_account_id": RootAccount, "uuid": s.token40(), "start_at": nil, "end_at": nil, "grading_standard_id": nil,
			"is_public": false, "created_at": now, "course_code": "C" + itoa(r.id), "default_view": "modules", "enrollment_term_id": int64(1), "license": "private", "grade_passback_setting": nil,
			"public_syllabus": false, "public_syllabus_to_auth": false, "storage_quota_mb": int64(500), "is_public_to_auth_users": false, "homeroom_course": false, "course_color": nil,
			"friendly_name": nil, "apply_assignment_group_weights": false, "calendar": Object{"ics": ""}, "time_zone": "Australia/Brisbane", "blueprint": false, "template": false,
			"sis_course_id": nil, "sis_import_id": nil, "integration_id": nil, "hide_final_grades": false, "workflow_state": "available", "course_format": "on_campus", "restrict_enrollments_to_course_dates": false,
			"syllabus_body": nil,
		}
	case Pages: // "Pages"
		return Object{
			"page_id": r.id, "title": "Page " + itoa(r.id), "url": nil, "body": "<p></p>", "created_at": now, "updated_at": now, "editing_roles": "teachers", "published": true,
			"hide_from_students": false, "front_page": false, "html_url": nil, "todo_date": nil, "publish_at": nil, "locked_for_user": false, "last_edited_by": nil, "editor": "rce",
		}
	case Assignments: // "Assignments"
		return Object{
			"name": "Assignment " + itoa(r.id), "description": nil, "due_at": nil, "unlock_at": nil, "lock_at": nil, "points_possible": 10.0, "grading_type": "points",
			"assignment_group_id": int64(1), "grading_standard_id": nil, "created_at": now, "updated_at": now, "peer_reviews": false, "position": int64(1), "course_id": r.parent,
			"submission_types": []string{"online_text_entry"}, "has_submitted_submissions": false, "workflow_state": "published", "published": true, "html_url": nil, "muted": true,
			"omit_from_final_grade": false, "anonymous_grading": false, "allowed_attempts": int64(-1), "external_tool_tag_attributes": nil, "secure_params": s.token40(), "lti_context_id": s.uuid(),
			"locked_for_user": false, "only_visible_to_overrides": false, "integration_id": nil, "integration_data": Object{}, "sis_assignment_id": nil,
		}
	case Modules: // "Modules"
		return Object{
			"name": "Module " + itoa(r.id), "position": int64(1), "unlock_at": nil, "require_sequential_progress": false, "requirement_type": "all", "publish_final_grade": false,
			"prerequisite_module_ids": []int64{}, "published": true, "items_count": int64(0), "items_url": nil, "workflow_state": "active",
		}
	case ModuleItems: // "Modules"
		return Object{
			"title": "Item " + itoa(r.id), "position": int64(1), "indent": int64(0), "quiz_lti": false, "type": "SubHeader", "module_id": r.parent, "html_url": nil, "url": nil, "content_id": nil,
			"page_url": nil, "external_url": nil, "new_tab": nil, "published": true, "completion_requirement": nil, "iframe": nil,
		}
	case Folders: // "Files"
		return Object{
			"name": "unfiled", "full_name": "course files/unfiled", "context_id": r.parent, "context_type": "Course", "parent_folder_id": nil, "created_at": now, "updated_at": now, "lock_at": nil,
			"unlock_at": nil, "position": nil, "locked": false, "hidden": nil, "hidden_for_user": false, "locked_for_user": false, "for_submissions": false, "can_upload": true,
			"files_count": int64(0), "folders_count": int64(0), "files_url": nil, "folders_url": nil,
		}
	case Files: // "Files"
		return Object{
			"uuid": s.token40(), "folder_id": nil, "display_name": "file" + itoa(r.id) + ".txt", "filename": "file" + itoa(r.id) + ".txt", "upload_status": "success", "content-type": "text/plain",
			"url": nil, "size": int64(0), "created_at": now, "updated_at": now, "unlock_at": nil, "locked": false, "hidden": false, "lock_at": nil, "hidden_for_user": false,
			"thumbnail_url": nil, "modified_at": now, "mime_class": "text", "media_entry_id": nil, "category": "uncategorized", "locked_for_user": false, "visibility_level": "inherit",
			"content": "",
		}
	case ExternalTools: // "External Tools"
		return toolFields(now)
	case DeveloperKeys: // "Developer Keys"
		return s.keyFields(now, r)
	case Registrations: // "LTI Registrations"
		return s.registrationFields(now, r)
	case AccountNotifications: // "Account Notifications"
		return Object{
			"subject": "", "message": "", "start_at": now, "end_at": now, "icon": "warning", "roles": []string{}, "role_ids": []int64{}, "author": nil,
		}
	case Polls: // "Polls"
		return Object{"question": "Which?", "description": nil, "created_at": now, "user_id": r.parent, "total_results": Object{}}
	case Progresses: // "Progress"
		return Object{
			"context_id": RootAccount, "context_type": "Account", "user_id": nil, "tag": "course_batch_update", "completion": nil, "workflow_state": "queued", "created_at": now, "updated_at": now,
			"message": nil, "results": nil, "url": nil,
		}
	}
	return s.blankEvent(kind, r, now)
}

// blankEvent is blank for what is logged and not edited.
func (s *Server) blankEvent(kind Kind, r *row, now string) Object {
	switch kind {
	case AuthenticationEvents: // "Authentications Log"
		return Object{"id": s.uuid(), "created_at": now, "event_type": "login", "links": Object{"login": nil, "account": RootAccount, "user": r.parent, "page_view": nil}}
	case CourseEvents: // "Course Audit Log"
		return Object{
			"id": s.uuid(), "created_at": now, "event_type": "updated", "event_source": "manual", "event_data": Object{},
			"links": Object{"course": r.parent, "user": nil, "page_view": nil, "copied_from": nil, "copied_to": nil, "sis_batch": nil, "account": RootAccount},
		}
	case GradeChanges: // "Grade Change Log"
		return Object{
			"id": s.uuid(), "created_at": now, "event_type": "grade_change", "excused_after": false, "excused_before": false, "grade_after": nil, "grade_before": nil,
			"graded_anonymously": false, "version_number": "1", "request_id": s.uuid(), "course_override_grade": false,
			"links": Object{"assignment": nil, "course": r.parent, "student": nil, "grader": nil, "page_view": nil},
		}
	case PageViews: // "Users"
		return Object{
			"id": s.uuid(), "app_name": nil, "url": "https://canvas.instructure.com/conversations", "context_type": nil, "asset_type": nil, "controller": "conversations", "action": "index",
			"contributed": false, "interaction_seconds": 7.21, "created_at": now, "user_request": true, "render_time": 0.369, "user_agent": "Mozilla/5.0", "participated": false,
			"http_method": "GET", "remote_ip": "192.0.2.77", "asset_user_access_id": nil, "session_id": s.token40(), "updated_at": now, "summarized": nil,
			"links": Object{"user": r.parent, "context": nil, "asset": nil, "real_user": nil, "account": RootAccount},
		}
	}
	panic("canvastest: no such kind: " + string(kind))
}

// complete fills the fields that depend on others.
func (s *Server) complete(kind Kind, r *row) {
	switch kind {
	case Users:
		name := r.text("name")
		first, last, _ := strings.Cut(name, " ")
		fill(r.obj, "short_name", name)
		fill(r.obj, "first_name", first)
		fill(r.obj, "last_name", last)
		fill(r.obj, "sortable_name", strings.TrimPrefix(last+", "+first, ", "))
	case Pages:
		fill(r.obj, "url", slug(r.text("title")))
	case Files:
		if text := r.text("content"); text != "" {
			r.hidden["content"] = []byte(text)
			r.obj["size"] = int64(len(text))
			r.obj["content"] = ""
		}
	case Progresses:
		s.begun(r)
	case ExternalTools:
		s.completeTool(r)
	case DeveloperKeys:
		s.completeKey(r)
	case Registrations:
		s.completeRegistration(r)
	}
}

func fill(o Object, name, value string) {
	if o[name] == nil {
		o[name] = value
	}
}

// slug is the address of a page made from its title.
func slug(title string) string {
	dash := false
	var b strings.Builder
	for _, c := range strings.ToLower(title) {
		if c >= 'a' && c <= 'z' || c >= '0' && c <= '9' {
			if dash && b.Len() > 0 {
				b.WriteByte('-')
			}
			dash = false
			b.WriteRune(c)
			continue
		}
		dash = true
	}
	return b.String()
}

func parentOrNil(id int64) any {
	if id == 0 {
		return nil
	}
	return id
}

func rootOrNil(parent int64) any {
	if parent == 0 {
		return nil
	}
	return RootAccount
}

// token40 is a random text of 40 letters and digits, as Canvas' uuids are.
func (s *Server) token40() string {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	b := make([]byte, 40)
	for i := range b {
		b[i] = letters[s.rand.IntN(len(letters))]
	}
	return string(b)
}

// hex40 is a random hexadecimal text of 40 characters.
func (s *Server) hex40() string {
	b := make([]byte, 20)
	for i := range b {
		b[i] = byte(s.rand.UintN(256))
	}
	return hex.EncodeToString(b)
}

// seedWorld makes what each Canvas has. The administrator with AdminToken has
// the first id after the root account's, 2.
func (s *Server) seedWorld() {
	s.add(Accounts, 0, Object{"id": RootAccount, "name": "Example University"})
	admin := s.add(Users, RootAccount, Object{"name": "QA Administrator", "login_id": "qa-admin", "email": "qa-admin@example.edu"})
	s.world.admins[admin.id] = true
	s.addToken(Token{Text: AdminToken, User: admin.id, Purpose: "canvastest"})
}
