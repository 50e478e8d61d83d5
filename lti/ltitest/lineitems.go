package ltitest

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Media types of AGS 2.0.
const (
	typeLineItem  = "application/vnd.ims.lis.v2.lineitem+json"
	typeLineItems = "application/vnd.ims.lis.v2.lineitemcontainer+json"
	typeResults   = "application/vnd.ims.lis.v2.resultcontainer+json"
	typeScore     = "application/vnd.ims.lis.v1.score+json"
)

// A LineItem is a column of the grade book.
type LineItem struct {
	// ID is its address. It is filled in by [Platform.AddLineItem].
	ID string
	// Label is its name, ScoreMaximum the highest score.
	Label        string
	ScoreMaximum float64
	// ResourceID and Tag are the tool's, ResourceLinkID is the platform's.
	ResourceID, Tag, ResourceLinkID string
}

// lineItem is a line item, as JSON.
type lineItem struct {
	number int
	tool   *tool
	obj    map[string]any
	scores []*Score
	latest map[string]time.Time // by user: the newest timestamp
}

// AddLineItem makes a line item of a tool in a course, as a teacher does, and
// returns it with its ID. Empty ids mean the first tool and the first course.
func (p *Platform) AddLineItem(clientID, courseID string, i LineItem) LineItem {
	defer p.lock()()
	crs := p.mustCourse(courseID)
	obj := map[string]any{"label": i.Label, "scoreMaximum": i.ScoreMaximum}
	for name, value := range map[string]string{"resourceId": i.ResourceID, "tag": i.Tag, "resourceLinkId": i.ResourceLinkID} {
		if value != "" {
			obj[name] = value
		}
	}
	item := p.newItem(crs, p.mustTool(clientID), obj)
	i.ID = p.lineItemURL(crs, item)
	return i
}

func (p *Platform) newItem(crs *course, t *tool, obj map[string]any) *lineItem {
	item := &lineItem{number: 900 + p.next(), tool: t, obj: obj, latest: make(map[string]time.Time)}
	item.obj["id"] = p.lineItemURL(crs, item)
	crs.items = append(crs.items, item)
	return item
}

// LineItems returns the line items of a course, the first one if courseID is
// empty, as they are in JSON.
func (p *Platform) LineItems(courseID string) []map[string]any {
	defer p.lock()()
	var out []map[string]any
	for _, i := range p.mustCourse(courseID).items {
		out = append(out, maps.Clone(i.obj))
	}
	return out
}

// itemOf returns the line item of a message: the one that it names, or the only
// one of its link.
func (p *Platform) itemOf(crs *course, t *tool, m *Message) *lineItem {
	var of []*lineItem
	for _, i := range crs.items {
		if m.LineItem != "" && i.obj["id"] == m.LineItem {
			return i
		}
		if i.tool == t && i.obj["resourceLinkId"] == m.ResourceLink {
			of = append(of, i)
		}
	}
	if len(of) == 1 && m.Type != DeepLinkingRequest {
		return of[0]
	}
	return nil
}

// item returns the line item in the path, if it is one of the tool: others do not
// exist for it.
func (c *call) item(crs *course, t *tool) *lineItem {
	for _, i := range crs.items {
		if i.tool == t && itoa(i.number) == c.r.PathValue("item") {
			return i
		}
	}
	return nil
}

// graded finds what a request to a line item is about.
func (c *call) graded(scopes ...string) (*tool, *course, *lineItem, answer, bool) {
	t, a, ok := c.bearer(scopes...)
	if !ok {
		return nil, nil, nil, a, false
	}
	if c.misaddressed() {
		return nil, nil, nil, lost(), false
	}
	crs := c.course()
	if crs == nil {
		return nil, nil, nil, notFound(), false
	}
	if c.r.PathValue("item") == "" {
		return t, crs, nil, answer{}, true
	}
	item := c.item(crs, t)
	if item == nil {
		return nil, nil, nil, notFound(), false
	}
	return t, crs, item, answer{}, true
}

