package railwaytest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/coder/websocket"
	"github.com/vektah/gqlparser/v2/ast"
)

// subscription is one subscription of a socket.
type subscription struct {
	k     *socket
	id    string
	o     *operation
	field *ast.Field
	vars  map[string]any
	args  args
	token *token
	fault *Fault
	key   string // the same for those that get the same
	sent  int
}

// errDropped is the end of a socket that a fault breaks.
var errDropped = errors.New("the socket was dropped")

// subscribe begins a subscription.
func (k *socket) subscribe(m message) (websocket.StatusCode, string) {
	var c call
	d := json.NewDecoder(bytes.NewReader(m.Payload))
	d.UseNumber()
	if m.ID == "" || d.Decode(&c) != nil || c.Query == "" {
		return closeBadMessage, "Invalid message received"
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.acked {
		return closeUnauthorized, "Unauthorized"
	}
	if k.subs[m.ID] != nil {
		return closeTwice, "Subscriber already exists"
	}
	sub := &subscription{k: k, id: m.ID}
	feed, refused := sub.prepare(c)
	if refused != nil {
		var b bytes.Buffer
		mustEncode(&b, refused)
		_ = k.send(k.ctx, message{ID: m.ID, Type: "error", Payload: b.Bytes()}) // if it fails, so does the next read
		return 0, ""
	}
	ctx, stop := context.WithCancel(k.ctx)
	k.subs[m.ID] = stop
	k.done.Go(func() {
		defer stop()
		sub.run(ctx, feed)
	})
	return 0, ""
}

// prepare finds out what is subscribed to, or why it is not.
func (sub *subscription) prepare(c call) (stream, []problem) {
	s := sub.k.s
	s.mu.Lock()
	defer s.mu.Unlock()
	sub.o = s.operationOf(c.Query, c.OperationName)
	if sub.o.refused != nil {
		return nil, sub.o.refused.problems
	}
	if sub.o.kind() != "subscription" || len(sub.o.root) == 0 {
		return nil, []problem{newProblem("Only subscriptions are played over WebSockets.", codeRequest)}
	}
	s.calls = append(s.calls, "subscription:"+sub.o.name)
	sub.field = sub.o.root[0]
	sub.fault = s.fault(sub.o)
	sub.token = s.authenticate(sub.k.header)
	vars, wrong := s.variables(sub.o.definition, c.Variables)
	switch {
	case wrong != nil:
		return nil, []problem{*wrong}
	case sub.fault != nil && sub.fault.Kind == Refuse:
		return nil, []problem{sub.fault.problem(sub.o.path())}
	}
	sub.vars = vars
	sub.args = sub.execution().arguments(sub.field)
	key, _ := json.Marshal(sub.args) // they were made from JSON
	sub.key = sub.field.Name + string(key)
	return s.feeds[sub.field.Name], nil
}

func (sub *subscription) execution() *execution {
	return &execution{
		r:   &request{s: sub.k.s, token: sub.token, now: time.Now()},
		doc: sub.o.document.query, vars: sub.vars,
	}
}

// run feeds the subscription until it ends.
func (sub *subscription) run(ctx context.Context, feed stream) {
	err := sub.feed(ctx, feed)
	k := sub.k
	switch {
	case errors.Is(err, errDropped):
		_ = k.c.CloseNow() // that is what is played
	case ctx.Err() != nil:
	case err != nil:
		k.close(closeInternal, "Internal server error")
	default:
		k.mu.Lock()
		delete(k.subs, sub.id)
		k.mu.Unlock()
		_ = k.send(ctx, message{ID: sub.id, Type: "complete"}) // who has gone does not need it
	}
}

func (sub *subscription) feed(ctx context.Context, feed stream) error {
	if sub.fault != nil {
		switch sub.fault.Kind {
		case Complete:
			return nil
		case Hang:
			<-ctx.Done()
			return ctx.Err()
		case DropSocket:
			if sub.fault.Bytes <= 0 {
				return errDropped
			}
		case Duplicate:
			if err := sub.repeat(ctx); err != nil {
				return err
			}
		default:
			return errNotAuthorized
		}
	}
	if feed == nil {
		return fmt.Errorf("railwaytest does not play %s", sub.field.Name)
	}
	if sub.token == nil {
		return errNotAuthorized
	}
	return feed(ctx, sub.k.s, sub.token, sub.args, func(value any) error { return sub.next(ctx, value) })
}

// repeat sends the last messages of the same subscription again.
func (sub *subscription) repeat(ctx context.Context) error {
	s := sub.k.s
	s.mu.Lock()
	last := s.sent[sub.key]
	s.mu.Unlock()
	for _, payload := range last {
		if err := sub.k.send(ctx, message{ID: sub.id, Type: "next", Payload: payload}); err != nil {
			return err
		}
	}
	return nil
}

// next sends a value.
func (sub *subscription) next(ctx context.Context, value any) error {
	payload := sub.payload(value)
	if err := sub.k.send(ctx, message{ID: sub.id, Type: "next", Payload: payload}); err != nil {
		return err
	}
	sub.sent++
	if sub.fault != nil && sub.fault.Kind == DropSocket && sub.sent >= sub.fault.Bytes {
		return errDropped
	}
	return nil
}

// payload executes the selection on a value.
func (sub *subscription) payload(value any) []byte {
	s := sub.k.s
	s.mu.Lock()
	defer s.mu.Unlock()
	x := sub.execution()
	root := object{sub.field.Name: value}
	if !x.object(s.catalogue.schema.Subscription, root, []ast.SelectionSet{sub.o.definition.SelectionSet}) {
		x.out.Reset()
		x.out.WriteString("null")
	}
	payload := answer{status: http.StatusOK, data: x.out.Bytes(), problems: x.issues}.body()
	last := append(s.sent[sub.key], payload)
	s.sent[sub.key] = last[max(0, len(last)-kept):]
	return payload
}
