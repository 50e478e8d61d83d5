package canvastest

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"regexp"
	"slices"
	"time"
)

// query is an asynchronous query of page views.
type query struct {
	user     int64
	from, to time.Time
	format   string
	start    time.Time
	failing  bool
}

// pageViewRoutes: documentation, page "Users"; page_views_controller.rb. The
// asynchronous form is BETA there.
func pageViewRoutes() []*route {
	const views = "/api/v1/users/:user_id/page_views"
	read := lists("GET "+views, asUser, listPageViews, "start_time end_time")
	read.extra = func(c *call) float64 {
		return min(max(math.Ceil(float64(c.perPage(pageViewPaging))/13.838)*5, 1), 200)
	}
	return []*route{
		read,
		on("POST "+views+"/query", asUser, startQuery, "start_date end_date results_format").costs(150),
		on("GET "+views+"/query/:query_id", asUser, pollQuery, "").costs(5),
		on("GET "+views+"/query/:query_id/results", asUser, queryResults, "").costs(50),
	}
}

var pageViewPaging = paging{most: 200, bookmarks: true, noLast: true}

// watched finds the user whose page views are asked for.
func (c *call) watched() (r *row, bad answer, ok bool) {
	r = c.find(Users, c.path["user_id"])
	if r == nil {
		return nil, notFound(), false
	}
	if !c.admin() && r.id != c.who.user {
		return nil, c.unauthorized(), false
	}
	return r, answer{}, true
}

func listPageViews(c *call) answer {
	user, bad, good := c.watched()
	if !good {
		return bad
	}
	from, begun, good := c.when("start_time")
	to, ended, good2 := c.when("end_time")
	switch {
	case !good || !good2:
		c.s.problem("%s: a time that Canvas cannot read and ignores", c.name())
		begun, ended = begun && good, ended && good2
	case begun && from.After(c.now):
		return failure(http.StatusBadRequest, "start_time cannot be in the future")
	case begun && ended && to.Before(from):
		return failure(http.StatusBadRequest, "end_time must be after start_time")
	}
	rows := c.s.world.views(user.id, func(at time.Time) bool { return !(begun && at.Before(from) || ended && at.After(to)) })
	slices.Reverse(rows) // newest first
	l := list{len: len(rows), at: func(i int) Object { return plain(rows[i]) }, key: func(i int) int64 { return rows[i].eventKey() }}
	return c.paged(l, pageViewPaging)
}

// views returns the page views of a user, oldest first.
func (w *world) views(user int64, keep func(time.Time) bool) []*row {
	rows := slices.DeleteFunc(slices.Clone(w.in(PageViews, user)), func(r *row) bool { return !keep(r.at()) })
	slices.SortFunc(rows, func(a, b *row) int { return cmp.Compare(a.eventKey(), b.eventKey()) })
	return rows
}

// startQuery begins a query. The address to ask is relative.
func startQuery(c *call) answer {
	for _, name := range []string{"start_date", "end_date", "results_format"} {
		if c.param(name) == "" {
			return failure(http.StatusBadRequest, "Parameter "+name+" is missing.")
		}
	}
	user, bad, good := c.watched()
	if !good {
		return bad
	}
	from, err := time.Parse(time.DateOnly, c.param("start_date"))
	to, err2 := time.Parse(time.DateOnly, c.param("end_date"))
	if err != nil || err2 != nil || !slices.Contains([]string{"csv", "jsonl"}, c.param("results_format")) {
		return failure(http.StatusBadRequest, "Page Views received an invalid or malformed request.")
	}
	var wrong []string
	if from.Day() != 1 || to.Day() != 1 {
		wrong = append(wrong, "start_date and end_date must be the first day of the month")
	}
	if !to.After(from) {
		wrong = append(wrong, "end_date must be after start_date")
	}
	year, month, _ := c.now.UTC().Date()
	if to.After(time.Date(year, month, 1, 0, 0, 0, 0, time.UTC)) {
		wrong = append(wrong, "end_date cannot be in a future month")
	}
	if from.Before(c.now.AddDate(-1, -1, 0)) {
		wrong = append(wrong, "The requested data cannot be older than 12 months")
	}
	if len(wrong) > 0 {
		return invalidStrings(wrong...)
	}
	id := c.s.uuid()
	c.s.world.queries[id] = &query{user: user.id, from: from, to: to, format: c.param("results_format"), start: c.now, failing: c.s.failing}
	return created(Object{"poll_url": "/api/v1/users/" + itoa(user.id) + "/page_views/query/" + id})
}

