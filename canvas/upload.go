package canvas

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/textproto"
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
	// Content is what is in the file. It is read once, as it is sent.
	Content io.Reader
	// OnProgress is told how many bytes of Content were handed to the network,
	// from the goroutine that sends them. It must not block. Nil means nobody.
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
	if e, ok := errors.AsType[*Error](err); ok && e.Status == 0 {
		e.Code, e.unrun = codeUnknown, false
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
	switch {
	case content.err != nil:
		// The body was cut short of its length, which no server accepts.
		return nil, &Error{Op: op, Route: route, Code: codeUpload, cause: content.err}
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
	return c.http.Do(ctx, call)
}

// multipartAround returns what comes before and after the content of a file: the
// parameters in the order in which Canvas gave them, the file as the last part.
func multipartAround(s *slot, u *Upload) (head, tail []byte, contentType string, err error) {
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	if err := eachParam(s.Params, w.WriteField); err != nil {
		return nil, nil, "", err
	}
	name := s.Param
	if name == "" {
		name = "file"
	}
	header := textproto.MIMEHeader{"Content-Disposition": {multipart.FileContentDisposition(name, u.Name)}}
	if u.ContentType != "" {
		header.Set("Content-Type", u.ContentType)
	}
	if _, err := w.CreatePart(header); err != nil {
		return nil, nil, "", err
	}
	split := b.Len()
	if err := w.Close(); err != nil {
		return nil, nil, "", err
	}
	return b.Bytes()[:split], b.Bytes()[split:], w.FormDataContentType(), nil
}

// eachParam calls fn for the fields of a JSON object, in their order, which a map
// would lose.
func eachParam(object json.RawMessage, fn func(name, value string) error) error {
	errForm := errors.New("the parameters that Canvas gives for the file are not an object of texts")
	if len(object) == 0 || string(object) == "null" {
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(object))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return errForm
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return errForm
		}
		var value looseText
		if err := d.Decode(&value); err != nil {
			return errForm
		}
		if strings.HasPrefix(string(value), "{") || strings.HasPrefix(string(value), "[") {
			return errForm
		}
		key, _ := name.(string) // as the names of an object are
		if err := fn(key, string(value)); err != nil {
			return err
		}
	}
	return nil
}

// exactly reads a number of bytes, and fails if there are fewer or more.
type exactly struct {
	from   io.Reader
	left   int64
	sent   int64
	report func(int64)
	err    error
}

func (e *exactly) Read(p []byte) (int, error) {
	if e.err != nil {
		return 0, e.err
	}
	if e.left == 0 {
		if !e.atEnd() {
			e.err = fmt.Errorf("the content is longer than the %d bytes that were announced", e.sent)
			return 0, e.err
		}
		return 0, io.EOF
	}
	n, err := e.from.Read(p[:min(int64(len(p)), e.left)])
	e.left -= int64(n)
	e.sent += int64(n)
	if n > 0 && e.report != nil {
		e.report(e.sent)
	}
	switch {
	case e.left == 0 && (err == nil || errors.Is(err, io.EOF)):
		return n, nil
	case errors.Is(err, io.EOF):
		e.err = fmt.Errorf("the content ended after %d bytes, %d before its announced end", e.sent, e.left)
	case err != nil:
		e.err = fmt.Errorf("the content cannot be read: %w", err)
	}
	return n, e.err
}

// atEnd reports whether nothing follows.
func (e *exactly) atEnd() bool {
	var one [1]byte
	for range 100 { // readers may return nothing without an error
		n, err := e.from.Read(one[:])
		if n > 0 {
			return false
		}
		if err != nil {
			return true
		}
	}
	return true
}
