package jira

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"go.acu.edu.au/runbook/alert/internal/send"
	"go.acu.edu.au/runbook/internal/httpx"
)

func (j *Notifier) issue(key string) *url.URL { return j.api.JoinPath("issue", url.PathEscape(key)) }

// find looks for a ticket by its label, the oldest one. Jira finds what was made a moment
// ago only after a while:
// https://developer.atlassian.com/cloud/jira/platform/search-and-reconcile/.
func (j *Notifier) find(ctx context.Context, label string) (key string, err error) {
	at := j.api.JoinPath("search")
	if j.cfg.Edition == Cloud {
		at = at.JoinPath("jql")
	}
	var found struct {
		Issues []struct {
			Key string `json:"key"`
		} `json:"issues"`
	}
	jql := fmt.Sprintf(`project = %q AND labels = %q ORDER BY created ASC`, j.cfg.Project, label)
	_, err = j.look(ctx, send.Call{Op: "search ticket", Method: http.MethodPost, URL: at, JSON: map[string]any{
		"jql": jql, "fields": []string{"status"}, "maxResults": 1,
	}}, &found)
	if err != nil || len(found.Issues) == 0 || !issueKey.MatchString(found.Issues[0].Key) {
		return "", err
	}
	return found.Issues[0].Key, nil
}

func (j *Notifier) look(ctx context.Context, call send.Call, v any) (*httpx.Response, error) {
	call.Header = j.header()
	resp, err := j.send.Look(ctx, call, v)
	return resp, explain(resp, err)
}

func (j *Notifier) do(ctx context.Context, op, method string, at *url.URL, body any) (*httpx.Response, error) {
	resp, err := j.send.Do(ctx, send.Call{Op: op, Method: method, URL: at, Header: j.header(), JSON: body})
	return resp, explain(resp, err)
}

// explain adds what Jira says about an error, which an operator needs: "Field 'x' is
// required".
func explain(resp *httpx.Response, err error) error {
	if err == nil || resp == nil {
		return err
	}
	var body struct {
		Messages []string          `json:"errorMessages"`
		Errors   map[string]string `json:"errors"`
	}
	if json.Unmarshal(resp.Body, &body) != nil {
		return err
	}
	said := body.Messages
	for _, field := range slices.Sorted(maps.Keys(body.Errors)) {
		said = append(said, field+": "+body.Errors[field])
	}
	return send.Explain(err, strings.Join(said, "; "))
}

// maxText is the length of a text that Jira takes, less what quoting adds: 32,767
// characters.
const maxText = 32_000

// document is a text as this Jira takes it: nothing in it is markup.
func (j *Notifier) document(text string) any {
	text = send.Cut(clean(text), maxText)
	if j.cfg.Edition == DataCenter {
		// What ends the quotation is broken by a space.
		text = strings.NewReplacer("{noformat", "{ noformat").Replace(text)
		return "{noformat}\n" + text + "\n{noformat}"
	}
	return adf(text)
}

// clean drops what neither form can hold: control characters.
func clean(text string) string {
	text = strings.Map(func(r rune) rune {
		if r < ' ' && r != '\n' && r != '\t' || r == 0x7f {
			return -1
		}
		return r
	}, strings.ToValidUTF8(text, "�"))
	return strings.Trim(text, "\n")
}

// node is a node of a document:
// https://developer.atlassian.com/cloud/jira/platform/apis/document/structure/.
type node struct {
	Version int    `json:"version,omitempty"`
	Type    string `json:"type"`
	Text    string `json:"text,omitempty"`
	Content []node `json:"content,omitempty"`
}

// adf makes a document of paragraphs.
func adf(text string) node {
	doc := node{Version: 1, Type: "doc", Content: []node{}}
	for block := range strings.SplitSeq(text, "\n\n") {
		p := node{Type: "paragraph"}
		for line := range strings.SplitSeq(strings.Trim(block, "\n"), "\n") {
			if len(p.Content) > 0 {
				p.Content = append(p.Content, node{Type: "hardBreak"})
			}
			if line = indented(line); line != "" {
				p.Content = append(p.Content, node{Type: "text", Text: line})
			}
		}
		if len(p.Content) > 0 {
			doc.Content = append(doc.Content, p)
		}
	}
	return doc
}

// indented keeps the indentation of a line, which would be lost.
func indented(line string) string {
	rest := strings.TrimLeft(line, " \t")
	return strings.Repeat("\u00a0", len(line)-len(rest)) + strings.TrimRight(rest, " \t")
}
