package canvas

import (
	"context"
	"encoding/json"
	"net/url"

	"go.acu.edu.au/runbook"
)

// LaunchOptions say what is launched. One of Tool, URL, AssignmentID and
// ModuleItemID is required.
type LaunchOptions struct {
	// Tool is the tool.
	Tool ID
	// URL is an address of the tool, by which Canvas finds it; with Tool, the
	// address to launch.
	URL string
	// Placement is where it is launched from: "course_navigation". Empty means
	// none in particular. It must be empty with AssignmentID and ModuleItemID.
	Placement string
	// AssignmentID is an assignment that is done in a tool. It needs a course.
	AssignmentID ID
	// ModuleItemID is a module item that is a tool. It needs a course.
	ModuleItemID ID
}

// A Launch is an address that launches a tool for the user of the token.
type Launch struct {
	// ID is that of the tool.
	ID ID `json:"id"`
	// Name is the name of the tool.
	Name string `json:"name"`
	// URL launches the tool in any browser, once and soon, as the user of the
	// token. Whoever has it can do so.
	URL runbook.Secret `json:"-"`
}

// UnmarshalJSON reads a launch and hides its address at once.
func (l *Launch) UnmarshalJSON(data []byte) error {
	type fields Launch
	in := struct {
		*fields
		URL hidden `json:"url"`
	}{fields: (*fields)(l)}
	if err := json.Unmarshal(data, &in); err != nil {
		return err
	}
	l.URL = in.URL.text
	return nil
}

// SessionlessLaunch returns an address that launches a tool without a session in
// the browser (docs: External Tools, "Get a sessionless launch url for an
// external tool"). It needs a token of a user who may see the tool, and no
// scopes. It is a read, and is repeated after a failure.
func (c *Client) SessionlessLaunch(ctx context.Context, in Place, opts LaunchOptions) (Launch, error) {
	const op = "launch tool"
	query := url.Values{}
	setID(query, "id", opts.Tool)
	setText(query, "url", opts.URL)
	setText(query, "launch_type", opts.Placement)
	special := 0
	if opts.AssignmentID != 0 {
		special++
		query.Set("launch_type", "assessment")
		setID(query, "assignment_id", opts.AssignmentID)
	}
	if opts.ModuleItemID != 0 {
		special++
		query.Set("launch_type", "module_item")
		setID(query, "module_item_id", opts.ModuleItemID)
	}
	switch {
	case special == 0 && opts.Tool == 0 && opts.URL == "":
		return Launch{}, refused(op, "neither a tool nor an address, assignment or module item is set")
	case special > 1 || special == 1 && opts.Placement != "":
		return Launch{}, refused(op, "an assignment, a module item and a placement exclude each other")
	}
	return call[Launch](ctx, c, Request{Op: op, Path: in.path("external_tools", "sessionless_launch"), Query: query})
}
