// Package dynreg registers an LTI tool at platforms by LTI Dynamic Registration
// 1.0: an administrator enters an address of the tool, and platform and tool tell
// each other what they need to know, instead of the administrator copying it.
//
//	registrar, err := dynreg.New(dynreg.Config{
//		URL: "https://qa.example.edu/lti/register",
//		Tool: dynreg.Tool{
//			Name:          "Q&A",
//			LoginURL:      "https://qa.example.edu/lti/login",
//			TargetLinkURI: "https://qa.example.edu/lti/launch",
//			JWKSURL:       "https://qa.example.edu/.well-known/jwks.json",
//			Messages:      []dynreg.Message{{Type: lti.MessageResourceLink, Placements: []string{"course_navigation"}}},
//		},
//		Keys:   []runbook.Secret{inviteKey}, // 32 random bytes, the same on all replicas
//		Nonces: nonces,                      // the store that the launches use
//		Store: func(ctx context.Context, r dynreg.Registered) error {
//			return registrations.Add(ctx, r.Invitation.For, r.Registration)
//		},
//	})
//	if err != nil {
//		return err
//	}
//	mux.Handle("/lti/register", registrar.Handler())
//
//	// For each platform that is to be registered:
//	address, err := registrar.Invite(dynreg.Invitation{For: "ACU"})
//
// # Who can register
//
// Whoever has an invitation: an address that [Registrar.Invite] makes, that serves
// once, and not for long. It is sealed, so that nothing is stored for it, and
// without one a request costs a hash and leads nowhere. An invitation that says
// for which issuer it is serves no other.
//
// The platform tells its addresses itself, in a document that the tool fetches.
// That makes the handler a way to make a server call addresses (server-side
// request forgery), and to be a platform that one is not, were it not for these
// rules. The document comes over https from a public address, decided when the
// connection is made, without redirects to elsewhere; it has at most 1 MiB; and its
// issuer has the host that it came from. The registration endpoint, which gets the
// registration token, has that host too, or one that the host program trusts for
// this issuer ([Trust]; hosted Canvas is known). The other endpoints may be
// elsewhere, as Canvas has them, but not at private addresses. A platform cannot
// name another's token endpoint or authorization server to be sent what is meant
// for it; see [Registered].
//
// The person in front of it sees who the platform is, and has to agree. What is
// agreed to is what is done: the form carries a seal over invitation, addresses and
// endpoints.
//
// # Once
//
// The invitation is used up just before the registration is sent, when everything
// that can be checked has been, so that an attempt that failed earlier can be made
// again. Of many confirmations one is sent, and it is sent once: it is never
// repeated. If its answer is lost nobody knows whether the platform registered
// anything ([ReasonUnknown]): look there before the next invitation.
//
// # Errors
//
// [Hooks].OnError gets an [*Error] with one [Reason], for errors.Is. Its text is for
// the operator. The page says less, and no page, error or address that leaves this
// package has the registration token. From [ReasonRefused] on, something may exist
// at the platform; the error has its client id where there is one.
//
// # What it does not do
//
// It does not update registrations. It does not know in which accounts or courses
// a tool will be deployed: most platforms (Moodle is one) answer with a first
// deployment, Canvas does not; the launches of others are put to
// [go.acu.edu.au/runbook/lti.Config].Deployment.
//
// A [Registrar] is safe for concurrent use. Importing the package compiles what
// package lti compiles.
package dynreg
