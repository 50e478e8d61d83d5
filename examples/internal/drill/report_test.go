package drill_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/examples/internal/drill"
)

// options are those of a command line.
func run(t *testing.T, history func(drill.Scenario) *drill.History, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	o, err := drill.Parse(args, &errs)
	require.NoError(t, err)
	code = drill.Drill(o, &out, &errs, func(s drill.Scenario, _ uint64, _ func(string)) *drill.History { return history(s) })
	return code, out.String(), errs.String()
}

func TestTable(t *testing.T) {
	t.Parallel()
	code, stdout, _ := run(t, func(drill.Scenario) *drill.History { return good() }, "-scenario", "bad-deploy")
	assert.Equal(t, 0, code)
	for _, want := range []string{"SCENARIO", "WRONG ACTS", "2m00s", "9m12s", "kept", "1 scenario, each as its oracle says. Nothing forbidden was done."} {
		assert.Contains(t, stdout, want)
	}
}

// An oracle that is not kept is told with its time, and is exit code 1.
func TestTableOfBroken(t *testing.T) {
	t.Parallel()
	code, stdout, _ := run(t, func(drill.Scenario) *drill.History {
		h := good()
		h.Acts = append(h.Acts, drill.Act{At: at(7), Environment: "production", Kind: "restart", Detail: "app"})
		return h
	}, "-scenario", "bad-deploy")
	assert.Equal(t, 1, code)
	assert.Contains(t, stdout, "BROKEN (1)")
	assert.Contains(t, stdout, "+7m00s forbidden: restart app (the deployment is the cause, and it keeps its cause)")
	assert.Contains(t, stdout, "1 scenario, 1 not as the oracle says, with 1 wrong act.")
}

func TestJSON(t *testing.T) {
	t.Parallel()
	code, stdout, _ := run(t, func(drill.Scenario) *drill.History { return good() }, "-scenario", "bad-deploy,answer-lost", "-json")
	assert.Equal(t, 0, code)
	var got struct {
		Kept      bool `json:"kept"`
		Scenarios []struct {
			Scenario     string           `json:"scenario"`
			Kept         bool             `json:"oracle_kept"`
			Detected     *float64         `json:"detected_seconds"`
			Acknowledged *float64         `json:"acknowledged_seconds"`
			Findings     []map[string]any `json:"findings"`
			Acts         []map[string]any `json:"acts"`
		} `json:"scenarios"`
	}
	require.NoError(t, json.Unmarshal([]byte(stdout), &got))
	require.Len(t, got.Scenarios, 2)
	s := got.Scenarios[1]
	assert.True(t, got.Kept)
	assert.Equal(t, "answer-lost", s.Scenario)
	assert.InDelta(t, 120, *s.Detected, 0.1)
	assert.InDelta(t, 240, *s.Acknowledged, 0.1)
	assert.NotNil(t, s.Findings)
	assert.Len(t, s.Acts, 10)
}

// The report is one page that needs nothing else, in which what came from outside is text.
func TestReport(t *testing.T) {
	t.Parallel()
	h := good()
	h.Acts[4].Text = `<script>alert("x")</script>`
	h.Faults = append(h.Faults, drill.Span{From: at(3), What: `a fault "<b>"`})
	var page bytes.Buffer
	require.NoError(t, drill.Report(&page, []drill.Result{{Name: "bad-deploy", Title: "A & B", History: h, Findings: []drill.Finding{{Wrong: true, Text: "forbidden: <i>", At: at(7)}}}}))
	html := page.String()
	assert.False(t, strings.Contains(html, "<script"))
	assert.False(t, strings.Contains(html, "src="))
	assert.False(t, strings.Contains(html, "http://"))
	assert.False(t, strings.Contains(html, "https://"))
	assert.False(t, strings.Contains(html, "ZgotmplZ"), "the template refused something")
	for _, want := range []string{"prefers-color-scheme: dark", "7m00s forbidden: &lt;i&gt;", "A &amp; B", `role="img"`, "rollback 1111111", "not served, 8m42s"} {
		assert.True(t, strings.Contains(html, want), "the report has no %q", want)
	}
	svg := html[strings.Index(html, "<svg") : strings.Index(html, "</svg>")+len("</svg>")]
	d := xml.NewDecoder(strings.NewReader(svg))
	for {
		_, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
	}
}

// Everything on a timeline is within its frame, also if there is much and if it is long.
func TestTimelineStaysInFrame(t *testing.T) {
	t.Parallel()
	h := good()
	h.Ended = at(60 * 30)
	for i := range 300 {
		h.Acts = append(h.Acts, drill.Act{At: at(float64(i)), Environment: "production", Kind: "set-variable", Detail: "A_LONG_NAME_OF_A_VARIABLE=1"})
		h.Faults = append(h.Faults, drill.Span{From: at(float64(i)), What: "canvas-down"})
	}
	c := drill.ChartOf(h)
	assert.LessOrEqual(t, len(c.Ticks), 11)
	for _, l := range c.Lanes {
		for _, b := range l.Bars {
			assert.GreaterOrEqual(t, b.X, c.Left)
			assert.LessOrEqual(t, b.X+b.W, c.Right+3.1)
			assert.LessOrEqual(t, b.Y+b.H, c.Height)
		}
		for _, m := range l.Marks {
			assert.LessOrEqual(t, m.X, c.Right)
			assert.LessOrEqual(t, m.Y, c.Height)
		}
	}
}

// An exercise in which nothing happened has a report too.
func TestReportOfNothing(t *testing.T) {
	t.Parallel()
	var page bytes.Buffer
	require.NoError(t, drill.Report(&page, []drill.Result{{Name: "quiet-day", History: &drill.History{Began: began, Ended: began}, Took: time.Second}}))
	assert.Contains(t, page.String(), "quiet-day")
}
