package drill

import (
	_ "embed"
	"html/template"
	"io"
	"time"
)

//go:embed report.html
var page string

// reportPage is what the page is made of.
type reportPage struct {
	Verdict string
	Kept    bool
	Seed    uint64
	Took    string
	Rows    []reportRow
	Bans    []ban
}

// reportRow is a scenario on the page.
type reportRow struct {
	Name, Title                                 string
	Kept                                        bool
	Detected, Acknowledged, Mitigated, Resolved string
	Steps, Wrong, Messages                      int
	Findings                                    []string
	Chart                                       chart
	Events                                      []reportEvent
	Runs                                        []ran
}

// reportEvent is a line of the list of what happened.
type reportEvent struct{ At, Class, What, Text string }

// writeHTML writes the report as one page that needs nothing else: no script, no font, no
// picture from elsewhere.
func writeHTML(w io.Writer, results []result, seed uint64, span time.Duration) error {
	t, err := template.New("report").Parse(page)
	if err != nil {
		return err
	}
	p := reportPage{Verdict: verdict(results), Kept: len(broken(results)) == 0, Seed: seed, Took: span.Round(100 * time.Millisecond).String(), Bans: bans()}
	for _, r := range results {
		h, at := r.History, timesOf(r.History)
		row := reportRow{
			Name: r.Name, Title: r.Title, Kept: r.kept(), Detected: took(at.Detected), Acknowledged: took(at.Acknowledged), Mitigated: took(at.Mitigated),
			Resolved: took(at.Resolved), Steps: r.steps(), Wrong: r.wrong(), Messages: r.messages(), Chart: chartOf(h), Events: events(h), Runs: h.Runs,
		}
		row.Findings = r.lines()
		p.Rows = append(p.Rows, row)
	}
	return t.Execute(w, p)
}

// events lists what happened, for reading.
func events(h *history) (list []reportEvent) {
	for _, a := range h.Acts {
		class := "told"
		switch {
		case a.changing():
			class = "changed"
		case a.Kind == "secret-told":
			class = "bad"
		case !isMessage(a):
			class = "host"
		}
		list = append(list, reportEvent{At: after(a.At.Sub(h.Began)), Class: class, What: a.String(), Text: shorten(a.Text, 400)})
	}
	return list
}
