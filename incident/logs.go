package incident

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"
)

// Logs reads what one service in one environment printed. It may have secrets and
// personal data in it, which nobody can take out reliably: what is kept of it is
// kept encrypted.
type Logs interface {
	// Logs returns lines, the oldest first. It is lazy: leaving the loop ends the
	// requests, and ranging again asks again. An error comes once, with a zero
	// line, and ends the sequence: one that ends without an error is complete, as
	// far as the platform still has it. Sequences may be ranged concurrently.
	//
	// A query that is invalid is an error without a call. The error is ErrNotFound
	// if there is no such deployment, ErrUnsupported if the platform has no logs of
	// that kind, ErrNotPermitted; the end of ctx ends the sequence with the error
	// of ctx.
	Logs(ctx context.Context, q LogQuery) iter.Seq2[LogLine, error]
}

// LogFollower is a [Logs] that can go on reading.
type LogFollower interface {
	// FollowLogs is Logs that does not end: after the lines that there are come
	// those that are printed, as they are printed, until ctx ends, with its error,
	// or the loop is left. Broken connections are made again without lines coming
	// twice, and without losing any that the platform still has. Of a query without
	// Tail and From only new lines come; To is not allowed.
	FollowLogs(ctx context.Context, q LogQuery) iter.Seq2[LogLine, error]
}

// LogKind is what sort of log it is.
type LogKind string

// The kinds of logs.
const (
	LogRuntime LogKind = ""        // what the processes print
	LogBuild   LogKind = "build"   // what the build of a deployment printed
	LogRequest LogKind = "request" // the requests that the platform passed on
)

// LogQuery chooses lines.
type LogQuery struct {
	// Kind is the sort of log.
	Kind LogKind
	// Deployment limits the lines to one deployment, by its ID. Empty means those
	// of the current one; if there is none, of the newest.
	Deployment string
	// From is the first moment, To the first one after the span; zero means
	// without a bound.
	From, To time.Time
	// Tail is how many lines there are at most, the newest ones that fit. Zero
	// means all, and From is then required: logs are long.
	Tail int
	// Any are texts of which a line must contain one, in upper or lower case. None
	// means all lines.
	Any []string
}

// LogLine is one line.
type LogLine struct {
	// Time is when it was printed.
	Time time.Time
	// Message is one line of text without control characters, so that it can be
	// shown on a terminal.
	Message string
	// Level is the platform's word for its severity; empty if there is none.
	Level string
	// Deployment and Instance are the IDs of what printed it; empty if the platform
	// does not say.
	Deployment, Instance string
	// Attributes are the fields of a structured line, or of a request. The map
	// belongs to the caller.
	Attributes map[string]string
}

// Validate returns everything that is wrong with the query, or nil.
func (q LogQuery) Validate() error {
	return errors.Join(append(q.problems(), q.unbounded())...)
}

// ValidateFollow returns everything that is wrong with the query for
// [LogFollower.FollowLogs], or nil.
func (q LogQuery) ValidateFollow() error {
	problems := q.problems()
	if !q.To.IsZero() {
		problems = append(problems, errors.New("incident: log query: what is followed has no To"))
	}
	return errors.Join(problems...)
}

func (q LogQuery) unbounded() error {
	if q.Tail == 0 && q.From.IsZero() {
		return errors.New("incident: log query: Tail or From is required")
	}
	return nil
}

func (q LogQuery) problems() (problems []error) {
	switch q.Kind {
	case LogRuntime, LogBuild, LogRequest:
	default:
		problems = append(problems, fmt.Errorf("incident: log query: kind %q: is not known", string(q.Kind)))
	}
	if q.Tail < 0 {
		problems = append(problems, errors.New("incident: log query: Tail is negative"))
	}
	if !q.To.IsZero() && !q.From.Before(q.To) {
		problems = append(problems, errors.New("incident: log query: From must be before To"))
	}
	for _, text := range q.Any {
		if text == "" {
			problems = append(problems, errors.New("incident: log query: a text in Any is empty, so that it would choose every line"))
		}
	}
	return problems
}

// Wants reports whether the line is in the span and has one of the texts. For
// platforms that cannot choose so themselves.
func (q LogQuery) Wants(l LogLine) bool {
	if l.Time.Before(q.From) || !q.To.IsZero() && !l.Time.Before(q.To) {
		return false
	}
	message := strings.ToLower(l.Message)
	for _, text := range q.Any {
		if strings.Contains(message, strings.ToLower(text)) {
			return true
		}
	}
	return len(q.Any) == 0
}
