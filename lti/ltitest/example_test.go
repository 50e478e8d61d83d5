package ltitest_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/lti"
	"go.acu.edu.au/runbook/lti/ltitest"
)

// A tool is opened from a platform in memory, and attacked from there.
func Example() {
	p := &ltitest.Platform{Canvas: true, OddKeys: true}
	mux := http.NewServeMux()
	own := p.AddTool(ltitest.Tool{
		LoginURL: "https://qa.example.edu/lti/login", RedirectURIs: []string{"https://qa.example.edu/lti/launch"},
		TargetLinkURI: "https://qa.example.edu/course", Handler: mux,
	})
	e := p.Endpoints()
	tool, err := lti.New(lti.Config{
		LaunchURL: "https://qa.example.edu/lti/launch",
		StateKeys: []runbook.Secret{runbook.NewSecret(strings.Repeat("k", 32))},
		HTTP:      p.Client(), // leads to the platform in memory; leave it out for the real one
		Registrations: []lti.Registration{{
			Issuer: e.Issuer, ClientID: own.ClientID, AuthURL: e.AuthURL, JWKSURL: e.JWKSURL, TokenURL: e.TokenURL, Deployments: own.Deployments,
			TrustedAudiences: []string{ltitest.TrustedAudience},
		}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	mux.Handle("/lti/login", tool.LoginHandler())
	mux.Handle("/lti/launch", tool.LaunchHandler(func(w http.ResponseWriter, r *http.Request, l *lti.Launch) {
		fmt.Println(l.User.GivenName, "opens", l.Context.Label)
		http.Redirect(w, r, l.TargetLinkURI, http.StatusSeeOther)
	}))

	ctx := context.Background()
	resp, err := p.Launch(ctx, nil, ltitest.Message{User: ltitest.Student})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(resp.StatusCode, resp.Header.Get("Location"))

	refused := 0
	for _, c := range ltitest.Cases() {
		if c.Accept {
			continue
		}
		resp, err := p.LaunchCase(ctx, nil, ltitest.Message{}, c)
		if err != nil {
			fmt.Println(c.ID, err)
			return
		}
		if resp.StatusCode >= 400 {
			refused++
		} else {
			fmt.Println(c.ID, "was let in:", c.Name)
		}
	}
	fmt.Println("refused:", refused > 80)

	p.RotateKeys() // the next key was published beforehand
	resp, err = p.Launch(ctx, nil, ltitest.Message{})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(resp.StatusCode)
	// Output:
	// Sam opens BIOL101
	// 303 https://qa.example.edu/course
	// refused: true
	// Alex opens BIOL101
	// 303
}
