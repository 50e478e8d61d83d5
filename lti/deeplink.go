package lti

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"time"
)

// DeepLinkingSettings are what a platform wants to have chosen (Deep Linking 2.0,
// section 4.4.1). They are JSON in both directions, so that a host can keep them
// in its session until the user has chosen.
type DeepLinkingSettings struct {
	// ReturnURL is where the answer is posted, exactly as it is.
	ReturnURL string `json:"deep_link_return_url"`
	// AcceptTypes are the types of items that the platform takes.
	AcceptTypes []string `json:"accept_types"`
	// AcceptTargets are how the platform can show what is chosen: "iframe",
	// "window", "embed".
	AcceptTargets []string `json:"accept_presentation_document_targets"`
	// AcceptMediaTypes are media types for files, separated by commas.
	AcceptMediaTypes string `json:"accept_media_types,omitempty"`
	// AcceptMultiple says whether several items can be chosen. Nil means that the
	// platform does not say.
	AcceptMultiple *bool `json:"accept_multiple,omitempty"`
	// AcceptLineItem says whether an item may have a line item. Nil means that the
	// platform does not say.
	AcceptLineItem *bool `json:"accept_lineitem,omitempty"`
	// AutoCreate says that items are made at once, without asking the user.
	AutoCreate bool `json:"auto_create,omitempty"`
	// Title and Text are suggestions for the item.
	Title string `json:"title,omitempty"`
	Text  string `json:"text,omitempty"`
	// Data has to come back unchanged, also if it is empty; nil if the request had
	// none.
	Data *string `json:"data,omitempty"`
}

// check returns what a platform left out.
func (s *DeepLinkingSettings) check() *Refusal {
	switch {
	case s.ReturnURL == "":
		return refuse(ReasonMissing, "deep_linking_settings.deep_link_return_url is missing")
	case checkPage(s.ReturnURL) != nil:
		return refuse(ReasonMissing, "deep_linking_settings.deep_link_return_url: %v", checkPage(s.ReturnURL))
	case s.AcceptTypes == nil:
		return refuse(ReasonMissing, "deep_linking_settings.accept_types is missing")
	case s.AcceptTargets == nil:
		return refuse(ReasonMissing, "deep_linking_settings.accept_presentation_document_targets is missing")
	}
	return nil
}

// A DeepLinkingRequest is what has to be kept of a deep linking launch until the
// user has chosen. It is JSON in both directions.
type DeepLinkingRequest struct {
	Issuer       string              `json:"issuer"`        // of the registration
	ClientID     string              `json:"client_id"`     // of the registration
	DeploymentID string              `json:"deployment_id"` // of the launch
	Settings     DeepLinkingSettings `json:"settings"`      // of the launch
}

// DeepLinkingRequest returns what is needed to answer a deep linking launch.
// ok is false for another launch.
func (l *Launch) DeepLinkingRequest() (request DeepLinkingRequest, ok bool) {
	if l.MessageType != MessageDeepLinking || l.DeepLinking == nil {
		return DeepLinkingRequest{}, false
	}
	return DeepLinkingRequest{l.Issuer, l.ClientID, l.DeploymentID, *l.DeepLinking}, true
}

// Types of content items (Deep Linking 2.0, section 3.1 to 3.5).
const (
	ItemLink         = "link"
	ItemResourceLink = "ltiResourceLink"
	ItemFile         = "file"
	ItemHTML         = "html"
	ItemImage        = "image"
)

// A ContentItem is one thing that was chosen. Which fields belong to which type
// is said in Deep Linking 2.0, section 3; what is empty is left out.
type ContentItem struct {
	// Type is one of the constants, or the address that names an extension.
	// Required.
	Type string
	// URL is the address: of the link, file or image; for a resource link the
	// target link URI, which is that of the tool if it is empty.
	URL string
	// Title and Text are what people see.
	Title, Text string
	// HTML is the fragment of an item of type html.
	HTML string
	// MediaType is that of a file.
	MediaType string
	// ExpiresAt is until when the platform can fetch a file.
	ExpiresAt time.Time
	// Width and Height are those of an image in pixels.
	Width, Height int
	// Icon and Thumbnail are pictures of the item.
	Icon, Thumbnail *Image
	// Iframe, Window and Embed are how it can be shown.
	Iframe *Frame
	Window *Window
	Embed  string
	// Custom are parameters that come with each launch of a resource link.
	Custom map[string]string
	// LineItem makes a column in the grade book for a resource link.
	LineItem *ItemLineItem
	// Available and Submission are when a resource link can be used.
	Available, Submission Period
	// Extensions are further members, named by addresses, such as those of Canvas.
	Extensions map[string]any
}

