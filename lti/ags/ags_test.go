package ags_test

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/lti"
	"go.acu.edu.au/runbook/lti/ags"
	"go.acu.edu.au/runbook/lti/internal/servicetest"
)

const (
	itemType      = "application/vnd.ims.lis.v2.lineitem+json"
	containerType = "application/vnd.ims.lis.v2.lineitemcontainer+json"
	resultType    = "application/vnd.ims.lis.v2.resultcontainer+json"
	scoreType     = "application/vnd.ims.lis.v1.score+json"
)

func collect[T any](t testing.TB, seq func(func(T, error) bool)) ([]T, error) {
	t.Helper()
	var all []T
	for item, err := range seq {
		if err != nil {
			return all, err
		}
		all = append(all, item)
	}
	return all, nil
}

// The answers are the examples of AGS 2.0, section 3, and of Canvas' documentation
// (canvas-lms, app/controllers/lti/ims/line_items_controller.rb).
const chapter5 = `{"id":"https://school.instructure.com/api/lti/courses/1/line_items/7","scoreMaximum":60,"label":"Chapter 5 Test","resourceId":"quiz-231","tag":"grade","resourceLinkId":null,"startDateTime":"2018-03-06T20:05:02Z","endDateTime":"","https://canvas.instructure.com/lti/submission_type":{"type":"external_tool","external_tool_url":"https://my.launch.url"}}`

// Requirement: LTI-GOTCHA-26
func TestLineItems(t *testing.T) {
	for name, tc := range map[string]struct {
		address string
		opts    *ags.LineItemsOptions
		want    string
	}{
		"all":              {lineItems, nil, lineItems},
		"filters":          {lineItems, &ags.LineItemsOptions{ResourceLinkID: "a b", ResourceID: "quiz-231", Tag: "grade", Limit: 10}, lineItems + "?limit=10&resource_id=quiz-231&resource_link_id=a+b&tag=grade"},
		"query stays":      {lineItems + "?type_id=1&x=%7e", &ags.LineItemsOptions{Tag: "grade"}, lineItems + "?type_id=1&x=%7e&tag=grade"},
		"limit is not two": {lineItems + "?limit=5", &ags.LineItemsOptions{Limit: 9}, lineItems + "?limit=9"},
	} {
		t.Run(name, func(t *testing.T) {
			p := &platform{Answer: func(r *http.Request, _ string) (int, string, string) {
				if r.URL.Query().Get("p") != "" {
					return 200, "", `[{"id":"https://school.instructure.com/8","scoreMaximum":1,"label":"b"}]`
				}
				return 200, `<` + lineItems + `?p=2>; rel="next"`, "[" + chapter5 + "]"
			}}
			c := newClient(t, p, func(cfg *ags.Config) { cfg.LineItems = tc.address })
			items, err := collect(t, c.LineItems(t.Context(), tc.opts))
			require.NoError(t, err)
			require.Len(t, items, 2)
			assert.Equal(t, []string{"GET " + tc.want + " " + containerType, "GET " + lineItems + "?p=2 " + containerType}, p.Asked)
			want := ags.LineItem{
				ID: lineItem, ScoreMaximum: 60, Label: "Chapter 5 Test", ResourceID: "quiz-231", Tag: "grade", Start: time.Date(2018, 3, 6, 20, 5, 2, 0, time.UTC),
				Extra: map[string]json.RawMessage{"https://canvas.instructure.com/lti/submission_type": json.RawMessage(`{"type":"external_tool","external_tool_url":"https://my.launch.url"}`)},
			}
			assert.Empty(t, cmp.Diff(want, items[0]))
			assert.Equal(t, []string{ags.ScopeLineItem + " " + ags.ScopeLineItemReadOnly + " " + ags.ScopeResultReadOnly + " " + ags.ScopeScore}, p.Scopes, "one token for all")
		})
	}
	t.Run("another host", func(t *testing.T) {
		p := &platform{Answer: func(*http.Request, string) (int, string, string) {
			return 200, `<https://evil.test/a>; rel="next"`, "[]"
		}}
		_, err := collect(t, newClient(t, p, nil).LineItems(t.Context(), nil))
		require.ErrorIs(t, err, lti.ErrHost)
		assert.Len(t, p.Asked, 1)
	})
}

