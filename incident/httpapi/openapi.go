package httpapi

import (
	"encoding/json"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"go.acu.edu.au/runbook/incident"
)

// What the description of the API is made of: OpenAPI 3.1, as far as it is needed.
type (
	description struct {
		OpenAPI    string                                   `json:"openapi"`
		Info       map[string]string                        `json:"info"`
		Docs       map[string]string                        `json:"externalDocs"`
		Servers    []map[string]string                      `json:"servers"`
		Security   []map[string][]string                    `json:"security"`
		Tags       []map[string]string                      `json:"tags"`
		Paths      map[string]map[string]describedOperation `json:"paths"`
		Components map[string]any                           `json:"components"`
	}
	describedOperation struct {
		ID          string                       `json:"operationId"`
		Tags        []string                     `json:"tags"`
		Summary     string                       `json:"summary"`
		Description string                       `json:"description"`
		Parameters  []describedParameter         `json:"parameters,omitempty"`
		Body        *describedBody               `json:"requestBody,omitempty"`
		Responses   map[string]describedResponse `json:"responses"`
		Verb        Verb                         `json:"x-verb"`
	}
	describedParameter struct {
		Name        string  `json:"name"`
		In          string  `json:"in"`
		Required    bool    `json:"required,omitempty"`
		Description string  `json:"description,omitempty"`
		Schema      *schema `json:"schema"`
	}
	describedBody struct {
		Required bool                        `json:"required"`
		Content  map[string]describedContent `json:"content"`
	}
	describedResponse struct {
		Description string                      `json:"description"`
		Headers     map[string]any              `json:"headers,omitempty"`
		Content     map[string]describedContent `json:"content,omitempty"`
	}
	describedContent struct {
		Schema  *schema         `json:"schema,omitempty"`
		Example json.RawMessage `json:"example,omitempty"`
	}
)

// describe returns the description of operations. The server is written relative to the
// place of the description, so that it is right wherever the API is mounted.
func describe(operations []*operation) description {
	all := make(schemas)
	problem := all.of(reflect.TypeFor[Problem]())
	all["Problem"].Properties["code"].Enum = codes()
	d := description{
		OpenAPI: "3.1.0",
		Info: map[string]string{
			"title": "Runbook", "version": "1",
			"description": "Playbooks, their runs, approvals and incidents. Every request says who makes it. " +
				"An answer other than the result is a problem (RFC 9457), whose code says what happened.",
		},
		Docs:     map[string]string{"description": "What the fields of answers mean", "url": "https://pkg.go.dev/go.acu.edu.au/runbook/incident"},
		Servers:  []map[string]string{{"url": "../v1"}},
		Security: []map[string][]string{{"host": {}}},
		Paths:    make(map[string]map[string]describedOperation),
	}
	for _, o := range operations {
		if !slices.ContainsFunc(d.Tags, func(t map[string]string) bool { return t["name"] == o.tag }) {
			d.Tags = append(d.Tags, map[string]string{"name": o.tag})
		}
		path := d.Paths[o.path]
		if path == nil {
			path = make(map[string]describedOperation)
			d.Paths[o.path] = path
		}
		path[strings.ToLower(o.method)] = o.describe(all, problem)
	}
	for _, s := range all {
		slices.Sort(s.Required)
	}
	d.Components = map[string]any{
		"schemas": all,
		"securitySchemes": map[string]any{"host": map[string]string{
			"type": "http", "scheme": "bearer", "description": "The host decides how a request says who makes it: by a token, a session, or its proxy.",
		}},
	}
	return d
}

// codes returns the codes of problems.
func codes() (list []string) {
	for _, s := range sorts {
		list = append(list, s.code)
	}
	return list
}

// describe returns the description of an operation.
func (o *operation) describe(all schemas, problem *schema) describedOperation {
	d := describedOperation{ID: o.id, Tags: []string{o.tag}, Summary: o.summary, Verb: o.verb, Responses: make(map[string]describedResponse)}
	d.Description = strings.TrimSpace(o.about + " Needs the right to " + string(o.verb) + ".")
	for _, name := range o.names() {
		p := describedParameter{Name: name, In: "path", Required: true, Schema: &schema{Type: typeString}}
		if name != "environment" && name != "playbook" {
			p.Schema.Pattern = idPattern.String()
		}
		d.Parameters = append(d.Parameters, p)
	}
	for _, p := range o.parameters {
		d.Parameters = append(d.Parameters, describedParameter{Name: p.name, In: p.in, Description: p.about, Schema: &p.schema})
	}
	if o.body != nil {
		d.Body = &describedBody{Required: true, Content: map[string]describedContent{mediaJSON: {Schema: o.bodies, Example: json.RawMessage(o.example)}}}
	}
	done := describedResponse{Description: "Done.", Content: o.content(all)}
	if o.status == http.StatusCreated {
		done.Headers = map[string]any{"Location": map[string]any{"description": "Where it is, relative to this URL.", "schema": &schema{Type: typeString}}}
	}
	d.Responses[strconv.Itoa(o.status)] = done
	for status, codes := range o.problems() {
		d.Responses[strconv.Itoa(status)] = describedResponse{
			Description: "A problem: " + strings.Join(codes, ", ") + ".", Content: map[string]describedContent{mediaProblem: {Schema: problem}},
		}
	}
	if o.results[mediaEvents] != nil {
		d.Responses["204"] = describedResponse{Description: "The run has ended, and everything was heard."}
	}
	return d
}

// content returns what an operation answers.
func (o *operation) content(all schemas) map[string]describedContent {
	content := make(map[string]describedContent)
	for media, t := range o.results {
		s := &schema{Type: typeObject}
		switch {
		case media == mediaEvents:
			all.of(reflect.TypeFor[incident.Run]()) // what its events have
			s = &schema{Type: typeString, Description: "Events run with a Run, end with the state of the run, problem with a Problem."}
		case t != reflect.TypeFor[struct{}]():
			s = all.of(t)
		}
		content[media] = describedContent{Schema: s}
	}
	return content
}

// problems returns the codes of the problems of an operation, by status.
func (o *operation) problems() map[int][]string {
	list := append([]string{codeUnauthenticated, codeNotPermitted, codeInternal, codeCouldNotAsk}, o.codes...)
	if len(o.names()) > 0 {
		list = append(list, codeNotFound)
	}
	if o.body != nil {
		list = append(list, codeMalformed, codeCrossSite, codeTooLarge, codeMediaType)
	}
	if o.body != nil || len(o.parameters) > 0 {
		list = append(list, codeInvalid)
	}
	byStatus := make(map[int][]string)
	for _, s := range sorts {
		if slices.Contains(list, s.code) {
			byStatus[s.status] = append(byStatus[s.status], s.code)
		}
	}
	return byStatus
}
