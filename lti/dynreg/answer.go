package dynreg

import (
	"slices"
	"strings"

	"github.com/go-json-experiment/json"

	"go.acu.edu.au/runbook"
)

// answer is a registration as it comes back (RFC 7591, section 3.2.1). Platforms
// may leave out what they did not change.
type answer struct {
	ClientID     idText                            `json:"client_id"`
	RedirectURIs optional[*[]string]               `json:"redirect_uris"`
	LoginURL     optional[*string]                 `json:"initiate_login_uri"`
	JWKSURL      optional[*string]                 `json:"jwks_uri"`
	AuthMethod   optional[*string]                 `json:"token_endpoint_auth_method"`
	Scope        optional[*string]                 `json:"scope"`
	URL          optional[string]                  `json:"registration_client_uri"`
	Token        optional[string]                  `json:"registration_access_token"`
	Tool         optional[toolConfigurationAnswer] `json:"https://purl.imsglobal.org/spec/lti-tool-configuration"`
}

type toolConfigurationAnswer struct {
	Deployment optional[idText] `json:"deployment_id"`
}

// parseAnswer reads the answer to a registration. The error has the client id if
// there is one.
func parseAnswer(body []byte, asked *request, p *Platform) (Registered, *Error) {
	var a answer
	if err := json.Unmarshal(body, &a); err != nil {
		return Registered{}, fail(ReasonAnswer, "the answer cannot be read: look at the platform for a tool named %s, and delete it", quote(asked.Name))
	}
	const mostID, mostDeployment = 255, 255
	id, deployment := string(a.ClientID), string(a.Tool.value.Deployment.value)
	if id == "" || len(id) > mostID || printable(id, mostID) != id {
		return Registered{}, fail(ReasonAnswer, "the answer has no client_id that can be used: look at the platform for a tool named %s, and delete it", quote(asked.Name))
	}
	var wrong problems
	const most = 5 // that are said, of many
	same := func(name string, got *string, want string) {
		if got != nil && *got != want {
			wrong.add("%s is %s and not %s", name, quote(*got), quote(want))
		}
	}
	same("initiate_login_uri", a.LoginURL.value, asked.LoginURL)
	same("jwks_uri", a.JWKSURL.value, asked.JWKSURL)
	same("token_endpoint_auth_method", a.AuthMethod.value, asked.AuthMethod)
	if got := a.RedirectURIs.value; got != nil {
		for _, uri := range *got {
			if len(wrong) < most && !slices.Contains(asked.RedirectURIs, uri) {
				wrong.add("redirect_uris has %s, which was not asked for", quote(uri))
			}
		}
		for _, uri := range asked.RedirectURIs {
			if !slices.Contains(*got, uri) {
				wrong.add("redirect_uris lacks %s", quote(uri))
			}
		}
	}
	if len(deployment) > mostDeployment {
		wrong.add("deployment_id has more than %d bytes", mostDeployment)
	}
	out := Registered{Platform: *p, Registration: p.registration(id, deployment), Scopes: strings.Fields(asked.Scope), Answer: runbook.NewSecret(string(body))}
	if err := out.Registration.Validate(); err != nil {
		wrong.add("%w", err)
	}
	if len(wrong) > 0 {
		e := fail(ReasonAnswer, "%s: delete the registration there", wrong.line())
		e.ClientID = id
		return Registered{}, e
	}
	if got := a.Scope.value; got != nil {
		granted := strings.Fields(*got)
		out.Scopes = slices.DeleteFunc(out.Scopes, func(s string) bool { return !slices.Contains(granted, s) })
	}
	if checkAddress(a.URL.value) == nil {
		out.ManagementURL, out.ManagementToken = a.URL.value, runbook.NewSecret(a.Token.value)
	}
	return out, nil
}

// said reads code and message of a refusal (RFC 7591, section 3.2.2; Canvas has
// errorMessage, or errors).
func said(body []byte) (code, text string) {
	var in struct {
		Error       optional[string] `json:"error"`
		Description optional[string] `json:"error_description"`
		Message     optional[string] `json:"errorMessage"`
		Errors      optional[[]struct {
			Message optional[string] `json:"message"`
		}] `json:"errors"`
	}
	if json.Unmarshal(body, &in) != nil {
		return "", ""
	}
	code, text = in.Error.value, in.Description.value+in.Message.value
	for _, e := range in.Errors.value[:min(len(in.Errors.value), 3)] {
		text += " " + e.Message.value
	}
	return printable(code, 60), printable(text, 300)
}