func TestLineItemCalls(t *testing.T) {
	p := &platform{Answer: func(*http.Request, string) (int, string, string) { return 200, "", chapter5 }}
	c := newClient(t, p, nil)
	item, err := c.GetLineItem(t.Context(), "")
	require.NoError(t, err)
	item.Label, item.End = "Chapter 6", time.Date(2018, 4, 6, 22, 5, 3, 0, time.FixedZone("", 3600))
	_, err = c.UpdateLineItem(t.Context(), item)
	require.NoError(t, err)
	released := false
	created, err := c.CreateLineItem(t.Context(), ags.LineItem{Label: "New", ScoreMaximum: 0.5, ResourceLinkID: "rl", GradesReleased: &released})
	require.NoError(t, err)
	assert.Equal(t, lineItem, created.ID)
	require.NoError(t, c.DeleteLineItem(t.Context(), lineItem+"?type_id=1"))
	assert.Equal(t, []string{
		"GET " + lineItem + " " + itemType, "PUT " + lineItem + " " + itemType + " " + itemType,
		"POST " + lineItems + " " + itemType + " " + itemType, "DELETE " + lineItem + "?type_id=1",
	}, p.Asked)
	assert.JSONEq(t, `{"scoreMaximum":60,"label":"Chapter 6","resourceId":"quiz-231","tag":"grade","startDateTime":"2018-03-06T20:05:02Z","endDateTime":"2018-04-06T21:05:03Z",
		"https://canvas.instructure.com/lti/submission_type":{"type":"external_tool","external_tool_url":"https://my.launch.url"}}`, p.Bodies[1], "extensions are sent back")
	assert.JSONEq(t, `{"scoreMaximum":0.5,"label":"New","resourceLinkId":"rl","gradesReleased":false}`, p.Bodies[2])
}

func TestLineItemAnswers(t *testing.T) {
	for name, tc := range map[string]struct {
		body, err string
	}{
		"nothing":       {"", "unreadable"},
		"no id":         {`{"label":"a","scoreMaximum":1}`, "no id"},
		"not an object": {`[]`, "unreadable"},
		"wrong type":    {`{"id":"x","scoreMaximum":"canary"}`, "unreadable"},
	} {
		t.Run(name, func(t *testing.T) {
			p := &platform{Answer: func(*http.Request, string) (int, string, string) { return 201, "", tc.body }}
			_, err := newClient(t, p, nil).CreateLineItem(t.Context(), ags.LineItem{Label: "a", ScoreMaximum: 1})
			require.ErrorContains(t, err, tc.err)
			assert.NotContains(t, err.Error(), "canary")
			assert.False(t, runbook.SafeToRetry(err), "it may be there")
			assert.Len(t, p.Asked, 1)
		})
	}
	p := &platform{Answer: func(*http.Request, string) (int, string, string) { return 204, "", "" }}
	got, err := newClient(t, p, nil).UpdateLineItem(t.Context(), ags.LineItem{ID: lineItem, Label: "a", ScoreMaximum: 1})
	require.NoError(t, err)
	assert.Equal(t, "a", got.Label)
}

