package examples_test

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"sync"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/lti"
	"go.acu.edu.au/runbook/lti/ltitest"
)

// The tool's key and the key of its logins are replaced while people work. Nobody
// notices, until a key was compromised.
func Example_toolKeyIsRotatedUnderLoad() {
	platform := &ltitest.Platform{Canvas: true} // it fetches the tool's keys for every signature
	mux := http.NewServeMux()
	registered := platform.AddTool(ltitest.Tool{
		LoginURL: "https://tool.example.edu/lti/login", RedirectURIs: []string{"https://tool.example.edu/lti/launch"},
		TargetLinkURI: "https://tool.example.edu/course", JWKSURL: "https://tool.example.edu/jwks", Handler: mux,
	})
	at := platform.Endpoints()
	registration := lti.Registration{
		Issuer: at.Issuer, ClientID: registered.ClientID, AuthURL: at.AuthURL, JWKSURL: at.JWKSURL, TokenURL: at.TokenURL, Deployments: registered.Deployments,
	}
	// Lead is negative: a new key signs at once, since Canvas keeps no key set.
	keys, err := lti.NewKeyRing(ctx, lti.KeyRingConfig{Store: new(runbook.MemoryCredentials), Name: "lti key", Lead: -1})
	if err != nil {
		fmt.Println(err)
		return
	}
	tool, err := lti.New(lti.Config{
		LaunchURL: "https://tool.example.edu/lti/launch", StateKeys: []runbook.Secret{runbook.NewSecret(rand.Text() + rand.Text())},
		Registrations: []lti.Registration{registration}, Keys: keys, HTTP: platform.Client(),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	mux.Handle("/jwks", keys.Handler())
	mux.Handle("/lti/login", tool.LoginHandler())
	mux.Handle("/lti/launch", tool.LaunchHandler(func(w http.ResponseWriter, _ *http.Request, l *lti.Launch) { fmt.Fprint(w, "welcome") }))

	// Load: access tokens, each asked for anew.
	var all sync.WaitGroup
	refused := make(chan error, 100)
	done := make(chan struct{})
	for range 4 {
		all.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				service, err := lti.NewService(lti.ServiceConfig{Registration: registration, Keys: keys, HTTP: platform.Client()})
				if err == nil {
					_, err = service.Token(ctx, at.TokenURL, ltitest.ScopeScore)
				}
				if err != nil {
					refused <- err
					return
				}
			}
		})
	}
	for range 3 {
		before := keys.KeyID()
		if _, err := keys.Rotate(ctx); err != nil {
			fmt.Println(err)
		}
		fmt.Println("another key signs:", keys.KeyID() != before, "- published:", len(keys.Keys()))
	}
	close(done)
	all.Wait()
	fmt.Println("tokens refused:", len(refused))

	// Logins that began under the former key end well, unless it was compromised.
	for _, compromised := range []bool{false, true} {
		browser := platform.Browser()
		login, err := browser.PostForm("https://tool.example.edu/lti/login", platform.Login(ltitest.Message{}))
		if err != nil {
			fmt.Println(err)
			return
		}
		if err := tool.SetStateKeys([]runbook.Secret{runbook.NewSecret(rand.Text() + rand.Text())}, compromised); err != nil {
			fmt.Println(err)
		}
		fmt.Printf("compromised %v: ", compromised)
		fmt.Println(show(platform.FinishLaunch(ctx, browser, login.Header.Get("Location"))))
	}
	// Output:
	// another key signs: true - published: 2
	// another key signs: true - published: 3
	// another key signs: true - published: 4
	// tokens refused: 0
	// compromised false: 200 welcome
	// compromised true: 401 Opening the tool took too long
}
