package ltitest

import (
	"maps"
	"slices"
	"strconv"
	"time"
)

// Message types.
const (
	ResourceLinkRequest     = "LtiResourceLinkRequest"
	DeepLinkingRequest      = "LtiDeepLinkingRequest"
	SubmissionReviewRequest = "LtiSubmissionReviewRequest"

	// Those of Canvas alone.
	AssetProcessorRequest = "LtiAssetProcessorSettingsRequest"
	ReportReviewRequest   = "LtiReportReviewRequest"
	EULARequest           = "LtiEulaRequest"
)

// A Message is what a user opens. The zero value is a resource link, opened by
// the teacher of the first course, in the first tool.
type Message struct {
	// ClientID names the tool. Empty means the first one.
	ClientID string
	// Deployment is the deployment. Empty means the tool's first one.
	Deployment string
	// Type is the message type. Empty means a resource link.
	Type string
	// TargetLinkURI is what is opened. Empty means the tool's.
	TargetLinkURI string
	// Course is the id of the context. Empty means the first course.
	Course string
	// NoContext leaves the context out, and with it the services.
	NoContext bool
	// User is the id of a member of the course, or of anybody. Empty means
	// [Instructor].
	User string
	// Anonymous leaves the user out.
	Anonymous bool
	// Roles are the user's. Nil means those in the course.
	Roles []string
	// ResourceLink is the id of the link. Empty means one of the course; Canvas'
	// navigation placements have the id of the context.
	ResourceLink string
	// Title is that of the link. Empty means "Practical 1".
	Title string
	// LineItem is the id of the line item of the link, as [LineItem] has it.
	LineItem string
	// Placement is where the tool is in Canvas. Empty means
	// "course_navigation", or "assignment_selection" for deep linking.
	Placement string
	// Custom are parameters besides those of the tool.
	Custom map[string]any
	// DeepLinking changes the settings of a deep linking request.
	DeepLinking DeepLinking
	// ForUser is whose submission is reviewed. Empty means [Student].
	ForUser string
	// StorageTarget is lti_storage_target: the frame of the platform's storage, as
	// "post_message_forwarding" in Canvas. Empty means that none is offered, as
	// Canvas' mobile apps have none.
	StorageTarget string
	// Region is canvas_region. Empty means "not_configured".
	Region string
	// Mutate changes the claims before they are signed.
	Mutate func(claims map[string]any)
	// Signing changes the signature.
	Signing Signing
}

// DeepLinking are the settings of a deep linking request (Deep Linking 2.0,
// section 4.4.1).
type DeepLinking struct {
	// AcceptTypes are the types of items. Nil means "link", "ltiResourceLink" and
	// "html".
	AcceptTypes []string
	// Single takes one item only.
	Single bool
	// NoLineItem takes no line items.
	NoLineItem bool
	// Data comes back with the response. In Canvas it is a token of Canvas' own.
	Data string
	// NoData leaves data out; otherwise an empty Data is sent as "".
	NoData bool
	// Title and Text are suggestions.
	Title, Text string
}

// Beginnings of the names of claims.
const (
	claim     = "https://purl.imsglobal.org/spec/lti/claim/"
	claimDL   = "https://purl.imsglobal.org/spec/lti-dl/claim/"
	claimAGS  = "https://purl.imsglobal.org/spec/lti-ags/claim/endpoint"
	claimNRPS = "https://purl.imsglobal.org/spec/lti-nrps/claim/namesroleservice"
	vendor    = "https://www.instructure.com/"
)

