package canvas

import (
	"context"
	"iter"
	"net/http"
	"net/url"
)

// A Module is a part of a course (docs: Modules).
type Module struct {
	// ID is Canvas's number for the module.
	ID ID `json:"id"`
	// Name is its name.
	Name string `json:"name"`
	// Position is its place in the course, from 1.
	Position int `json:"position"`
	// Published says whether students see it. It is absent for who may not
	// edit the course.
	Published Null[bool] `json:"published"`
	// UnlockAt is when it opens.
	UnlockAt Null[Time] `json:"unlock_at"`
	// Prerequisites are the modules that must be completed before.
	Prerequisites []ID `json:"prerequisite_module_ids"`
	// Sequential says that its items must be worked through in order.
	Sequential Null[bool] `json:"require_sequential_progress"`
	// State is "active" or "deleted".
	State string `json:"workflow_state"`
	// ItemsCount is how many items it has.
	ItemsCount int `json:"items_count"`
	// Items are the items. Only [Client.Modules] asks for them, and Canvas
	// leaves them out, absent or null, when they are many: then
	// [Client.ModuleItems] has them.
	Items Null[[]ModuleItem] `json:"items"`
}

// A ModuleItem is what a module leads to (docs: Modules).
type ModuleItem struct {
	// ID is Canvas's number for the item.
	ID ID `json:"id"`
	// ModuleID is the module.
	ModuleID ID `json:"module_id"`
	// Title is its title.
	Title string `json:"title"`
	// Position is its place in the module, from 1.
	Position int `json:"position"`
	// Indent is how far it is indented, from 0.
	Indent int `json:"indent"`
	// Type is "File", "Page", "Discussion", "Assignment", "Quiz", "SubHeader",
	// "ExternalUrl" or "ExternalTool".
	Type string `json:"type"`
	// ContentID is what it leads to, unless that is a page, an address or
	// nothing.
	ContentID Null[ID] `json:"content_id"`
	// PageURL is the [Page].URL of a page.
	PageURL Null[string] `json:"page_url"`
	// ExternalURL is the address of an external page or tool.
	ExternalURL Null[string] `json:"external_url"`
	// NewTab says that it opens in a new tab of the browser.
	NewTab Null[bool] `json:"new_tab"`
	// Published says whether students see it. It is absent for who may not
	// edit the course.
	Published Null[bool] `json:"published"`
	// HTMLURL is where people see it.
	HTMLURL string `json:"html_url"`
}

// A ModuleChange is what a module is to be like. Absent fields stay as they are.
type ModuleChange struct {
	// Name is the name.
	Name Null[string] `json:"name,omitzero"`
	// Position is the place in the course, from 1.
	Position Null[int] `json:"position,omitzero"`
	// UnlockAt is when it opens; null means at once.
	UnlockAt Null[Time] `json:"unlock_at,omitzero"`
	// Published says whether students see it. Only an update can set it.
	Published Null[bool] `json:"published,omitzero"`
}

// A ModuleItemChange is what an item is to be like. Absent fields stay as they
// are.
type ModuleItemChange struct {
	// Title is the title.
	Title Null[string] `json:"title,omitzero"`
	// Type is as in [ModuleItem], for a new item.
	Type Null[string] `json:"type,omitzero"`
	// ContentID is as in [ModuleItem], for a new item.
	ContentID Null[ID] `json:"content_id,omitzero"`
	// PageURL is as in [ModuleItem], for a new item.
	PageURL Null[string] `json:"page_url,omitzero"`
	// ExternalURL is as in [ModuleItem].
	ExternalURL Null[string] `json:"external_url,omitzero"`
	// Position is the place in the module, from 1.
	Position Null[int] `json:"position,omitzero"`
	// NewTab says that an external tool opens in a new tab of the browser.
	NewTab Null[bool] `json:"new_tab,omitzero"`
	// Published says whether students see it. Only an update can set it.
	Published Null[bool] `json:"published,omitzero"`
}

// Modules lists the modules of a course, with their items unless these are too
// many (docs: Modules, "List modules").
func (c *Client) Modules(ctx context.Context, course Ref) iter.Seq2[Module, error] {
	return list[Module](ctx, c, "list modules", Path("courses", string(course), "modules"), url.Values{"include[]": {"items"}})
}

// GetModule returns a module (docs: Modules, "Show module").
func (c *Client) GetModule(ctx context.Context, course, module Ref) (Module, error) {
	return get[Module](ctx, c, "get module", Path("courses", string(course), "modules", string(module)), nil)
}

// CreateModule makes a module, which needs a name (docs: Modules, "Create a
// module"). It is not repeated after a failure: a second one would be another
// module.
func (c *Client) CreateModule(ctx context.Context, course Ref, module ModuleChange) (Module, error) {
	path := Path("courses", string(course), "modules")
	return change[Module](ctx, c, "create module", http.MethodPost, path, map[string]any{"module": module}, false)
}

// UpdateModule changes a module. It sets values, and is repeated after a failure
// (docs: Modules, "Update a module").
func (c *Client) UpdateModule(ctx context.Context, course, module Ref, to ModuleChange) (Module, error) {
	path := Path("courses", string(course), "modules", string(module))
	return change[Module](ctx, c, "update module", http.MethodPut, path, map[string]any{"module": to}, true)
}

// DeleteModule deletes a module, and not what its items lead to (docs: Modules,
// "Delete module"). It is repeated after a failure, so that [ErrNotFound] may
// mean that the first attempt did it.
func (c *Client) DeleteModule(ctx context.Context, course, module Ref) error {
	return remove(ctx, c, "delete module", Path("courses", string(course), "modules", string(module)), nil)
}

// ModuleItems lists the items of a module (docs: Modules, "List module items").
func (c *Client) ModuleItems(ctx context.Context, course, module Ref) iter.Seq2[ModuleItem, error] {
	return list[ModuleItem](ctx, c, "list module items", Path("courses", string(course), "modules", string(module), "items"), nil)
}

// GetModuleItem returns an item (docs: Modules, "Show module item").
func (c *Client) GetModuleItem(ctx context.Context, course, module, item Ref) (ModuleItem, error) {
	return get[ModuleItem](ctx, c, "get module item", Path("courses", string(course), "modules", string(module), "items", string(item)), nil)
}

// CreateModuleItem makes an item (docs: Modules, "Create a module item"). It is
// not repeated after a failure: a second one would be another item.
func (c *Client) CreateModuleItem(ctx context.Context, course, module Ref, item ModuleItemChange) (ModuleItem, error) {
	path := Path("courses", string(course), "modules", string(module), "items")
	return change[ModuleItem](ctx, c, "create module item", http.MethodPost, path, map[string]any{"module_item": item}, false)
}

// UpdateModuleItem changes an item. It sets values, and is repeated after a
// failure (docs: Modules, "Update a module item").
func (c *Client) UpdateModuleItem(ctx context.Context, course, module, item Ref, to ModuleItemChange) (ModuleItem, error) {
	path := Path("courses", string(course), "modules", string(module), "items", string(item))
	return change[ModuleItem](ctx, c, "update module item", http.MethodPut, path, map[string]any{"module_item": to}, true)
}

// DeleteModuleItem deletes an item, and not what it leads to (docs: Modules,
// "Delete module item"). It is repeated after a failure, so that [ErrNotFound]
// may mean that the first attempt did it.
func (c *Client) DeleteModuleItem(ctx context.Context, course, module, item Ref) error {
	return remove(ctx, c, "delete module item", Path("courses", string(course), "modules", string(module), "items", string(item)), nil)
}