func TestLineItemsThatAreWrong(t *testing.T) {
	p := &platform{}
	c := newClient(t, p, nil)
	_, err := c.UpdateLineItem(t.Context(), ags.LineItem{ID: lineItem, Label: " ", ScoreMaximum: math.NaN(), Start: time.Unix(5, 0), End: time.Unix(4, 0)})
	for _, text := range []string{"Label is empty", "ScoreMaximum is NaN", "End is before the Start"} {
		require.ErrorContains(t, err, text, "all at once")
	}
	require.ErrorIs(t, err, lti.ErrInvalid)
	_, err = c.CreateLineItem(t.Context(), ags.LineItem{ID: "x", Label: "a", ScoreMaximum: 1})
	require.ErrorContains(t, err, "update it instead")
	_, err = c.CreateLineItem(t.Context(), ags.LineItem{Label: "a", ScoreMaximum: 1, Extra: map[string]json.RawMessage{"https://a.test": json.RawMessage(`{`)}})
	require.ErrorIs(t, err, lti.ErrInvalid)
	_, err = collect(t, c.LineItems(t.Context(), &ags.LineItemsOptions{Limit: -1}))
	require.ErrorContains(t, err, "Limit")
	for name, cfg := range map[string]func(*ags.Config){"no line items": func(c *ags.Config) { c.LineItems = "" }, "no line item": func(c *ags.Config) { c.LineItem = "" }} {
		c := newClient(t, p, cfg)
		if name == "no line items" {
			_, err = collect(t, c.LineItems(t.Context(), nil))
		} else {
			_, err = c.GetLineItem(t.Context(), "")
		}
		require.ErrorContains(t, err, "the launch has none", name)
		assert.True(t, runbook.SafeToRetry(err))
	}
	assert.Empty(t, p.Scopes)
	_, err = ags.New(ags.Config{})
	require.ErrorContains(t, err, "Service is not set")
	require.ErrorContains(t, err, "neither LineItems nor LineItem")
}

// A call whose scope the launch does not offer is not made.
func TestScopes(t *testing.T) {
	p := &platform{Answer: func(*http.Request, string) (int, string, string) { return 200, "", "[]" }}
	c := newClient(t, p, func(cfg *ags.Config) { cfg.Scopes = []string{ags.ScopeLineItemReadOnly} })
	_, err := collect(t, c.LineItems(t.Context(), nil))
	require.NoError(t, err)
	_, err = c.CreateLineItem(t.Context(), ags.LineItem{Label: "a", ScoreMaximum: 1})
	require.ErrorContains(t, err, ags.ScopeLineItem+" is needed, and the platform does not offer it")
	require.ErrorIs(t, err, lti.ErrScope)
	_, err = collect(t, c.Results(t.Context(), "", nil))
	require.ErrorIs(t, err, lti.ErrScope)
	require.ErrorIs(t, c.PostScore(t.Context(), "", full()), lti.ErrScope)
	assert.Equal(t, []string{ags.ScopeLineItemReadOnly}, p.Scopes)
	assert.Len(t, p.Asked, 1)
}

func full() ags.Score {
	return ags.Score{UserID: "u1", ActivityProgress: ags.Completed, GradingProgress: ags.FullyGraded, Given: ags.Points(83), Maximum: 100}
}

// Requirement: LTI-SERVICE-PATH, LTI-GOTCHA-26
func TestPaths(t *testing.T) {
	for address, want := range map[string]string{
		lineItem:                              lineItem + "/scores",
		lineItem + "?type_id=1&x=%7E&y":       lineItem + "/scores?type_id=1&x=%7E&y",
		lineItem + "/":                        lineItem + "/scores",
		"https://school.instructure.com?id=7": "https://school.instructure.com/scores?id=7",
		"https://school.instructure.com/a%2Fb/lineitem?x=/y?z":   "https://school.instructure.com/a%2Fb/lineitem/scores?x=/y?z",
		"https://school.instructure.com/a//b/../c;v=1/lineitem?": "https://school.instructure.com/a//b/../c;v=1/lineitem/scores?",
	} {
		p := &platform{Answer: func(r *http.Request, _ string) (int, string, string) {
			if strings.Contains(r.URL.Path, "results") {
				return 200, "", "[]"
			}
			return 200, "", ""
		}}
		c := newClient(t, p, nil)
		require.NoError(t, c.PostScore(t.Context(), address, full()))
		_, err := collect(t, c.Results(t.Context(), address, nil))
		require.NoError(t, err)
		assert.Equal(t, []string{"POST " + want + " " + scoreType, "GET " + strings.Replace(want, "/scores", "/results", 1) + " " + resultType}, p.Asked)
	}
}