// claims makes the payload of a message, but for the nonce. The forms are those of
// LTI Core 1.3, sections 5.3 and 5.4 (the examples of its appendix C), and of
// Canvas where it differs (developerdocs.instructure.com, "LTI launch overview";
// canvas-lms, lib/lti/messages).
func (p *Platform) claims(t *tool, m *Message, now time.Time) map[string]any {
	c := map[string]any{
		"iss": p.issuer(), "iat": now.Unix(),
		claim + "message_type": m.Type, claim + "version": "1.3.0",
		claim + "deployment_id": m.Deployment, claim + "target_link_uri": m.TargetLinkURI,
	}
	if p.Canvas {
		c["aud"], c["azp"], c["exp"] = t.ClientID, t.ClientID, now.Add(time.Hour).Unix()
	} else {
		c["aud"], c["exp"] = []string{t.ClientID}, now.Add(5*time.Minute).Unix()
	}
	crs := p.mustCourse(m.Course)
	member := crs.member(m.User)
	if member == nil {
		member = &Member{User: User{ID: m.User}}
	}
	c[claim+"roles"] = member.Roles
	if m.Roles != nil {
		c[claim+"roles"] = m.Roles
	} else if member.Roles == nil {
		c[claim+"roles"] = []string{}
	}
	if !m.Anonymous {
		c["sub"] = member.User.ID
		personal(c, &member.User, t.Privacy)
	}
	if !m.NoContext {
		c[claim+"context"] = p.junk(map[string]any{"id": crs.ID, "label": crs.Label, "title": crs.Title, "type": crs.Type})
		p.serviceClaims(c, t, crs, m)
	}
	p.typeClaims(c, t, crs, m, now)
	p.surroundings(c, crs, member, m)
	custom := map[string]any{}
	if p.Canvas {
		// Older versions of Canvas send numbers as they are; values that have no
		// meaning here keep their names.
		custom = map[string]any{
			"canvas_course_id": crs.number, "canvas_user_id": 5678, "canvas_api_domain": p.account(), "environment": p.environmentName(),
			"course_published": true, "section_ids": "101,102,103", "assignment_id": "$Canvas.assignment.id", "term_end": nil,
		}
	}
	maps.Copy(custom, t.Custom)
	maps.Copy(custom, m.Custom)
	if len(custom) > 0 {
		c[claim+"custom"] = custom
	}
	return c
}

// personal are the claims of OpenID Connect about the user, as far as the tool
// may have them.
func personal(c map[string]any, u *User, privacy Privacy) {
	names := map[string]string{"name": u.Name, "given_name": u.GivenName, "family_name": u.FamilyName, "middle_name": u.MiddleName}
	rest := map[string]string{"picture": u.Picture, "locale": u.Locale}
	switch privacy {
	case PrivacyAnonymous:
		return
	case PrivacyNameOnly:
		rest = nil
	case PrivacyEmailOnly:
		names, rest = nil, map[string]string{"email": u.Email}
	default:
		rest["email"] = u.Email
	}
	for _, set := range []map[string]string{names, rest} {
		for name, value := range set {
			if value != "" {
				c[name] = value
			}
		}
	}
}

// junk adds what the validation of Canvas leaves in its objects.
func (p *Platform) junk(o map[string]any) map[string]any {
	if p.Canvas {
		o["validation_context"], o["errors"] = nil, map[string]any{"errors": map[string]any{}}
	}
	return o
}

// surroundings are the claims about the platform and the frame.
func (p *Platform) surroundings(c map[string]any, crs *course, member *Member, m *Message) {
	target := p.back() + "/courses/" + strconv.Itoa(crs.number)
	c[claim+"launch_presentation"] = p.junk(map[string]any{
		"document_target": "iframe", "return_url": target + "/external_content/success/external_tool_redirect", "locale": "en-AU", "height": 800, "width": 1200,
	})
	if !p.Canvas {
		c[claim+"tool_platform"] = map[string]any{"guid": "0d6a4b6e-platform", "name": "Example School", "product_family_code": "ltitest", "version": "1.0"}
		return
	}
	c[claim+"tool_platform"] = p.junk(map[string]any{
		"guid": opaque("guid") + ":canvas-lms", "name": "Example School", "version": "cloud", "product_family_code": "canvas",
	})
	lis := map[string]any{"course_offering_sourcedid": crs.Label + "_202630", "person_sourcedid": nil}
	if member.User.SourcedID != "" && !m.Anonymous {
		lis["person_sourcedid"] = member.User.SourcedID
	}
	c[claim+"lis"] = p.junk(lis)
	c[claim+"lti11_legacy_user_id"] = member.User.LegacyID
	c[claim+"lti1p1"] = p.junk(map[string]any{"user_id": member.User.LegacyID})
	c[vendor+"placement"] = m.Placement
	c[vendor+"lti_student_id"] = ""
	c["errors"] = map[string]any{"errors": map[string]any{}}
}

