package railway

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"
	"unicode"

	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/railway/internal/gql"
)

var (
	_ incident.Logs        = (*Service)(nil)
	_ incident.LogFollower = (*Service)(nil)
)

// Logs implements [incident.Logs]: what the processes printed, what the build of a
// deployment printed, and the requests that Railway passed on. The deployment may be
// one that failed; its build log is there, too.
//
// Railway keeps logs for 7 to 90 days, by plan, and drops what one replica prints
// beyond 500 lines a second; a line says so
// (https://docs.railway.com/observability/logs). It returns 5,000 lines at a time,
// so that a long span takes many calls. Texts in Any spare calls if they have no
// letters, as "502": whether Railway's own filter heeds their case is not documented.
// If more lines than it returns have the same time, the sequence ends with an error.
//
// A request is the line "GET /path 502 30ms", with Railway's fields as attributes.
func (s *Service) Logs(ctx context.Context, q incident.LogQuery) iter.Seq2[incident.LogLine, error] {
	return func(yield func(incident.LogLine, error) bool) {
		if err := s.logs(ctx, q, func(l logLine) bool { return yield(l.LogLine, nil) }); err != nil {
			yield(incident.LogLine{}, err)
		}
	}
}

func (s *Service) logs(ctx context.Context, q incident.LogQuery, yield func(logLine) bool) error {
	o := s.c.op("read the logs of %s", s)
	if err := q.Validate(); err != nil {
		return o.refuse(nil, "%s", err)
	}
	r, err := s.logReader(ctx, o, q)
	if err != nil {
		return err
	}
	if q.Tail == 0 {
		_, err := r.span(ctx, q.From, q.To, func(l logLine) bool { return !q.Wants(l.LogLine) || yield(l) })
		return err
	}
	first, err := r.page(ctx, q.From, q.To, r.pageFor(q.Tail))
	if err != nil {
		return err
	}
	lines, err := r.newest(ctx, first, q.Tail)
	for _, l := range lines {
		if !yield(l) {
			return nil
		}
	}
	return err
}

// A logReader reads the log of one deployment.
type logReader struct {
	s          *Service
	o          op
	q          incident.LogQuery
	deployment string
	filter     *string // nil means all lines
}

// logReader finds the deployment that a query is about.
func (s *Service) logReader(ctx context.Context, o op, q incident.LogQuery) (*logReader, error) {
	r := &logReader{s: s, o: o, q: q, deployment: q.Deployment}
	if q.Kind != incident.LogRequest { // whose filter has fields of its own
		r.filter = logFilter(q.Any)
	}
	if r.deployment != "" {
		got, err := gql.Deployment(ctx, o, r.deployment)
		if err != nil {
			return nil, err
		}
		if !s.has(got.Deployment) {
			return nil, o.refuse(incident.ErrNotFound, "deployment %s is one of another service or environment", printable(r.deployment, 60))
		}
		return r, nil
	}
	h, err := s.history(ctx, o, 20, nil)
	switch {
	case err != nil:
		return nil, err
	case h.current != "":
		r.deployment = h.current
	case len(h.newest) > 0:
		r.deployment = h.newest[0].Id
	default:
		return nil, o.refuse(incident.ErrNotFound, "nothing was ever deployed")
	}
	return r, nil
}

// logFilter returns Railway's filter for lines with one of some texts, nil if there
// is none that surely leaves out no line that is wanted. Whether the case of letters
// matters is not documented, and neither is how a quote is quoted.
func logFilter(texts []string) *string {
	var parts []string
	for _, text := range texts {
		plain := func(r rune) bool {
			return r != '"' && r != '\\' && unicode.IsPrint(r) && unicode.ToLower(r) == unicode.ToUpper(r)
		}
		if strings.TrimSpace(text) == "" || strings.ContainsFunc(text, func(r rune) bool { return !plain(r) }) {
			return nil
		}
		parts = append(parts, `"`+text+`"`)
	}
	if len(parts) == 0 {
		return nil
	}
	filter := strings.Join(parts, " OR ")
	return &filter
}

// maxLines is how many lines Railway returns at most.
const maxLines = 5000

// A logPage is the newest lines of a span.
type logPage struct {
	lines []logLine // the oldest first
	// cut is the time of the oldest line, if there may be more at that time or
	// before; zero if the page is all.
	cut time.Time
}

