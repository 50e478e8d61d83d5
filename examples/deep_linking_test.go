package examples_test

import (
	"crypto/rand"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/url"
	"regexp"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/lti"
	"go.acu.edu.au/runbook/lti/ltitest"
)

// newPicker is a tool in which a teacher chooses what to put into the course.
func newPicker(r lti.Registration, keys *lti.KeyRing, client *http.Client) (http.Handler, error) {
	tool, err := lti.New(lti.Config{
		LaunchURL: "https://tool.example.edu/lti/launch", StateKeys: []runbook.Secret{runbook.NewSecret(rand.Text() + rand.Text())},
		Registrations: []lti.Registration{r}, Keys: keys, HTTP: client,
	})
	if err != nil {
		return nil, err
	}
	var chosen lti.DeepLinkingRequest // a host keeps it in the session, as JSON
	mux := http.NewServeMux()
	mux.Handle("/jwks", keys.Handler())
	mux.Handle("/lti/login", tool.LoginHandler())
	mux.Handle("/lti/launch", tool.LaunchHandler(func(w http.ResponseWriter, r *http.Request, l *lti.Launch) {
		request, ok := l.DeepLinkingRequest()
		if !ok || !l.HasRole("Instructor") {
			http.Error(w, "only teachers choose", http.StatusForbidden)
			return
		}
		chosen = request
		fmt.Fprint(w, "<h1>Choose one of: ", request.Settings.AcceptTypes, "</h1>")
	}))
	mux.HandleFunc("POST /choose", func(w http.ResponseWriter, r *http.Request) {
		// It is signed now, when the teacher has chosen: what is older is refused.
		err := tool.RespondDeepLinking(w, r, chosen, lti.DeepLinkingReply{Items: []lti.ContentItem{{
			Type: lti.ItemResourceLink, Title: r.FormValue("title"), URL: "https://tool.example.edu/quiz/7",
			LineItem: &lti.ItemLineItem{Label: "Quiz 7", ScoreMaximum: 10},
		}}})
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	})
	return mux, nil
}

var jwtField = regexp.MustCompile(`action="(.*?)"[\s\S]*name="JWT" value="(.*?)"`)

// A teacher chooses a quiz in the tool, and the platform takes it into the course
// with a column in the grade book.
func Example_deepLinking() {
	platform := &ltitest.Platform{Canvas: true}
	var tool http.Handler
	registered := platform.AddTool(ltitest.Tool{
		LoginURL: "https://tool.example.edu/lti/login", RedirectURIs: []string{"https://tool.example.edu/lti/launch"},
		TargetLinkURI: "https://tool.example.edu/course", JWKSURL: "https://tool.example.edu/jwks",
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { tool.ServeHTTP(w, r) }),
	})
	at := platform.Endpoints()
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
	tool, err = newPicker(lti.Registration{
		Issuer: at.Issuer, ClientID: registered.ClientID, AuthURL: at.AuthURL, JWKSURL: at.JWKSURL, Deployments: registered.Deployments,
	}, keys, platform.Client())
	if err != nil {
		fmt.Println(err)
		return
	}
	browser := platform.Browser()

	fmt.Println(show(platform.Launch(ctx, browser, ltitest.Message{Type: ltitest.DeepLinkingRequest})))
	page, err := browser.PostForm("https://tool.example.edu/choose", url.Values{"title": {"Quiz 7"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	text, err := io.ReadAll(page.Body)
	if err != nil {
		fmt.Println(err)
		return
	}
	form := jwtField.FindSubmatch(text) // the page posts it by itself
	back, err := browser.PostForm(html.UnescapeString(string(form[1])), url.Values{"JWT": {string(form[2])}})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("the platform says", back.StatusCode)
	for _, r := range platform.DeepLinkingResponses() {
		for _, item := range r.Items {
			fmt.Println(item["type"], item["title"], item["lineItem"], r.Problems)
		}
	}
	// Output:
	// 200 Choose one of: [link ltiResourceLink html]
	// the platform says 200
	// ltiResourceLink Quiz 7 map[label:Quiz 7 scoreMaximum:10] []
}