var uuidForm = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

// status is how far a query has come.
func (q *query) status(c *call) string {
	switch done := c.now.Sub(q.start); {
	case done < c.s.progressTime()/4:
		return "queued"
	case done < c.s.progressTime():
		return "processing"
	case q.failing:
		return "failed"
	}
	return "finished"
}

// startedQuery finds the query in the path.
func (c *call) startedQuery(missing string) (q *query, bad answer, ok bool) {
	if !uuidForm.MatchString(c.path["query_id"]) {
		return nil, failure(http.StatusBadRequest, "Invalid query ID"), false
	}
	user, bad, ok := c.watched()
	if !ok {
		return nil, bad, false
	}
	q = c.s.world.queries[c.path["query_id"]]
	if q == nil || q.user != user.id {
		return nil, failure(http.StatusNotFound, missing), false
	}
	return q, answer{}, true
}

func pollQuery(c *call) answer {
	q, bad, good := c.startedQuery("The query was not found.")
	if !good {
		return bad
	}
	o := Object{"query_id": c.path["query_id"], "status": q.status(c), "format": q.format, "results_url": nil, "error_code": nil}
	switch o["status"] {
	case "finished":
		o["results_url"] = "/api/v1/users/" + itoa(q.user) + "/page_views/query/" + c.path["query_id"] + "/results"
	case "failed":
		o["error_code"] = "INTERNAL_ERROR"
	}
	return ok(o)
}

// queryResults sends the rows, compressed whether or not that was asked for.
func queryResults(c *call) answer {
	q, bad, good := c.startedQuery("The result for query was not found.")
	if !good {
		return bad
	}
	if q.status(c) != "finished" {
		return failure(http.StatusBadRequest, "Query results are not in a valid state for download")
	}
	rows := c.s.world.views(q.user, func(at time.Time) bool { return !at.Before(q.from) && at.Before(q.to) })
	if len(rows) == 0 {
		return noContent()
	}
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	kind := "application/jsonl"
	if q.format == "csv" {
		kind = "text/csv"
		writeCSV(csv.NewWriter(z), rows)
	} else {
		lines := json.NewEncoder(z)
		for _, r := range rows {
			if err := lines.Encode(r.obj); err != nil {
				panic(err) // a value in an Object that JSON cannot carry
			}
		}
	}
	if err := z.Close(); err != nil {
		panic(err) // into memory
	}
	return answer{status: http.StatusOK, raw: b.Bytes(), contentType: kind, header: http.Header{
		"Content-Encoding": {"gzip"}, "Content-Disposition": {`attachment; filename="` + c.path["query_id"] + "." + q.format + `"`},
	}}
}

// pageViewColumns are those of the JSON form; the documentation does not list
// the columns of the CSV form.
var pageViewColumns = []string{"id", "created_at", "url", "context_type", "asset_type", "controller", "action", "interaction_seconds", "user_request", "render_time", "user_agent", "participated", "http_method", "remote_ip"}

func writeCSV(w *csv.Writer, rows []*row) {
	record := slices.Clone(pageViewColumns)
	for i := -1; i < len(rows); i++ {
		if i >= 0 {
			for j, name := range pageViewColumns {
				record[j] = ""
				if v := rows[i].obj[name]; v != nil {
					record[j] = fmt.Sprint(v)
				}
			}
		}
		if err := w.Write(record); err != nil {
			panic(err) // into memory
		}
	}
	w.Flush()
}
