package lti

import (
	"errors"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// idToken is the payload of an id_token as it comes (LTI Core 1.3, section 5;
// Deep Linking 2.0, section 4.4). What a decision depends on is decoded strictly;
// the rest is optional, and what is malformed there is ignored, since platforms
// differ and vendors add what they like.
//
// Names are matched exactly, and a name that comes twice makes the payload
// invalid: two readers cannot see two different values.
type idToken struct {
	Issuer          string       `json:"iss"`
	Audience        audience     `json:"aud"`
	AuthorizedParty *string      `json:"azp"`
	Subject         *string      `json:"sub"`
	Expires         *numericDate `json:"exp"`
	IssuedAt        *numericDate `json:"iat"`
	NotBefore       *numericDate `json:"nbf"`
	Nonce           *string      `json:"nonce"`

	MessageType   *string   `json:"https://purl.imsglobal.org/spec/lti/claim/message_type"`
	Version       *string   `json:"https://purl.imsglobal.org/spec/lti/claim/version"`
	DeploymentID  *string   `json:"https://purl.imsglobal.org/spec/lti/claim/deployment_id"`
	TargetLinkURI *string   `json:"https://purl.imsglobal.org/spec/lti/claim/target_link_uri"`
	Roles         *[]string `json:"https://purl.imsglobal.org/spec/lti/claim/roles"`

	ResourceLink optional[ResourceLink]        `json:"https://purl.imsglobal.org/spec/lti/claim/resource_link"`
	DeepLinking  optional[DeepLinkingSettings] `json:"https://purl.imsglobal.org/spec/lti-dl/claim/deep_linking_settings"`
	ForUser      optional[ForUser]             `json:"https://purl.imsglobal.org/spec/lti/claim/for_user"`
	Notice       optional[noticeClaim]         `json:"https://purl.imsglobal.org/spec/lti/claim/notice"`

	Context      optional[Context]           `json:"https://purl.imsglobal.org/spec/lti/claim/context"`
	Platform     optional[Platform]          `json:"https://purl.imsglobal.org/spec/lti/claim/tool_platform"`
	Presentation optional[wirePresentation]  `json:"https://purl.imsglobal.org/spec/lti/claim/launch_presentation"`
	LIS          optional[LIS]               `json:"https://purl.imsglobal.org/spec/lti/claim/lis"`
	Custom       optional[wireCustom]        `json:"https://purl.imsglobal.org/spec/lti/claim/custom"`
	MentorOf     optional[[]string]          `json:"https://purl.imsglobal.org/spec/lti/claim/role_scope_mentor"`
	AGS          optional[GradeService]      `json:"https://purl.imsglobal.org/spec/lti-ags/claim/endpoint"`
	NRPS         optional[MembershipService] `json:"https://purl.imsglobal.org/spec/lti-nrps/claim/namesroleservice"`
	PNS          optional[NoticeService]     `json:"https://purl.imsglobal.org/spec/lti/claim/platformnotificationservice"`

	Name       optional[string] `json:"name"`
	GivenName  optional[string] `json:"given_name"`
	FamilyName optional[string] `json:"family_name"`
	MiddleName optional[string] `json:"middle_name"`
	Email      optional[string] `json:"email"`
	Picture    optional[string] `json:"picture"`
	Locale     optional[string] `json:"locale"`

	CanvasPlacement optional[string] `json:"https://www.instructure.com/placement"`
	CanvasStudentID optional[string] `json:"https://www.instructure.com/lti_student_id"`
	LegacyUserID    optional[string] `json:"https://purl.imsglobal.org/spec/lti/claim/lti11_legacy_user_id"`
}

// decodeClaims decodes the payload of a token whose signature was verified.
func decodeClaims(payload []byte, into any) *Refusal {
	err := json.Unmarshal(payload, into)
	if err == nil {
		return nil
	}
	// The texts of the errors may quote values; where it happened is enough.
	if e, ok := errors.AsType[*json.SemanticError](err); ok && e.JSONPointer != "" {
		return refuse(ReasonClaims, "claim %s has the wrong type", quote(pointed(e.JSONPointer)))
	}
	if e, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		if errors.Is(err, jsontext.ErrDuplicateName) {
			return refuse(ReasonClaims, "claim %s comes twice", quote(pointed(e.JSONPointer)))
		}
		return refuse(ReasonClaims, "the payload is not valid JSON, at byte %d", e.ByteOffset)
	}
	return refuse(ReasonClaims, "the payload is not a JSON object")
}

