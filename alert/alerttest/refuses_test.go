package alerttest_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/alert/alerttest"
)

// A wire is a request, and how it is answered.
type wire struct {
	method, path, body string
	status             int
	says               string
}

// A counterpart is a service, a request that it takes, those that it refuses, and how much it
// has kept.
type counterpart struct {
	service http.Handler
	header  http.Header
	sign    func(body string) http.Header // in place of header
	good    wire
	refused map[string]wire
	kept    func() int
}

func (c *counterpart) ask(w wire) *httptest.ResponseRecorder {
	r := httptest.NewRequest(w.method, "https://service.example"+w.path, strings.NewReader(w.body))
	if r.Header = c.header.Clone(); c.sign != nil {
		r.Header = c.sign(w.body)
	}
	answer := httptest.NewRecorder()
	c.service.ServeHTTP(answer, r)
	return answer
}

func headers(authorization string) http.Header {
	return http.Header{"Content-Type": {"application/json"}, "Authorization": {authorization}}
}

// Every counterpart refuses fields, parameters, paths and methods that are not documented, so
// that a notifier that has a name wrong fails in a test, and not at the service. Twilio and
// the SMS gateways have tests of their own.
func TestCounterpartsRefuse(t *testing.T) {
	t.Parallel()
	for name, build := range map[string]func() *counterpart{
		"Slack": slackRefuses, "Slack's webhook": slackHookRefuses, "PagerDuty": pagerDutyRefuses, "Statuspage": statuspageRefuses,
		"Jira Cloud": jiraRefuses, "Jira Data Center": dataCenterRefuses, "ServiceNow": serviceNowRefuses,
		"Alertmanager": alertmanagerRefuses, "webhook": webhookRefuses,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := build()
			for what, w := range c.refused {
				answer := c.ask(w)
				assert.Equal(t, w.status, answer.Code, what)
				assert.Contains(t, answer.Body.String(), w.says, what)
				assert.Zero(t, c.kept(), what)
			}
			require.Equal(t, c.good.status, c.ask(c.good).Code, "what is right is taken")
			assert.Equal(t, 1, c.kept())
		})
	}
}

func slackRefuses() *counterpart {
	s := &alerttest.Slack{Token: "xoxb-1", Burst: 50}
	const post = "/api/chat.postMessage"
	return &counterpart{
		service: s, header: headers("Bearer xoxb-1"), kept: func() int { return len(s.Messages()) },
		good: wire{"POST", post, `{"channel": "#a", "text": "x"}`, 200, `"ok":true`},
		refused: map[string]wire{
			"field":                {"POST", post, `{"channel": "#a", "text": "x", "colour": "red"}`, 200, "invalid_arguments"},
			"field of chat.update": {"POST", post, `{"channel": "#a", "text": "x", "ts": "1.1"}`, 200, "invalid_arguments"},
			"field of a block":     {"POST", post, `{"channel": "#a", "blocks": [{"type": "divider", "id": "1"}]}`, 200, "invalid_blocks"},
			"field of a text":      {"POST", post, `{"channel": "#a", "blocks": [{"type": "section", "text": {"type": "mrkdwn", "text": "x", "bold": true}}]}`, 200, "invalid_blocks"},
			"field of a button":    {"POST", post, `{"channel": "#a", "blocks": [{"type": "actions", "elements": [{"type": "button", "text": {"type": "plain_text", "text": "x"}, "id": "1"}]}]}`, 200, "invalid_blocks"},
			"field of attachments": {"POST", post, `{"channel": "#a", "attachments": [{"color": "#ff0000", "title": "x"}]}`, 200, "invalid_attachments"},
			"block":                {"POST", post, `{"channel": "#a", "blocks": [{"type": "video"}]}`, 200, "invalid_blocks"},
			"more than one object": {"POST", post, `{"channel": "#a", "text": "x"} {}`, 200, "invalid_arguments"},
			"method of the API":    {"POST", "/api/chat.delete", `{"channel": "#a"}`, 200, "unknown_method"},
			"path":                 {"POST", "/chat.postMessage", `{"channel": "#a", "text": "x"}`, 404, ""},
			"HTTP method":          {"PUT", post, `{"channel": "#a", "text": "x"}`, 404, ""},
		},
	}
}