// Image is a picture.
type Image struct {
	URL    string `json:"url"`              // its address
	Width  int    `json:"width,omitempty"`  // in pixels
	Height int    `json:"height,omitempty"` // in pixels
}

// Frame is an iframe.
type Frame struct {
	Src    string `json:"src,omitempty"`    // for a link: what it shows
	Width  int    `json:"width,omitempty"`  // in pixels
	Height int    `json:"height,omitempty"` // in pixels
}

// Window is a window of its own.
type Window struct {
	TargetName string `json:"targetName,omitempty"`     // windows with one name are one window
	Width      int    `json:"width,omitempty"`          // in pixels
	Height     int    `json:"height,omitempty"`         // in pixels
	Features   string `json:"windowFeatures,omitempty"` // as window.open has them
}

// ItemLineItem is a column in the grade book.
type ItemLineItem struct {
	Label        string  `json:"label,omitempty"`      // what people see
	ScoreMaximum float64 `json:"scoreMaximum"`         // more than 0
	ResourceID   string  `json:"resourceId,omitempty"` // the tool's own id
	Tag          string  `json:"tag,omitempty"`        // the tool's own word
}

// Period is a time span; a zero end is open.
type Period struct{ Start, End time.Time }

// A DeepLinkingReply is the answer to a deep linking request.
type DeepLinkingReply struct {
	// Items are what was chosen. None is an answer as well: the user goes back with
	// nothing.
	Items []ContentItem
	// Message and ErrorMessage are shown to the user, Log and ErrorLog are for the
	// platform's logs.
	Message, ErrorMessage, Log, ErrorLog string
}

// RespondDeepLinking signs the reply and answers with a page that posts it to
// the platform at once (Deep Linking 2.0, section 4.5). Call it when the user has
// chosen, and not before: platforms refuse what was signed some minutes ago.
//
// An error means that nothing was written: the reply is not one that the platform
// takes, the registration is gone, or there is no key.
func (t *Tool) RespondDeepLinking(w http.ResponseWriter, r *http.Request, request DeepLinkingRequest, reply DeepLinkingReply) error {
	token, err := t.SignDeepLinking(r.Context(), request, reply)
	if err != nil {
		return err
	}
	k, refusal := t.find(r.Context(), request.Issuer, request.ClientID)
	if refusal != nil {
		return refusal
	}
	return t.respondPage(w, r, k, request.Settings.ReturnURL, token)
}

// SignDeepLinking returns the token that RespondDeepLinking posts, for a host
// that has a page of its own. The page posts it to the return URL exactly as that
// is, with its query, as the only parameter, JWT.
func (t *Tool) SignDeepLinking(ctx context.Context, request DeepLinkingRequest, reply DeepLinkingReply) (string, error) {
	if t.cfg.Keys == nil {
		return "", errors.New("lti: deep linking response: the tool has no key: set Config.Keys")
	}
	k, refusal := t.find(ctx, request.Issuer, request.ClientID)
	if refusal != nil {
		return "", refusal
	}
	if refusal := request.Settings.check(); refusal != nil {
		return "", fmt.Errorf("lti: deep linking response: %s", refusal.Detail)
	}
	if err := reply.check(&request.Settings); err != nil {
		return "", err
	}
	now := time.Now()
	claims := map[string]any{
		"iss": k.ClientID, "aud": k.Issuer, "azp": k.Issuer, "nonce": rand.Text(),
		// A clock that is a little ahead of the platform's does no harm.
		"iat": now.Add(-clockAhead).Unix(), "exp": now.Add(assertionLife).Unix(),
		claimType: "LtiDeepLinkingResponse", claimVersion: "1.3.0", claimDeployment: request.DeploymentID,
		claimItems: reply.items(),
	}
	if request.Settings.Data != nil {
		claims[claimDL+"data"] = *request.Settings.Data
	}
	for name, text := range map[string]string{"msg": reply.Message, "errormsg": reply.ErrorMessage, "log": reply.Log, "errorlog": reply.ErrorLog} {
		if text != "" {
			claims[claimDL+name] = text
		}
	}
	token, err := t.cfg.Keys.Sign(claims)
	if err != nil {
		return "", fmt.Errorf("lti: deep linking response: %w", err)
	}
	return token, nil
}

