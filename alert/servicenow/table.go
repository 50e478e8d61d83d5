package servicenow

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/alert/internal/send"
	"go.acu.edu.au/runbook/internal/httpx"
)

// The lengths of fields as instances have them at first, in characters.
const (
	maxShort = 160
	maxLong  = 4000
	maxNote  = 30_000 // our own: a journal takes more
)

// record is what is read of an incident:
// https://www.servicenow.com/docs/r/api-reference/rest-apis/c_TableAPI.html.
type record struct {
	ID          string `json:"sys_id"`
	Number      string `json:"number"`
	State       string `json:"state"`
	Active      string `json:"active"`
	Correlation string `json:"correlation_id"`
}

// shown are the fields of a record.
const shown = "sys_id,number,state,active,correlation_id"

// done reports whether nobody works on an incident any more.
func (s *Notifier) done(r record) bool {
	return r.State == s.cfg.ResolvedState || slices.Contains(s.cfg.ClosedStates, r.State) || r.Active == "false"
}

// find looks an incident up by its correlation ID, the oldest one.
func (s *Notifier) find(ctx context.Context, key string) (record, error) {
	const op = "look up incident"
	at := *s.table
	at.RawQuery = url.Values{
		"sysparm_query":  {"correlation_id=" + key + "^ORDERBYsys_created_on"},
		"sysparm_fields": {shown}, "sysparm_limit": {"1"}, "sysparm_no_count": {"true"},
	}.Encode()
	var found struct {
		Result []record `json:"result"`
	}
	resp, err := s.send.Look(ctx, send.Call{Op: op, URL: &at, Header: s.header()}, &found)
	if resp != nil && resp.Status == http.StatusNotFound && strings.Contains(reason(resp.Body), "No Record found") {
		return record{}, nil // how version 1 of the API says so
	}
	if err != nil {
		return record{}, explain(resp, err)
	}
	if len(found.Result) == 0 {
		return record{}, nil
	}
	if r := found.Result[0]; r.Correlation == key && sysID.MatchString(r.ID) {
		return r, nil
	}
	return record{}, s.send.Refuse(op, "the table cannot be searched by correlation_id")
}

func (s *Notifier) read(ctx context.Context, id string) (record, error) {
	at := s.table.JoinPath(id)
	at.RawQuery = url.Values{"sysparm_fields": {shown}}.Encode()
	var found struct {
		Result record `json:"result"`
	}
	resp, err := s.send.Look(ctx, send.Call{Op: "read incident", URL: at, Header: s.header()}, &found)
	return found.Result, explain(resp, err)
}

func (s *Notifier) change(ctx context.Context, op, id string, fields map[string]string) (record, error) {
	return s.write(ctx, op, http.MethodPatch, s.table.JoinPath(id), fields)
}

func (s *Notifier) write(ctx context.Context, op, method string, at *url.URL, fields map[string]string) (record, error) {
	to := *at
	to.RawQuery = url.Values{"sysparm_fields": {shown}}.Encode()
	resp, err := s.send.Do(ctx, send.Call{Op: op, Method: method, URL: &to, Header: s.header(), JSON: fields})
	if err != nil {
		return record{}, explain(resp, err)
	}
	var after struct {
		Result record `json:"result"`
	}
	return after.Result, s.send.Decode(op, resp, &after)
}

// explain adds what ServiceNow says about an error.
func explain(resp *httpx.Response, err error) error {
	if err == nil || resp == nil {
		return err
	}
	return send.Explain(err, reason(resp.Body))
}

func reason(body []byte) string {
	var answer struct {
		Error struct {
			Message string `json:"message"`
			Detail  string `json:"detail"`
		} `json:"error"`
	}
	if json.Unmarshal(body, &answer) != nil {
		return ""
	}
	return strings.Trim(answer.Error.Message+": "+answer.Error.Detail, ": ")
}

// journal is the text of a work note.
func journal(n alert.Notification) string { return send.Cut(clean(send.Text(n)), maxNote) }

// code is what makes HTML of a text in a journal.
var code = regexp.MustCompile(`(?i)\[(/?\s*code)`)

// clean makes a text plain.
func clean(text string) string {
	text = strings.Map(func(r rune) rune {
		if r < ' ' && r != '\n' && r != '\t' || r == 0x7f {
			return -1
		}
		return r
	}, strings.ToValidUTF8(text, "�"))
	return strings.Trim(code.ReplaceAllString(text, "[ $1"), "\n")
}
