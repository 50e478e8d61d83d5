package shoutrrr

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/nicholas-fedor/shoutrrr/pkg/router"
	"github.com/nicholas-fedor/shoutrrr/pkg/types"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/alert/internal/send"
)

// Config says who is told. See [New].
type Config struct {
	// URL is the address of one service, in the form of shoutrrr. Required.
	URL runbook.Secret
	// MaxBytes is the length to which a message is cut. Zero means 4000, which all services
	// take but those that say so.
	MaxBytes int
	// Timeout limits one attempt. Zero means 15 s.
	Timeout time.Duration
}

// underWay is how many sends may go on at the same time, those included that nobody waits
// for any more.
const underWay = 4

// Notifier tells one service. Make one with [New]. It is safe for concurrent use.
type Notifier struct {
	cfg     Config
	service string
	slots   chan struct{}
}

var _ alert.Notifier = (*Notifier)(nil)

// New returns a Notifier, or all problems of cfg. No error has the address in it.
func New(cfg Config) (*Notifier, error) {
	var problems []error
	if cfg.MaxBytes < 0 || cfg.Timeout < 0 {
		problems = append(problems, errors.New("shoutrrr: MaxBytes or Timeout is negative"))
	}
	service, err := check(cfg.URL)
	if err != nil {
		problems = append(problems, err)
	}
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	if cfg.MaxBytes == 0 {
		cfg.MaxBytes = 4000
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = 15 * time.Second
	}
	return &Notifier{cfg: cfg, service: service, slots: make(chan struct{}, underWay)}, nil
}

// check returns the name of the service of an address. What is wrong with an address is not
// said: shoutrrr's errors have it in them.
func check(address runbook.Secret) (service string, err error) {
	if address.IsZero() {
		return "", errors.New("shoutrrr: URL is missing")
	}
	var r router.ServiceRouter
	scheme, _, found := strings.Cut(address.Reveal(), "://")
	service, _, _ = strings.Cut(strings.ToLower(scheme), "+")
	if !found || !slices.Contains(r.ListServices(), service) {
		return "", errors.New("shoutrrr: URL does not begin with the name of a service")
	}
	if service == "matrix" {
		return service, nil // it logs in when it is made
	}
	if _, err := r.Locate(address.Reveal()); err != nil {
		return "", fmt.Errorf("shoutrrr: the URL of service %s is not valid", service)
	}
	return service, nil
}

// Notify implements [alert.Notifier]. The receipt is empty.
func (s *Notifier) Notify(ctx context.Context, n alert.Notification) (alert.Receipt, error) {
	if err := ctx.Err(); err != nil {
		return "", s.failed(true, err)
	}
	if runbook.IsReadOnly(ctx) {
		return "", s.failed(true, runbook.ErrReadOnly)
	}
	select {
	case s.slots <- struct{}{}:
	default:
		return "", s.failed(true, errors.New("earlier messages are still on their way"))
	}
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	defer cancel()
	done := make(chan error, 1)
	go func() {
		defer func() { <-s.slots }()
		done <- s.deliver(text(n, s.cfg.MaxBytes))
	}()
	select {
	case err := <-done:
		return "", err
	case <-ctx.Done():
		return "", s.failed(false, ctx.Err())
	}
}

// deliver makes the service, and sends. Each message has a service of its own: those of
// shoutrrr change while they send.
func (s *Notifier) deliver(message string) (err error) {
	begun := false
	defer func() {
		if recover() != nil {
			err = s.failed(!begun, errors.New("shoutrrr panicked"))
		}
	}()
	var r router.ServiceRouter
	service, err := r.Locate(s.cfg.URL.Reveal())
	if err != nil {
		return s.failed(true, errors.New("the service cannot be reached, or its address is not valid"))
	}
	begun = true
	if service.Send(message, &types.Params{}) != nil {
		return s.failed(false, errors.New("the service did not say that it took the message"))
	}
	return nil
}

func (s *Notifier) failed(unsent bool, err error) error {
	return &alert.Error{Service: s.service, Op: "send message", Unsent: unsent, Err: err}
}

// text is the whole message.
func text(n alert.Notification, most int) string {
	if n.Text == "" {
		n.Text = n.Title
	}
	return send.CutBytes(strings.TrimSpace(calm(send.Text(n))), most)
}

// everybody is what would call everybody, or somebody, in some service.
var everybody = regexp.MustCompile(`(?i)@(everyone|here|channel|all)\b|<[!@]`)

// calm breaks mentions, by a space of no width behind their first character.
func calm(text string) string {
	return everybody.ReplaceAllStringFunc(text, func(m string) string { return m[:1] + "\u200b" + m[1:] })
}
