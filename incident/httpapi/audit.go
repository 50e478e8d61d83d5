package httpapi

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"go.acu.edu.au/runbook/incident"
)

const (
	unauthenticated = "unauthenticated" // the actor of what nobody known asked for
	others          = "others"          // of what is asked by more than can be told apart
	refusedEach     = 5                 // entries a minute for each actor
	refusedActors   = 1000              // that are told apart
)

// refusals records the commands that were refused in the audit record. Of each actor, and
// of all together who did not say who they are, it records the first few of a minute, and
// how many there were beyond at its end: nobody can fill the store by being refused.
type refusals struct {
	store  incident.Store
	logger *slog.Logger

	mu     sync.Mutex
	actors map[string]*refused
}

// refused counts what was refused to an actor in a minute.
type refused struct {
	until time.Time
	count int
}

// note records a command that was refused.
func (f *refusals) note(c *call, p *Problem) {
	recorded := []string{codeUnauthenticated, codeNotPermitted, codeCrossSite, codeStale, codeTaken, codeState, codeBusy}
	if c.op == nil || !c.op.command() || !slices.Contains(recorded, p.Code) {
		return
	}
	actor := unauthenticated
	if c.known {
		actor = c.actor.Name
	}
	// The context of a request that was refused may end any moment.
	ctx := context.WithoutCancel(c.ctx)
	actor, ok := f.count(ctx, actor)
	if !ok {
		return
	}
	var target []string
	for _, name := range c.op.names() {
		target = append(target, name+" "+short(c.r.PathValue(name)))
	}
	from, _, err := net.SplitHostPort(c.r.RemoteAddr)
	if err != nil {
		from = ""
	}
	text := strings.Join(append([]string{"refused: " + c.op.summary}, target...), ", ")
	f.write(ctx, actor, fmt.Sprintf("%s: %s", text, p.Detail), map[string]string{"operation": c.op.id, "code": p.Code, "from": from})
}

// short shortens what somebody wrote, and leaves out what is no text.
func short(text string) string {
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || bidi(r) {
			return '\ufffd'
		}
		return r
	}, text)
	if runes := []rune(text); len(runes) > 100 {
		return string(runes[:100]) + "…"
	}
	return text
}

// count counts a refusal, and returns whom it counts for, and whether it is one of those
// that are recorded.
func (f *refusals) count(ctx context.Context, actor string) (string, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	r := f.actors[actor]
	if r == nil || !now.Before(r.until) {
		if len(f.actors) >= refusedActors {
			f.forget(now)
		}
		if _, known := f.actors[actor]; !known && len(f.actors) >= refusedActors {
			actor = others
		}
		if r = f.actors[actor]; r == nil || !now.Before(r.until) {
			r = &refused{until: now.Add(time.Minute)}
			f.actors[actor] = r
		}
	}
	if r.count++; r.count == refusedEach+1 {
		time.AfterFunc(r.until.Sub(now), func() { f.summarise(ctx, actor, r) })
	}
	return actor, r.count <= refusedEach
}

// forget forgets the minutes that are over.
func (f *refusals) forget(now time.Time) {
	for actor, r := range f.actors {
		if !now.Before(r.until) {
			delete(f.actors, actor)
		}
	}
}

// summarise records how many were not recorded one by one.
func (f *refusals) summarise(ctx context.Context, actor string, r *refused) {
	f.mu.Lock()
	more := r.count - refusedEach
	f.mu.Unlock()
	f.write(ctx, actor, fmt.Sprintf("refused: %d more commands within a minute", more), map[string]int{"more": more})
}

func (f *refusals) write(ctx context.Context, actor, text string, data any) {
	raw, err := json.Marshal(data)
	if err != nil { // it is texts and numbers
		raw = nil
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	entry := incident.Entry{Chain: "audit", At: time.Now(), Kind: "refused", Actor: actor, Text: text, Data: raw}
	if _, err := f.store.Commit(ctx, incident.Change{Entries: []incident.Entry{entry}}); err != nil {
		f.logger.WarnContext(ctx, "httpapi: a command that was refused is not in the audit record", "actor", actor, "text", text, "error", err)
	}
}
