package examples_test

import (
	"crypto/rand"
	"fmt"
	"net/http"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/lti"
	"go.acu.edu.au/runbook/lti/doctor"
	"go.acu.edu.au/runbook/lti/ltitest"
)

// After Canvas test was overwritten from production, no launch works. The log has
// one line for each, and the doctor, who gets a token that was refused, says what
// to do.
func Example_launchesFailAndTheDoctorSaysWhy() {
	platform := &ltitest.Platform{Canvas: true}
	mux := http.NewServeMux()
	registered := platform.AddTool(ltitest.Tool{ // as it is since the refresh
		ClientID: "10000000000077", LoginURL: "https://tool.example.edu/lti/login", RedirectURIs: []string{"https://tool.example.edu/lti/launch"},
		TargetLinkURI: "https://tool.example.edu/course", JWKSURL: "https://tool.example.edu/jwks", Handler: mux,
	})
	key, err := lti.GenerateKey()
	if err != nil {
		fmt.Println(err)
		return
	}
	keys, err := lti.NewKeyRing(ctx, lti.KeyRingConfig{Keys: []runbook.Secret{key}})
	if err != nil {
		fmt.Println(err)
		return
	}
	at := platform.Endpoints()
	configured := lti.Registration{ // as it was before
		Issuer: at.Issuer, ClientID: "10000000000042", AuthURL: at.AuthURL, JWKSURL: at.JWKSURL, TokenURL: at.TokenURL, Deployments: registered.Deployments,
	}
	tool, err := lti.New(lti.Config{
		LaunchURL: "https://tool.example.edu/lti/launch", StateKeys: []runbook.Secret{runbook.NewSecret(rand.Text() + rand.Text())},
		Registrations: []lti.Registration{configured}, Keys: keys, HTTP: platform.Client(),
		Hooks: lti.Hooks{OnRefusal: logRefusal},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	mux.Handle("/jwks", keys.Handler())
	mux.Handle("/lti/login", tool.LoginHandler())
	mux.Handle("/lti/launch", tool.LaunchHandler(func(w http.ResponseWriter, _ *http.Request, l *lti.Launch) { fmt.Fprint(w, "welcome") }))

	fmt.Println(show(platform.Browser().PostForm("https://tool.example.edu/lti/login", platform.Login(ltitest.Message{}))))

	d, err := doctor.New(doctor.Config{
		Environment: doctor.Test, Registration: configured,
		PrivateKey: key, JWKSURL: "https://tool.example.edu/jwks",
		Token: runbook.NewSecret(platform.Token(ltitest.FindCase("I1"), registered.ClientID, "a nonce")),
		HTTP:  platform.Client(),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	diagnosis, err := d.Diagnose(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, f := range diagnosis.Findings {
		fmt.Println(f.Title + ".")
		fmt.Println("  " + f.Remedy)
	}
	// Output:
	// lti: refused (registration): no registration for issuer "https://canvas.test.instructure.com" and client "10000000000077"
	// 400 The tool is not set up for this place
	// The token is refused: it is for another client.
	//   Set the client id of the tool to the one in aud, if that is the tool's key at the platform; else the launch is for another tool.
	// The token is refused: its azp is another client, or missing.
	//   Compare the client id with azp. Name in TrustedAudiences whom else the token may be for.
}
