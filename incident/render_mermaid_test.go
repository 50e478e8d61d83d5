package incident_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// A chart is what a flow chart is made of.
type chart struct {
	nodes, frames, lines int
	edges                map[string]int // by what is said on them
}

// The lines of Mermaid's flow charts that are used here, by its grammar
// (https://github.com/mermaid-js/mermaid, packages/mermaid/src/diagrams/flowchart/parser/flow.jison).
// In a label between quotes, anything but a quote may be; what is written by its number
// is shown as its character. What is allowed here is much less.
var (
	chartLabel = `"((?:[\p{L}\p{Nd}\p{M} .,\-+/()?]|#[0-9]{1,7};)+)"`
	chartShape = `(?:\[` + chartLabel + `\]|\[\[` + chartLabel + `\]\]|\(` + chartLabel + `\)|\(\[` + chartLabel + `\]\)|\{` + chartLabel + `\}|\{\{` + chartLabel + `\}\}|>` + chartLabel + `\]|\[/` + chartLabel + `/\])`
	chartNode  = regexp.MustCompile(`^    (n[0-9]+)` + chartShape + `:::([a-z]+)$`)
	chartFrame = regexp.MustCompile(`^    subgraph (n[0-9]+)\[` + chartLabel + `\]$`)
	chartEdge  = regexp.MustCompile(`^    (n[0-9]+) (?:-->|-- ` + chartLabel + ` -->|-\. ` + chartLabel + ` \.->) (n[0-9]+)$`)
	chartClass = regexp.MustCompile(`^    classDef ([a-z]+) fill:#[0-9a-f]{3,6},stroke:#[0-9a-f]{3,6},color:#[0-9a-f]{3,6}$`)
)

// soundChart checks that a text is a flow chart: each line is one that Mermaid knows,
// frames end, each node is made once, and edges and classes are of what there is.
func soundChart(t *testing.T, text string) chart {
	t.Helper()
	c := chart{edges: make(map[string]int)}
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	assert.Equal(t, "flowchart TD", lines[0])
	c.lines = len(lines)
	made, used, classes, open := make(map[string]bool), []string{}, make(map[string]bool), 0
	var wanted []string
	make1 := func(name string) {
		assert.False(t, made[name], "%s is made twice", name)
		made[name] = true
		c.nodes++
	}
	for _, line := range lines[1:] {
		if m := chartNode.FindStringSubmatch(line); m != nil {
			make1(m[1])
			wanted = append(wanted, m[len(m)-1])
		} else if m := chartFrame.FindStringSubmatch(line); m != nil {
			make1(m[1])
			c.frames++
			open++
		} else if line == "    end" {
			open--
			assert.GreaterOrEqual(t, open, 0, "an end too many")
		} else if m := chartEdge.FindStringSubmatch(line); m != nil {
			used = append(used, m[1], m[4])
			c.edges[m[2]+m[3]]++
		} else if m := chartClass.FindStringSubmatch(line); m != nil {
			classes[m[1]] = true
		} else {
			t.Errorf("line %q is none of a flow chart", line)
		}
	}
	assert.Zero(t, open, "a frame does not end")
	for _, name := range used {
		assert.True(t, made[name], "an edge of %s, which is not there", name)
	}
	for _, class := range wanted {
		assert.True(t, classes[class], "class %s is not there", class)
	}
	return c
}

// The checker notices what Mermaid would not draw.
func TestChartChecker(t *testing.T) {
	t.Parallel()
	assert.NotRegexp(t, chartNode, `    n1["a "quoted" text"]:::check`)
	assert.NotRegexp(t, chartNode, `    n1["%%{init}%%"]:::check`)
	assert.NotRegexp(t, chartNode, `    n1[plain]:::check`)
	assert.NotRegexp(t, chartEdge, `    n1 --> end`)
	assert.Regexp(t, chartNode, `    n1[["May #34;it#34; be?"]]:::action`)
}