// pointed returns a JSON pointer for people: the name of a claim is an address,
// whose slashes it escapes.
func pointed(p jsontext.Pointer) string {
	return strings.NewReplacer("~1", "/", "~0", "~").Replace(strings.TrimPrefix(string(p), "/"))
}

// An audience is aud: a text or a list of texts.
type audience []string

func (a *audience) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	if dec.PeekKind() == '"' {
		var one string
		if err := json.UnmarshalDecode(dec, &one); err != nil {
			return err
		}
		*a = audience{one}
		return nil
	}
	return json.UnmarshalDecode(dec, (*[]string)(a))
}

// A numericDate is seconds since 1970, which may have a fraction.
type numericDate float64

// latest is the end of the range of dates, in seconds: the year 36812. Further
// away makes no difference, and times do not overflow.
const latest = 1 << 40

func (d *numericDate) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	token, err := dec.ReadToken()
	if err != nil {
		return err
	}
	if token.Kind() != '0' {
		return errNotNumber
	}
	seconds, err := token.Float()
	if err != nil && !math.IsInf(seconds, 0) { // out of range is only far away
		return errNotNumber
	}
	*d = numericDate(min(max(seconds, -latest), latest))
	return nil
}

var errNotNumber = errors.New("not a number")

func (d numericDate) time() time.Time {
	seconds, fraction := math.Modf(float64(d))
	return time.Unix(int64(seconds), int64(fraction*1e9))
}

// optional is a claim that is ignored if it is malformed.
type optional[T any] struct {
	value     T
	set       bool // it was there, well-formed, and not null
	malformed bool
}

func (o *optional[T]) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	raw, err := dec.ReadValue() // an error is one of syntax, or of a name that comes twice
	if err != nil {
		return err
	}
	if raw.Kind() == 'n' {
		return nil
	}
	if json.Unmarshal(raw, &o.value) != nil {
		var zero T
		o.value, o.malformed = zero, true
		return nil
	}
	o.set = true
	return nil
}

// ptr returns the value if there is one.
func (o *optional[T]) ptr() *T {
	if !o.set {
		return nil
	}
	return &o.value
}

// A number is an integer that some platforms send as a text.
type number int

func (n *number) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	raw, err := dec.ReadValue()
	if err != nil {
		return err
	}
	if f, err := strconv.ParseFloat(strings.Trim(string(raw), `"`), 64); err == nil && math.Abs(f) < 1<<31 {
		*n = number(f)
	}
	return nil
}

// wireCustom are custom values. They should be texts; older versions of Canvas
// send numbers, and booleans and null occur.
type wireCustom Custom

func (c *wireCustom) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	if token, err := dec.ReadToken(); err != nil || token.Kind() != '{' {
		return errors.Join(err, errNotObject)
	}
	*c = make(wireCustom, 16)
	for dec.PeekKind() != '}' {
		name, err := dec.ReadToken()
		if err != nil {
			return err
		}
		key := name.String()
		value, err := dec.ReadValue()
		if err != nil {
			return err
		}
		text := ""
		switch value.Kind() {
		case '"':
			unquoted, err := jsontext.AppendUnquote(make([]byte, 0, len(value)), value)
			if err != nil {
				return err
			}
			text = string(unquoted)
		case 'n':
		default:
			text = string(value)
		}
		(*c)[key] = text
	}
	_, err := dec.ReadToken()
	return err
}

var errNotObject = errors.New("not an object")

// wirePresentation is a presentation, whose sizes may be texts.
type wirePresentation struct {
	DocumentTarget string `json:"document_target"`
	ReturnURL      string `json:"return_url"`
	Locale         string `json:"locale"`
	Width          number `json:"width"`
	Height         number `json:"height"`
}

func (p *wirePresentation) presentation() *Presentation {
	if p == nil {
		return nil
	}
	return &Presentation{p.DocumentTarget, p.ReturnURL, p.Locale, int(p.Width), int(p.Height)}
}
