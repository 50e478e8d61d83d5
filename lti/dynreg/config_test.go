package dynreg_test

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/lti/dynreg"
)

func TestNewSaysEverything(t *testing.T) {
	_, err := dynreg.New(dynreg.Config{
		URL: "http://qa.example.edu/r", OnlyTrusted: true, Keys: []runbook.Secret{runbook.NewSecret("short")}, FrameAncestors: []string{"a; b"},
		Tool: dynreg.Tool{
			LoginURL: "https:login", JWKSURL: "https://10.0.0.1/jwks", RedirectURIs: []string{"x"}, LogoURL: "http://l.example", Scopes: []string{"a b"},
			Canvas:   &dynreg.CanvasTool{PrivacyLevel: "all"},
			Messages: []dynreg.Message{{Canvas: &dynreg.CanvasMessage{Visibility: "none"}}},
		},
	})
	require.Error(t, err)
	for _, text := range []string{"URL: must be https", "Name is required", "LoginURL", "TargetLinkURI: is required", "JWKSURL", "RedirectURIs", "LogoURL", `"a b"`,
		"PrivacyLevel", "Visibility", "Type is required", "key 1 is shorter", "Store is required", "OnlyTrusted", "frame ancestor"} {
		assert.Contains(t, err.Error(), text)
	}
	_, err = dynreg.New(dynreg.Config{
		URL: "https://qa.example.edu/r", Tool: tool(), Store: func(context.Context, dynreg.Registered) error { return nil },
		Trusted: []dynreg.Trust{{Issuer: "x"}, {Issuer: moodle, Hosts: []string{"a.example/b", "*", "host"}}, {Issuer: moodle}},
	})
	require.Error(t, err)
	for _, text := range []string{"Keys is empty", `issuer "x"`, `host "a.example/b"`, `host "*"`, `host "host"`, "comes twice"} {
		assert.Contains(t, err.Error(), text)
	}
	_, err = dynreg.New(dynreg.Config{})
	require.Error(t, err)
	assert.Contains(t, err.Error(), "Messages is empty")
}

func TestInvite(t *testing.T) {
	d := newDesk(t, &platform{document: moodleDocument()}, func(c *dynreg.Config) { c.URL = "https://qa.example.edu/lti/register?tenant=1" })
	address, err := d.registrar.Invite(dynreg.Invitation{For: "ACU"})
	require.NoError(t, err)
	again, err := d.registrar.Invite(dynreg.Invitation{For: "ACU"})
	require.NoError(t, err)
	assert.NotEqual(t, address, again, "two invitations are one")
	u, err := url.Parse(address)
	require.NoError(t, err)
	assert.Equal(t, "1", u.Query().Get("tenant"))
	assert.Len(t, u.Query(), 2)

	_, err = d.registrar.Invite(dynreg.Invitation{For: strings.Repeat("x", 201), Hosts: []string{"a/b"}, Life: 31 * 24 * time.Hour})
	require.Error(t, err)
	for _, text := range []string{"For has 201 bytes", "need an Issuer", `host "a/b"`, "Life"} {
		assert.Contains(t, err.Error(), text)
	}
	_, err = d.registrar.Invite(dynreg.Invitation{Issuer: "https:opaque"})
	require.ErrorContains(t, err, "Issuer")
	hosts := make([]string, 100)
	for i := range hosts {
		hosts[i] = strings.Repeat("h", 30) + ".example"
	}
	_, err = d.registrar.Invite(dynreg.Invitation{Issuer: moodle, Hosts: hosts})
	require.ErrorContains(t, err, "more than 1500")
}

// What the host program keeps may be printed.
func TestRegisteredHidesSecrets(t *testing.T) {
	p := &platform{document: moodleDocument(), change: map[string]any{"registration_client_uri": moodle + "/manage", "registration_access_token": "manage-secret"}}
	d := newDesk(t, p, nil)
	require.Equal(t, 200, d.run(d.address(dynreg.Invitation{}, moodleConfig)).Code, "%v", d.last())
	assert.NotContains(t, strings.ToLower(printed(d.stored[0])), "manage-secret")
}

func printed(v any) string { return fmt.Sprintf("%v %+v %#v", v, v, v) }