func slackHookRefuses() *counterpart {
	s := &alerttest.Slack{Webhook: "/services/T0/B0/xyz", Burst: 50}
	return &counterpart{
		service: s, header: headers(""), kept: func() int { return len(s.Messages()) },
		good: wire{"POST", s.Webhook, `{"text": "x"}`, 200, "ok"},
		refused: map[string]wire{
			"field":         {"POST", s.Webhook, `{"text": "x", "colour": "red"}`, 400, "invalid_payload"},
			"channel":       {"POST", s.Webhook, `{"text": "x", "channel": "#b"}`, 400, "invalid_payload"},
			"another path":  {"POST", "/services/T0/B0/xyy", `{"text": "x"}`, 404, ""},
			"HTTP method":   {"PUT", s.Webhook, `{"text": "x"}`, 400, "invalid_payload"},
			"nothing to it": {"POST", s.Webhook, `{}`, 400, "no_text"},
		},
	}
}

func pagerDutyRefuses() *counterpart {
	p := &alerttest.PagerDuty{}
	const path = "/v2/enqueue"
	event := func(more, payload string) string {
		return `{"routing_key": "r", "event_action": "trigger", "dedup_key": "k"` + more + `, "payload": {"summary": "x", "source": "s", "severity": "critical"` + payload + `}}`
	}
	return &counterpart{
		service: p, header: headers(""), kept: func() int { return len(p.Alerts()) },
		good: wire{"POST", path, event("", ""), 202, "success"},
		refused: map[string]wire{
			"field":                 {"POST", path, event(`, "service_key": "r"`, ""), 400, `unknown field \"service_key\"`},
			"field of the payload":  {"POST", path, event("", `, "description": "x"`), 400, `unknown field \"description\"`},
			"field of a link":       {"POST", path, event(`, "links": [{"href": "https://a.example", "title": "x"}]`, ""), 400, `unknown field \"title\"`},
			"action":                {"POST", path, strings.Replace(event("", ""), "trigger", "open", 1), 400, "'event_action' is invalid"},
			"severity":              {"POST", path, strings.Replace(event("", ""), "critical", "high", 1), 400, "'payload.severity' is invalid"},
			"more than one object":  {"POST", path, event("", "") + "{}", 400, "Event object is invalid"},
			"path of change events": {"POST", "/v2/change/enqueue", event("", ""), 404, ""},
			"HTTP method":           {"GET", path, "", 404, ""},
		},
	}
}

func statuspageRefuses() *counterpart {
	s := &alerttest.Statuspage{Page: "p", APIKey: "key", Components: map[string]string{"c1": "operational"}}
	const path = "/v1/pages/p/incidents"
	return &counterpart{
		service: s, header: headers("OAuth key"), kept: func() int { return len(s.Incidents()) },
		good: wire{"POST", path, `{"incident": {"name": "x", "components": {"c1": "major_outage"}}}`, 201, "inc0"},
		refused: map[string]wire{
			"field":                {"POST", path, `{"incident": {"name": "x", "title": "y"}}`, 400, `unknown field \"title\"`},
			"no envelope":          {"POST", path, `{"name": "x"}`, 400, `unknown field \"name\"`},
			"status":               {"POST", path, `{"incident": {"name": "x", "status": "down"}}`, 422, "Status is not included"},
			"component":            {"POST", path, `{"incident": {"name": "x", "components": {"c2": "major_outage"}}}`, 422, "Component c2"},
			"state of a component": {"POST", path, `{"incident": {"name": "x", "components": {"c1": "down"}}}`, 422, "Component c1"},
			"flat metadata":        {"POST", path, `{"incident": {"name": "x", "metadata": {"key": "1"}}}`, 422, "Metadata must have objects"},
			"parameter":            {"GET", path + "?status=open", "", 400, "unknown parameter status"},
			"more than one object": {"POST", path, `{"incident": {"name": "x"}} {}`, 400, "incident is missing"},
			"another page":         {"POST", "/v1/pages/q/incidents", `{"incident": {"name": "x"}}`, 404, "Page not found"},
			"version":              {"POST", "/v2/pages/p/incidents", `{"incident": {"name": "x"}}`, 404, "Page not found"},
			"path":                 {"POST", "/v1/pages/p/postmortems", `{"incident": {"name": "x"}}`, 404, "Not found"},
			"HTTP method":          {"PATCH", path, `{"incident": {"name": "x"}}`, 404, "Not found"},
		},
	}
}

