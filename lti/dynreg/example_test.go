package dynreg_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/lti"
	"go.acu.edu.au/runbook/lti/dynreg"
)

// A tool is registered at a platform: the operator invites, the administrator
// enters the address at the platform, and presses a button.
func Example() {
	platform := &platform{document: moodleDocument(), change: map[string]any{toolSpec: map[string]any{"deployment_id": "1"}}}
	registrar, err := dynreg.New(dynreg.Config{
		URL: "https://qa.example.edu/lti/register",
		Tool: dynreg.Tool{
			Name:          "Q&A",
			LoginURL:      "https://qa.example.edu/lti/login",
			TargetLinkURI: "https://qa.example.edu/lti/launch",
			JWKSURL:       "https://qa.example.edu/.well-known/jwks.json",
			Messages:      []dynreg.Message{{Type: lti.MessageResourceLink}},
		},
		Keys: []runbook.Secret{runbook.NewSecret("0123456789abcdef0123456789abcdef")},
		Store: func(_ context.Context, r dynreg.Registered) error {
			fmt.Println("kept for", r.Invitation.For, "-", r.Registration.Issuer, r.Registration.ClientID, r.Registration.Deployments)
			return nil
		},
		HTTP: &http.Client{Transport: platform}, // in memory, for this example
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	address, err := registrar.Invite(dynreg.Invitation{For: "ACU", Issuer: "https://learn.example.edu"})
	if err != nil {
		fmt.Println(err)
		return
	}

	// The platform opens the address in a frame.
	address += "&" + url.Values{"openid_configuration": {moodleConfig}, "registration_token": {canary}}.Encode()
	page := httptest.NewRecorder()
	registrar.Handler().ServeHTTP(page, httptest.NewRequest(http.MethodGet, address, nil))
	fmt.Println("page:", page.Code)

	// The administrator presses the button.
	form := "confirm=" + confirmField.FindStringSubmatch(page.Body.String())[1]
	button := httptest.NewRequest(http.MethodPost, address, strings.NewReader(form))
	button.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	done := httptest.NewRecorder()
	registrar.Handler().ServeHTTP(done, button)
	fmt.Println("done:", done.Code)

	// Output:
	// page: 200
	// kept for ACU - https://learn.example.edu 10000000000042 [1]
	// done: 200
}
