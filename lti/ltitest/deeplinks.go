package ltitest

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// A DeepLinkingResponse is one that a tool's page posted.
type DeepLinkingResponse struct {
	// ClientID is the tool's.
	ClientID string
	// Course is the id of the context.
	Course string
	// Claims are those of the token.
	Claims map[string]any
	// Items are the content items.
	Items []map[string]any
	// Problems say what is wrong with it; it was refused if there are any.
	Problems []string
}

// DeepLinkingResponses returns the responses that came, good and bad ones, oldest
// first. One whose request is not known is not among them.
func (p *Platform) DeepLinkingResponses() []DeepLinkingResponse {
	defer p.lock()()
	return slices.Clone(p.responses)
}

// selection is a deep linking request that waits for its response.
type selection struct {
	tool       *tool
	course     *course
	deployment string
	settings   DeepLinking
	data       any // nil if the request had none
}

// deepLinkingSettings are the settings of a request (Deep Linking 2.0, section
// 4.4.1; canvas-lms, lib/lti/messages/deep_linking_request.rb). Canvas has its
// data in the return address too.
func (p *Platform) deepLinkingSettings(t *tool, crs *course, m *Message, now time.Time) map[string]any {
	d := m.DeepLinking
	if d.AcceptTypes == nil {
		d.AcceptTypes = []string{"link", "ltiResourceLink", "html"}
	}
	s := &selection{tool: t, course: crs, deployment: m.Deployment, settings: d}
	id := opaque("selection", p.next())
	parameter := "session"
	switch {
	case p.Canvas:
		id = signJWT(map[string]any{"nonce": id, "placement": m.Placement, "content_item_id": nil, "iat": now.Unix(), "exp": now.Add(time.Hour).Unix()}, Signing{Key: hintKey})
		s.data, parameter = id, "data"
	case !d.NoData:
		s.data = d.Data
	}
	if p.selections == nil {
		p.selections = make(map[string]*selection)
	}
	p.selections[id] = s
	settings := map[string]any{
		"deep_link_return_url":                 p.back() + "/courses/" + itoa(crs.number) + "/deep_linking_response?" + url.Values{"modal": {"true"}, parameter: {id}}.Encode(),
		"accept_types":                         d.AcceptTypes,
		"accept_presentation_document_targets": []string{"iframe", "window"},
		"accept_media_types":                   "image/*,text/html",
		"accept_multiple":                      !d.Single,
		"accept_lineitem":                      !d.NoLineItem,
		"auto_create":                          false,
	}
	for name, text := range map[string]string{"title": d.Title, "text": d.Text} {
		if text != "" {
			settings[name] = text
		}
	}
	if s.data != nil {
		settings["data"] = s.data
	}
	return p.junk(settings)
}

// takeDeepLinks is the return address (canvas-lms,
// app/controllers/lti/ims/deep_linking_controller.rb).
func (p *Platform) takeDeepLinks(c *call) answer {
	form, err := url.ParseQuery(string(c.body))
	if err != nil || c.mediaType() != "application/x-www-form-urlencoded" || len(form) != 1 || len(form["JWT"]) != 1 {
		return htmlAnswer(http.StatusBadRequest, "the request must be a form with the one parameter JWT")
	}
	id := c.query.Get("session")
	if p.Canvas {
		id = c.query.Get("data")
	}
	s := p.selections[id]
	if s == nil || c.course() != s.course || c.query.Get("modal") != "true" {
		return htmlAnswer(http.StatusBadRequest, "the address is not the one that was given: its query is part of it")
	}
	token, err := readJWT(form.Get("JWT"))
	if err != nil {
		return htmlAnswer(http.StatusBadRequest, "JWT format is invalid")
	}
	r := DeepLinkingResponse{ClientID: s.tool.ClientID, Course: s.course.ID, Claims: maps.Clone(token.claims)}
	if problem := c.verify(s.tool, token); problem != "" {
		r.Problems = append(r.Problems, problem)
	} else {
		r.Problems = p.responseProblems(c, s, token)
		var problems []string
		r.Items, problems = s.items(token.claims[claimDL+"content_items"])
		r.Problems = append(r.Problems, problems...)
	}
	p.responses = append(p.responses, r)
	if len(r.Problems) > 0 {
		return htmlAnswer(http.StatusBadRequest, strings.Join(r.Problems, " | "))
	}
	return htmlAnswer(http.StatusOK, "Retrieving Content")
}