func jiraRefuses() *counterpart {
	j := &alerttest.Jira{Project: "OPS"}
	issue := func(fields string, more ...string) string {
		return `{"fields": {"project": {"key": "OPS"}, "issuetype": {"name": "Bug"}, "summary": "x", "description": {"type": "doc", "version": 1, "content": []}` + fields + `}` + strings.Join(more, "") + `}`
	}
	const path = "/rest/api/3/issue"
	return &counterpart{
		service: j, header: headers("Bearer t"), kept: func() int { return len(j.Issues()) },
		good: wire{"POST", path, issue(""), 201, "OPS-1"},
		refused: map[string]wire{
			"field of the issue":     {"POST", path, issue(`, "title": "x"`), 400, "Field 'title' cannot be set"},
			"field":                  {"POST", path, issue("", `, "comment": "x"`), 400, "Invalid request payload"},
			"node of the text":       {"POST", path, strings.Replace(issue(""), `"content": []`, `"content": [{"type": "table"}]`, 1), 400, "INVALID_INPUT"},
			"field of the text":      {"POST", path, strings.Replace(issue(""), `"content": []`, `"text": "x", "style": "bold", "content": []`, 1), 400, "INVALID_INPUT"},
			"plain text":             {"POST", path, strings.Replace(issue(""), `{"type": "doc", "version": 1, "content": []}`, `"x"`, 1), 400, "Atlassian Document"},
			"label with a space":     {"POST", path, issue(`, "labels": ["a b"]`), 400, "can't contain spaces"},
			"more than one object":   {"POST", path, issue("") + "{}", 400, "Invalid request payload"},
			"field of the search":    {"POST", "/rest/api/3/search/jql", `{"jql": "project = \"OPS\" AND labels = \"a\" ORDER BY created ASC", "startAt": 0}`, 400, "Error in the JQL Query"},
			"old search":             {"POST", "/rest/api/3/search", `{}`, 410, "has been removed"},
			"version of Data Center": {"POST", "/rest/api/2/issue", issue(""), 404, "null for uri"},
			"path":                   {"POST", "/rest/api/3/issues", issue(""), 404, "null for uri"},
			"HTTP method":            {"PUT", path, issue(""), 404, "null for uri"},
			"issue that is none":     {"POST", path + "/OPS-9/comment", `{"body": "x"}`, 404, "Issue does not exist"},
		},
	}
}

func dataCenterRefuses() *counterpart {
	j := &alerttest.Jira{DataCenter: true}
	const issue = `{"fields": {"project": {"key": "OPS"}, "issuetype": {"name": "Bug"}, "summary": "x", "description": "y"}}`
	return &counterpart{
		service: j, header: headers("Bearer t"), kept: func() int { return len(j.Issues()) },
		good: wire{"POST", "/rest/api/2/issue", issue, 201, "OPS-1"},
		refused: map[string]wire{
			"document":         {"POST", "/rest/api/2/issue", strings.Replace(issue, `"y"`, `{"type": "doc", "version": 1, "content": []}`, 1), 400, "must be a string"},
			"version of Cloud": {"POST", "/rest/api/3/issue", issue, 404, "null for uri"},
			"search of Cloud":  {"POST", "/rest/api/2/search/jql", `{}`, 404, "null for uri"},
		},
	}
}