// page reads the newest lines from one moment to before another, zero for no bound.
//
// Whether Railway's own bounds belong to the span is not documented, and it returns
// one line more than it is asked for (railwayapp/cli, controllers/deployment.rs): so
// a little more is asked for, and what is too much is left out here.
func (r *logReader) page(ctx context.Context, from, to time.Time, limit int) (logPage, error) {
	lines, err := r.fetch(ctx, from, to, limit)
	if err != nil {
		return logPage{}, err
	}
	slices.SortStableFunc(lines, func(a, b logLine) int { return a.Time.Compare(b.Time) })
	full := len(lines) >= limit
	lines = lines[max(0, len(lines)-limit):]
	p := logPage{}
	if full && !lines[0].Time.Before(from) {
		p.cut = lines[0].Time
	}
	p.lines = slices.DeleteFunc(lines, func(l logLine) bool {
		return l.Time.Before(from) || !to.IsZero() && !l.Time.Before(to)
	})
	return p, nil
}

// slack is added to the bounds of a span: Railway's may have only milliseconds.
const slack = time.Millisecond

func (r *logReader) fetch(ctx context.Context, from, to time.Time, limit int) ([]logLine, error) {
	var start, end *time.Time
	if !from.IsZero() {
		t := from.Add(-slack).UTC()
		start = &t
	}
	if !to.IsZero() {
		t := to.Add(slack).UTC()
		end = &t
	}
	switch r.q.Kind {
	case incident.LogBuild:
		got, err := gql.BuildLogs(ctx, r.o, r.deployment, limit, r.filter, start, end)
		if err != nil {
			return nil, err
		}
		return linesOf(logData{BuildLogs: got.BuildLogs}), nil
	case incident.LogRequest:
		// Its dates are texts. The lines before the anchor are asked for; that the
		// other dates bound them is not documented.
		var anchor *string
		if end != nil {
			text := end.Format(time.RFC3339Nano)
			anchor = &text
		}
		got, err := gql.HTTPLogs(ctx, r.o, r.deployment, nil, anchor, nil, &limit, nil, nil)
		if err != nil {
			return nil, err
		}
		return linesOf(logData{HTTPLogs: got.HttpLogs}), nil
	}
	got, err := gql.DeploymentLogs(ctx, r.o, r.deployment, limit, r.filter, start, end)
	if err != nil {
		return nil, err
	}
	return linesOf(logData{DeploymentLogs: got.DeploymentLogs}), nil
}

// before takes out of a page the lines of the oldest time, of which some may be
// missing, and returns the end of the span that has them all.
func (r *logReader) before(p *logPage) (end time.Time, err error) {
	i := slices.IndexFunc(p.lines, func(l logLine) bool { return l.Time.After(p.cut) })
	if i < 0 {
		return end, &Error{Op: r.o.name, Code: "incomplete",
			Message: fmt.Sprintf("more lines are of %s than Railway returns; some are missing", p.cut.UTC().Format(time.RFC3339Nano))}
	}
	p.lines = p.lines[i:]
	return p.cut.Add(1), nil
}

// span yields all lines of a span, the oldest first, and reports whether the loop
// goes on. A page has the newest lines of its span. What is older is halved by time
// again and again, so that neither all the lines are held nor any read twice.
func (r *logReader) span(ctx context.Context, from, to time.Time, yield func(logLine) bool) (more bool, err error) {
	p, err := r.page(ctx, from, to, maxLines)
	if err != nil {
		return false, err
	}
	if !p.cut.IsZero() {
		end, err := r.before(&p)
		if err != nil {
			return false, err
		}
		middle := from.Add(end.Sub(from) / 2)
		for _, half := range [][2]time.Time{{from, middle}, {middle, end}} {
			if !half[0].Before(half[1]) {
				continue
			}
			if more, err := r.span(ctx, half[0], half[1], yield); !more || err != nil {
				return false, err
			}
		}
	}
	for _, l := range p.lines {
		if !yield(l) {
			return false, nil
		}
	}
	return true, nil
}

// pageFor returns how many lines to ask for, if so many are wanted: all, if they are
// chosen here.
func (r *logReader) pageFor(wanted int) int {
	if len(r.q.Any) > 0 && r.filter == nil {
		return maxLines
	}
	return min(wanted, maxLines)
}

// newest returns the newest n lines that are wanted, the oldest first: those of a
// page, and as many pages before it as are needed.
func (r *logReader) newest(ctx context.Context, p logPage, n int) ([]logLine, error) {
	wanted := func(lines []logLine) (list []logLine) {
		for _, l := range lines {
			if r.q.Wants(l.LogLine) {
				list = append(list, l)
			}
		}
		return list
	}
	var have []logLine
	for {
		all := append(wanted(p.lines), have...)
		if len(all) >= n || p.cut.IsZero() {
			return all[max(0, len(all)-n):], nil
		}
		end, err := r.before(&p)
		if err != nil {
			return all, err
		}
		have = append(wanted(p.lines), have...)
		if p, err = r.page(ctx, r.q.From, end, maxLines); err != nil {
			return nil, err
		}
	}
}
