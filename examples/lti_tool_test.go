package examples_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"net/url"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/lti"
	"go.acu.edu.au/runbook/lti/ltitest"
)

// newTool is a whole LTI tool: it can be opened from a learning platform, and
// greets whoever opens it. r is what the platform and the tool agreed on; for
// Canvas, lti.CanvasRegistration makes it.
func newTool(r lti.Registration, client *http.Client) (http.Handler, error) {
	tool, err := lti.New(lti.Config{
		LaunchURL:     "https://tool.example.edu/lti/launch",
		StateKeys:     []runbook.Secret{runbook.NewSecret(rand.Text() + rand.Text())}, // replicas share one
		Registrations: []lti.Registration{r},
		HTTP:          client,
		Hooks:         lti.Hooks{OnRefusal: func(_ context.Context, r *lti.Refusal) { fmt.Println("refused:", r.Reason) }},
	})
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("/lti/login", tool.LoginHandler())
	mux.Handle("/lti/launch", tool.LaunchHandler(func(w http.ResponseWriter, r *http.Request, l *lti.Launch) {
		// The user is who the platform says. Begin a session, and leave this page.
		code, err := tool.Handover(l.User.Name)
		if err != nil {
			http.Error(w, "no session", http.StatusInternalServerError)
			return
		}
		http.Redirect(w, r, "/hello?code="+url.QueryEscape(code), http.StatusSeeOther)
	}))
	mux.HandleFunc("/hello", func(w http.ResponseWriter, r *http.Request) {
		name, err := tool.Redeem(r.Context(), r.FormValue("code"))
		if err != nil {
			http.Error(w, "open the tool from your course", http.StatusForbidden)
			return
		}
		fmt.Fprintf(w, "Hello, %s!", name)
	})
	return mux, nil
}

// A teacher opens the tool from a course, somebody posts the same message again,
// and somebody else has an old link.
func Example_ltiTool() {
	platform := &ltitest.Platform{Canvas: true} // a Canvas in memory
	var tool http.Handler
	registered := platform.AddTool(ltitest.Tool{
		LoginURL: "https://tool.example.edu/lti/login", RedirectURIs: []string{"https://tool.example.edu/lti/launch"},
		TargetLinkURI: "https://tool.example.edu/course",
		Handler:       http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { tool.ServeHTTP(w, r) }),
	})
	at := platform.Endpoints()
	var err error
	tool, err = newTool(lti.Registration{
		Issuer: at.Issuer, ClientID: registered.ClientID, AuthURL: at.AuthURL, JWKSURL: at.JWKSURL, Deployments: registered.Deployments,
	}, platform.Client())
	if err != nil {
		fmt.Println(err)
		return
	}
	browser := platform.Browser()

	login, err := browser.PostForm("https://tool.example.edu/lti/login", platform.Login(ltitest.Message{}))
	if err != nil {
		fmt.Println(err)
		return
	}
	message, err := platform.Authorize(login.Header.Get("Location"))
	if err != nil {
		fmt.Println(err)
		return
	}
	opened, err := browser.PostForm(message.RedirectURI, message.Form)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(show(browser.Get("https://tool.example.edu" + opened.Header.Get("Location"))))
	fmt.Println(show(browser.PostForm(message.RedirectURI, message.Form)))
	fmt.Println(show(browser.Get("https://tool.example.edu/hello?code=old")))
	// Output:
	// 200 Hello, Alex Example!
	// refused: replay
	// 401 This page was opened before
	// 403 open the tool from your course
}
