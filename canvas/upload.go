package canvas

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/internal/httpx"
)

// An Upload is a file to be stored in a course.
type Upload struct {
	// Name is the name of the file, without a path. Required.
	Name string
	// Size is how many bytes Content has, exactly.
	Size int64
	// ContentType is the media type. Empty means that Canvas guesses it from the
	// name.
	ContentType string
	// FolderID is the folder. Zero means FolderPath, and if that is empty, the
	// folder for files without one.
	FolderID ID
	// FolderPath is the folder by its path, "archive/2026". Canvas makes it if
	// it is not there.
	FolderPath string
	// Rename gives the file another name if there is one of its name already.
	// Otherwise it takes the place of that one, whose content is lost.
	Rename bool
	// Content is what is in the file. It is read once, as it is sent. When the
	// call returns early, one Read of it may still be under way.
	Content io.Reader
	// OnProgress is told how many bytes of Content were handed to the network,
	// from the goroutine that sends them, and not after the call has returned.
	// It must not block. Nil means nobody.
	OnProgress func(sent int64)
}

// UploadFile stores a file in a course, in the three steps of Canvas: announce
// it, send it to the file service, and have Canvas confirm it. The content goes
// to the file service only, and the access token only to Canvas (docs: File
// Uploads).
//
// The content is sent in one attempt, as it cannot be read again. If that ends
// without a clear answer, whether the file is there is not known: the [*Error]
// has the code "unknown outcome", and [Client.Files] can tell. Announcing is
// not repeated either, but leaves no file behind. The confirmation is a read,
// and is repeated.
func (c *Client) UploadFile(ctx context.Context, course Ref, file Upload) (File, error) {
	const op = "upload file"
	if err := file.validate(); err != nil {
		return File{}, &Error{Op: op, cause: err, unrun: true}
	}
	slot, err := c.announce(ctx, course, &file)
	if err != nil {
		return File{}, err
	}
	to, err := c.slotURL(slot.URL)
	if err != nil {
		return File{}, &Error{Op: op, Code: codeUpload, cause: err}
	}
	confirm, err := c.sendContent(ctx, to, &slot, &file)
	if err != nil {
		return File{}, err
	}
	stored, err := call[File](ctx, c, Request{Op: "confirm upload", Path: confirm.EscapedPath(), Query: confirm.Query()})
	if e, ok := errors.AsType[*Error](err); ok {
		e.unrun = false // the confirmation may not have run, but the file was sent
		if e.Status == 0 || errors.Is(e, ErrThrottled) {
			e.Code = codeUnknown
		}
	}
	return stored, err
}

// Codes of errors that are ours.
const (
	codeUpload    = "upload"
	codeUnknown   = "unknown outcome"
	codeUnchanged = "unchanged"
	codeFailed    = "failed"
)

func (u *Upload) validate() error {
	var problems []error
	if u.Name == "" || strings.ContainsAny(u.Name, "/\\\r\n\x00") {
		problems = append(problems, errors.New("the name must not be empty, or have a slash or line end in it"))
	}
	if u.Size < 0 {
		problems = append(problems, errors.New("the size must not be negative"))
	}
	if u.Content == nil {
		problems = append(problems, errors.New("there is no content"))
	}
	if !isHeaderValue(u.ContentType) {
		problems = append(problems, errors.New("the content type must be visible text"))
	}
	if u.FolderID != 0 && u.FolderPath != "" {
		problems = append(problems, errors.New("both FolderID and FolderPath are set"))
	}
	return errors.Join(problems...)
}

// slot is where to send a file, and what with it.
type slot struct {
	URL    string          `json:"upload_url"`
	Params json.RawMessage `json:"upload_params"`
	Param  string          `json:"file_param"`
}

// announce is the first step.
func (c *Client) announce(ctx context.Context, course Ref, u *Upload) (slot, error) {
	form := url.Values{"name": {u.Name}, "size": {digitsOf(u.Size)}, "on_duplicate": {"overwrite"}}
	if u.Rename {
		form.Set("on_duplicate", "rename")
	}
	setText(form, "content_type", u.ContentType)
	setID(form, "parent_folder_id", u.FolderID)
	setText(form, "parent_folder_path", u.FolderPath)
	return call[slot](ctx, c, Request{
		Op: "announce upload", Method: http.MethodPost, Path: Path("courses", string(course), "files"), Form: form,
	})
}

