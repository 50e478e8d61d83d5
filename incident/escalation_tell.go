package incident

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/alert"
)

const (
	tellAttempts = 3
	maxTellWait  = 30 * time.Second // between two attempts
)

// toldOutput is what is recorded of somebody who was told.
type toldOutput struct {
	Receipt  alert.Receipt `json:"receipt,omitempty"`
	Attempts int           `json:"attempts"`
	Repeat   bool          `json:"repeat,omitempty"`
}

// conversationKey returns the key of a conversation: the same each time that somebody is
// told at a level of an escalation through a channel.
func conversationKey(parts ...string) string {
	h := sha256.New()
	for _, part := range parts {
		fmt.Fprintf(h, "%d:%s,", len(part), part)
	}
	return "escalation-" + hex.EncodeToString(h.Sum(nil)[:16])
}

// tell tells somebody something. It tries again for a short while if nothing was sent, and
// also if that is not known: better twice than never.
func (x *Escalations) tell(ctx context.Context, channel string, n alert.Notification) Outcome {
	notifier := x.cfg.Channels[channel]
	if notifier == nil {
		return Outcome{Status: Failed, Code: CodeOf(ErrNotFound), Message: "there is no such channel here", Unsent: true}
	}
	out := toldOutput{Repeat: n.PossibleRepeat}
	// Whether an earlier attempt arrived, by this process or by one that died, is not known.
	lost := n.PossibleRepeat
	var err error
	for wait := 2 * time.Second; out.Attempts < tellAttempts; wait *= 4 {
		n.PossibleRepeat = lost
		out.Attempts++
		out.Receipt, err = x.attempt(ctx, notifier, n)
		if err == nil {
			break
		}
		retry, sent := true, !runbook.SafeToRetry(err)
		if errors.Is(err, alert.ErrRefused) {
			retry, sent = false, false
		}
		lost, out.Repeat = lost || sent, out.Repeat || sent
		if asked := retryAfter(err); asked > wait {
			wait = asked
		}
		if !retry || wait > maxTellWait || out.Attempts == tellAttempts || !sleep(ctx, wait) {
			break
		}
	}
	return toldOutcome(out, err, lost)
}

// toldOutcome says how it ended.
func toldOutcome(out toldOutput, err error, lost bool) Outcome {
	output, failed := json.Marshal(out)
	o := Outcome{Status: Done, Output: output}
	switch {
	case failed != nil:
		o.Output = nil
	case err == nil:
	case lost:
		o.Status, o.Code, o.Message = Unknown, CodeOf(ErrOutcomeUnknown), cleanWords(err.Error(), maxLine)
	default:
		o.Status, o.Code, o.Message, o.Unsent = Failed, CodeOf(err), cleanWords(err.Error(), maxLine), true
	}
	return o
}

// attempt makes one attempt. A panic leaves open whether anything was sent.
func (x *Escalations) attempt(ctx context.Context, notifier alert.Notifier, n alert.Notification) (receipt alert.Receipt, err error) {
	ctx, cancel := context.WithTimeout(ctx, x.cfg.Timeout)
	defer cancel()
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the notifier panicked: %v", p)
		}
	}()
	return notifier.Notify(ctx, n)
}

// retryAfter returns how long a service asks to wait.
func retryAfter(err error) time.Duration {
	if e, ok := errors.AsType[*alert.Error](err); ok {
		return e.RetryAfter
	}
	return 0
}

// sleep waits, and reports whether ctx has not ended.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// report hands an event to whoever keeps the incidents, and logs what somebody should
// look at.
func (x *Escalations) report(ctx context.Context, e EscalationEvent) Outcome {
	if e.At.IsZero() {
		e.At = time.Now()
	}
	if e.Failed() {
		x.cfg.Logger.WarnContext(ctx, "incident: an escalation reached nobody", "incident", e.Incident, "run", e.Run, "level", e.Name, "what", e.Text)
	}
	if x.cfg.Hooks.OnLevel == nil {
		return Outcome{Status: Done}
	}
	hook := func(ctx context.Context) (struct{}, error) { return struct{}{}, x.cfg.Hooks.OnLevel(ctx, e) }
	_, err := ask(ctx, hook)
	if err != nil && sleep(ctx, time.Second) {
		_, err = ask(ctx, hook)
	}
	if err != nil {
		x.cfg.Logger.WarnContext(ctx, "incident: what an escalation did could not be put on the timeline", "incident", e.Incident, "run", e.Run, "what", e.Text, "error", err)
		return Outcome{Status: Failed, Code: CodeOf(err), Message: cleanWords(err.Error(), maxLine)}
	}
	return Outcome{Status: Done}
}
