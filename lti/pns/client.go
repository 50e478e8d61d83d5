package pns

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/url"

	"github.com/go-json-experiment/json"

	"go.acu.edu.au/runbook/lti"
)

// Scope is the scope of the service.
const Scope = "https://purl.imsglobal.org/spec/lti/scope/noticehandlers"

// Types of notices. A launch says which of them its platform has, and may have
// others.
const (
	HelloWorld               = "LtiHelloWorldNotice"               // sent at registration
	ContextCopy              = "LtiContextCopyNotice"              // a course was copied
	AssetProcessorSubmission = "LtiAssetProcessorSubmissionNotice" // work was handed in (Canvas)
)

const mediaType = "application/json"

// Config has the values of a launch's claim; see [lti.NoticeService].
type Config struct {
	// Service makes the calls. Required.
	Service *lti.Service
	// URL is where handlers are registered. Required.
	URL string
}

// A Client registers handlers for one deployment.
type Client struct{ cfg Config }

// New returns a Client, or all problems of cfg. It sends nothing.
func New(cfg Config) (*Client, error) {
	var problems []error
	if cfg.Service == nil {
		problems = append(problems, errors.New("pns: Service is not set"))
	}
	if cfg.URL == "" {
		problems = append(problems, errors.New("pns: URL is not set: the launch offers no notices"))
	}
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	return &Client{cfg: cfg}, nil
}

// A Handler is where notices of a type go.
type Handler struct {
	// Type is the type of the notices.
	Type string `json:"notice_type"`
	// URL is the address that gets them; empty means that none does.
	URL string `json:"handler"`
}

// Handlers returns what is registered, in the platform's order. Types without a
// handler may be there too.
func (c *Client) Handlers(ctx context.Context) ([]Handler, error) {
	resp, err := c.cfg.Service.Do(ctx, lti.ServiceCall{
		Op: "list notice handlers", URL: c.cfg.URL, Scopes: []string{Scope}, Accept: mediaType,
	})
	if err != nil {
		return nil, err
	}
	var out struct {
		Handlers []Handler `json:"notice_handlers"`
	}
	if err := resp.Decode(&out); err != nil {
		return nil, err
	}
	return out.Handlers, nil
}

// Register makes address, https, the handler of notices of a type, in place of
// the one there is. Canvas wants it on the domain of the tool.
func (c *Client) Register(ctx context.Context, noticeType, address string) error {
	const op = "register a notice handler"
	u, err := url.Parse(address)
	if err != nil || u.Hostname() == "" || u.Scheme != "https" && (u.Scheme != "http" || !isLoopback(u.Hostname())) {
		return lti.NewError(op, lti.ErrInvalid, errors.New("the address of the handler must have the form https://host/path"))
	}
	return c.put(ctx, op, Handler{noticeType, address})
}

// Unregister ends the notices of a type. It is no error if there is no handler.
func (c *Client) Unregister(ctx context.Context, noticeType string) error {
	return c.put(ctx, "unregister a notice handler", Handler{noticeType, ""})
}

func (c *Client) put(ctx context.Context, op string, h Handler) error {
	if h.Type == "" {
		return lti.NewError(op, lti.ErrInvalid, errors.New("the type of the notices is empty"))
	}
	body, err := json.Marshal(h)
	if err != nil {
		return lti.NewError(op, lti.ErrInvalid, errors.New("type or address is not valid UTF-8"))
	}
	_, err = c.cfg.Service.Do(ctx, lti.ServiceCall{
		Op: op, Method: http.MethodPut, URL: c.cfg.URL, Idempotent: true,
		Scopes: []string{Scope}, Accept: mediaType, ContentType: mediaType, Body: body,
	})
	return err
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
