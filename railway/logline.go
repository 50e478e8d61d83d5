package railway

import (
	"encoding/json"
	"fmt"
	"hash/maphash"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/railway/internal/gql"
)

// logData is what the operations about logs return, each one of the fields.
type logData struct {
	DeploymentLogs []*gql.LogFields     `json:"deploymentLogs"`
	BuildLogs      []*gql.LogFields     `json:"buildLogs"`
	HTTPLogs       []*gql.HTTPLogFields `json:"httpLogs"`
}

// A logLine is a line, with what tells it from others: Railway's lines have no ID.
type logLine struct {
	incident.LogLine
	hash func(maphash.Seed) uint64
}

// linesOf translates lines, in the order in which they are.
func linesOf(d logData) []logLine {
	lines := make([]logLine, 0, len(d.DeploymentLogs)+len(d.BuildLogs)+len(d.HTTPLogs))
	var last time.Time
	take := func(l logLine, timestamp string) {
		at, err := time.Parse(time.RFC3339Nano, timestamp)
		if err != nil {
			at = last // a line without a time belongs to the one before
		}
		last, l.Time = at, at
		lines = append(lines, l)
	}
	for _, list := range [][]*gql.LogFields{d.DeploymentLogs, d.BuildLogs} {
		for _, l := range list {
			take(lineOf(l), l.Timestamp)
		}
	}
	for _, l := range d.HTTPLogs {
		take(requestOf(l), l.Timestamp)
	}
	return lines
}

func lineOf(l *gql.LogFields) logLine {
	line := incident.LogLine{Message: oneLine(l.Message), Level: oneLine(gql.Text(l.Severity))}
	if l.Tags != nil {
		line.Deployment, line.Instance = gql.Text(l.Tags.DeploymentId), gql.Text(l.Tags.DeploymentInstanceId)
	}
	for _, a := range l.Attributes {
		value := attribute(a.Value)
		if a.Key == "level" { // every line has it
			if line.Level == "" {
				line.Level = value
			}
			continue
		}
		if line.Attributes == nil {
			line.Attributes = make(map[string]string, len(l.Attributes))
		}
		line.Attributes[oneLine(a.Key)] = value
	}
	return logLine{line, func(seed maphash.Seed) uint64 { return hashLog(seed, l) }}
}

// attribute decodes the value of an attribute, which is JSON text. What is neither a
// string nor null is kept as the JSON that it is.
func attribute(value string) string {
	var text string
	if strings.HasPrefix(value, `"`) && json.Unmarshal([]byte(value), &text) == nil {
		return oneLine(text)
	}
	if value == "null" {
		return ""
	}
	return oneLine(value)
}

// requestOf makes a line of a request.
func requestOf(l *gql.HTTPLogFields) logLine {
	line := incident.LogLine{
		Message:    oneLine(fmt.Sprintf("%s %s %d %dms", l.Method, l.Path, l.HttpStatus, l.TotalDuration)),
		Deployment: l.DeploymentId, Instance: l.DeploymentInstanceId,
		Attributes: make(map[string]string, 14),
	}
	for name, value := range map[string]string{
		"requestId": l.RequestId, "method": l.Method, "path": l.Path, "host": l.Host, "srcIp": l.SrcIp, "clientUa": l.ClientUa,
		"edgeRegion": l.EdgeRegion, "upstreamErrors": l.UpstreamErrors, "responseDetails": l.ResponseDetails,
	} {
		if value != "" {
			line.Attributes[name] = oneLine(value)
		}
	}
	for name, value := range map[string]int{
		"httpStatus": l.HttpStatus, "totalDuration": l.TotalDuration, "upstreamRqDuration": l.UpstreamRqDuration, "rxBytes": l.RxBytes, "txBytes": l.TxBytes,
	} {
		line.Attributes[name] = strconv.Itoa(value)
	}
	return logLine{line, func(seed maphash.Seed) uint64 { return hashRequest(seed, l) }}
}

// hashLog returns a number for everything that a line consists of.
func hashLog(seed maphash.Seed, l *gql.LogFields) uint64 {
	var h maphash.Hash
	h.SetSeed(seed)
	put(&h, l.Timestamp, l.Message, gql.Text(l.Severity))
	if l.Tags != nil {
		put(&h, gql.Text(l.Tags.DeploymentInstanceId))
	}
	for _, a := range l.Attributes {
		put(&h, a.Key, a.Value)
	}
	return h.Sum64()
}

func hashRequest(seed maphash.Seed, l *gql.HTTPLogFields) uint64 {
	var h maphash.Hash
	h.SetSeed(seed)
	put(&h, l.Timestamp, l.RequestId, l.Method, l.Path, l.Host, strconv.Itoa(l.HttpStatus), strconv.Itoa(l.TotalDuration), l.SrcIp)
	return h.Sum64()
}

func put(h *maphash.Hash, texts ...string) {
	for _, text := range texts {
		_, _ = h.WriteString(text)
		_ = h.WriteByte(0xff) // in no UTF-8 text
	}
}

// oneLine returns a text as one line that can be shown on a terminal: without escape
// sequences, control characters, and characters that change the order of others.
func oneLine(text string) string {
	if isPlain(text) {
		return text
	}
	var b strings.Builder
	b.Grow(len(text))
	for len(text) > 0 {
		r, size := utf8.DecodeRuneInString(text)
		switch {
		case r == '\x1b':
			size = escape(text, 1)
		case r == '\u009b': // CSI in one character
			size = sequence(text, size)
		case strings.ContainsRune("\u0090\u0098\u009d\u009e\u009f", r):
			size = control(text, size)
		case unicode.IsSpace(r):
			b.WriteByte(' ')
		case unicode.IsPrint(r):
			b.WriteRune(r)
		}
		text = text[size:]
	}
	return strings.TrimRight(b.String(), " ")
}

// isPlain reports whether a text has only visible ASCII and single spaces in it.
func isPlain(text string) bool {
	for i := range len(text) {
		if text[i] < ' ' || text[i] > '~' {
			return false
		}
	}
	return !strings.HasSuffix(text, " ")
}

// escape returns the length of the escape sequence at the start of a text, whose
// introducer has n bytes.
func escape(text string, n int) int {
	if n == len(text) {
		return n
	}
	switch text[n] {
	case '[':
		return sequence(text, n+1)
	case ']', 'P', 'X', '^', '_':
		return control(text, n+1)
	}
	for n < len(text) && text[n] >= ' ' && text[n] <= '/' {
		n++
	}
	if n < len(text) && text[n] >= '0' && text[n] <= '~' {
		n++
	}
	return n
}

// sequence returns the length of a control sequence: parameters, then a letter.
func sequence(text string, n int) int {
	for n < len(text) && text[n] >= ' ' && text[n] <= '?' {
		n++
	}
	if n < len(text) && text[n] >= '@' && text[n] <= '~' {
		n++
	}
	return n
}

// control returns the length of a control string, which ends with BEL or ST. One
// that does not end is only its introducer, so that no text is lost.
func control(text string, n int) int {
	rest := text[n:]
	end, length := -1, 0
	for _, stop := range []string{"\a", "\x1b\\", "\u009c"} {
		if i := strings.Index(rest, stop); i >= 0 && (end < 0 || i < end) {
			end, length = i, len(stop)
		}
	}
	if end < 0 {
		return n
	}
	return n + end + length
}
