package pns

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"

	"go.acu.edu.au/runbook/lti"
)

// ReceiverConfig says what a [Receiver] does with notices.
type ReceiverConfig struct {
	// Verify verifies the token of a notice: [lti.Tool.VerifyNotice]. Required.
	Verify func(ctx context.Context, token string) (lti.Notice, error)
	// Handle stores a notice. It must do no more: the platform waits. An error
	// means that the notice is lost, unless the platform sends it again, which
	// Canvas does not. Required.
	Handle func(ctx context.Context, n lti.Notice) error
	// OnError is told of each notice that was refused or could not be handled. It
	// must not block. Nil is not called.
	OnError func(ctx context.Context, err error)
	// MaxBody limits the size of a request in bytes. Zero means 1 MiB.
	MaxBody int64
	// Timeout limits the work for one request; it goes on if the platform hangs
	// up. Zero means 10 seconds.
	Timeout time.Duration
}

// maxNotices is how many notices one request may have.
const maxNotices = 200

// A Receiver is the handler that a platform posts notices to. It answers
//
//   - 200 if all were handled;
//   - 400 if some were refused, 401 if all were; the others were handled;
//   - 500 if Handle failed for one, 503 if one could not be verified because
//     nobody could be asked; the others were handled.
//
// and says in the body, JSON, how many of each there were. A notice that is there
// twice is handled once. A token that comes again in another request is refused,
// as a replay.
type Receiver struct{ cfg ReceiverConfig }

// NewReceiver returns a Receiver, or all problems of cfg.
func NewReceiver(cfg ReceiverConfig) (*Receiver, error) {
	var problems []error
	if cfg.Verify == nil {
		problems = append(problems, errors.New("pns: receiver: Verify is not set"))
	}
	if cfg.Handle == nil {
		problems = append(problems, errors.New("pns: receiver: Handle is not set"))
	}
	if cfg.MaxBody < 0 || cfg.Timeout < 0 {
		problems = append(problems, errors.New("pns: receiver: MaxBody and Timeout must not be negative"))
	}
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	if cfg.MaxBody == 0 {
		cfg.MaxBody = 1 << 20
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = 10 * time.Second
	}
	return &Receiver{cfg: cfg}, nil
}

// A tally is what became of the notices of a request.
type tally struct {
	Handled int  `json:"handled"`
	Refused int  `json:"refused"`
	Failed  int  `json:"failed"`
	unasked bool // one of the failed could not be verified
}

func (t *tally) status() int {
	switch {
	case t.Failed > 0 && t.unasked:
		return http.StatusServiceUnavailable
	case t.Failed > 0:
		return http.StatusInternalServerError
	case t.Refused > 0 && t.Handled == 0:
		return http.StatusUnauthorized
	case t.Refused > 0:
		return http.StatusBadRequest
	}
	return http.StatusOK
}

// ServeHTTP implements [http.Handler].
func (r *Receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if req.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		http.Error(w, "only POST", http.StatusMethodNotAllowed)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, req.Body, r.cfg.MaxBody))
	if err != nil {
		status := http.StatusBadRequest
		if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
			status = http.StatusRequestEntityTooLarge
		}
		http.Error(w, http.StatusText(status), status)
		return
	}
	tokens, err := readNotices(body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	// A platform that hangs up must not undo what is being stored: it will not
	// send it again.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(req.Context()), r.cfg.Timeout)
	defer cancel()
	t := r.all(ctx, tokens)
	out, _ := json.Marshal(t) // numbers only
	w.Header().Set("Content-Type", mediaType)
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Length", strconv.Itoa(len(out)))
	w.WriteHeader(t.status())
	_, _ = w.Write(out)
}

// readNotices returns the tokens of a request, each once.
func readNotices(body []byte) ([]string, error) {
	var in struct {
		Notices []struct {
			JWT string `json:"jwt"`
		} `json:"notices"`
	}
	if json.Unmarshal(body, &in) != nil {
		return nil, errors.New(`the body must be {"notices":[{"jwt":"..."}]}`)
	}
	if len(in.Notices) > maxNotices {
		return nil, fmt.Errorf("more than %d notices", maxNotices)
	}
	seen := make(map[string]bool, len(in.Notices))
	var tokens []string
	for _, n := range in.Notices {
		if !seen[n.JWT] {
			seen[n.JWT] = true
			tokens = append(tokens, n.JWT)
		}
	}
	return tokens, nil
}

// all verifies and handles the notices, in their order.
func (r *Receiver) all(ctx context.Context, tokens []string) tally {
	type identity struct{ issuer, clientID, id string }
	var t tally
	done := make(map[identity]bool)
	for _, token := range tokens {
		n, err := r.cfg.Verify(ctx, token)
		if err != nil {
			if isUnasked(err) {
				t.Failed++
				t.unasked = true
			} else {
				t.Refused++
			}
			r.tell(ctx, err)
			continue
		}
		id := identity{n.Issuer, n.ClientID, n.ID}
		if done[id] {
			t.Handled++
			continue
		}
		if err := r.handle(ctx, n); err != nil {
			t.Failed++
			r.tell(ctx, err)
			continue
		}
		done[id] = true
		t.Handled++
	}
	return t
}

// isUnasked reports whether a notice could not be verified, rather than was not
// acceptable.
func isUnasked(err error) bool {
	refusal, ok := errors.AsType[*lti.Refusal](err)
	return !ok || refusal.Status() == http.StatusServiceUnavailable
}

// handle calls Handle. A panic is an error, so that the other notices are handled.
func (r *Receiver) handle(ctx context.Context, n lti.Notice) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("pns: panic while handling a notice: %v", p)
		}
	}()
	if err := r.cfg.Handle(ctx, n); err != nil {
		return fmt.Errorf("pns: handle a notice: %w", err)
	}
	return nil
}

func (r *Receiver) tell(ctx context.Context, err error) {
	if r.cfg.OnError != nil {
		r.cfg.OnError(ctx, err)
	}
}
