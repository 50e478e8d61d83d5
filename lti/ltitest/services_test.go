package ltitest_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/lti/ltitest"
)

const (
	lineItemType  = "application/vnd.ims.lis.v2.lineitem+json"
	lineItemsType = "application/vnd.ims.lis.v2.lineitemcontainer+json"
	resultsType   = "application/vnd.ims.lis.v2.resultcontainer+json"
	scoreType     = "application/vnd.ims.lis.v1.score+json"
	membersType   = "application/vnd.ims.lti-nrps.v2.membershipcontainer+json"
)

// below appends to the path of an address.
func below(t testing.TB, address, path string, query ...string) string {
	t.Helper()
	u, err := url.Parse(address)
	require.NoError(t, err)
	u.Path += path
	q := u.Query()
	for i := 0; i < len(query); i += 2 {
		q.Set(query[i], query[i+1])
	}
	u.RawQuery = q.Encode()
	return u.String()
}

var nextLink = regexp.MustCompile(`<([^>]*)>; rel="?next"?`)

func next(r *reply) string {
	found := nextLink.FindStringSubmatch(strings.Join(r.header.Values("Link"), ","))
	if found == nil {
		return ""
	}
	return found[1]
}

// TestLineItems is the life of line items, with paging and filters, and what is
// refused.
func TestLineItems(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		items := text(object(w.claims(ltitest.Message{}), agsClaim), "lineitems")
		auth := w.bearer()
		for i, tag := range []string{"a", "b", "a"} {
			body, err := json.Marshal(map[string]any{"label": "Quiz " + tag, "scoreMaximum": 10 + i, "tag": tag, "resourceId": "r1", "https://x.example/ext": 1})
			require.NoError(t, err)
			r := w.do(http.MethodPost, items, body, "Authorization", auth, "Content-Type", lineItemType)
			require.Equal(t, http.StatusCreated, r.status, string(r.body))
			require.Equal(t, lineItemType, r.header.Get("Content-Type"))
		}
		seen := 0
		for address := items; address != ""; {
			r := w.do(http.MethodGet, address, nil, "Authorization", auth, "Accept", lineItemsType)
			require.Equal(t, http.StatusOK, r.status, string(r.body))
			require.LessOrEqual(t, len(r.list(t)), 2)
			seen += len(r.list(t))
			address = next(r)
		}
		assert.Equal(t, 3, seen)
		list := w.do(http.MethodGet, below(t, items, "", "tag", "a", "limit", "1"), nil, "Authorization", auth, "Accept", lineItemsType)
		require.Len(t, list.list(t), 1)
		assert.Contains(t, next(list), "tag=a")

		id := text(list.list(t)[0], "id")
		put := w.do(http.MethodPut, id, []byte(`{"id":"`+id+`","label":"New","scoreMaximum":5}`), "Authorization", auth, "Content-Type", lineItemType)
		require.Equal(t, http.StatusOK, put.status, string(put.body))
		got := w.do(http.MethodGet, id, nil, "Authorization", auth, "Accept", lineItemType).json(t)
		assert.Equal(t, "New", got["label"])
		assert.NotContains(t, got, "tag", "a PUT replaces")
		assert.Equal(t, http.StatusNoContent, w.do(http.MethodDelete, id, nil, "Authorization", auth).status)
		assert.Equal(t, http.StatusNotFound, w.do(http.MethodGet, id, nil, "Authorization", auth, "Accept", lineItemType).status)

		for name, body := range map[string]string{
			"no label": `{"scoreMaximum":1}`, "no maximum": `{"label":"x"}`, "maximum 0": `{"label":"x","scoreMaximum":0}`, "unknown member": `{"label":"x","scoreMaximum":1,"max":2}`,
			"unknown link": `{"label":"x","scoreMaximum":1,"resourceLinkId":"nope"}`, "tag is a number": `{"label":"x","scoreMaximum":1,"tag":3}`, "null": `null`, "no JSON": `{`,
		} {
			assert.Equal(t, http.StatusUnprocessableEntity, w.do(http.MethodPost, items, []byte(body), "Authorization", auth, "Content-Type", lineItemType).status, name)
		}
		assert.Equal(t, http.StatusUnsupportedMediaType, w.do(http.MethodPost, items, []byte(`{}`), "Authorization", auth, "Content-Type", "application/json").status)
		assert.Equal(t, http.StatusNotAcceptable, w.do(http.MethodGet, items, nil, "Authorization", auth, "Accept", "application/json").status)
		assert.Equal(t, http.StatusMethodNotAllowed, w.do(http.MethodPatch, items, nil, "Authorization", auth).status)
		other := w.p.AddTool(ltitest.Tool{})
		foreign := w.p.AddLineItem(other.ClientID, "", ltitest.LineItem{Label: "Other", ScoreMaximum: 1})
		assert.Equal(t, http.StatusNotFound, w.do(http.MethodGet, foreign.ID, nil, "Authorization", auth, "Accept", lineItemType).status, "another tool's")
	})
}

