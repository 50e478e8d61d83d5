// Package lti is the tool side of LTI 1.3: what a web application needs to be
// opened from a learning management system such as Canvas, and not to be tricked.
//
//	tool, err := lti.New(lti.Config{
//		LaunchURL:     "https://qa.example.edu/lti/launch",
//		StateKeys:     []runbook.Secret{stateKey}, // 32 random bytes, the same on all replicas
//		Registrations: []lti.Registration{lti.CanvasRegistration(lti.CanvasProduction, "10000000000042", "school.instructure.com")},
//		Deployment: func(ctx context.Context, r lti.Registration, l *lti.Launch) error {
//			return tenants.Accept(ctx, l.Issuer, l.DeploymentID)
//		},
//	})
//	if err != nil {
//		return err
//	}
//	mux.Handle("/lti/login", tool.LoginHandler())
//	mux.Handle("/lti/launch", tool.LaunchHandler(func(w http.ResponseWriter, r *http.Request, l *lti.Launch) {
//		// Everything is verified. Begin a session, and leave this address.
//		http.Redirect(w, r, sessions.Begin(w, l), http.StatusSeeOther)
//	}))
//	mux.Handle("/.well-known/jwks.json", keys.Handler())
//
// # What a launch has passed
//
// The state was sealed here not more than ten minutes ago, and for this browser:
// its cookie, or the platform's storage where cookies are blocked, has the secret
// whose hash is the nonce. The token was signed by the platform of the
// registration that the state names, with an algorithm that was agreed on, for
// this client and nobody else, is not too old and not for too long, is the answer
// to this very login, has what its message type must have, comes from a
// deployment that the host accepts, and was not used before. The rules are those
// of the 1EdTech Security Framework 1.0, section 5.1.3, and of LTI Core 1.3,
// section 5; the checks are made in the order of their price, so that whoever has
// no login gets no further than a few hashes.
//
// With several audiences azp is required, also where all of them are trusted.
//
// # What a login costs
//
// Anybody can begin a login. It writes nothing on the server, asks nobody but
// [Config].Lookup, and signs nothing but a MAC: all that has to be remembered
// travels in the state.
//
// # Frames
//
// A tool is shown in a frame of another site, where browsers block cookies. The
// cookies of this package are partitioned, which most browsers allow there. Where
// a platform offers its storage (Canvas does), that is used too, and where
// neither works the user gets a button that opens the tool in a new tab. The
// session that a host begins has the same problem: set Partitioned on its cookie,
// or use [Tool.Handover].
//
// # Errors
//
// A refusal is a [*Refusal] with one [Reason], for errors.Is; its text is for the
// operator, and the page that the user sees says less. [Hooks].OnRefusal gets
// them. "They said no" has a reason of its own ([ReasonPlatform]), and so has
// "nobody could be asked" ([ReasonKeySet], [ReasonStore]), which is answered with
// 503. Calls of services return an [*Error].
//
// # The rest
//
// A [KeyRing] has the tool's own keys, publishes and rotates them. A [Service]
// gets access tokens and makes calls for packages ags (grades), nrps (members)
// and pns (notices). [Tool.RespondDeepLinking] answers a deep linking request.
// Package dynreg registers a tool at a platform, package doctor finds out why
// launches fail, and package ltitest is a platform in memory. sqlnonce and
// redisnonce keep nonces for several replicas.
//
// # What it does not do
//
// It keeps no sessions and knows no users: whether a launch may do what it asks
// is the host's to decide. It does not log. It is not a platform.
//
// All types are safe for concurrent use unless they say otherwise. Importing it
// compiles golang-jwt, jwx/v3 (keys only), go-json-experiment/json (the strict
// decoder), go-retryablehttp and x/oauth2.
package lti
