package main

import (
	"time"

	"github.com/golang-jwt/jwt/v5"

	"go.acu.edu.au/runbook/lti"
)

// launchClaims are the claims of a launch in the types that encoding/json
// decodes by itself, for the libraries that leave decoding to it. They are those
// that package lti decodes.
type launchClaims struct {
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

	ResourceLink *lti.ResourceLink        `json:"https://purl.imsglobal.org/spec/lti/claim/resource_link"`
	DeepLinking  *lti.DeepLinkingSettings `json:"https://purl.imsglobal.org/spec/lti-dl/claim/deep_linking_settings"`
	ForUser      *lti.ForUser             `json:"https://purl.imsglobal.org/spec/lti/claim/for_user"`

	Context      *lti.Context           `json:"https://purl.imsglobal.org/spec/lti/claim/context"`
	Platform     *lti.Platform          `json:"https://purl.imsglobal.org/spec/lti/claim/tool_platform"`
	Presentation *launchPresentation    `json:"https://purl.imsglobal.org/spec/lti/claim/launch_presentation"`
	LIS          *lti.LIS               `json:"https://purl.imsglobal.org/spec/lti/claim/lis"`
	Custom       map[string]any         `json:"https://purl.imsglobal.org/spec/lti/claim/custom"`
	MentorOf     []string               `json:"https://purl.imsglobal.org/spec/lti/claim/role_scope_mentor"`
	AGS          *lti.GradeService      `json:"https://purl.imsglobal.org/spec/lti-ags/claim/endpoint"`
	NRPS         *lti.MembershipService `json:"https://purl.imsglobal.org/spec/lti-nrps/claim/namesroleservice"`
	PNS          *lti.NoticeService     `json:"https://purl.imsglobal.org/spec/lti/claim/platformnotificationservice"`

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

type launchPresentation struct {
	DocumentTarget string  `json:"document_target"`
	ReturnURL      string  `json:"return_url"`
	Locale         string  `json:"locale"`
	Width          float64 `json:"width"`
	Height         float64 `json:"height"`
}

// The methods are those of jwt.Claims.

func (c *launchClaims) GetExpirationTime() (*jwt.NumericDate, error) {
	return numericDate(c.Expires), nil
}
func (c *launchClaims) GetIssuedAt() (*jwt.NumericDate, error)  { return numericDate(c.IssuedAt), nil }
func (c *launchClaims) GetNotBefore() (*jwt.NumericDate, error) { return numericDate(c.NotBefore), nil }
func (c *launchClaims) GetIssuer() (string, error)              { return c.Issuer, nil }
func (c *launchClaims) GetSubject() (string, error)             { return "", nil }
func (c *launchClaims) GetAudience() (jwt.ClaimStrings, error)  { return c.Audience, nil }

func numericDate(d *float64) *jwt.NumericDate {
	if d == nil {
		return nil
	}
	return jwt.NewNumericDate(time.Unix(int64(*d), 0))
}