// TestServiceQuery: the query of a service's address must be kept.
func TestServiceQuery(t *testing.T) {
	w := newWorld(t, &ltitest.Platform{})
	claims := w.claims(ltitest.Message{})
	auth := w.bearer()
	item := w.p.AddLineItem("", "", ltitest.LineItem{Label: "x", ScoreMaximum: 1})
	for _, address := range []string{text(object(claims, agsClaim), "lineitems"), item.ID, text(object(claims, nrpsClaim), "context_memberships_url")} {
		bare, _, found := strings.Cut(address, "?")
		require.True(t, found)
		assert.Equal(t, http.StatusBadRequest, w.do(http.MethodGet, bare, nil, "Authorization", auth, "Accept", "*/*").status)
	}
}

// TestLineItemClaim: a link with one line item has its address.
func TestLineItemClaim(t *testing.T) {
	w := newWorld(t, &ltitest.Platform{})
	link := w.p.AddLineItem("", "", ltitest.LineItem{Label: "x", ScoreMaximum: 1, ResourceLinkID: "link-1234"})
	assert.Equal(t, link.ID, object(w.claims(ltitest.Message{}), agsClaim)["lineitem"])
	w.p.AddLineItem("", "", ltitest.LineItem{Label: "y", ScoreMaximum: 1, ResourceLinkID: "link-1234"})
	assert.NotContains(t, object(w.claims(ltitest.Message{}), agsClaim), "lineitem", "there are two")
	assert.Len(t, w.p.LineItems(""), 2)
}

// TestScores: scores and what becomes of them.
func TestScores(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		item := w.p.AddLineItem("", "", ltitest.LineItem{Label: "x", ScoreMaximum: 10})
		auth := w.bearer()
		at := time.Now()
		post := func(changes map[string]any) *reply {
			score := changed(map[string]any{
				"userId": ltitest.Student, "scoreGiven": 40, "scoreMaximum": 50, "activityProgress": "Completed", "gradingProgress": "FullyGraded",
				"timestamp": at.Format("2006-01-02T15:04:05.000Z07:00"), "comment": "well done",
			}, changes)
			body, err := json.Marshal(score)
			require.NoError(t, err)
			return w.do(http.MethodPost, below(t, item.ID, "/scores"), body, "Authorization", auth, "Content-Type", scoreType)
		}
		require.Equal(t, http.StatusOK, post(nil).status)
		results := func() []map[string]any {
			r := w.do(http.MethodGet, below(t, item.ID, "/results"), nil, "Authorization", auth, "Accept", resultsType)
			require.Equal(t, http.StatusOK, r.status)
			return r.list(t)
		}
		require.Len(t, results(), 1)
		assert.InDelta(t, 8, results()[0]["resultScore"], 0, "scaled to the line item")
		assert.Equal(t, item.ID, results()[0]["scoreOf"])

		// An older or equal timestamp is accepted and changes nothing.
		require.Equal(t, http.StatusOK, post(map[string]any{"scoreGiven": 1}).status)
		at = at.Add(-time.Second)
		require.Equal(t, http.StatusOK, post(map[string]any{"scoreGiven": 1}).status)
		assert.InDelta(t, 8, results()[0]["resultScore"], 0)
		at = at.Add(2 * time.Second)
		require.Equal(t, http.StatusOK, post(map[string]any{"scoreGiven": 60}).status, "more than the maximum is extra credit")
		assert.InDelta(t, 12, results()[0]["resultScore"], 0)
		scores := w.p.Scores("")
		require.Len(t, scores, 4)
		assert.Equal(t, []bool{false, true, true, false}, []bool{scores[0].Stale, scores[1].Stale, scores[2].Stale, scores[3].Stale})
		assert.Equal(t, item.ID, scores[0].LineItem)

		for name, changes := range map[string]map[string]any{
			"no user": {"userId": gone{}}, "no activity": {"activityProgress": gone{}}, "no grading": {"gradingProgress": gone{}}, "no timestamp": {"timestamp": gone{}},
			"other activity": {"activityProgress": "Done"}, "other grading": {"gradingProgress": "Graded"}, "no maximum": {"scoreMaximum": gone{}}, "maximum 0": {"scoreMaximum": 0},
			"negative": {"scoreGiven": -1}, "points as a text": {"scoreGiven": "4"}, "a teacher": {"userId": ltitest.Instructor}, "inactive": {"userId": ltitest.OtherStudent},
			"stranger": {"userId": "nobody"}, "no zone": {"timestamp": "2026-01-01T00:00:00.000"}, "unknown member": {"score": 1}, "comment is a number": {"comment": 1},
		} {
			assert.Equal(t, http.StatusUnprocessableEntity, post(changes).status, name)
		}
		assert.Equal(t, http.StatusUnsupportedMediaType, w.do(http.MethodPost, below(t, item.ID, "/scores"), []byte(`{}`), "Authorization", auth, "Content-Type", "application/json").status)
		assert.Equal(t, http.StatusMethodNotAllowed, w.do(http.MethodGet, below(t, item.ID, "/scores"), nil, "Authorization", auth).status)
		whole := post(map[string]any{"timestamp": at.Add(time.Minute).UTC().Format(time.RFC3339)})
		if w.p.Canvas {
			assert.Contains(t, whole.json(t)["resultUrl"], "/results/")
		} else {
			assert.Equal(t, http.StatusUnprocessableEntity, whole.status, "without fractions")
		}
	})
}

