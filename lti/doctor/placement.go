package doctor

import (
	"fmt"
	"maps"
	"slices"

	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/lti"
)

// selects are the placements of Canvas from which content can be chosen: they may
// launch deep linking (canvas-lms, lib/lti/messages/deep_linking_request.rb and
// app/models/lti/resource_placement.rb). Where only is true nothing else makes
// sense, since the page waits for what was chosen.
var selects = map[string]struct{ only bool }{ //nolint:gochecknoglobals // constant
	"assignment_selection":      {},
	"collaboration":             {},
	"conference_selection":      {true},
	"course_assignments_menu":   {},
	"editor_button":             {true},
	"homework_submission":       {true},
	"link_selection":            {true},
	"migration_selection":       {true},
	"module_index_menu_modal":   {},
	"module_menu_modal":         {},
	"resource_selection":        {true},
	"submission_type_selection": {true},
	"ActivityAssetProcessor":    {},
}

// deepLinking looks at the deep linking address, at placements, and at what they
// launch.
func (x *exam) deepLinking() {
	if x.tool == nil {
		if x.cfg.DeepLinkURL != "" || len(x.cfg.Placements) > 0 {
			x.skip("placements and deep linking at the platform", "the tool's registration at the platform could not be read")
		}
		return
	}
	before := x.since()
	got := make(map[string]Placement)
	for _, p := range x.tool.Placements {
		got[p.Name] = p
	}
	x.wanted(got)
	linking := 0
	for _, name := range slices.Sorted(maps.Keys(got)) {
		p := got[name]
		if !p.Enabled {
			continue
		}
		x.fits(p)
		if p.MessageType == lti.MessageDeepLinking {
			linking++
			x.linkTarget(p)
		}
	}
	if x.cfg.DeepLinkURL != "" && linking == 0 && len(x.cfg.Placements) == 0 {
		var off []string
		for name, p := range got {
			if !p.Enabled && p.MessageType == lti.MessageDeepLinking {
				off = append(off, name)
			}
		}
		slices.Sort(off)
		x.finding("placement_off", incident.Certain, "No placement of the tool launches deep linking", "Switch a placement on in the tool's key, with the message type LtiDeepLinkingRequest.",
			"placements with deep linking that are off: "+list(off), "placements: "+list(slices.Sorted(maps.Keys(got))))
	}
	if x.since() == before && len(got) > 0 {
		x.right("%s at the platform, %d with deep linking", plural(len(got), "placement"), linking)
	}
}

// wanted looks for the placements that the tool should have.
func (x *exam) wanted(got map[string]Placement) {
	for _, want := range x.cfg.Placements {
		p, ok := got[want.Name]
		switch {
		case !ok:
			x.finding("placement_off", incident.Certain, "The tool has no placement "+quote(want.Name)+" at the platform", "Add the placement to the tool's key at the platform.",
				"placements: "+list(slices.Sorted(maps.Keys(got))))
			continue
		case !p.Enabled:
			x.finding("placement_off", incident.Certain, "The placement "+quote(want.Name)+" of the tool is switched off at the platform", "Switch the placement on in the tool's key at the platform.",
				"placement "+quote(want.Name)+" is off")
			continue
		}
		if want.MessageType != "" && p.MessageType != "" && want.MessageType != p.MessageType {
			x.finding("placement_message", incident.Certain, "The placement "+quote(want.Name)+" launches another message than the tool expects",
				"Set the message type "+want.MessageType+" for the placement in the tool's key at the platform.",
				"the platform launches "+quote(p.MessageType), "the tool expects "+quote(want.MessageType))
		}
		if want.TargetLinkURI != "" && target(p, x.tool) != want.TargetLinkURI {
			id := "target_link_uri"
			if p.MessageType == lti.MessageDeepLinking {
				id = "deep_link_url"
			}
			x.finding(id, incident.Certain, "The placement "+quote(want.Name)+" launches another address than it should",
				"Set the target link URI of the placement in the tool's key at the platform.", "the platform launches "+place(target(p, x.tool)), "it should be "+place(want.TargetLinkURI))
		}
	}
}

func target(p Placement, t *PlatformTool) string {
	if p.TargetLinkURI != "" {
		return p.TargetLinkURI
	}
	return t.TargetLinkURI
}

// fits looks whether a message type makes sense in its placement.
func (x *exam) fits(p Placement) {
	if x.examinedCanvas() == "" && !x.cfg.canvas() {
		return // the names are those of Canvas
	}
	s, chooses := selects[p.Name]
	switch {
	case p.MessageType == lti.MessageDeepLinking && !chooses:
		x.finding("placement_message", incident.Likely, "The placement "+quote(p.Name)+" launches deep linking, and nothing can be chosen there",
			"Set the message type LtiResourceLinkRequest for the placement in the tool's key at the platform.", "the platform launches "+quote(p.MessageType))
	case p.MessageType == lti.MessageResourceLink && s.only && !slices.ContainsFunc(x.cfg.Placements, func(want Placement) bool {
		return want.Name == p.Name && want.MessageType == p.MessageType
	}):
		x.finding("placement_message", incident.Possible, "The placement "+quote(p.Name)+" waits for content to be chosen, and launches no deep linking",
			"Set the message type LtiDeepLinkingRequest for the placement in the tool's key at the platform.", "the platform launches "+quote(p.MessageType))
	}
}

// examinedCanvas returns the placement that the token names, which only Canvas
// does.
func (x *exam) examinedCanvas() string {
	if x.examined == nil {
		return ""
	}
	return x.examined.Placement
}

// linkTarget compares the address that a placement launches for deep linking.
func (x *exam) linkTarget(p Placement) {
	to := target(p, x.tool)
	want := x.cfg.DeepLinkURL
	if slices.ContainsFunc(x.cfg.Placements, func(w Placement) bool { return w.Name == p.Name && w.TargetLinkURI != "" }) {
		return // was compared with that
	}
	switch {
	case to == "":
		x.finding("deep_link_url", incident.Certain, "The placement "+quote(p.Name)+" launches deep linking and has no address to launch",
			"Set the target link URI of the placement in the tool's key at the platform.", "neither the placement nor the tool has a target link URI")
	case want != "" && to != want:
		evidence := []string{"the platform launches " + place(to), "the deep linking address of the tool is " + place(want)}
		if place(to) == place(want) {
			evidence = append(evidence, "they differ behind the path")
		}
		x.finding("deep_link_url", incident.Certain, "The placement "+quote(p.Name)+" launches another address than the tool's for deep linking",
			"Set the tool's deep linking address as target link URI of the placement in its key at the platform.", evidence...)
	case want == "" && x.cfg.LaunchURL != "" && !sameOrigin(to, x.cfg.LaunchURL):
		x.finding("deep_link_url", incident.Likely, "The placement "+quote(p.Name)+" launches deep linking at another host than the tool's",
			"Correct the target link URI of the placement, or add its origin to the targets of the tool.", "the platform launches "+place(to), fmt.Sprintf("the launch address is %s", place(x.cfg.LaunchURL)))
	}
}