// slotURL checks the address that a file is to be sent to. It is another host
// than Canvas as a rule. Where Canvas is reached by https, so must it be.
func (c *Client) slotURL(text string) (*url.URL, error) {
	u, err := c.base.Parse(text)
	if err != nil || text == "" || u.Host == "" || u.User != nil {
		return nil, errors.New("the address that Canvas gives for the file is not a URL")
	}
	if u.Scheme != "https" && u.Scheme != c.base.Scheme {
		return nil, fmt.Errorf("the address that Canvas gives for the file is %s and not https", printable(u.Scheme, 20))
	}
	u.Fragment = ""
	return u, nil
}

// sendContent is the second step. It returns where Canvas confirms the file.
func (c *Client) sendContent(ctx context.Context, to *url.URL, s *slot, u *Upload) (*url.URL, error) {
	const op = "upload file"
	route := http.MethodPost + " " + printable(to.Host, 100)
	head, tail, contentType, err := multipartAround(s, u)
	if err != nil {
		return nil, &Error{Op: op, Route: route, Code: codeUpload, cause: err}
	}
	content := &exactly{from: u.Content, left: u.Size, report: u.OnProgress}
	resp, err := c.outside(ctx, httpx.Call{
		Op: "canvas: " + op, Method: http.MethodPost, URL: to,
		Header: http.Header{"Content-Type": {contentType}, "Accept": {"application/json"}},
		Stream: io.MultiReader(bytes.NewReader(head), content, bytes.NewReader(tail)),
		Size:   int64(len(head)) + u.Size + int64(len(tail)),
	})
	switch failure := content.stop(); {
	case failure != nil:
		// The body was cut short of its length, which no server accepts.
		return nil, &Error{Op: op, Route: route, Code: codeUpload, cause: failure}
	case err != nil && runbook.SafeToRetry(err):
		return nil, &Error{Op: op, Route: route, Code: codeUpload, cause: err}
	case err != nil:
		return nil, &Error{Op: op, Route: route, Code: codeUnknown, cause: err}
	case resp.Status >= 500:
		e := newError(op, route, resp, runbook.Secret{})
		e.Code, e.kind, e.unrun = codeUnknown, nil, false
		return nil, e
	case resp.Status >= 400:
		// The file service refuses, which says nothing about the user of the
		// token or the course.
		e := newError(op, route, resp, runbook.Secret{})
		e.Code, e.kind, e.unrun = codeUpload, nil, false
		return nil, e
	}
	confirm, err := c.confirmation(to, resp)
	if err != nil {
		return nil, &Error{Op: op, Route: route, Status: resp.Status, Code: codeUnknown, cause: err}
	}
	return confirm, nil
}

// confirmation reads where the third step goes: the Location of an answer of 201
// or 3xx, which must be on the host of the client, because the token goes there.
func (c *Client) confirmation(from *url.URL, resp *httpx.Response) (*url.URL, error) {
	text := resp.Header.Get("Location")
	if text == "" {
		var body struct {
			Location string `json:"location"`
		}
		if json.Unmarshal(resp.Body, &body) == nil {
			text = body.Location
		}
	}
	if text == "" {
		return nil, errors.New("the file service does not say where the file is confirmed")
	}
	u, err := from.Parse(text)
	if err != nil {
		return nil, errors.New("the file service gives an address for the confirmation that is not a URL")
	}
	if c.ours(u) != nil {
		return nil, fmt.Errorf("the file is to be confirmed on another host (%s), where the token must not go", printable(u.Host, 100))
	}
	return u, nil
}

// outside sends a call to another service than Canvas's API: without a token,
// and past the throttle, whose bucket it does not touch.
func (c *Client) outside(ctx context.Context, call httpx.Call) (*httpx.Response, error) {
	return c.outer.Do(ctx, call)
}
