package lti

import (
	"bytes"
	"errors"
	"mime"
	"net/http"
	"net/url"
	"strings"
)

// Limits of requests, which anybody can send.
const (
	maxLaunchBody = 256 << 10
	maxLoginBody  = 32 << 10
	usualBody     = 12 << 10 // of a launch of Canvas, and half as much again
	maxParameters = 100
)

// A parameter is one that a handler wants to know. Others are ignored.
type parameter struct {
	name  string
	value *string
	most  int // bytes; longer is refused
}

// readParameters reads the parameters of a form, or of a query, without keeping
// any other. One that comes twice is refused: which of them counts would be a
// matter of taste.
func readParameters(form string, want []parameter) *Refusal {
	seen := uint(0)
	for n := 0; form != ""; n++ {
		if n == maxParameters {
			return refuse(ReasonRequest, "the request has more than %d parameters", maxParameters)
		}
		var pair string
		pair, form, _ = strings.Cut(form, "&")
		name, value, _ := strings.Cut(pair, "=")
		name, ok := unescape(name)
		if !ok {
			return refuse(ReasonRequest, "the name of a parameter is not escaped as it should be")
		}
		for i := range want {
			p := &want[i]
			if p.name != name {
				continue
			}
			if seen&(1<<i) != 0 {
				return refuse(ReasonRequest, "parameter %s comes twice", p.name)
			}
			seen |= 1 << i
			if *p.value, ok = unescape(value); !ok {
				return refuse(ReasonRequest, "parameter %s is not escaped as it should be", p.name)
			}
			if len(*p.value) > p.most {
				return refuse(ReasonParameter, "parameter %s is longer than %d bytes", p.name, p.most)
			}
		}
	}
	return nil
}

func unescape(s string) (string, bool) {
	if strings.IndexByte(s, '%') < 0 && strings.IndexByte(s, '+') < 0 {
		return s, true
	}
	out, err := url.QueryUnescape(s)
	return out, err == nil
}

// readForm returns the body of a form post, whose query is not looked at.
func readForm(w http.ResponseWriter, r *http.Request, most int64) (string, *Refusal) {
	if r.ContentLength > most {
		return "", refuse(ReasonRequest, "the body has %d bytes, more than %d", r.ContentLength, most)
	}
	if media := r.Header.Get("Content-Type"); media != "application/x-www-form-urlencoded" {
		if kind, _, err := mime.ParseMediaType(media); err != nil || kind != "application/x-www-form-urlencoded" {
			return "", refuse(ReasonRequest, "the content type is %s, and not that of a form", quote(media))
		}
	}
	if r.PostForm != nil {
		return "", refuse(ReasonRequest, "something before this handler has read the form already: call the handler first")
	}
	// So that the body of a usual launch need not grow, and a length that is only
	// promised takes no more.
	body := bytes.NewBuffer(make([]byte, 0, min(max(r.ContentLength, 0), usualBody)+bytes.MinRead))
	if _, err := body.ReadFrom(http.MaxBytesReader(w, r.Body, most)); err != nil {
		if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
			return "", refuse(ReasonRequest, "the body has more than %d bytes", most)
		}
		return "", refuse(ReasonRequest, "the body could not be read")
	}
	return body.String(), nil
}