func (p *Platform) listLineItems(c *call) answer {
	t, crs, _, a, ok := c.graded(ScopeLineItem, ScopeLineItemReadOnly)
	if !ok {
		return a
	}
	if !c.wants(typeLineItems) {
		return notAcceptable(typeLineItems)
	}
	list := []any{}
	for _, i := range crs.items {
		fits := i.tool == t
		for param, name := range map[string]string{"resource_link_id": "resourceLinkId", "resource_id": "resourceId", "tag": "tag"} {
			if values, ok := c.query[param]; ok {
				fits = fits && i.obj[name] == values[0]
			}
		}
		if fits {
			list = append(list, i.obj)
		}
	}
	from, to, links := c.page(len(list))
	out := typed(http.StatusOK, typeLineItems, list[from:to])
	out.header = links
	return out
}

func (p *Platform) createLineItem(c *call) answer {
	t, crs, _, a, ok := c.graded(ScopeLineItem)
	if !ok {
		return a
	}
	if c.mediaType() != typeLineItem {
		return unsupported(typeLineItem)
	}
	obj, err := c.object()
	if err == nil {
		err = crs.checkItem(obj)
	}
	if err != nil {
		return failure(http.StatusUnprocessableEntity, err.Error())
	}
	delete(obj, "id")
	return typed(http.StatusCreated, typeLineItem, p.newItem(crs, t, obj).obj)
}

// checkItem checks what a tool wants a line item to be (AGS 2.0, section 3.2).
func (crs *course) checkItem(obj map[string]any) error {
	if names := unknownNames(obj, "id", "label", "scoreMaximum", "resourceId", "tag", "resourceLinkId", "startDateTime", "endDateTime", "gradesReleased"); len(names) > 0 {
		return fmt.Errorf("unknown members: %s", strings.Join(names, ", "))
	}
	label, _ := obj["label"].(string)
	highest, _ := obj["scoreMaximum"].(float64)
	if strings.TrimSpace(label) == "" || highest <= 0 {
		return errors.New("label must be a text, and scoreMaximum a number above 0")
	}
	for _, name := range []string{"resourceId", "tag", "resourceLinkId"} {
		text, isText := obj[name].(string)
		if v, there := obj[name]; there && v != nil && (!isText || len(text) > 256) {
			return fmt.Errorf("%s must be a text of at most 256 characters", name)
		}
	}
	for _, name := range []string{"startDateTime", "endDateTime"} {
		if v, there := obj[name]; there && v != nil {
			text, _ := v.(string)
			if _, err := time.Parse(time.RFC3339Nano, text); err != nil {
				return fmt.Errorf("%s must be a time with a zone", name)
			}
		}
	}
	if link, ok := obj["resourceLinkId"].(string); ok && !crs.hasLink(link) {
		return errors.New("resourceLinkId is not a link of this course")
	}
	return nil
}

// hasLink reports whether a resource link exists: it was launched, or is the one
// that is always there.
func (crs *course) hasLink(id string) bool {
	return id == crs.ID || id == "link-"+itoa(crs.number) || slices.Contains(crs.links, id)
}

func (p *Platform) getLineItem(c *call) answer {
	_, _, item, a, ok := c.graded(ScopeLineItem, ScopeLineItemReadOnly)
	if !ok {
		return a
	}
	if !c.wants(typeLineItem) {
		return notAcceptable(typeLineItem)
	}
	return typed(http.StatusOK, typeLineItem, item.obj)
}

func (p *Platform) putLineItem(c *call) answer {
	_, crs, item, a, ok := c.graded(ScopeLineItem)
	if !ok {
		return a
	}
	if c.mediaType() != typeLineItem {
		return unsupported(typeLineItem)
	}
	obj, err := c.object()
	if err == nil {
		err = crs.checkItem(obj)
	}
	if id, there := obj["id"]; err == nil && there && id != item.obj["id"] {
		err = errors.New("id is that of another line item")
	}
	if link := obj["resourceLinkId"]; err == nil && link != item.obj["resourceLinkId"] && item.obj["resourceLinkId"] != nil {
		err = errors.New("resourceLinkId cannot be changed")
	}
	if err != nil {
		return failure(http.StatusUnprocessableEntity, err.Error())
	}
	obj["id"] = item.obj["id"]
	item.obj = obj
	return typed(http.StatusOK, typeLineItem, item.obj)
}

func (p *Platform) deleteLineItem(c *call) answer {
	_, crs, item, a, ok := c.graded(ScopeLineItem)
	if !ok {
		return a
	}
	crs.items = slices.DeleteFunc(crs.items, func(i *lineItem) bool { return i == item })
	return answer{status: http.StatusNoContent}
}

func number(v any) (float64, bool) {
	f, ok := v.(float64)
	return f, ok
}