func TestPostScore(t *testing.T) {
	serviceTime := time.Date(2017, 4, 16, 18, 54, 36, 736_900_000, time.FixedZone("", 36000))
	p := &platform{Answer: func(*http.Request, string) (int, string, string) { return 200, "", `{"resultUrl":"x"}` }}
	c := newClient(t, p, nil)
	score := full()
	score.Timestamp, score.Comment, score.ScoringUserID = serviceTime, "This is exceptional work.", "4567890"
	score.StartedAt = serviceTime.Add(-time.Hour)
	score.Extra = map[string]json.RawMessage{"https://canvas.instructure.com/lti/submission": json.RawMessage(`{"new_submission":false}`), "userId": json.RawMessage(`"other"`)}
	require.NoError(t, c.PostScore(t.Context(), "", score))
	assert.JSONEq(t, `{"userId":"u1","scoringUserId":"4567890","activityProgress":"Completed","gradingProgress":"FullyGraded","scoreGiven":83,"scoreMaximum":100,
		"comment":"This is exceptional work.","timestamp":"2017-04-16T08:54:36.736Z","submission":{"startedAt":"2017-04-16T07:54:36.736Z"},
		"https://canvas.instructure.com/lti/submission":{"new_submission":false}}`, p.Bodies[0])
	require.NoError(t, c.PostScore(t.Context(), "", ags.Score{UserID: "u2", ActivityProgress: ags.Initialized, GradingProgress: ags.NotReady, Timestamp: serviceTime.Truncate(time.Second)}))
	assert.JSONEq(t, `{"userId":"u2","activityProgress":"Initialized","gradingProgress":"NotReady","timestamp":"2017-04-16T08:54:36.000Z"}`, p.Bodies[1])
	zero := full()
	zero.UserID, zero.Given = "u3", ags.Points(0)
	require.NoError(t, c.PostScore(t.Context(), "", zero))
	assert.Contains(t, p.Bodies[2], `"scoreGiven":0,`, "zero is a score")
}

// Requirement: LTI-SERVICE-SCORE-FIELDS
func TestScoresThatAreWrong(t *testing.T) {
	p := &platform{}
	c := newClient(t, p, nil)
	for name, tc := range map[string]struct {
		change func(*ags.Score)
		text   []string
	}{
		"everything":       {func(s *ags.Score) { *s = ags.Score{Given: ags.Points(-1)} }, []string{"UserID is empty", `ActivityProgress ""`, `GradingProgress ""`, "Maximum is 0", "Given is -1"}},
		"no maximum":       {func(s *ags.Score) { s.Maximum = 0 }, []string{"Maximum is 0, and must be above it where there is a Given"}},
		"negative maximum": {func(s *ags.Score) { s.Given, s.Maximum = nil, -1 }, []string{"Maximum is -1"}},
		"not a number":     {func(s *ags.Score) { s.Given, s.Maximum = ags.Points(math.NaN()), math.Inf(1) }, []string{"Maximum is +Inf", "Given is NaN"}},
		"other progress":   {func(s *ags.Score) { s.ActivityProgress, s.GradingProgress = "completed", "Done" }, []string{`"completed"`, `"Done"`}},
		"times":            {func(s *ags.Score) { s.StartedAt, s.SubmittedAt = time.Unix(5, 0), time.Unix(4, 0) }, []string{"SubmittedAt is before StartedAt"}},
		"extension":        {func(s *ags.Score) { s.Extra = map[string]json.RawMessage{"https://a.test": json.RawMessage(`}`)} }, []string{"cannot be written as JSON"}},
	} {
		t.Run(name, func(t *testing.T) {
			score := full()
			tc.change(&score)
			err := c.PostScore(t.Context(), "", score)
			require.ErrorIs(t, err, lti.ErrInvalid)
			for _, text := range tc.text {
				require.ErrorContains(t, err, text)
			}
			assert.True(t, runbook.SafeToRetry(err))
		})
	}
	assert.Empty(t, p.Scopes, "not even a token was asked for")
}

