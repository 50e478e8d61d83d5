package doctor_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/lti"
	"go.acu.edu.au/runbook/lti/doctor"
	"go.acu.edu.au/runbook/lti/ltitest"
)

// Launches fail on Monday morning. The operator gives what he has, and the tool is
// asked once.
func Example() {
	platform := &ltitest.Platform{Canvas: true, Environment: "prod"}
	tool := http.NewServeMux()
	key := ltitest.PublicJWK(&ltitest.ToolKey(0).PublicKey, "2024")
	delete(key, "alg")
	tool.HandleFunc("/jwks", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if err := json.NewEncoder(w).Encode(map[string]any{"keys": []any{key}}); err != nil {
			fmt.Println(err)
		}
	})
	tool.HandleFunc("/lti/launch", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Frame-Options", "SAMEORIGIN")
		w.WriteHeader(http.StatusMethodNotAllowed)
	})
	registered := platform.AddTool(ltitest.Tool{JWKSURL: "https://qa.example.edu/jwks", Handler: tool})

	d, err := doctor.New(doctor.Config{
		Environment:  doctor.Production,
		Registration: lti.CanvasRegistration(lti.CanvasProduction, registered.ClientID, "school.instructure.com"),
		PrivateKey:   runbook.NewSecret("LS0tLS1CRUdJTiBFQyBQUklWQVRFIEtFWS0tLS0tCk1IY0MKLS0tLS1FTkQgRUMgUFJJVkFURSBLRVktLS0tLQo="),
		JWKSURL:      "https://qa.example.edu/jwks",
		LaunchURL:    "https://qa.example.edu/lti/launch",
		NonceLife:    10 * time.Minute,
		HTTP:         platform.Client(),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	diagnosis, err := d.Diagnose(context.Background())
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Print(diagnosis)
	// Output:
	// LTI in production, client 10000000000042: 4 findings, 3 right, 5 not looked at
	// 1. The private key cannot be used: it is not an RSA key, and LTI signs with RS256 (certain, private_key_not_rsa)
	//    - what is stored has 88 characters
	//    Do: Make one with openssl genrsa 2048.
	// 2. A published key lacks what Canvas demands (certain, jwk_fields)
	//    - key 1, kid "2024" lacks alg
	//    Do: Publish kid, kty, n, e, alg and use with every key.
	// 3. Nonces are forgotten before their tokens expire: a launch in flight fails, or a token can be used again (likely, nonce_life)
	//    - a nonce is remembered for 10m0s
	//    - tokens of the platform live 1h0m0s
	//    Do: Remember a nonce until its token has expired, with leeway: a little more than the life of tokens. A lti.Tool does.
	// 4. The tool's pages may not be shown in a frame of the platform (likely, frame_forbidden)
	//    - GET https://qa.example.edu/lti/launch: X-Frame-Options is SAMEORIGIN
	//    - the frame is of "https://school.instructure.com"
	//    Do: Send Content-Security-Policy: frame-ancestors with the hosts of the platform (lti.Tool.FrameAncestors has them), and no X-Frame-Options; look at proxies and middleware too.
	// Right: registration: issuer "https://canvas.instructure.com" and its addresses fit together
	// Right: the clock of this machine fits that of the platform
	// Right: the platform's key set: 3 keys
	// Not looked at: whether the private key is the one that is published: the private key is not known, or cannot be read
	// Not looked at: the tool's login: LoginURL was not given
	// Not looked at: the tool's key at the platform: there is no access to the platform's keys
	// Not looked at: the tool's registration at the platform: there is no access to the platform
	// Not looked at: the token endpoint: TryToken is not set, since each grant has its price
}
