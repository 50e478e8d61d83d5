package lti

import (
	"fmt"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Message types. The last three are those of Canvas alone; their own claims are
// read by [Launch.Claim].
const (
	MessageResourceLink     = "LtiResourceLinkRequest"
	MessageDeepLinking      = "LtiDeepLinkingRequest"
	MessageSubmissionReview = "LtiSubmissionReviewRequest"
	MessageAssetProcessor   = "LtiAssetProcessorSettingsRequest"
	MessageReportReview     = "LtiReportReviewRequest"
	MessageEULA             = "LtiEulaRequest"
)

// A Launch is a message of a platform that passed every check. Whether the user
// may do what he asks is the host's to decide. It is personal data.
//
// What is a pointer is nil if the platform did not send it, or sent something
// malformed.
type Launch struct {
	// Issuer and ClientID identify the registration, DeploymentID the deployment.
	// All three together are the tenant: ids of users, contexts and resource links
	// are unique within Issuer and DeploymentID only.
	Issuer, ClientID, DeploymentID string
	// MessageType is one of the constants, or one of [Config].MessageTypes.
	MessageType string
	// Subject is the platform's id of the user; empty in an anonymous launch.
	Subject string
	// TargetLinkURI is what was launched; it is that of the login, unless
	// [Config].SameTarget allows another.
	TargetLinkURI string
	// Roles are those of the user in the context, in the platform's order. They
	// may be empty, short ("Instructor") or of no vocabulary at all; see
	// [Launch.HasRole].
	Roles []string
	// Issued and Expires are iat and exp of the token.
	Issued, Expires time.Time

	// User is what the platform tells of the user; all of it may be empty.
	User User
	// Context is the course or group.
	Context *Context
	// ResourceLink is the link that was followed. In Canvas its ID may be that of
	// the context, for navigation: it alone does not identify an assignment.
	ResourceLink *ResourceLink
	// Platform is the software that launched.
	Platform *Platform
	// Presentation is how the tool is shown.
	Presentation *Presentation
	// LIS has ids of a student information system.
	LIS *LIS
	// Custom are the custom parameters. Values that are not texts are given in
	// their JSON form, null as "".
	Custom Custom
	// MentorOf are the subjects whose mentor the user is.
	MentorOf []string
	// AGS, NRPS and PNS are the services that may be called for this launch.
	AGS  *GradeService
	NRPS *MembershipService
	PNS  *NoticeService
	// DeepLinking has the settings of a deep linking request.
	DeepLinking *DeepLinkingSettings
	// ForUser is whose submission is reviewed.
	ForUser *ForUser
	// Canvas has the claims that only Canvas sends.
	Canvas CanvasClaims

	// Claims is the whole payload as it came, JSON.
	Claims []byte
}

// User is what a platform tells of a user.
type User struct {
	Name, GivenName, FamilyName, MiddleName string // as people write them
	Email, Picture, Locale                  string // an address, the address of an image, a language tag
}

// Context is a course, group or the like.
type Context struct {
	ID    string   `json:"id"`    // the platform's id
	Type  []string `json:"type"`  // what sort of thing it is
	Label string   `json:"label"` // a short name
	Title string   `json:"title"` // a name
}

// ResourceLink is a link to the tool.
type ResourceLink struct {
	ID          string `json:"id"`          // the platform's id, 255 characters at most
	Title       string `json:"title"`       // what people see
	Description string `json:"description"` // what they see besides
}

// Platform is the software of a platform, and one installation of it.
type Platform struct {
	GUID              string `json:"guid"`                // of the installation
	Name              string `json:"name"`                // of the installation
	ContactEmail      string `json:"contact_email"`       // of those who run it
	Description       string `json:"description"`         // of the installation
	URL               string `json:"url"`                 // of the installation
	ProductFamilyCode string `json:"product_family_code"` // "canvas"
	Version           string `json:"version"`             // "cloud" in hosted Canvas
}

// Presentation is how a tool is shown.
type Presentation struct {
	DocumentTarget string // "frame", "iframe" or "window"
	ReturnURL      string // where the user goes afterwards
	Locale         string // a language tag
	Width, Height  int    // of the window or frame in pixels; 0 is unknown
}

// LIS has ids of a student information system (LTI Core 1.3, section 5.4.5).
type LIS struct {
	PersonSourcedID         string `json:"person_sourcedid"`
	CourseOfferingSourcedID string `json:"course_offering_sourcedid"`
	CourseSectionSourcedID  string `json:"course_section_sourcedid"`
}

// Custom are custom parameters.
type Custom map[string]string

// GradeService is the claim of Assignment and Grade Services 2.0; package ags
// calls it.
type GradeService struct {
	Scopes    []string `json:"scope"`     // what the tool may ask for
	LineItems string   `json:"lineitems"` // the address of all line items of the context
	LineItem  string   `json:"lineitem"`  // the address of the one of this link, if there is just one
}

// MembershipService is the claim of Names and Role Provisioning Services 2.0;
// package nrps calls it.
type MembershipService struct {
	URL      string   `json:"context_memberships_url"` // the address of the memberships
	Versions []string `json:"service_versions"`        // "2.0"
}

// NoticeService is the claim of the platform notification service; package pns
// calls it.
type NoticeService struct {
	URL    string   `json:"platform_notification_service_url"` // where handlers are registered
	Scopes []string `json:"scope"`                             // what the tool may ask for
	Types  []string `json:"notice_types_supported"`            // what the platform can tell
}

// ForUser is whose submission is reviewed.
type ForUser struct {
	ID         string   `json:"user_id"` // the subject
	Name       string   `json:"name"`
	GivenName  string   `json:"given_name"`
	FamilyName string   `json:"family_name"`
	Email      string   `json:"email"`
	Roles      []string `json:"roles"`
}

// CanvasClaims are claims that only Canvas sends.
type CanvasClaims struct {
	Placement    string // where the tool was launched: "course_navigation"
	StudentID    string // whose work an observer or teacher looks at
	LegacyUserID string // the user id of LTI 1.1; may be empty
}

// HasRole reports whether the user has a role, by its name in a vocabulary
// ("Instructor", "Learner", "Administrator") or by its whole address. By name it
// finds roles in the context, sub-roles by either name (Instructor#TeachingAssistant
// counts as Instructor and as TeachingAssistant) and the short form, and not roles in the institution or
// system: an administrator of the institution is not one of the course (LTI Core
// 1.3, appendix A.2).
func (l *Launch) HasRole(role string) bool {
	const membership = "http://purl.imsglobal.org/vocab/lis/v2/membership"
	for _, r := range l.Roles {
		if r == role {
			return true
		}
		rest, ok := strings.CutPrefix(r, membership)
		if !ok || rest == "" || strings.ContainsAny(role, ":/#") {
			continue
		}
		if rest == "#"+role {
			return true
		}
		if sub, ok := strings.CutPrefix(rest, "/"); ok { // /Instructor#TeachingAssistant
			if main, own, ok := strings.Cut(sub, "#"); ok && (main == role || own == role) {
				return true
			}
		}
	}
	return false
}

// Claim decodes any claim of the message into v, as encoding/json does but with
// names that must match exactly. It returns false if there is no such claim, or
// if it does not fit v.
func (l *Launch) Claim(name string, v any) bool {
	var all map[string]jsontext.Value
	if json.Unmarshal(l.Claims, &all) != nil {
		return false
	}
	raw, ok := all[name]
	return ok && json.Unmarshal(raw, v) == nil
}

// String identifies the launch for an operator, without personal data.
func (l *Launch) String() string {
	return fmt.Sprintf("%s of %s, client %s, deployment %s", l.MessageType, l.Issuer, l.ClientID, quote(l.DeploymentID))
}

// launch makes a Launch of claims that were checked.
func (c *idToken) launch(clientID string, payload []byte) *Launch {
	l := &Launch{
		Issuer: c.Issuer, ClientID: clientID, DeploymentID: deref(c.DeploymentID), MessageType: deref(c.MessageType),
		Subject: deref(c.Subject), TargetLinkURI: deref(c.TargetLinkURI), Issued: c.IssuedAt.time(), Expires: c.Expires.time(),
		User: User{
			Name: c.Name.value, GivenName: c.GivenName.value, FamilyName: c.FamilyName.value, MiddleName: c.MiddleName.value,
			Email: c.Email.value, Picture: c.Picture.value, Locale: c.Locale.value,
		},
		Context: c.Context.ptr(), ResourceLink: c.ResourceLink.ptr(), Platform: c.Platform.ptr(), Presentation: c.Presentation.ptr().presentation(),
		LIS: c.LIS.ptr(), Custom: Custom(c.Custom.value), MentorOf: c.MentorOf.value, AGS: c.AGS.ptr(), NRPS: c.NRPS.ptr(), PNS: c.PNS.ptr(),
		DeepLinking: c.DeepLinking.ptr(), ForUser: c.ForUser.ptr(),
		Canvas: CanvasClaims{Placement: c.CanvasPlacement.value, StudentID: c.CanvasStudentID.value, LegacyUserID: c.LegacyUserID.value},
		Claims: payload,
	}
	if c.Roles != nil {
		l.Roles = *c.Roles
	}
	return l
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
