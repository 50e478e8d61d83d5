package alerttest

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

// Jira is the part of the REST API of Jira that is about issues: version 3 of Jira Cloud
// (https://developer.atlassian.com/cloud/jira/platform/rest/v3/), or version 2 of Data
// Center (https://developer.atlassian.com/server/jira/platform/rest/). Its search can lag
// behind, and Cloud's old search is gone. The zero value is Jira Cloud with a project of
// any key, taking any credentials. It must not be copied after first use.
type Jira struct {
	// DataCenter makes it Jira Data Center.
	DataCenter bool
	// Email and Token are the credentials that are taken; without Email it is a bearer
	// token. An empty Token means any.
	Email, Token string
	// Project is the key of the only project. Empty means any.
	Project string
	// Lag is how long it takes until a new issue is found by search.
	Lag time.Duration
	// Workflow has the transitions, which may be done from every status. None means To Do,
	// In Progress and Done, with the IDs 11, 21 and 31.
	Workflow []JiraTransition
	// PerMinute is how many requests are taken in a minute. Zero means any number.
	PerMinute int

	faults
	data     sync.Mutex
	issues   []*JiraIssue
	sent     []time.Time
	requests []string
}

// A JiraTransition is a way to a status.
type JiraTransition struct {
	// ID and Name are those of the transition.
	ID, Name string
	// To is the name of the status, Category its category: "new", "indeterminate" or
	// "done".
	To, Category string
	// Requires is the name of a field without which the transition is refused.
	Requires string
}

// A JiraIssue is an issue in [Jira].
type JiraIssue struct {
	Key, Summary string
	// Description and Comments are plain texts.
	Description string
	Comments    []string
	Labels      []string
	// Status is the name of the status, Done whether its category is "done".
	Status string
	Done   bool
	// Fields are the fields as they were sent.
	Fields map[string]any

	made time.Time
}

// Client returns a client that reaches it, whatever the address.
func (j *Jira) Client() *http.Client { return j.client(j) }

// Issues returns the issues, in the order in which they were made.
func (j *Jira) Issues() []JiraIssue {
	j.data.Lock()
	defer j.data.Unlock()
	var list []JiraIssue
	for _, i := range j.issues {
		shown := *i
		shown.Comments = slices.Clone(i.Comments)
		list = append(list, shown)
	}
	return list
}

// Move is somebody who moves an issue by hand.
func (j *Jira) Move(key, status string, done bool) {
	j.data.Lock()
	defer j.data.Unlock()
	if i := j.find(key); i != nil {
		i.Status, i.Done = status, done
	}
}

// Requests returns the method and the path of each request that was looked at.
func (j *Jira) Requests() []string {
	j.data.Lock()
	defer j.data.Unlock()
	return slices.Clone(j.requests)
}

// ServeHTTP implements [http.Handler].
func (j *Jira) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	j.serve(w, r, j.handle, func(w http.ResponseWriter, _ *http.Request) {
		j.fail(w, http.StatusBadRequest, "The issue could not be created.")
	})
}

func (j *Jira) fail(w http.ResponseWriter, status int, messages ...string) {
	respond(w, status, map[string]any{"errorMessages": messages, "errors": map[string]string{}})
}

// refuse says what is wrong with a field.
func (j *Jira) refuse(w http.ResponseWriter, field, why string) {
	respond(w, http.StatusBadRequest, map[string]any{"errorMessages": []string{}, "errors": map[string]string{field: why}})
}

func (j *Jira) find(key string) *JiraIssue {
	at := slices.IndexFunc(j.issues, func(i *JiraIssue) bool { return i.Key == key })
	if at < 0 {
		return nil
	}
	return j.issues[at]
}