// Whatever the clock does, and whichever client sends, the timestamps of a user
// and line item rise.
//
// Requirement: LTI-SERVICE-SCORE-TIME, LTI-GOTCHA-26
func TestTimestampsRise(t *testing.T) {
	_, err := servicetest.Ring()
	require.NoError(t, err)
	synctest.Test(t, func(t *testing.T) { // the clock stands still
		stamps := make(map[string][]string)
		p := &platform{}
		p.Answer = func(_ *http.Request, body string) (int, string, string) {
			var s struct{ UserID, Timestamp string }
			if err := json.Unmarshal([]byte(body), &s); err != nil {
				return 400, "", ""
			}
			stamps[s.UserID] = append(stamps[s.UserID], s.Timestamp)
			return 200, "", ""
		}
		service, err := newService(p)
		require.NoError(t, err)
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				c, err := ags.New(ags.Config{Service: service, LineItem: lineItem, Scopes: []string{ags.ScopeScore}}) // one for each launch
				assert.NoError(t, err)
				for range 25 {
					score := full()
					score.UserID = fmt.Sprint("u", i%2)
					assert.NoError(t, c.PostScore(t.Context(), "", score))
				}
			})
		}
		wg.Wait()
		require.Len(t, stamps, 2)
		for _, all := range stamps {
			seen := make(map[string]bool)
			for _, stamp := range all {
				at, err := time.Parse("2006-01-02T15:04:05.000Z", stamp)
				require.NoError(t, err, "milliseconds and a zone")
				assert.False(t, seen[stamp], "twice: %s", at)
				seen[stamp] = true
			}
			assert.Len(t, seen, 100)
		}

		c, err := ags.New(ags.Config{Service: service, LineItem: lineItem, Scopes: []string{ags.ScopeScore}})
		require.NoError(t, err)
		score := full()
		score.Timestamp = time.Now().Add(time.Minute)
		require.NoError(t, c.PostScore(t.Context(), "", score))
		for _, at := range []time.Time{score.Timestamp, score.Timestamp.Add(-time.Second)} {
			score.Timestamp = at
			err := c.PostScore(t.Context(), "", score)
			require.ErrorIs(t, err, lti.ErrInvalid)
			require.ErrorContains(t, err, "not later than that of the last score")
			assert.NotContains(t, err.Error(), "u1")
		}
		assert.Len(t, stamps["u1"], 101, "not sent")
	})
}

// A score whose fate is unknown is not sent again; one that was certainly not run
// may be, with the timestamp it had.
func TestScoreOnce(t *testing.T) {
	status := 502
	p := &platform{Answer: func(*http.Request, string) (int, string, string) { return status, "", "" }}
	c := newClient(t, p, nil)
	score := full()
	score.Timestamp = time.Unix(1000, 0)
	err := c.PostScore(t.Context(), "", score)
	require.ErrorIs(t, err, lti.ErrUnknownOutcome)
	assert.False(t, runbook.SafeToRetry(err))
	assert.Len(t, p.Asked, 1)
	require.ErrorIs(t, c.PostScore(t.Context(), "", score), lti.ErrInvalid, "it may be there already")

	score.Timestamp, status = time.Unix(2000, 0), 401
	err = c.PostScore(t.Context(), "", score)
	require.ErrorIs(t, err, lti.ErrUnauthenticated)
	assert.True(t, runbook.SafeToRetry(err))
	status = 200
	require.NoError(t, c.PostScore(t.Context(), "", score))
}

