package lti

import (
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// JWTClaims makes the struct of this package one that golang-jwt decodes into,
// for comparison: by encoding/json, as it does.
type JWTClaims struct{ idTokenV1 }

// NewJWTClaims returns empty claims.
func NewJWTClaims() *JWTClaims { return new(JWTClaims) }

func (c *JWTClaims) GetExpirationTime() (*jwt.NumericDate, error) { return date(c.Expires), nil }
func (c *JWTClaims) GetIssuedAt() (*jwt.NumericDate, error)       { return date(c.IssuedAt), nil }
func (c *JWTClaims) GetNotBefore() (*jwt.NumericDate, error)      { return nil, nil }
func (c *JWTClaims) GetIssuer() (string, error)                   { return c.Issuer, nil }
func (c *JWTClaims) GetSubject() (string, error)                  { return "", nil }
func (c *JWTClaims) GetAudience() (jwt.ClaimStrings, error)       { return jwt.ClaimStrings(c.Audience), nil }

func date(d *float64) *jwt.NumericDate {
	if d == nil {
		return nil
	}
	return jwt.NewNumericDate(time.Unix(int64(*d), 0))
}

// idTokenV1 is idToken in the types that encoding/json decodes by itself. It is
// as strict as that package: not at all.
type idTokenV1 struct {
	Issuer          string           `json:"iss"`
	Audience        jwt.ClaimStrings `json:"aud"`
	AuthorizedParty *string          `json:"azp"`
	Subject         *string          `json:"sub"`
	Expires         *float64         `json:"exp"`
	IssuedAt        *float64         `json:"iat"`
	NotBefore       *float64         `json:"nbf"`
	Nonce           *string          `json:"nonce"`

	MessageType   *string   `json:"https://purl.imsglobal.org/spec/lti/claim/message_type"`
	Version       *string   `json:"https://purl.imsglobal.org/spec/lti/claim/version"`
	DeploymentID  *string   `json:"https://purl.imsglobal.org/spec/lti/claim/deployment_id"`
	TargetLinkURI *string   `json:"https://purl.imsglobal.org/spec/lti/claim/target_link_uri"`
	Roles         *[]string `json:"https://purl.imsglobal.org/spec/lti/claim/roles"`

	ResourceLink *ResourceLink        `json:"https://purl.imsglobal.org/spec/lti/claim/resource_link"`
	DeepLinking  *DeepLinkingSettings `json:"https://purl.imsglobal.org/spec/lti-dl/claim/deep_linking_settings"`
	ForUser      *ForUser             `json:"https://purl.imsglobal.org/spec/lti/claim/for_user"`

	Context      *Context           `json:"https://purl.imsglobal.org/spec/lti/claim/context"`
	Platform     *Platform          `json:"https://purl.imsglobal.org/spec/lti/claim/tool_platform"`
	Presentation *presentationV1    `json:"https://purl.imsglobal.org/spec/lti/claim/launch_presentation"`
	LIS          *LIS               `json:"https://purl.imsglobal.org/spec/lti/claim/lis"`
	Custom       map[string]any     `json:"https://purl.imsglobal.org/spec/lti/claim/custom"`
	MentorOf     []string           `json:"https://purl.imsglobal.org/spec/lti/claim/role_scope_mentor"`
	AGS          *GradeService      `json:"https://purl.imsglobal.org/spec/lti-ags/claim/endpoint"`
	NRPS         *MembershipService `json:"https://purl.imsglobal.org/spec/lti-nrps/claim/namesroleservice"`
	PNS          *NoticeService     `json:"https://purl.imsglobal.org/spec/lti/claim/platformnotificationservice"`

	Name       string `json:"name"`
	GivenName  string `json:"given_name"`
	FamilyName string `json:"family_name"`
	MiddleName string `json:"middle_name"`
	Email      string `json:"email"`
	Picture    string `json:"picture"`
	Locale     string `json:"locale"`

	CanvasPlacement string `json:"https://www.instructure.com/placement"`
	CanvasStudentID string `json:"https://www.instructure.com/lti_student_id"`
	LegacyUserID    string `json:"https://purl.imsglobal.org/spec/lti/claim/lti11_legacy_user_id"`
}

type presentationV1 struct {
	DocumentTarget string  `json:"document_target"`
	ReturnURL      string  `json:"return_url"`
	Locale         string  `json:"locale"`
	Width          float64 `json:"width"`
	Height         float64 `json:"height"`
}