func serviceNowRefuses() *counterpart {
	s := &alerttest.ServiceNow{}
	const path = "/api/now/table/incident"
	return &counterpart{
		service: s, header: headers("Bearer t"), kept: func() int { return len(s.Incidents()) },
		good: wire{"POST", path, `{"short_description": "x", "urgency": "1"}`, 201, "INC0010001"},
		refused: map[string]wire{
			"field":              {"POST", path, `{"short_description": "x", "summary": "y"}`, 400, "summary"},
			"field that is kept": {"POST", path, `{"short_description": "x", "sys_id": "y"}`, 400, "sys_id"},
			"number":             {"POST", path, `{"urgency": 1}`, 400, "not valid JSON"},
			"text too long":      {"POST", path, `{"short_description": "` + strings.Repeat("a", 161) + `"}`, 400, "short_description"},
			"two objects":        {"POST", path, `{"short_description": "x"} {}`, 400, "not valid JSON"},
			"parameter":          {"POST", path + "?sysparm_sort=x", `{"short_description": "x"}`, 400, "sysparm_sort"},
			"table":              {"POST", "/api/now/table/incidents", `{"short_description": "x"}`, 400, "Invalid table"},
			"path":               {"POST", "/api/sn/table/incident", `{"short_description": "x"}`, 400, "Invalid table"},
			"HTTP method":        {"DELETE", path, "", 405, "Method not supported"},
			"record":             {"PATCH", path + "/" + strings.Repeat("0", 32), `{"state": "2"}`, 404, "No Record found"},
		},
	}
}

func alertmanagerRefuses() *counterpart {
	m := &alerttest.Alertmanager{Token: "t"}
	const path, alert = "/api/v2/alerts", `[{"labels": {"alertname": "x"}}]`
	return &counterpart{
		service: m, header: headers("Bearer t"), kept: func() int { return len(m.Alerts()) },
		good: wire{"POST", path, alert, 200, ""},
		refused: map[string]wire{
			"field":                  {"POST", path, `[{"labels": {"alertname": "x"}, "status": "firing"}]`, 400, "bad request"},
			"one that is no list":    {"POST", path, `{"labels": {"alertname": "x"}}`, 400, "bad request"},
			"no labels":              {"POST", path, `[{"labels": {}}]`, 400, "not valid"},
			"name of a label":        {"POST", path, `[{"labels": {"alert-name": "x"}}]`, 400, "not valid"},
			"name of an annotation":  {"POST", path, `[{"labels": {"alertname": "x"}, "annotations": {"run book": "x"}}]`, 400, "not valid"},
			"end before its start":   {"POST", path, `[{"labels": {"alertname": "x"}, "startsAt": "2026-01-02T00:00:00Z", "endsAt": "2026-01-01T00:00:00Z"}]`, 400, "not valid"},
			"more than one document": {"POST", path, alert + alert, 400, "bad request"},
			"version":                {"POST", "/api/v1/alerts", alert, 404, ""},
			"path":                   {"POST", path + "/", alert, 404, ""},
			"HTTP method":            {"PUT", path, alert, 405, "method not allowed"},
		},
	}
}

func webhookRefuses() *counterpart {
	h := &alerttest.Webhook{Secret: "a secret of thirty-two characters"}
	signed := func(id string) func(string) http.Header {
		return func(body string) http.Header { return h.SignedRequest(id, []byte(body), time.Now()).Header }
	}
	const message = `{"version": 1, "id": "m1", "conversation": "c", "seq": 1, "kind": "firing", "title": "x"`
	return &counterpart{
		service: h, sign: signed("m1"), kept: func() int { return len(h.Messages()) },
		good: wire{"POST", "/", message + "}", 204, ""},
		refused: map[string]wire{
			"field":                {"POST", "/", message + `, "subject": "x"}`, 400, "not a message of version 1"},
			"field of an alert":    {"POST", "/", message + `, "alerts": [{"rule": "r", "name": "x"}]}`, 400, "not a message of version 1"},
			"field of a post":      {"POST", "/", message + `, "post": {"headline": "x"}}`, 400, "not a message of version 1"},
			"version":              {"POST", "/", strings.Replace(message, `"version": 1`, `"version": 2`, 1) + "}", 400, "not a message of version 1"},
			"ID of another":        {"POST", "/", strings.Replace(message, "m1", "m2", 1) + "}", 400, "not a message of version 1"},
			"more than one object": {"POST", "/", message + "} {}", 400, "not a message of version 1"},
			"HTTP method":          {"PUT", "/", message + "}", 400, "not a POST of JSON"},
		},
	}
}
