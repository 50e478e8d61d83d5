package ltitest

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
)

const typeMembers = "application/vnd.ims.lti-nrps.v2.membershipcontainer+json"

// listMembers is the membership service (NRPS 2.0, section 2.4).
func (p *Platform) listMembers(c *call) answer {
	t, a, ok := c.bearer(ScopeMembership)
	if !ok {
		return a
	}
	crs := c.course()
	link := c.query.Get("rlid")
	switch {
	case c.misaddressed():
		return lost()
	case crs == nil:
		return notFound()
	case !c.wants(typeMembers):
		return notAcceptable(typeMembers)
	case link != "" && !crs.hasLink(link):
		return failure(http.StatusBadRequest, "rlid is not a link of this course")
	}
	people := crs.Members
	if since, err := strconv.Atoi(c.query.Get("since")); err == nil && !p.Canvas {
		people = crs.since(since)
	}
	list := []any{}
	for i := range people {
		if role := c.query.Get("role"); role == "" || hasRole(people[i].Roles, role) {
			list = append(list, p.memberView(t, &people[i], link))
		}
	}
	from, to, links := c.page(len(list))
	if !p.Canvas && to == len(list) {
		// Canvas has no differences.
		links.Add("Link", "<"+p.membersURL(crs)+"&since="+itoa(crs.version)+`>; rel="differences"`)
	}
	out := typed(http.StatusOK, typeMembers, map[string]any{
		"id": p.membersURL(crs), "context": map[string]any{"id": crs.ID, "label": crs.Label, "title": crs.Title}, "members": list[from:to],
	})
	out.header = links
	return out
}

// since returns who changed after a version, as they are now.
func (crs *course) since(version int) []Member {
	var out []Member
	for _, change := range crs.changes {
		if change.version <= version {
			continue
		}
		out = slices.DeleteFunc(out, func(m Member) bool { return m.User.ID == change.member.User.ID })
		out = append(out, change.member)
	}
	return out
}

// hasRole compares a role by its address or its last word.
func hasRole(roles []string, role string) bool {
	return slices.ContainsFunc(roles, func(r string) bool {
		return r == role || !strings.Contains(role, "#") && strings.HasSuffix(r, "#"+role)
	})
}

// memberView shows a member as far as the tool may know of him.
func (p *Platform) memberView(t *tool, m *Member, link string) map[string]any {
	o := map[string]any{"user_id": m.User.ID, "roles": m.Roles}
	if m.Roles == nil {
		o["roles"] = []string{}
	}
	switch {
	case m.Status != "":
		o["status"] = m.Status
	case p.Canvas:
		o["status"] = "Active"
	}
	personal(o, &m.User, t.Privacy)
	delete(o, "locale")
	if m.User.SourcedID != "" && (t.Privacy == "" || t.Privacy == PrivacyPublic) {
		o["lis_person_sourcedid"] = m.User.SourcedID
	}
	if link != "" {
		o["message"] = []any{map[string]any{
			claim + "message_type": ResourceLinkRequest, claim + "version": "1.3.0", "locale": "en",
			claim + "custom": map[string]any{"user_name": m.User.Name},
		}}
	}
	return o
}