// serviceClaims tell a tool of the services that it may use.
func (p *Platform) serviceClaims(c map[string]any, t *tool, crs *course, m *Message) {
	if scopes := t.grants(ScopeLineItem, ScopeLineItemReadOnly, ScopeResultReadOnly, ScopeScore); len(scopes) > 0 {
		endpoint := map[string]any{"scope": scopes, "lineitems": p.lineItemsURL(crs)}
		if item := p.itemOf(crs, t, m); item != nil {
			endpoint["lineitem"] = p.lineItemURL(crs, item)
		}
		c[claimAGS] = p.junk(endpoint)
	}
	if len(t.grants(ScopeMembership)) > 0 {
		c[claimNRPS] = p.junk(map[string]any{"context_memberships_url": p.membersURL(crs), "service_versions": []string{"2.0"}})
	}
	if scopes := t.grants(ScopeNotices); len(scopes) > 0 {
		c[claim+"platformnotificationservice"] = p.junk(map[string]any{
			"platform_notification_service_url": p.noticesURL(t), "scope": scopes, "service_versions": []string{"1.0"}, "notice_types_supported": noticeTypes(),
		})
	}
}

// typeClaims are those that belong to the type of the message.
func (p *Platform) typeClaims(c map[string]any, t *tool, crs *course, m *Message, now time.Time) {
	switch m.Type {
	case DeepLinkingRequest:
		c[claimDL+"deep_linking_settings"] = p.deepLinkingSettings(t, crs, m, now)
		return
	case SubmissionReviewRequest:
		c[claim+"for_user"] = map[string]any{"user_id": m.ForUser}
	case ReportReviewRequest, EULARequest, AssetProcessorRequest:
		c[claim+"activity"] = map[string]any{"id": opaque("activity", crs.number), "title": m.Title}
	}
	link := map[string]any{"id": m.ResourceLink, "title": m.Title}
	if p.Canvas {
		link["description"] = nil
	}
	c[claim+"resource_link"] = p.junk(link)
}

// complete fills in what a message leaves open.
func (p *Platform) complete(m Message) (*tool, Message) {
	t := p.mustTool(m.ClientID)
	crs := p.mustCourse(m.Course)
	fill := func(field *string, value string) {
		if *field == "" {
			*field = value
		}
	}
	fill(&m.ClientID, t.ClientID)
	if len(t.Deployments) > 0 {
		fill(&m.Deployment, t.Deployments[0])
	}
	fill(&m.Type, ResourceLinkRequest)
	fill(&m.TargetLinkURI, t.TargetLinkURI)
	fill(&m.Course, crs.ID)
	fill(&m.User, Instructor)
	fill(&m.Title, "Practical 1")
	fill(&m.ForUser, Student)
	if m.Type == DeepLinkingRequest {
		fill(&m.Placement, "assignment_selection")
	}
	fill(&m.Placement, "course_navigation")
	if p.Canvas && slices.Contains([]string{"course_navigation", "account_navigation", "user_navigation", "global_navigation"}, m.Placement) {
		fill(&m.ResourceLink, crs.ID)
	}
	fill(&m.ResourceLink, "link-"+strconv.Itoa(crs.number))
	fill(&m.Region, "not_configured")
	if !crs.hasLink(m.ResourceLink) {
		crs.links = append(crs.links, m.ResourceLink)
	}
	return t, m
}

func (p *Platform) environmentName() string {
	if p.Environment == "" {
		return "test"
	}
	return p.Environment
}