func (j *Jira) handle(w http.ResponseWriter, r *http.Request) {
	j.data.Lock()
	defer j.data.Unlock()
	j.requests = append(j.requests, r.Method+" "+r.URL.Path)
	if j.PerMinute > 0 {
		if wait := tooMany(&j.sent, j.PerMinute, time.Minute); wait > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(wait))
			j.fail(w, http.StatusTooManyRequests, "Rate limit exceeded")
			return
		}
	}
	want := "Bearer " + j.Token
	if j.Email != "" {
		want = "Basic " + base64.StdEncoding.EncodeToString([]byte(j.Email+":"+j.Token))
	}
	if got := r.Header.Get("Authorization"); got == "" || j.Token != "" && got != want {
		j.fail(w, http.StatusUnauthorized, "Client must be authenticated to access this resource.")
		return
	}
	version := "/rest/api/3"
	if j.DataCenter {
		version = "/rest/api/2"
	}
	path, ok := strings.CutPrefix(r.URL.Path, version)
	if !ok {
		j.fail(w, http.StatusNotFound, "null for uri: "+r.URL.Path)
		return
	}
	parts := strings.Split(strings.Trim(path, "/"), "/")
	switch {
	case r.Method == http.MethodPost && path == "/issue":
		j.create(w, r)
	case path == "/search" && !j.DataCenter:
		j.fail(w, http.StatusGone, "The requested API has been removed. Please migrate to the /rest/api/3/search/jql API.")
	case r.Method == http.MethodPost && (path == "/search/jql" && !j.DataCenter || path == "/search" && j.DataCenter):
		j.search(w, r)
	case len(parts) >= 2 && parts[0] == "issue":
		i := j.find(parts[1])
		if i == nil {
			j.fail(w, http.StatusNotFound, "Issue does not exist or you do not have permission to see it.")
			return
		}
		j.one(w, r, i, strings.Join(parts[2:], "/"))
	default:
		j.fail(w, http.StatusNotFound, "null for uri: "+r.URL.Path)
	}
}

// one is what can be done with an issue.
func (j *Jira) one(w http.ResponseWriter, r *http.Request, i *JiraIssue, what string) {
	switch r.Method + " " + what {
	case "GET ":
		respond(w, http.StatusOK, j.shown(i))
	case "POST comment":
		data, ok := body(r, 1<<20)
		var c struct {
			Body any `json:"body"`
		}
		text, err := "", strict(data, &c)
		if err == nil && ok {
			text, err = j.text(c.Body)
		}
		if err != nil || !ok {
			j.refuse(w, "comment", fmt.Sprint("INVALID_INPUT ", err))
			return
		}
		i.Comments = append(i.Comments, text)
		respond(w, http.StatusCreated, map[string]any{"id": strconv.Itoa(10000 + len(i.Comments))})
	case "GET transitions":
		list := []any{}
		for _, t := range j.workflow() {
			list = append(list, map[string]any{"id": t.ID, "name": t.Name, "to": jiraStatus(t.To, t.Category), "hasScreen": false, "isAvailable": true})
		}
		respond(w, http.StatusOK, map[string]any{"expand": "transitions", "transitions": list})
	case "POST transitions":
		j.transition(w, r, i)
	default:
		j.fail(w, http.StatusMethodNotAllowed, "Method Not Allowed")
	}
}

func jiraStatus(name, category string) map[string]any {
	return map[string]any{"name": name, "id": "10000", "statusCategory": map[string]any{"key": category}}
}

func (j *Jira) shown(i *JiraIssue) map[string]any {
	category := "new"
	if i.Done {
		category = "done"
	}
	return map[string]any{"id": "1" + i.Key[strings.LastIndex(i.Key, "-")+1:], "key": i.Key, "fields": map[string]any{"status": jiraStatus(i.Status, category)}}
}

func (j *Jira) workflow() []JiraTransition {
	if len(j.Workflow) > 0 {
		return j.Workflow
	}
	return []JiraTransition{
		{ID: "11", Name: "To Do", To: "To Do", Category: "new"},
		{ID: "21", Name: "In Progress", To: "In Progress", Category: "indeterminate"},
		{ID: "31", Name: "Done", To: "Done", Category: "done"},
	}
}

func (j *Jira) transition(w http.ResponseWriter, r *http.Request, i *JiraIssue) {
	data, ok := body(r, 1<<20)
	var c struct {
		Transition struct {
			ID string `json:"id"`
		} `json:"transition"`
		Fields map[string]any `json:"fields"`
		Update map[string]any `json:"update"`
	}
	if err := strict(data, &c); err != nil || !ok {
		j.fail(w, http.StatusBadRequest, "Invalid request payload.")
		return
	}
	at := slices.IndexFunc(j.workflow(), func(t JiraTransition) bool { return t.ID == c.Transition.ID })
	if at < 0 {
		j.fail(w, http.StatusBadRequest, fmt.Sprintf("Transition id '%s' is not valid for this issue.", c.Transition.ID))
		return
	}
	t := j.workflow()[at]
	if _, given := c.Fields[t.Requires]; t.Requires != "" && !given {
		j.refuse(w, t.Requires, t.Requires+" is required.")
		return
	}
	i.Status, i.Done = t.To, t.Category == "done"
	w.WriteHeader(http.StatusNoContent)
}

