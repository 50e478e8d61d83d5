package dynreg

import (
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"go.acu.edu.au/runbook/lti"
)

// A Platform is what a platform says about itself, checked. Names in it are foreign
// text.
type Platform struct {
	// Issuer is the platform's iss, whose host is where all of this came from.
	Issuer string
	// AuthURL, JWKSURL, TokenURL and RegistrationURL are its endpoints.
	AuthURL, JWKSURL, TokenURL, RegistrationURL string
	// AuthorizationServer is what it wants as aud of the assertion at TokenURL;
	// empty means that it does not say.
	AuthorizationServer string
	// Product is its kind, such as "canvas" or "moodle", and Version its version.
	Product, Version string
	// AccountName and AccountGUID are the account that is being registered in,
	// where the platform says so, as Canvas does.
	AccountName, AccountGUID string
	// Scopes are the services that it has. Nil means that it does not say.
	Scopes []string
	// Messages are the message types that it has. Nil means that it does not say.
	Messages []SupportedMessage
	// Claims and Variables are what launches can have.
	Claims, Variables []string
	// Algorithms are those that it signs launches with. Nil means that it does not
	// say: RS256.
	Algorithms []string

	ownTokens bool // TokenURL is at a host of the platform
}

// A SupportedMessage is a message type that a platform has.
type SupportedMessage struct {
	// Type is the message type.
	Type string
	// Placements are where it can appear, where the platform says so.
	Placements []string
}

// isCanvas reports whether Canvas' extensions mean something there.
func (p *Platform) isCanvas() bool { return p.Product == "canvas" }

const maxIssuer = 300 // bytes; with a client id a Registration takes 600

// document is an OpenID configuration as it comes (LTI Dynamic Registration 1.0,
// section 2.1). What a decision depends on is decoded strictly.
type document struct {
	Issuer       string   `json:"issuer"`
	AuthURL      string   `json:"authorization_endpoint"`
	JWKSURL      string   `json:"jwks_uri"`
	TokenURL     string   `json:"token_endpoint"`
	Registration string   `json:"registration_endpoint"`
	Server       string   `json:"authorization_server"`
	Methods      []string `json:"token_endpoint_auth_methods_supported"`
	Responses    []string `json:"response_types_supported"`
	Algorithms   []string `json:"id_token_signing_alg_values_supported"`
	Scopes       []string `json:"scopes_supported"`

	Claims   optional[[]string] `json:"claims_supported"`
	Platform optional[struct {
		Product  optional[string] `json:"product_family_code"`
		Version  optional[string] `json:"version"`
		Messages optional[[]struct {
			Type       string             `json:"type"`
			Placements optional[[]string] `json:"placements"`
		}] `json:"messages_supported"`
		Variables   optional[[]string] `json:"variables"`
		AccountName optional[string]   `json:"https://canvas.instructure.com/lti/account_name"`
		AccountGUID optional[string]   `json:"https://canvas.instructure.com/lti/account_lti_guid"`
	}] `json:"https://purl.imsglobal.org/spec/lti-platform-configuration"`
}

// optional is a value that is ignored if it is malformed.
type optional[T any] struct{ value T }

// UnmarshalJSONFrom implements json.UnmarshalerFrom.
func (o *optional[T]) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	raw, err := dec.ReadValue()
	if err != nil {
		return err
	}
	var value T
	if json.Unmarshal(raw, &value) == nil {
		o.value = value
	}
	return nil
}

