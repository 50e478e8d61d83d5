package alert

import (
	"bytes"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"go.acu.edu.au/runbook"
)

// PushConfig says who may push to an engine. See [NewPushHandler].
type PushConfig struct {
	// Engine is fed. Required.
	Engine *Engine
	// Token is what callers send as a bearer token. Required: whoever can push can keep
	// an alert from firing.
	Token runbook.Secret
	// Environment is that of callers that name none.
	Environment string
	// MaxSources is how many sources the engine may have before new ones are refused: a
	// caller that names its entities at random would otherwise fill the memory, and each
	// of them would be missed. Zero means 10,000.
	MaxSources int
}

// A Push is the body of a request to [NewPushHandler], as JSON. A field that says nothing
// to the kind of the input is refused, and so is one that is not known.
type Push struct {
	// Environment is the environment, if it is not that of the configuration.
	Environment string `json:"environment,omitempty"`
	// Failed and Detail are a result of an input of kind Checks. A Heartbeat may say
	// failed as well: it lives, and does not work, which is no beat.
	Failed bool   `json:"failed,omitempty"`
	Detail string `json:"detail,omitempty"`
	// Value is that of a Gauge.
	Value *float64 `json:"value,omitempty"`
	// Good and Bad are events of a Counter; Detail may say what the bad ones were.
	Good uint64 `json:"good,omitempty"`
	Bad  uint64 `json:"bad,omitempty"`
	// Moment is that of a Moment, Text that of a Text.
	Moment time.Time `json:"moment,omitzero"`
	Text   string    `json:"text,omitempty"`
}

// NewPushHandler returns a handler through which programs feed an engine that cannot call
// it: the heartbeats of Python workers, for example.
//
//	POST …/{input}/{entity}
//	Authorization: Bearer <token>
//
// The body is a [Push] of at most 64 KiB; only a heartbeat may be without. An entity with
// a slash in it has it escaped. It answers 204; 400 for what it does not understand, 401
// for a wrong token, 404 for an input that there is none of, 413 for a larger body, and
// 507 if there are too many sources.
func NewPushHandler(cfg PushConfig) (http.Handler, error) {
	var problems []error
	if cfg.Engine == nil {
		problems = append(problems, errors.New("alert: push: the engine is missing"))
	}
	if cfg.Token.IsZero() {
		problems = append(problems, errors.New("alert: push: the token is missing"))
	}
	if cfg.MaxSources < 0 {
		problems = append(problems, errors.New("alert: push: MaxSources is negative"))
	}
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	orDefault(&cfg.MaxSources, 10_000)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := cfg.push(w, r); err != nil {
			http.Error(w, err.text, err.status)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	}), nil
}

type pushError struct {
	status int
	text   string
}

// Limits of a request.
const (
	maxPush     = 64 << 10
	maxPushName = 200
)

func (c PushConfig) push(w http.ResponseWriter, r *http.Request) *pushError {
	if !c.knows(r.Header.Get("Authorization")) {
		w.Header().Set("WWW-Authenticate", "Bearer")
		return &pushError{http.StatusUnauthorized, "the token is not right"}
	}
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		return &pushError{http.StatusMethodNotAllowed, "only POST is understood"}
	}
	input, entity, ok := pushPath(r.URL)
	if !ok {
		return &pushError{http.StatusNotFound, "the path must end with an input and an entity"}
	}
	in, ok := c.Engine.inputs[input]
	if !ok {
		return &pushError{http.StatusNotFound, "there is no such input"}
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxPush))
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		return &pushError{http.StatusRequestEntityTooLarge, "the body is larger than 64 KiB"}
	} else if err != nil {
		return &pushError{http.StatusBadRequest, "the body did not arrive"}
	}
	p, perr := parsePush(in.Kind, body)
	if perr != nil {
		return perr
	}
	return c.feed(input, entity, p)
}

func (c PushConfig) knows(authorization string) bool {
	scheme, token, _ := strings.Cut(authorization, " ")
	return subtle.ConstantTimeCompare([]byte(token), []byte(c.Token.Reveal())) == 1 && strings.EqualFold(scheme, "Bearer")
}

// pushPath returns the last two parts of a path.
func pushPath(u *url.URL) (input, entity string, ok bool) {
	parts := strings.Split(strings.Trim(u.EscapedPath(), "/"), "/")
	if len(parts) < 2 {
		return "", "", false
	}
	input, err1 := url.PathUnescape(parts[len(parts)-2])
	entity, err2 := url.PathUnescape(parts[len(parts)-1])
	return input, entity, err1 == nil && err2 == nil && input != "" && isPushName(entity)
}

// isPushName reports whether a name can be read, and kept.
func isPushName(name string) bool {
	return name != "" && len(name) <= maxPushName && strings.ToValidUTF8(name, "") == name &&
		!strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f })
}

// parsePush reads the body of a push to an input of that kind.
func parsePush(kind InputKind, body []byte) (p Push, _ *pushError) {
	if len(bytes.TrimSpace(body)) == 0 {
		if kind == Heartbeat {
			return p, nil
		}
		return p, &pushError{http.StatusBadRequest, "the body is missing"}
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&p); err != nil {
		return p, &pushError{http.StatusBadRequest, "the body is no JSON of the form that is understood"}
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return p, &pushError{http.StatusBadRequest, "something follows the JSON"}
	}
	if p.Environment != "" && !isPushName(p.Environment) {
		return p, &pushError{http.StatusBadRequest, "the environment is too long, or cannot be read"}
	}
	if !p.fits(kind) {
		return p, &pushError{http.StatusBadRequest, "the input is of kind " + string(kind) + ": its field is missing, or there is one of another kind"}
	}
	return p, nil
}

// fits reports whether a push has what an input of that kind needs, and nothing else.
func (p Push) fits(kind InputKind) bool {
	has := true
	switch kind {
	case Checks, Heartbeat:
		p.Failed, p.Detail = false, ""
	case Gauge:
		has, p.Value = p.Value != nil, nil
	case Counter:
		p.Good, p.Bad, p.Detail = 0, 0, ""
	case Moment:
		has, p.Moment = !p.Moment.IsZero(), time.Time{}
	case Text:
		has, p.Text = p.Text != "", ""
	}
	p.Environment = ""
	return has && p == Push{}
}

func (c PushConfig) feed(input, entity string, p Push) *pushError {
	if p.Environment == "" {
		p.Environment = c.Environment
	}
	s := Source{Input: input, Environment: p.Environment, Entity: entity}
	if !c.Engine.hasRoom(s, c.MaxSources) {
		return &pushError{http.StatusInsufficientStorage, "there are too many sources"}
	}
	f, err := c.Engine.Feed(s, nil)
	if err != nil {
		return &pushError{http.StatusNotFound, "there is no such input"}
	}
	switch f.input {
	case Heartbeat:
		if !p.Failed {
			f.Beat()
		}
	case Checks:
		f.Result(p.Failed, p.Detail)
	case Gauge:
		f.Observe(*p.Value)
	case Counter:
		f.Count(p.Good, p.Bad, p.Detail)
	case Moment:
		f.Moment(p.Moment)
	case Text:
		f.Say(p.Text)
	}
	return nil
}

// hasRoom reports whether a source is there, or may come.
func (e *Engine) hasRoom(s Source, most int) bool {
	e.mu.RLock()
	defer e.mu.RUnlock()
	return e.sources[s] != nil || len(e.sources) < most
}
