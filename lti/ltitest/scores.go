package ltitest

//lint:file-ignore ST1005 a text is one that Canvas answers with

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// A Score is one that a tool posted.
type Score struct {
	// LineItem is the address of the line item.
	LineItem string
	// UserID, ActivityProgress, GradingProgress and Comment are as posted.
	UserID, ActivityProgress, GradingProgress, Comment string
	// Given and Maximum are the points; HasGiven says that there are any.
	Given, Maximum float64
	HasGiven       bool
	// Timestamp is that of the tool.
	Timestamp time.Time
	// Stale says that it is not newer than another one, and was ignored.
	Stale bool
	// Body is the JSON.
	Body map[string]any
}

// Scores returns the scores that were posted in a course, the first one if
// courseID is empty, in their order, those that were ignored included.
func (p *Platform) Scores(courseID string) []Score {
	defer p.lock()()
	var out []Score
	for _, i := range p.mustCourse(courseID).items {
		for _, s := range i.scores {
			out = append(out, *s)
		}
	}
	return out
}

func (p *Platform) postScore(c *call) answer {
	_, crs, item, a, ok := c.graded(ScopeScore)
	if !ok {
		return a
	}
	if c.mediaType() != typeScore {
		return unsupported(typeScore)
	}
	obj, err := c.object()
	var s *Score
	if err == nil {
		s, err = p.readScore(crs, obj)
	}
	if err != nil {
		return failure(http.StatusUnprocessableEntity, err.Error())
	}
	s.LineItem, _ = item.obj["id"].(string)
	if last, known := item.latest[s.UserID]; known && !s.Timestamp.After(last) {
		s.Stale = true
		item.scores = append(item.scores, s)
		if p.RejectOlderScores {
			return failure(http.StatusConflict, "The timestamp is not later than that of the last score.")
		}
		return p.scored(crs, item, s)
	}
	item.latest[s.UserID] = s.Timestamp
	item.scores = append(item.scores, s)
	return p.scored(crs, item, s)
}

// scored is the answer to a score. That of Canvas names the result
// (developerdocs.instructure.com, "Score"); AGS 2.0 wants no body.
func (p *Platform) scored(crs *course, item *lineItem, s *Score) answer {
	if p.Canvas {
		return jsonAnswer(http.StatusOK, map[string]any{"resultUrl": p.resultURL(crs, item, s.UserID)})
	}
	return answer{status: http.StatusOK}
}

// readScore checks a score (AGS 2.0, section 3.4; developerdocs.instructure.com,
// "Score").
func (p *Platform) readScore(crs *course, obj map[string]any) (*Score, error) {
	known := []string{"userId", "scoringUserId", "scoreGiven", "scoreMaximum", "comment", "timestamp", "activityProgress", "gradingProgress", "submission"}
	if names := unknownNames(obj, known...); len(names) > 0 {
		return nil, fmt.Errorf("unknown members: %s", strings.Join(names, ", "))
	}
	s := &Score{Body: obj}
	for name, into := range map[string]*string{"userId": &s.UserID, "activityProgress": &s.ActivityProgress, "gradingProgress": &s.GradingProgress} {
		if *into, _ = obj[name].(string); *into == "" {
			return nil, fmt.Errorf("%s is missing", name)
		}
	}
	s.Comment, _ = obj["comment"].(string)
	if v, there := obj["comment"].(string); !there && obj["comment"] != nil {
		return nil, fmt.Errorf("comment must be a text, and not %v", v)
	}
	switch {
	case !slices.Contains([]string{"Initialized", "Started", "InProgress", "Submitted", "Completed"}, s.ActivityProgress):
		return nil, errors.New("activityProgress is none of Initialized, Started, InProgress, Submitted, Completed")
	case !slices.Contains([]string{"FullyGraded", "Pending", "PendingManual", "Failed", "NotReady"}, s.GradingProgress):
		return nil, errors.New("gradingProgress is none of FullyGraded, Pending, PendingManual, Failed, NotReady")
	}
	if err := s.readPoints(obj); err != nil {
		return nil, err
	}
	stamp, _ := obj["timestamp"].(string)
	at, err := time.Parse(time.RFC3339Nano, stamp)
	if err != nil {
		return nil, errors.New("timestamp must be a time of ISO 8601 with a zone")
	}
	if !p.Canvas && !strings.Contains(stamp, ".") {
		return nil, errors.New("timestamp must have fractions of a second")
	}
	s.Timestamp = at
	return s, crs.mayScore(s.UserID)
}

func (s *Score) readPoints(obj map[string]any) error {
	if v, there := obj["scoreMaximum"]; there && v != nil {
		var ok bool
		if s.Maximum, ok = number(v); !ok || s.Maximum <= 0 {
			return errors.New("scoreMaximum must be a number above 0")
		}
	}
	v, there := obj["scoreGiven"]
	if !there || v == nil {
		return nil
	}
	var ok bool
	if s.Given, ok = number(v); !ok || s.Given < 0 {
		return errors.New("scoreGiven must be a number, and not below 0")
	}
	s.HasGiven = true
	if s.Maximum <= 0 {
		return errors.New("scoreMaximum must be given with scoreGiven")
	}
	return nil
}

// mayScore wants an active learner.
func (crs *course) mayScore(user string) error {
	m := crs.member(user)
	if m == nil || (m.Status != "" && m.Status != "Active") || !slices.ContainsFunc(m.Roles, func(r string) bool { return strings.HasSuffix(r, "#Learner") || r == "Learner" }) {
		return errors.New("User not found in course or is not a student")
	}
	return nil
}

// listResults are the results of a line item (AGS 2.0, section 3.3): the newest
// score of each user, as far as it counts.
func (p *Platform) listResults(c *call) answer {
	_, crs, item, a, ok := c.graded(ScopeResultReadOnly)
	if !ok {
		return a
	}
	single := c.r.PathValue("user")
	if single == "" && !c.wants(typeResults) {
		return notAcceptable(typeResults)
	}
	results := p.results(crs, item)
	if users := c.query["user_id"]; single != "" || len(users) > 0 {
		if single == "" {
			single = users[0]
		}
		results = slices.DeleteFunc(results, func(r any) bool {
			o, _ := r.(map[string]any)
			return o["userId"] != single
		})
	}
	if c.r.PathValue("user") != "" {
		if len(results) == 0 {
			return notFound()
		}
		return typed(http.StatusOK, "application/vnd.ims.lis.v2.result+json", results[0])
	}
	from, to, links := c.page(len(results))
	out := typed(http.StatusOK, typeResults, results[from:to])
	out.header = links
	return out
}

func (p *Platform) results(crs *course, item *lineItem) []any {
	highest, _ := number(item.obj["scoreMaximum"])
	newest := make(map[string]*Score)
	var order []string
	for _, s := range item.scores {
		if s.Stale {
			continue
		}
		if newest[s.UserID] == nil {
			order = append(order, s.UserID)
		}
		newest[s.UserID] = s
	}
	results := []any{}
	for _, user := range order {
		s := newest[user]
		o := map[string]any{"id": p.resultURL(crs, item, user), "userId": user, "scoreOf": item.obj["id"], "resultMaximum": highest}
		// Other progress than these is no reason to change the grade.
		if s.HasGiven && (s.GradingProgress == "FullyGraded" || s.GradingProgress == "PendingManual") {
			o["resultScore"] = s.Given / s.Maximum * highest
		}
		if s.Comment != "" {
			o["comment"] = s.Comment
		}
		results = append(results, o)
	}
	return results
}