// Names of claims that are written.
const (
	claimType       = "https://purl.imsglobal.org/spec/lti/claim/message_type"
	claimVersion    = "https://purl.imsglobal.org/spec/lti/claim/version"
	claimDeployment = "https://purl.imsglobal.org/spec/lti/claim/deployment_id"
	claimDL         = "https://purl.imsglobal.org/spec/lti-dl/claim/"
	claimItems      = claimDL + "content_items"

	clockAhead    = 5 * time.Second
	assertionLife = 4 * time.Minute
)

// check returns everything in the reply that the platform would not take.
func (p *DeepLinkingReply) check(s *DeepLinkingSettings) error {
	var problems []error
	add := func(i int, format string, args ...any) {
		problems = append(problems, fmt.Errorf("lti: deep linking response: item %d: "+format, append([]any{i + 1}, args...)...))
	}
	if len(p.Items) > 1 && s.AcceptMultiple != nil && !*s.AcceptMultiple {
		problems = append(problems, fmt.Errorf("lti: deep linking response: %d items, and the platform takes one", len(p.Items)))
	}
	for i := range p.Items {
		item := &p.Items[i]
		if !slices.Contains(s.AcceptTypes, item.Type) {
			add(i, "the platform takes no items of type %s", quote(item.Type))
		}
		switch item.Type {
		case ItemLink, ItemFile, ItemImage:
			if err := absolute(item.URL); err != nil {
				add(i, "URL %w", err)
			}
		case ItemResourceLink:
			if item.URL != "" && absolute(item.URL) != nil {
				add(i, "URL %w", absolute(item.URL))
			}
		case ItemHTML:
			if item.HTML == "" {
				add(i, "HTML is empty")
			}
		}
		if item.LineItem != nil {
			switch {
			case item.LineItem.ScoreMaximum <= 0:
				add(i, "the line item's ScoreMaximum must be more than 0")
			case s.AcceptLineItem != nil && !*s.AcceptLineItem:
				add(i, "the platform takes no line items")
			}
		}
	}
	return errors.Join(problems...)
}

func absolute(address string) error {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return errors.New("must be an absolute address, https or http")
	}
	return nil
}

// items returns the items as they are written: a list, also if there are none.
func (p *DeepLinkingReply) items() []map[string]any {
	all := make([]map[string]any, 0, len(p.Items))
	for i := range p.Items {
		all = append(all, p.Items[i].members())
	}
	return all
}

func (c *ContentItem) members() map[string]any {
	m := make(map[string]any, 8)
	maps.Copy(m, c.Extensions)
	m["type"] = c.Type
	for name, text := range map[string]string{"url": c.URL, "title": c.Title, "text": c.Text, "html": c.HTML, "mediaType": c.MediaType} {
		if text != "" {
			m[name] = text
		}
	}
	set(m, "icon", c.Icon)
	set(m, "thumbnail", c.Thumbnail)
	set(m, "iframe", c.Iframe)
	set(m, "window", c.Window)
	set(m, "lineItem", c.LineItem)
	if c.Embed != "" {
		m["embed"] = map[string]string{"html": c.Embed}
	}
	if c.Width > 0 {
		m["width"] = c.Width
	}
	if c.Height > 0 {
		m["height"] = c.Height
	}
	if !c.ExpiresAt.IsZero() {
		m["expiresAt"] = stamp(c.ExpiresAt)
	}
	if len(c.Custom) > 0 {
		m["custom"] = c.Custom
	}
	for name, p := range map[string]Period{"available": c.Available, "submission": c.Submission} {
		span := make(map[string]string, 2)
		if !p.Start.IsZero() {
			span["startDateTime"] = stamp(p.Start)
		}
		if !p.End.IsZero() {
			span["endDateTime"] = stamp(p.End)
		}
		if len(span) > 0 {
			m[name] = span
		}
	}
	return m
}

func set[T any](m map[string]any, name string, value *T) {
	if value != nil {
		m[name] = value
	}
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
