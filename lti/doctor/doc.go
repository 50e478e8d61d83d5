// Package doctor finds out why launches of an LTI 1.3 tool fail: it looks at what
// an operator has, asks the tool and the platform once each, and says what is
// wrong, how it is known, and what to do.
//
//	d, err := doctor.New(doctor.Config{
//		Environment:  doctor.Production,
//		Registration: lti.CanvasRegistration(lti.CanvasProduction, "10000000000042", "school.instructure.com"),
//		PrivateKey:   stored, // as it is in the variable
//		JWKSURL:      "https://qa.example.edu/.well-known/jwks.json",
//		LoginURL:     "https://qa.example.edu/lti/login",
//		LaunchURL:    "https://qa.example.edu/lti/launch",
//		NonceLife:    2 * time.Hour,
//		Token:        failing, // an id_token out of a log, if there is one
//	})
//	if err != nil {
//		return err
//	}
//	diagnosis, err := d.Diagnose(ctx)
//	if err != nil {
//		return err
//	}
//	fmt.Print(diagnosis)
//
// Everything in [Config] is optional: what is not there is not looked at, and the
// diagnosis says so. A [Doctor] implements incident.Diagnoser.
//
// # What it looks at
//
// The private key as it is stored, and whether it is the one that is published;
// the published set (private numbers in it, fields that Canvas demands, a kid that
// names another key than before); issuer and addresses, for the environment they
// belong to; the clocks, by the Date of the answers; how long nonces are
// remembered; the login, begun as from a frame of the platform: its redirect, its
// cookie, and whether the pages may be shown in that frame; the registration at
// the platform, if [Config].PlatformTool can read it; and, where [Config].TryToken
// allows it, the token endpoint. [Config].Token is taken apart by lti.Examine. It
// is never accepted, no nonce is used, and no address in it is followed.
//
// # The platform's side
//
// This package knows no client of a platform. A host that has one fills a
// [PlatformTool]; with package canvas:
//
//	PlatformTool: func(ctx context.Context) (doctor.PlatformTool, error) {
//		r, err := client.GetRegistrationByClientID(ctx, canvas.Self, clientID)
//		if errors.Is(err, canvas.ErrNotFound) {
//			return doctor.PlatformTool{}, fmt.Errorf("%w: %w", incident.ErrNotFound, err)
//		}
//		if err != nil {
//			return doctor.PlatformTool{}, err
//		}
//		c := r.OverlaidConfiguration.Or(r.Configuration.Or(canvas.ToolConfiguration{}))
//		t := doctor.PlatformTool{
//			ClientID: clientID.String(), RedirectURIs: c.RedirectURIs, LoginURL: c.OIDCInitiationURL,
//			TargetLinkURI: c.TargetLinkURI, JWKSURL: c.PublicJWKURL, PublicJWK: c.PublicJWK, Scopes: c.Scopes,
//		}
//		if b, ok := r.Binding.Get(); ok {
//			t.Off = b.State != canvas.BindingOn
//		}
//		for _, p := range c.Placements {
//			t.Placements = append(t.Placements, doctor.Placement{
//				Name: p.Name, MessageType: string(p.MessageType), TargetLinkURI: p.TargetLinkURI, Enabled: p.Enabled.Or(true),
//			})
//		}
//		return t, nil
//	},
//
// # Three things that are kept apart
//
// What is wrong is a finding. What is right is in Checked. What could not be asked
// is in NotChecked, with the reason. An address that does not answer is a finding
// if it says so itself (it refuses connections, its certificate is not valid), or
// if others did answer in the same diagnosis; if nobody answers, it may be this
// machine's network.
//
// # What it costs
//
// One request for each address, three for the login, and with a Token the
// platform's key set once more. They run at the same time, each within
// [Config].Timeout; two of them after one another at the most.
// Nothing is repeated and nothing is changed. A tool that counts refusals counts
// one for the launch address, which is asked without a launch.
//
// # Probers
//
// [Doctor.JWKS], [Doctor.PlatformKeySet], [Doctor.Login], [Doctor.TokenEndpoint]
// and [KeyAge] watch the same things for package health, all the time.
//
// All types are safe for concurrent use. Importing it compiles package lti and
// what that needs, health and incident.
package doctor
