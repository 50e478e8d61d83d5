package canvastest

import (
	"net/http"
	"slices"
	"time"
)

// progressRoutes: documentation, pages "Progress", "Public JWK", "Courses" (batch
// update).
func progressRoutes() []*route {
	return []*route{
		on("GET /api/v1/progress/:id", asUser, getProgress, ""),
		on("POST /api/v1/progress/:id/cancel", asUser, cancelProgress, "message"),
		on("GET /api/lti/courses/:course_id/progress/:id", asTool, toolProgress, ""),
		on("PUT /api/lti/developer_key/update_public_jwk", asTool, updateJWK, "developer_key[* public_jwk[*"),
		on("PUT /api/v1/accounts/:account_id/courses", asAdmin, batchUpdate, "course_ids[] event"),
	}
}

func (s *Server) progressTime() time.Duration {
	if s.ProgressTime == 0 {
		return 10 * time.Second
	}
	return s.ProgressTime
}

// SetJobsFail makes the jobs that begin from now on end as failed.
func (s *Server) SetJobsFail(fail bool) {
	defer s.lock()()
	s.failing = fail
}

// settle moves the jobs on to a moment: queued, running, and after
// Server.ProgressTime completed or failed, when what they do takes effect. A
// progress that was added in another state than queued stays as it is.
func (w *world) settle(now time.Time, s *Server) {
	for _, r := range w.table(Progresses).rows {
		started, moves := r.hidden["started"].(time.Time)
		if !moves {
			continue
		}
		switch done := now.Sub(started); {
		case r.text("workflow_state") == "failed": // cancelled
			delete(r.hidden, "started")
		case done < s.progressTime()/10:
		case done < s.progressTime():
			r.obj["workflow_state"] = "running"
			r.obj["completion"] = float64(int(100 * float64(done) / float64(s.progressTime())))
			r.obj["updated_at"] = stamp(now)
		default:
			w.finish(r, started.Add(s.progressTime()))
		}
	}
}

// finish ends a job.
func (w *world) finish(r *row, at time.Time) {
	delete(r.hidden, "started")
	r.obj["updated_at"] = stamp(at)
	if r.hidden["failing"] == true {
		r.obj["workflow_state"], r.obj["message"] = "failed", "The job failed."
		return
	}
	r.obj["workflow_state"], r.obj["completion"] = "completed", 100.0
	states := map[string]string{"offer": "available", "conclude": "completed", "undelete": "unpublished"}
	ids, _ := r.hidden["courses"].([]int64)
	for _, id := range ids {
		course := w.table(Courses).rows[id]
		event, _ := r.hidden["event"].(string)
		course.deleted = event == "delete"
		if state := states[event]; state != "" {
			course.obj["workflow_state"] = state
		}
	}
}

// begun marks a progress as one that moves.
func (s *Server) begun(r *row) {
	if r.text("workflow_state") == "queued" && r.hidden["started"] == nil {
		r.hidden["started"], r.hidden["failing"] = s.now(), s.failing
	}
}

func (c *call) progressView(r *row) Object {
	o := plain(r)
	o["url"] = c.host() + "/api/v1/progress/" + itoa(r.id)
	return o
}

// getProgress answers 200 also if the job failed.
func getProgress(c *call) answer {
	r := c.find(Progresses, c.path["id"])
	if r == nil {
		return notFound()
	}
	if !c.admin() && r.obj["user_id"] != c.who.user {
		return c.unauthorized()
	}
	return ok(c.progressView(r))
}

func cancelProgress(c *call) answer {
	r := c.find(Progresses, c.path["id"])
	if r == nil {
		return notFound()
	}
	if !c.admin() && r.obj["user_id"] != c.who.user {
		return c.unauthorized()
	}
	if state := r.text("workflow_state"); state != "queued" && state != "running" {
		return invalid("workflow_state", "invalid", "is already "+state)
	}
	r.obj["workflow_state"], r.obj["message"] = "failed", orText(c.param("message"), "canceled")
	return ok(c.progressView(r))
}

const progressScope = "https://canvas.instructure.com/lti/progress/scope/show"

// ltiError is an error of the LTI services, whose shape is their own.
func ltiError(status int, kind, message string) answer {
	return Object{"errors": Object{"type": kind, "message": message}}.as(status)
}

func toolProgress(c *call) answer {
	if !slices.Contains(c.who.token.Scopes, progressScope) {
		return ltiError(http.StatusUnauthorized, "unauthorized", "Insufficient permissions")
	}
	course, r := c.find(Courses, c.path["course_id"]), c.find(Progresses, c.path["id"])
	if course == nil || r == nil || r.obj["context_type"] != "Course" || r.obj["context_id"] != course.id {
		return notFound()
	}
	return ok(c.progressView(r))
}

func batchUpdate(c *call) answer {
	account := c.account()
	if account == nil {
		return notFound()
	}
	event := c.param("event")
	ids := listValue(c.params["course_ids[]"], 'n').([]int64)
	switch {
	case len(ids) == 0:
		return missing("course_ids")
	case len(ids) > 500:
		return Object{"message": "course_ids must not have more than 500 entries"}.as(http.StatusBadRequest)
	case !slices.Contains([]string{"offer", "conclude", "delete", "undelete"}, event):
		return Object{"message": "need valid event"}.as(http.StatusBadRequest)
	}
	for _, id := range ids {
		if c.s.world.table(Courses).rows[id] == nil {
			return notFound()
		}
	}
	r := c.s.add(Progresses, 0, Object{"context_id": account.id, "user_id": c.who.user})
	r.hidden["courses"], r.hidden["event"] = ids, event
	return ok(c.progressView(r))
}

const jwkScope = "https://canvas.instructure.com/lti/public_jwk/scope/update"

// updateJWK lets a tool replace its own public key.
func updateJWK(c *call) answer {
	if !slices.Contains(c.who.token.Scopes, jwkScope) {
		return ltiError(http.StatusUnauthorized, "unauthorized", "Insufficient permissions")
	}
	given, _ := c.object("developer_key")["public_jwk"].(Object)
	if given == nil {
		given = c.object("public_jwk")
	}
	k, err := readJWK(given)
	if err == nil {
		_, err = k.key()
	}
	if err != nil {
		return invalid("public_jwk", "invalid", "is invalid")
	}
	key := c.s.world.row(DeveloperKeys, c.who.token.client)
	key.obj["public_jwk"] = given
	return ok(c.keyView(key))
}