// jiraFields are the fields that can be set on a new issue.
var jiraFields = []string{"project", "issuetype", "summary", "description", "labels", "priority", "assignee", "components", "duedate", "environment", "fixVersions", "parent", "reporter", "security", "timetracking", "versions"}

func (j *Jira) create(w http.ResponseWriter, r *http.Request) {
	data, ok := body(r, 1<<20)
	var c struct {
		Fields map[string]any `json:"fields"`
		Update map[string]any `json:"update"`
	}
	if err := strict(data, &c); err != nil || !ok {
		j.fail(w, http.StatusBadRequest, "Invalid request payload.")
		return
	}
	for name := range c.Fields {
		if !slices.Contains(jiraFields, name) && !strings.HasPrefix(name, "customfield_") {
			j.refuse(w, name, fmt.Sprintf("Field '%s' cannot be set. It is not on the appropriate screen, or unknown.", name))
			return
		}
	}
	project, _ := c.Fields["project"].(map[string]any)
	key, _ := project["key"].(string)
	if key == "" || j.Project != "" && key != j.Project {
		j.refuse(w, "project", "valid project is required")
		return
	}
	if kind, _ := c.Fields["issuetype"].(map[string]any); kind["name"] == "" && kind["id"] == "" {
		j.refuse(w, "issuetype", "Specify an issue type")
		return
	}
	summary, _ := c.Fields["summary"].(string)
	if n := utf8.RuneCountInString(summary); n == 0 || n > 255 || strings.ContainsAny(summary, "\n\r") {
		j.refuse(w, "summary", "The summary is invalid: it must have 1 to 255 characters and no line breaks.")
		return
	}
	text, err := j.text(c.Fields["description"])
	if err != nil {
		j.refuse(w, "description", err.Error())
		return
	}
	i := &JiraIssue{Key: fmt.Sprintf("%s-%d", key, len(j.issues)+1), Summary: summary, Description: text, Status: j.workflow()[0].To, Fields: c.Fields, made: time.Now()}
	labels, _ := c.Fields["labels"].([]any)
	for _, l := range labels {
		label, _ := l.(string)
		if label == "" || strings.ContainsAny(label, " \t\n") || len(label) > 255 {
			j.refuse(w, "labels", "The label can't contain spaces.")
			return
		}
		i.Labels = append(i.Labels, label)
	}
	j.issues = append(j.issues, i)
	respond(w, http.StatusCreated, map[string]any{"id": strconv.Itoa(10000 + len(j.issues)), "key": i.Key, "self": "https://your-domain.atlassian.net/rest/api/3/issue/10000"})
}

var jiraQuery = regexp.MustCompile(`^project = "([^"]+)" AND labels = "([^"]+)" ORDER BY created ASC$`)

// search finds by project and label, what is in the index by now.
func (j *Jira) search(w http.ResponseWriter, r *http.Request) {
	data, ok := body(r, 1<<20)
	var c struct {
		JQL           string   `json:"jql"`
		Fields        []string `json:"fields"`
		MaxResults    int      `json:"maxResults"`
		NextPageToken string   `json:"nextPageToken"`
	}
	query := []string(nil)
	if err := strict(data, &c); err == nil && ok {
		query = jiraQuery.FindStringSubmatch(c.JQL)
	}
	if query == nil {
		j.fail(w, http.StatusBadRequest, "Error in the JQL Query.")
		return
	}
	list := []any{}
	for _, i := range j.issues {
		if strings.HasPrefix(i.Key, query[1]+"-") && slices.Contains(i.Labels, query[2]) && time.Since(i.made) >= j.Lag && len(list) < max(1, c.MaxResults) {
			shown := j.shown(i)
			if len(c.Fields) == 0 && !j.DataCenter {
				delete(shown, "fields") // and the key: https://developer.atlassian.com/changelog/#CHANGE-2046
				delete(shown, "key")
			}
			list = append(list, shown)
		}
	}
	respond(w, http.StatusOK, map[string]any{"issues": list, "isLast": true})
}
