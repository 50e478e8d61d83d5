package ltitest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// noticeTypes are those that Canvas knows (canvas-lms, doc/api/pns.md).
func noticeTypes() []string {
	return []string{"LtiHelloWorldNotice", "LtiAssetProcessorSubmissionNotice", "LtiContextCopyNotice"}
}

// noticed finds the tool of a request to the notice service.
func (c *call) noticed() (*tool, answer, bool) {
	t, a, ok := c.bearer(ScopeNotices)
	switch {
	case !ok:
		return nil, a, false
	case c.misaddressed():
		return nil, lost(), false
	case c.r.PathValue("tool") != itoa(t.id):
		return nil, notFound(), false
	}
	return t, answer{}, true
}

func (p *Platform) listHandlers(c *call) answer {
	t, a, ok := c.noticed()
	if !ok {
		return a
	}
	handlers := []any{}
	for _, kind := range noticeTypes() {
		handlers = append(handlers, map[string]any{"handler": t.handlers[kind], "notice_type": kind})
	}
	deployment := ""
	if len(t.Deployments) > 0 {
		deployment = t.Deployments[0]
	}
	// The documentation of Canvas has client_id as a text and as a number
	// (developerdocs.instructure.com, "Notice Handlers").
	var client any = t.ClientID
	if p.Canvas && digits(t.ClientID) == t.ClientID {
		client = jsonNumber(t.ClientID)
	}
	return jsonAnswer(http.StatusOK, map[string]any{"client_id": client, "deployment_id": deployment, "notice_handlers": handlers})
}

func (p *Platform) putHandler(c *call) answer {
	t, a, ok := c.noticed()
	if !ok {
		return a
	}
	if c.mediaType() != "application/json" {
		return unsupported("application/json")
	}
	obj, err := c.object()
	if err != nil {
		return failure(http.StatusBadRequest, "the body is not a JSON object")
	}
	kind, _ := obj["notice_type"].(string)
	handler, isText := obj["handler"].(string)
	switch {
	case len(unknownNames(obj, "notice_type", "handler", "max_batch_size")) > 0:
		return failure(http.StatusBadRequest, "unknown parameters: "+strings.Join(unknownNames(obj, "notice_type", "handler", "max_batch_size"), ", "))
	case !slices.Contains(noticeTypes(), kind):
		return failure(http.StatusBadRequest, "unknown notice_type, it must be one of ["+strings.Join(noticeTypes(), ", ")+"]")
	case !isText:
		return failure(http.StatusBadRequest, "handler must be a URL, or empty")
	case handler != "" && !t.mayHandle(handler):
		return failure(http.StatusBadRequest, "handler must be a valid URL whose domain matches the domain of the tool")
	}
	if t.handlers[kind] = handler; handler == "" {
		delete(t.handlers, kind)
	}
	return jsonAnswer(http.StatusOK, map[string]any{"handler": handler, "notice_type": kind})
}

// mayHandle wants an https address on a host of the tool, or below one.
func (t *tool) mayHandle(address string) bool {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "https" || u.Hostname() == "" || u.User != nil {
		return false
	}
	for _, own := range append([]string{t.LoginURL, t.TargetLinkURI}, t.RedirectURIs...) {
		o, err := url.Parse(own)
		if err == nil && o.Hostname() != "" && (u.Hostname() == o.Hostname() || strings.HasSuffix(u.Hostname(), "."+o.Hostname())) {
			return true
		}
	}
	return false
}

// A Notice is one that the platform sends.
type Notice struct {
	// ClientID names the tool. Empty means the first one.
	ClientID string
	// ID is the notice's. Empty means a new one.
	ID string
	// Type is what it is about. Empty means "LtiHelloWorldNotice".
	Type string
	// Time is when it happened. Zero means now.
	Time time.Time
	// Claims are added to its token.
	Claims map[string]any
	// Mutate and Signing change the token, as in a [Message].
	Mutate  func(claims map[string]any)
	Signing Signing
}

// Handlers returns the handlers of a tool, by the type of notice.
func (p *Platform) Handlers(clientID string) map[string]string {
	defer p.lock()()
	return maps.Clone(p.mustTool(clientID).handlers)
}

// SignNotice returns the token of a notice, which the platform would send
// (canvas-lms, doc/api/pns.md): it has neither a sub nor a message type.
func (p *Platform) SignNotice(n Notice) string {
	defer p.lock()()
	token, _ := p.signNotice(&n)
	return token
}

func (p *Platform) signNotice(n *Notice) (token string, t *tool) {
	t = p.mustTool(n.ClientID)
	now := p.now()
	if n.ID == "" {
		n.ID = p.uuid()
	}
	if n.Type == "" {
		n.Type = "LtiHelloWorldNotice"
	}
	if n.Time.IsZero() {
		n.Time = now
	}
	claims := map[string]any{
		"iss": p.issuer(), "aud": t.ClientID, "azp": t.ClientID, "iat": now.Unix(), "exp": now.Add(time.Hour).Unix(), "nonce": p.uuid(),
		claim + "version": "1.3.0",
		claim + "notice":  map[string]any{"id": n.ID, "timestamp": n.Time.UTC().Format(time.RFC3339), "type": n.Type},
	}
	if len(t.Deployments) > 0 {
		claims[claim+"deployment_id"] = t.Deployments[0]
	}
	maps.Copy(claims, n.Claims)
	if n.Mutate != nil {
		n.Mutate(claims)
	}
	return p.sign(claims, n.Signing), t
}

// ErrNoHandler says that the tool wants no notices of a type.
var ErrNoHandler = errors.New("ltitest: the tool has no handler for this type of notice")

// SendNotices posts notices, all of one tool and one type, to the handler of the
// tool, in one request: as Canvas does, once, whatever the answer is. client is
// how the handler is reached; nil means by the tool's Handler or
// [Platform].HTTP. The error wraps [ErrNoHandler], or says how the tool answered.
func (p *Platform) SendNotices(ctx context.Context, client *http.Client, notices ...Notice) error {
	var t *tool
	var address string
	batch := []any{}
	unlock := p.lock()
	for i := range notices {
		token, to := p.signNotice(&notices[i])
		t, address = to, to.handlers[notices[i].Type]
		batch = append(batch, map[string]any{"jwt": token})
	}
	unlock()
	if address == "" {
		return ErrNoHandler
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(mustJSON(map[string]any{"notices": batch})))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	var resp *http.Response
	if client != nil {
		resp, err = client.Do(req)
	} else {
		resp, err = p.toTool(t, req)
	}
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }() // nothing in it is looked at
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return fmt.Errorf("ltitest: the tool answered the notice with status %d", resp.StatusCode)
	}
	return nil
}
