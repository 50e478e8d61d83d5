package slack_test

import (
	"io"
	"net/http"
	"strings"
)

type tripper func(r *http.Request) (*http.Response, error)

func (t tripper) RoundTrip(r *http.Request) (*http.Response, error) { return t(r) }

func body(text string) io.ReadCloser { return io.NopCloser(strings.NewReader(text)) }