// TestRejectOlderScores is what some platforms do instead of ignoring them.
func TestRejectOlderScores(t *testing.T) {
	w := newWorld(t, &ltitest.Platform{RejectOlderScores: true})
	item := w.p.AddLineItem("", "", ltitest.LineItem{Label: "x", ScoreMaximum: 10})
	body := []byte(`{"userId":"` + ltitest.Student + `","activityProgress":"Started","gradingProgress":"NotReady","timestamp":"2026-01-01T00:00:00.001Z"}`)
	auth := w.bearer()
	for _, want := range []int{http.StatusOK, http.StatusConflict} {
		assert.Equal(t, want, w.do(http.MethodPost, below(t, item.ID, "/scores"), body, "Authorization", auth, "Content-Type", scoreType).status)
	}
}

// TestMembers: pages, filters, privacy, and differences.
func TestMembers(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		address := text(object(w.claims(ltitest.Message{}), nrpsClaim), "context_memberships_url")
		auth := w.bearer()
		get := func(address string) *reply {
			r := w.do(http.MethodGet, address, nil, "Authorization", auth, "Accept", membersType)
			require.Equal(t, http.StatusOK, r.status, string(r.body))
			require.Equal(t, membersType, r.header.Get("Content-Type"))
			return r
		}
		members := func(r *reply) []any { l, _ := r.json(t)["members"].([]any); return l }
		first := get(address)
		assert.Len(t, members(first), 2)
		second := get(next(first))
		assert.Len(t, members(second), 1)
		assert.Empty(t, next(second))
		assert.Len(t, members(get(below(t, address, "", "role", "Instructor"))), 1)
		assert.Len(t, members(get(below(t, address, "", "role", ltitest.RoleLearner))), 2)
		assert.Len(t, members(get(below(t, address, "", "limit", "1"))), 1)
		assert.Equal(t, http.StatusBadRequest, w.do(http.MethodGet, below(t, address, "", "rlid", "nope"), nil, "Authorization", auth, "Accept", membersType).status)
		assert.Contains(t, members(get(below(t, address, "", "rlid", "link-1234")))[0], "message")
		assert.Equal(t, http.StatusNotAcceptable, w.do(http.MethodGet, address, nil, "Authorization", auth, "Accept", "application/json").status)

		found := regexp.MustCompile(`<([^>]*)>; rel="differences"`).FindStringSubmatch(strings.Join(second.header.Values("Link"), ","))
		if w.p.Canvas {
			assert.Empty(t, found)
			return
		}
		require.NotNil(t, found)
		assert.Empty(t, members(get(found[1])))
		w.p.SetMember("", ltitest.Member{User: ltitest.User{ID: ltitest.Student}, Status: "Deleted"})
		w.p.SetMember("", ltitest.Member{User: ltitest.User{ID: "new"}, Roles: []string{ltitest.RoleLearner}})
		assert.Len(t, members(get(found[1])), 2)
	})
}

// TestOtherCourse: each course has services of its own.
func TestOtherCourse(t *testing.T) {
	w := newWorld(t, &ltitest.Platform{})
	id := w.p.AddCourse(ltitest.Course{Label: "CHEM1", Members: []ltitest.Member{{User: ltitest.User{ID: "u"}, Roles: []string{ltitest.RoleLearner}}}})
	one, other := w.claims(ltitest.Message{}), w.claims(ltitest.Message{Course: id, User: "u"})
	assert.NotEqual(t, object(one, agsClaim)["lineitems"], object(other, agsClaim)["lineitems"])
	assert.Equal(t, id, object(other, ltiClaim+"context")["id"])
	assert.Panics(t, func() { w.p.AddCourse(ltitest.Course{ID: id}) })
	assert.Panics(t, func() { w.p.Login(ltitest.Message{Course: "nope"}) })
}
