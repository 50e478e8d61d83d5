// Package ltitest is an LTI 1.3 platform in memory: the other side of package lti,
// for the tests and the rehearsals of tools. It signs launches, good ones and
// forged ones, publishes keys, gives access tokens, has a grade book and a
// membership list, takes deep linking responses, sends notices, and lets tools
// register. It also has the conformance suite of nonce stores, [TestNonceStore].
//
//	p := &ltitest.Platform{Canvas: true}
//	own := p.AddTool(ltitest.Tool{
//		LoginURL:     "https://qa.example.edu/lti/login",
//		RedirectURIs: []string{"https://qa.example.edu/lti/launch"},
//		Handler:      mux, // of the tool
//	})
//	e := p.Endpoints() // for the tool's registration; its HTTP client is p.Client()
//	resp, err := p.Launch(ctx, nil, ltitest.Message{User: ltitest.Student}) // all of a launch
//	...
//	for _, c := range ltitest.Cases() {
//		resp, err := p.LaunchCase(ctx, nil, ltitest.Message{}, c)
//		// a redirect if c.Accept, and a page that says no if not
//	}
//	p.RotateKeys()
//	p.Inject(ltitest.Fault{Endpoint: ltitest.KeySet, Status: 503, Times: 3})
//	p.Count(ltitest.KeySet) // how often the tool asked
//
// The clock is [time.Now], so that a test in a bubble of testing/synctest runs
// hours of expiry in no time, and the same code serves other programs on a port,
// with [Platform].BaseURL and [net/http/httptest.NewServer].
//
// # How strict it is
//
// A platform that takes everything proves nothing. This one refuses what Canvas
// refuses, in the words of Canvas where they are known, and what the
// specifications forbid: authentication requests with a parameter that is
// missing, doubled or changed; assertions with the wrong audience, age or
// algorithm; calls of services without the right media type, query or members;
// deep linking responses that do not have the data of their request. Without
// Canvas set it is awkward wherever the specifications allow it: addresses have
// queries of their own, hints need escaping, aud is a list, timestamps need
// fractions, and Link headers come in forms that are rare.
//
// It shares no code with package lti for signing and checking, so that an error
// there does not meet the same error here.
//
// # What is not there
//
// Pages for people, scripts (the platform's storage is offered, and not played),
// and the asset services of Canvas. What goes beyond the public sources is said
// where it is: the texts of errors of a neutral platform are its own.
//
// # Sources
//
// The forms of messages come from the 1EdTech specifications (Security Framework
// 1.0, LTI Core 1.3, Deep Linking 2.0, AGS 2.0, NRPS 2.0, the certification guide
// 1.3), those of Canvas from developerdocs.instructure.com as published in 2026,
// and its behaviour from instructure/canvas-lms, which the comments name by file.
//
// # Panics, concurrency, cost
//
// Methods panic where a test names something that does not exist, because it would
// test nothing. All of it is safe for concurrent use. The package starts one
// goroutine for each request of [Platform.Client], and none besides;
// [Platform.Wait] waits for them. The platform compiles the standard library only;
// importing the package compiles what package lti does, for [TestNonceStore].
package ltitest