// responseProblems checks the claims of a response (Security Framework 1.0,
// section 5.2; Deep Linking 2.0, section 4.5).
func (p *Platform) responseProblems(c *call, s *selection, token *foreign) []string {
	var problems []string
	want := func(name string, value any) {
		if got, there := token.claims[name]; !there {
			problems = append(problems, name+" is missing")
		} else if got != value {
			problems = append(problems, fmt.Sprintf("the '%s' is invalid", name))
		}
	}
	want("iss", s.tool.ClientID)
	want(claim+"message_type", "LtiDeepLinkingResponse")
	want(claim+"version", "1.3.0")
	want(claim+"deployment_id", s.deployment)
	aud := token.claims["aud"]
	if list, ok := aud.([]any); ok && len(list) == 1 {
		aud = list[0]
	}
	if aud != p.issuer() {
		problems = append(problems, "the 'aud' is invalid")
	}
	if azp, there := token.claims["azp"]; there && azp != p.issuer() {
		problems = append(problems, "the 'azp' is invalid")
	}
	if sub, there := token.claims["sub"]; there && sub != s.tool.ClientID {
		problems = append(problems, "the 'sub' is invalid")
	}
	problems = append(problems, times(token, c.now)...)
	data, there := token.claims[claimDL+"data"]
	if s.data != nil && (!there || data != s.data) || s.data == nil && there {
		problems = append(problems, "the 'data' is not that of the request")
	}
	for _, name := range []string{"msg", "log", "errormsg", "errorlog"} {
		if v, there := token.claims[claimDL+name]; there {
			if _, ok := v.(string); !ok {
				problems = append(problems, "the '"+name+"' must be a text")
			}
		}
	}
	nonce := token.text("nonce")
	if key := s.tool.ClientID + " " + nonce; nonce == "" || p.nonces[key] {
		problems = append(problems, "the 'nonce' is missing, or was used before")
	} else if len(problems) == 0 {
		p.nonces[key] = true
	}
	return problems
}

// items checks the content items.
func (s *selection) items(v any) ([]map[string]any, []string) {
	if v == nil {
		return nil, nil // Deep Linking 2.0, section 4.5.1: nothing was selected
	}
	list, ok := v.([]any)
	if !ok {
		return nil, []string{"content_items must be a list"}
	}
	var problems []string
	if len(list) > 1 && s.settings.Single {
		problems = append(problems, "more than one item, where one is accepted")
	}
	items := make([]map[string]any, 0, len(list))
	for i, v := range list {
		item, ok := v.(map[string]any)
		if !ok {
			problems = append(problems, fmt.Sprintf("item %d is not an object", i))
			continue
		}
		items = append(items, item)
		for _, problem := range s.itemProblems(item) {
			problems = append(problems, fmt.Sprintf("item %d: %s", i, problem))
		}
	}
	return items, problems
}

func (s *selection) itemProblems(item map[string]any) []string {
	var problems []string
	kind, _ := item["type"].(string)
	if !slices.Contains(s.settings.AcceptTypes, kind) {
		problems = append(problems, "type "+kind+" is not accepted")
	}
	address, _ := item["url"].(string)
	u, err := url.Parse(address)
	absolute := err == nil && u.Scheme != "" && u.Host != ""
	if html, _ := item["html"].(string); kind == "html" && html == "" {
		problems = append(problems, "html is missing")
	}
	if slices.Contains([]string{"link", "file", "image"}, kind) && !absolute || address != "" && !absolute {
		problems = append(problems, "url must be an absolute address")
	}
	for _, name := range []string{"title", "text", "url", "html"} {
		if v, there := item[name]; there {
			if _, ok := v.(string); !ok {
				problems = append(problems, name+" must be a text")
			}
		}
	}
	if v, there := item["lineItem"]; there {
		line, _ := v.(map[string]any)
		highest, _ := number(line["scoreMaximum"])
		switch {
		case highest <= 0:
			problems = append(problems, "lineItem.scoreMaximum must be above 0")
		case s.settings.NoLineItem:
			problems = append(problems, "line items are not accepted")
		}
	}
	if v, there := item["custom"]; there {
		custom, ok := v.(map[string]any)
		for _, value := range custom {
			if _, isText := value.(string); !isText {
				ok = false
			}
		}
		if !ok {
			problems = append(problems, "custom must have texts")
		}
	}
	known := []string{
		"type", "url", "title", "text", "html", "icon", "thumbnail", "iframe", "window", "embed", "custom", "lineItem", "available", "submission",
		"width", "height", "mediaType", "expiresAt",
	}
	if names := unknownNames(item, known...); len(names) > 0 {
		problems = append(problems, "unknown members: "+strings.Join(names, ", "))
	}
	return problems
}
