package incident_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/incident"
)

func finding(id string, l incident.Likelihood, urgent bool) incident.Finding {
	return incident.Finding{ID: id, Title: "The " + id + " is wrong", Likelihood: l, Urgent: urgent, Evidence: []string{"it was seen"}, Remedy: "Mend it."}
}

func TestDiagnosisOrder(t *testing.T) {
	d := incident.Diagnosis{Time: time.Now(), Subject: "a test", Findings: []incident.Finding{
		finding("a", incident.Possible, false), finding("b", incident.Certain, false), finding("c", incident.Likely, false),
		finding("d", incident.Possible, true), finding("e", incident.Certain, false),
	}}
	require.ErrorContains(t, d.Validate(), "not in order")
	d.Sort()
	require.NoError(t, d.Validate())
	var ids string
	for _, f := range d.Findings {
		ids += f.ID
	}
	assert.Equal(t, "dbeca", ids, "urgent, then likely, then as they came")
	_, found := d.Finding("c")
	assert.True(t, found)
	_, found = d.Finding("z")
	assert.False(t, found)
}

func TestDiagnosisValidate(t *testing.T) {
	right := incident.Diagnosis{Time: time.Now(), Subject: "a test", Checked: []string{"all of it"}}
	require.NoError(t, right.Validate())
	for name, tc := range map[string]struct {
		change func(*incident.Diagnosis)
		want   string
	}{
		"no time":         {func(d *incident.Diagnosis) { d.Time = time.Time{} }, "Time is missing"},
		"no subject":      {func(d *incident.Diagnosis) { d.Subject = " " }, "the subject must be one line"},
		"nothing":         {func(d *incident.Diagnosis) { d.Checked = nil }, "it says nothing"},
		"two lines":       {func(d *incident.Diagnosis) { d.Checked[0] = "a\nb" }, "what was checked must be one line"},
		"no reason":       {func(d *incident.Diagnosis) { d.NotChecked = []incident.NotChecked{{What: "b"}} }, "why it was not checked must be one line"},
		"ID with a space": {func(d *incident.Diagnosis) { d.Findings[0].ID = "a b" }, "finding 1: the ID"},
		"no title":        {func(d *incident.Diagnosis) { d.Findings[0].Title = "" }, "finding 1: the title"},
		"no remedy":       {func(d *incident.Diagnosis) { d.Findings[0].Remedy = "" }, "finding 1: the remedy"},
		"no evidence":     {func(d *incident.Diagnosis) { d.Findings[0].Evidence = nil }, "there is no evidence"},
		"empty evidence":  {func(d *incident.Diagnosis) { d.Findings[0].Evidence = []string{""} }, "each piece of evidence must be one line"},
		"no likelihood":   {func(d *incident.Diagnosis) { d.Findings[0].Likelihood = 7 }, "likelihood(7) is not a likelihood"},
	} {
		t.Run(name, func(t *testing.T) {
			d := incident.Diagnosis{Time: time.Now(), Subject: "a test", Checked: []string{"b"}, Findings: []incident.Finding{finding("a", incident.Likely, false)}}
			if name == "nothing" {
				d.Findings = nil
			}
			tc.change(&d)
			require.ErrorContains(t, d.Validate(), tc.want)
		})
	}
}

func TestClear(t *testing.T) {
	d := incident.Diagnosis{Checked: []string{"all"}}
	assert.True(t, d.Clear())
	d.NotChecked = []incident.NotChecked{{What: "a", Why: "b"}}
	assert.False(t, d.Clear(), "something was left out")
	assert.False(t, incident.Diagnosis{}.Clear(), "nothing was looked at")
	assert.False(t, incident.Diagnosis{Checked: []string{"a"}, Findings: make([]incident.Finding, 1)}.Clear())
}

// A diagnosis is kept by durable runs, and comes back as it was.
func TestDiagnosisJSON(t *testing.T) {
	want := incident.Diagnosis{
		Time: time.Date(2026, 11, 27, 3, 0, 0, 0, time.UTC), Subject: "a test", Findings: []incident.Finding{finding("a", incident.Certain, true)},
		Checked: []string{"b"}, NotChecked: []incident.NotChecked{{What: "c", Why: "d"}},
	}
	text, err := json.Marshal(want)
	require.NoError(t, err)
	assert.Contains(t, string(text), `"certain"`)
	var got incident.Diagnosis
	require.NoError(t, json.Unmarshal(text, &got))
	assert.Equal(t, want, got)
	require.Error(t, json.Unmarshal([]byte(`{"Findings":[{"Likelihood":"maybe"}]}`), &got))
	_, err = json.Marshal(incident.Likelihood(9))
	require.Error(t, err)
}

func ExampleDiagnosis_String() {
	d := incident.Diagnosis{
		Time: time.Now(), Subject: "the database",
		Findings: []incident.Finding{{
			ID: "disk_full", Title: "The disk of the database is nearly full", Likelihood: incident.Likely,
			Evidence: []string{"96 % of 100 GB are used"}, Remedy: "Enlarge the volume to 200 GB.",
		}},
		Checked:    []string{"connections: 12 of 100"},
		NotChecked: []incident.NotChecked{{What: "slow queries", Why: "pg_stat_statements is not installed"}},
	}
	fmt.Print(d)
	// Output:
	// the database: 1 finding, 1 right, 1 not looked at
	// 1. The disk of the database is nearly full (likely, disk_full)
	//    - 96 % of 100 GB are used
	//    Do: Enlarge the volume to 200 GB.
	// Right: connections: 12 of 100
	// Not looked at: slow queries: pg_stat_statements is not installed
}
