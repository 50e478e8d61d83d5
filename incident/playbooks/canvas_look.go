package playbooks

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/incident"
)

// Diagnosed is a diagnosis, cut to what a record can keep.
type Diagnosed struct {
	// Findings are what may be wrong, the urgent and the likely ones first. More is how
	// many there are beyond those.
	Findings []incident.Finding `json:"findings,omitempty"`
	More     int                `json:"more,omitempty"`
	// Right is how many things were looked at and are right, NotChecked what could not be
	// looked at, and why.
	Right      int      `json:"right"`
	NotChecked []string `json:"not_checked,omitempty"`
}

// certain returns the findings that are urgent, or of which it is certain that they are
// why it does not work.
func (d Diagnosed) certain() (all []incident.Finding) {
	for _, f := range d.Findings {
		if f.Urgent || f.Likelihood == incident.Certain {
			all = append(all, f)
		}
	}
	return all
}

// diagnosed makes of a diagnosis what is kept of it.
func diagnosed(from incident.Diagnosis) Diagnosed {
	const most, lines, length = 20, 4, 300
	d := Diagnosed{Right: len(from.Checked), More: max(len(from.Findings)-most, 0)}
	for _, f := range from.Findings[:min(len(from.Findings), most)] {
		var evidence []string
		for _, e := range f.Evidence[:min(len(f.Evidence), lines)] {
			evidence = append(evidence, cut(e, length))
		}
		f.Title, f.Remedy, f.Evidence = cut(f.Title, length), cut(f.Remedy, length), evidence
		d.Findings = append(d.Findings, f)
	}
	for _, n := range from.NotChecked[:min(len(from.NotChecked), most)] {
		d.NotChecked = append(d.NotChecked, cut(n.What+": "+n.Why, length))
	}
	return d
}

// cut returns a text of at most so many bytes, and no half letter at its end.
func cut(text string, most int) string {
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "..."
}

// diagnosis is a step that diagnoses the LTI configuration.
func (e Environment) diagnosis(id string) incident.Step {
	return incident.Step{
		ID: id, Title: "Diagnose the LTI configuration", Needs: []incident.Need{incident.Needs("Doctor", e.Doctor)},
		Timeout: 2 * time.Minute, OnFailure: incident.GoOn,
		Do: incident.Check{Run: func(ctx context.Context, _ *incident.Scope) (any, error) {
			found, err := e.Doctor.Diagnose(ctx)
			if err != nil {
				return nil, err
			}
			return diagnosed(found), nil
		}},
	}
}

// KeyFound is what a look at the developer key found.
type KeyFound struct {
	// On says that it works; Reason why it does not although its switch is on.
	On     bool   `json:"on"`
	Reason string `json:"reason,omitempty"`
	// Name is what people call it, LastUsed when it was last used.
	Name     string    `json:"name,omitempty"`
	LastUsed time.Time `json:"last_used,omitzero"`
	// Missing means that Canvas has no such key.
	Missing bool `json:"missing,omitempty"`
}

// developerKey is a step that looks at the developer key in Canvas.
func (e Environment) developerKey(id string) incident.Step {
	return incident.Step{
		ID: id, Title: "Look at the developer key in Canvas", Timeout: 30 * time.Second, OnFailure: incident.GoOn,
		When: func(*incident.Scope) (bool, string) {
			return e.PlatformKeys != nil && e.Key != "", "this environment cannot read developer keys"
		},
		Do: incident.Check{Run: func(ctx context.Context, _ *incident.Scope) (any, error) {
			k, err := e.PlatformKeys.PlatformKey(ctx, e.Key)
			switch {
			case errors.Is(err, incident.ErrNotFound):
				return KeyFound{Missing: true}, nil
			case err != nil:
				return nil, err
			}
			return KeyFound{On: k.On, Reason: k.Reason, Name: k.Name, LastUsed: k.LastUsed}, nil
		}},
	}
}

// fine reports whether the thing was seen to work, though perhaps not well.
func (f Found) fine() bool { return f.Status == health.Healthy || f.Status == health.Degraded }

// canvasAway says why Canvas itself is why things do not work; empty if it is not known
// to be. host and status are the looks at Canvas and at what its operator says.
func canvasAway(s *incident.Scope, host, status string) string {
	front, says := saw(s, host), saw(s, status)
	switch {
	case says.Status == health.Maintenance || front.Status == health.Maintenance:
		return "Canvas is in maintenance: " + cmp.Or(says.Message, front.Message)
	case front.down():
		return "Canvas itself does not answer: " + front.String()
	case says.down():
		return "the operator of Canvas says that it has a fault: " + says.String()
	}
	return ""
}

// outlasting is the time of a run that may wait for Canvas or for the platform: when that
// has been waited for in vain, a person is asked, and has a day for the answer.
func (d Defaults) outlasting() time.Duration { return d.CanvasAway + 24*time.Hour }

// waitForCanvas is a step that asks Canvas until it is back, twice in a row.
func (e Environment) waitForCanvas(id string, replaces ...string) incident.Step {
	d := e.Defaults.WithDefaults()
	return incident.Step{
		ID: id, Title: "Wait until Canvas is back", Timeout: 30 * time.Second, Replaces: replaces,
		Do: incident.Verify{Within: d.CanvasAway, Every: d.CanvasPoll, Times: 2, Run: func(ctx context.Context, _ *incident.Scope) (any, error) {
			front, says := probe(ctx, e.Probes.CanvasHost), probe(ctx, e.Probes.CanvasStatus)
			switch {
			case !front.Missing && !front.fine():
				return nil, fmt.Errorf("canvas does not answer: %s", front)
			case says.Status == health.Maintenance || says.down():
				return nil, fmt.Errorf("the operator of Canvas does not say yet that it is over: %s", says)
			case front.Missing && says.Missing:
				return nil, incident.Final(errors.New("nothing here can see Canvas: neither its front page nor what its operator says"))
			}
			return front, nil
		}},
	}
}