func TestResults(t *testing.T) {
	p := &platform{Answer: func(*http.Request, string) (int, string, string) {
		return 200, "", `[{"id":"https://school.instructure.com/r/1","scoreOf":"` + lineItem + `","userId":"u1","resultScore":0.83,"resultMaximum":1,"comment":"good","scoringUserId":"t"},{"id":"x","userId":"u2","resultScore":null,"comment":null}]`
	}}
	c := newClient(t, p, nil)
	got, err := collect(t, c.Results(t.Context(), lineItem+"?type_id=1", &ags.ResultsOptions{UserID: "u&1", Limit: 5}))
	require.NoError(t, err)
	want := []ags.Result{
		{ID: "https://school.instructure.com/r/1", LineItem: lineItem, UserID: "u1", Score: ags.Points(0.83), Maximum: 1, Comment: "good", ScoringUserID: "t"},
		{ID: "x", UserID: "u2"},
	}
	assert.Empty(t, cmp.Diff(want, got))
	assert.Equal(t, []string{"GET " + lineItem + "/results?type_id=1&limit=5&user_id=u%261 " + resultType}, p.Asked)
}

// An address that was stored is checked each time it is used.
//
// Requirement: LTI-GOTCHA-27
func TestStoredAddresses(t *testing.T) {
	p := &platform{}
	c := newClient(t, p, nil)
	for _, address := range []string{"https://evil.test/line_items/7", "https://school.instructure.com.evil.test/7"} {
		_, err := c.GetLineItem(t.Context(), address)
		require.ErrorIs(t, err, lti.ErrHost)
		require.ErrorIs(t, c.PostScore(t.Context(), address, full()), lti.ErrHost)
		require.ErrorIs(t, c.DeleteLineItem(t.Context(), address), lti.ErrHost)
		_, err = c.UpdateLineItem(t.Context(), ags.LineItem{ID: address, Label: "a", ScoreMaximum: 1})
		require.ErrorIs(t, err, lti.ErrHost)
		_, err = collect(t, c.Results(t.Context(), address, nil))
		require.ErrorIs(t, err, lti.ErrHost)
		assert.True(t, runbook.SafeToRetry(err))
	}
	assert.Empty(t, p.Scopes)
}

func FuzzLineItem(f *testing.F) {
	f.Add(chapter5)
	f.Add(`{"id":"x","startDateTime":"2018-03-06T20:05:02+0100","endDateTime":"soon","startDateTime":""}`)
	f.Add(`{"startDateTime":"\ud800","":1}`)
	f.Fuzz(func(t *testing.T, text string) {
		var first, second ags.LineItem
		if json.Unmarshal([]byte(text), &first) != nil {
			return
		}
		out, err := json.Marshal(first)
		if err != nil {
			return // what cannot be written is not sent
		}
		require.NoError(t, json.Unmarshal(out, &second), "%s", out)
		again, err := json.Marshal(second)
		require.NoError(t, err)
		assert.Equal(t, string(out), string(again), "what is read is kept")
	})
}

func TestLineItemTimes(t *testing.T) {
	var item ags.LineItem
	require.NoError(t, json.Unmarshal([]byte(`{"startDateTime":"2018-03-06T20:05:02+0100","endDateTime":"next week"}`), &item))
	assert.Equal(t, int64(1520363102), item.Start.Unix())
	assert.True(t, item.End.IsZero())
	out, err := json.Marshal(item)
	require.NoError(t, err)
	assert.JSONEq(t, `{"scoreMaximum":0,"label":"","startDateTime":"2018-03-06T19:05:02Z","endDateTime":"next week"}`, string(out), "what is not understood is kept")
	item.End = item.Start
	out, err = json.Marshal(item)
	require.NoError(t, err)
	assert.Equal(t, 1, strings.Count(string(out), "endDateTime"))
}
