package railway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"time"

	"github.com/coder/websocket"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/railway/internal/gql"
)

// errCannotSubscribe means that a subscription cannot be kept open, or is not to be
// ([Config].Polling): the caller polls instead. Where Railway refuses the thing
// itself, polling says so, and with a diagnosis.
var errCannotSubscribe = errors.New("cannot subscribe, poll instead")

// A signal is what a subscription tells: that it is open, or data.
type signal[T any] struct {
	// opened says that it was opened, or opened again. What happened before is not
	// told, so that now is the time to read the state, or to catch up.
	opened bool
	// data is the data of one message, if opened is false: a struct with the field
	// of the operation.
	data T
}

// How a subscription is kept open.
const (
	maxOpens  = 6                // in a row that brought nothing, before it is given up
	lasting   = 30 * time.Second // a connection that was open for so long is no failure
	firstWait = time.Second / 2  // before it is opened again
	mostWait  = 30 * time.Second
	only      = "1" // the ID of the only subscription of a connection
)

// subscribe yields the data of each message of a subscription, by the name of its
// operation in internal/gql/subscriptions.graphql. It opens one connection, after
// failures again. When that breaks it ends, since what happened meanwhile would not
// be told. It ends without an error when Railway ends it, with that of ctx, and else
// with errCannotSubscribe.
func subscribe[T any](ctx context.Context, c *Client, o op, operation string, variables map[string]any) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		opened := false
		again := func() map[string]any {
			if opened {
				return nil
			}
			return variables
		}
		for sig, err := range subscribeAgain[T](ctx, c, o, operation, again) {
			if opened = opened || sig.opened; sig.opened {
				continue
			}
			if !yield(sig.data, err) {
				return
			}
		}
	}
}

// subscribeAgain is subscribe that opens the subscription again when it breaks, each
// time with new variables, unless they are nil, and tells when it did.
//
// Each open costs one call of the budget, a message costs nothing. A loop that takes
// long holds messages back and loses none.
func subscribeAgain[T any](ctx context.Context, c *Client, o op, operation string, variables func() map[string]any) iter.Seq2[signal[T], error] {
	return func(yield func(signal[T], error) bool) {
		fail := func(err error) { yield(signal[T]{}, err) }
		text, err := gql.Subscription(operation)
		if err != nil {
			fail(o.refuse(nil, "%s", err.Error()))
			return
		}
		if c.polling {
			fail(errCannotSubscribe)
			return
		}
		var wait backoff
		var last error
		for opens := 1; ; opens++ {
			began, vars := time.Now(), variables()
			if vars == nil {
				fail(fmt.Errorf("%w: %w", errCannotSubscribe, last))
				return
			}
			s := session[T]{o: o, yield: yield}
			err := s.run(ctx, request{text, operation, vars})
			switch {
			case s.left || s.ended && s.got:
				return
			case ctx.Err() != nil:
				fail(&Error{Op: o.name, unrun: true, cause: ctx.Err()})
				return
			case s.got || time.Since(began) >= lasting:
				opens, wait = 0, backoff{}
			}
			if isFinal(err) || opens == maxOpens {
				fail(fmt.Errorf("%w: %w", errCannotSubscribe, err))
				return
			}
			last = err
			_ = wait.pause(ctx) // an ended context shows at the next open
		}
	}
}

// A backoff is a wait that grows, with jitter so that many clients do not come back
// at once. The zero value is ready to use.
type backoff struct{ last time.Duration }

func (b *backoff) pause(ctx context.Context) error {
	b.last = min(max(2*b.last, firstWait), mostWait)
	return pause(ctx, b.last/2+rand.N(b.last/2))
}

// request is the payload of a subscribe message.
type request struct {
	Query     string         `json:"query"`
	Operation string         `json:"operationName"`
	Variables map[string]any `json:"variables"`
}

// A session is one connection with its subscription.
type session[T any] struct {
	o     op
	yield func(signal[T], error) bool

	left  bool // the loop was left
	ended bool // Railway ended it
	got   bool // there was data
}

// run opens the connection and delivers what comes until it ends.
func (s *session[T]) run(ctx context.Context, r request) error {
	sock, err := s.o.open(ctx, r)
	if err != nil {
		return err
	}
	defer sock.close(ctx)
	if !s.deliver(sock, signal[T]{opened: true}) {
		return nil
	}
	for {
		m, err := sock.read(ctx)
		switch {
		case websocket.CloseStatus(err) == websocket.StatusNormalClosure, err == nil && m.Type == "complete":
			s.ended = true
			return errors.New("the subscription was completed before there was any data")
		case err != nil:
			return err
		case m.Type == "error":
			return s.o.subscriptionError(sock.token, m.Payload)
		case m.Type != "next":
			continue
		}
		data, err := decode[T](s.o, r.Operation, sock.token, m.Payload)
		if err != nil {
			return err
		}
		s.got = true
		if !s.deliver(sock, signal[T]{data: data}) {
			return nil
		}
	}
}

// deliver hands a signal over. While the loop works nothing is read, so that a pong
// that is late is no sign of a dead connection.
func (s *session[T]) deliver(sock *socket, sig signal[T]) bool {
	sock.idle.Stop()
	defer sock.idle.Reset(maxSilence)
	s.left = !s.yield(sig, nil)
	return !s.left
}

// decode reads the payload of a message with data. Data that comes with errors is
// taken.
func decode[T any](o op, operation string, token runbook.Secret, payload json.RawMessage) (data T, err error) {
	a := struct {
		Data   *T             `json:"data"`
		Errors []graphQLError `json:"errors"`
	}{}
	if err := json.Unmarshal(payload, &a); err != nil {
		return data, &Error{Op: o.name, Code: "unreadable", cause: errors.New("a message is not what was asked for: " + decodeProblem(err))}
	}
	switch {
	case a.Data != nil && missing(operation, a.Data) == "":
		return *a.Data, nil
	case len(a.Errors) > 0:
		e := &Error{Op: o.name}
		o.take(e, a.Errors, token, false)
		return data, e
	}
	return data, &Error{Op: o.name, Code: "no data"}
}

// subscriptionError is the error of a message that says why there is no subscription.
func (o op) subscriptionError(token runbook.Secret, payload json.RawMessage) *Error {
	e := &Error{Op: o.name}
	var list []graphQLError
	if json.Unmarshal(payload, &list) != nil || len(list) == 0 {
		e.Code = "unreadable"
		return e
	}
	o.take(e, list, token, false)
	return e
}
