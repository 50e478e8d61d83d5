package canvas

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/textproto"
	"sync"
)

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
		var raw json.RawMessage
		if err := d.Decode(&raw); err != nil || raw[0] == '{' || raw[0] == '[' {
			return errForm
		}
		var value looseText
		if err := value.UnmarshalJSON(raw); err != nil {
			return errForm
		}
		key, _ := name.(string) // as the names of an object are
		if err := fn(key, string(value)); err != nil {
			return err
		}
	}
	return nil
}

// exactly reads a number of bytes, and fails if there are fewer or more. A
// transport may go on reading after the server has answered; what it reads after
// stop is nothing.
type exactly struct {
	from   io.Reader
	report func(int64)

	mu      sync.Mutex
	left    int64
	sent    int64
	stopped bool
	err     error
}

var errStopped = errors.New("the call is over")

// stop ends the reading, and returns what was wrong with the content.
func (e *exactly) stop() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.stopped = true
	return e.err
}

// Read is called by one goroutine at a time. The lock is not held while the
// content is read, which may take long.
func (e *exactly) Read(p []byte) (int, error) {
	e.mu.Lock()
	left, stopped, failure := e.left, e.stopped, e.err
	e.mu.Unlock()
	switch {
	case stopped:
		return 0, errStopped
	case failure != nil:
		return 0, failure
	case left == 0 && atEnd(e.from):
		return 0, io.EOF
	case left == 0:
		return 0, e.fail(fmt.Errorf("the content is longer than the %d bytes that were announced", e.sent))
	}
	n, err := e.from.Read(p[:min(int64(len(p)), left)])
	sent, left := e.advance(n)
	switch {
	case left == 0 && (err == nil || errors.Is(err, io.EOF)):
		return n, nil
	case errors.Is(err, io.EOF):
		return n, e.fail(fmt.Errorf("the content ended after %d bytes, %d before its announced end", sent, left))
	case err != nil:
		return n, e.fail(fmt.Errorf("the content cannot be read: %w", err))
	}
	return n, nil
}

// advance counts n bytes and reports them, so that stop waits for the report.
func (e *exactly) advance(n int) (sent, left int64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.sent += int64(n)
	e.left -= int64(n)
	if n > 0 && e.report != nil && !e.stopped {
		e.report(e.sent)
	}
	return e.sent, e.left
}

func (e *exactly) fail(err error) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.stopped {
		e.err = err
	}
	return err
}

// atEnd reports whether nothing follows.
func atEnd(r io.Reader) bool {
	var one [1]byte
	for range 100 { // readers may return nothing without an error
		n, err := r.Read(one[:])
		if n > 0 {
			return false
		}
		if err != nil {
			return true
		}
	}
	return true
}