// parsePlatform reads a configuration and checks what can be checked without
// knowing where it came from. The error has all problems on a line.
func parsePlatform(body []byte) (Platform, *Error) {
	var d document
	if err := json.Unmarshal(body, &d); err != nil {
		return Platform{}, fail(ReasonConfiguration, "the document cannot be read: %s", printable(err.Error(), 200))
	}
	var p problems
	for _, a := range [...]struct{ name, address string }{
		{"issuer", d.Issuer}, {"authorization_endpoint", d.AuthURL}, {"jwks_uri", d.JWKSURL},
		{"token_endpoint", d.TokenURL}, {"registration_endpoint", d.Registration},
	} {
		if err := checkAddress(a.address); err != nil {
			p.add("%s %w", a.name, err)
		}
	}
	if len(d.Issuer) > maxIssuer || strings.ContainsAny(d.Issuer, "?#") {
		p.add("issuer must have no query, and at most %d bytes", maxIssuer)
	}
	supports := func(name string, all []string, wanted ...string) {
		if len(all) > 0 && !slices.ContainsFunc(wanted, func(w string) bool { return slices.Contains(all, w) }) {
			p.add("%s does not have %s", name, strings.Join(wanted, " or "))
		}
	}
	supports("token_endpoint_auth_methods_supported", d.Methods, "private_key_jwt")
	supports("response_types_supported", d.Responses, "id_token")
	supports("id_token_signing_alg_values_supported", d.Algorithms, algorithms...)
	if strings.Contains(d.TokenURL, "{") {
		p.add("token_endpoint has a brace, which means something else in a Registration")
	}
	const mostServer = 500
	if len(d.Server) > mostServer {
		p.add("authorization_server has more than %d bytes", mostServer)
	}
	if len(p) > 0 {
		return Platform{}, fail(ReasonConfiguration, "%s", p.line())
	}
	return d.platform(), nil
}

var algorithms = []string{"RS256", "RS384", "RS512"} //nolint:gochecknoglobals // constant

func (d *document) platform() Platform {
	const most = 200
	more := &d.Platform.value
	p := Platform{
		Issuer: d.Issuer, AuthURL: d.AuthURL, JWKSURL: d.JWKSURL, TokenURL: d.TokenURL, RegistrationURL: d.Registration,
		AuthorizationServer: d.Server, Algorithms: d.Algorithms, Scopes: d.Scopes,
		Product: printable(more.Product.value, most), Version: printable(more.Version.value, most),
		AccountName: printable(more.AccountName.value, most), AccountGUID: printable(more.AccountGUID.value, most),
		Claims: d.Claims.value, Variables: more.Variables.value,
	}
	for _, m := range more.Messages.value {
		p.Messages = append(p.Messages, SupportedMessage{Type: m.Type, Placements: m.Placements.value})
	}
	return p
}

// registration returns what launches of the platform are verified with.
func (p *Platform) registration(clientID, deployment string) lti.Registration {
	reg := lti.Registration{
		Issuer: p.Issuer, ClientID: clientID, AuthURL: p.AuthURL, JWKSURL: p.JWKSURL, TokenURL: p.TokenURL, External: true,
	}
	if p.audienceHost() != "" && p.AuthorizationServer != p.TokenURL {
		reg.TokenAudience = p.AuthorizationServer
	}
	if deployment != "" {
		reg.Deployments = []string{deployment}
	}
	// The services may be at the host that registered the tool: in Canvas it is the
	// institution's, while the token endpoint can be another. But a token endpoint
	// that is somebody else's gives tokens for somebody else's services.
	for _, address := range [...]string{p.RegistrationURL, p.Issuer} {
		u, err := parseAddress(address)
		if err == nil && p.ownTokens && !reg.ServesHost(u.Hostname()) {
			reg.ServiceHosts = append(reg.ServiceHosts, u.Hostname())
		}
	}
	if len(p.Algorithms) > 0 && !slices.Contains(p.Algorithms, "RS256") {
		for _, a := range algorithms {
			if slices.Contains(p.Algorithms, a) {
				reg.Algorithms = append(reg.Algorithms, a)
			}
		}
	}
	return reg
}

// idText is an id that some platforms write as a number.
type idText string

// UnmarshalJSONFrom implements json.UnmarshalerFrom.
func (t *idText) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	raw, err := dec.ReadValue()
	if err != nil {
		return err
	}
	var number int64
	if raw.Kind() == '0' && json.Unmarshal(raw, &number) == nil {
		*t = idText(strconv.FormatInt(number, 10))
		return nil
	}
	return json.Unmarshal(raw, (*string)(t))
}
