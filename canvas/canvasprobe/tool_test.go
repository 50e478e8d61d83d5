package canvasprobe_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/canvas"
	"go.acu.edu.au/runbook/canvas/canvasprobe"
	"go.acu.edu.au/runbook/canvas/canvastest"
	"go.acu.edu.au/runbook/health"
)

const lineItems = "https://purl.imsglobal.org/spec/lti-ags/scope/lineitem"

// register adds a tool at a host and returns its registration and client id.
func register(fake *canvastest.Server, host string) (registration int64, clientID canvas.ID) {
	registration = fake.Add(canvastest.Registrations, canvastest.RootAccount, canvastest.Object{
		"name": "QA Tool",
		"configuration": canvastest.Object{
			"title": "QA Tool", "target_link_uri": "https://" + host + "/launch", "domain": host, "oidc_initiation_url": "https://" + host + "/login",
			"public_jwk_url": "https://" + host + "/jwks", "privacy_level": "public", "scopes": []string{lineItems}, "custom_fields": canvastest.Object{"env": "test"},
			"redirect_uris": []string{"https://" + host + "/launch"},
			"placements":    []any{canvastest.Object{"placement": "course_navigation", "enabled": true, "message_type": "LtiResourceLinkRequest"}},
		},
	})
	return registration, canvas.ID(fake.Get(canvastest.Registrations, registration)["developer_key_id"].(int64))
}

// expected is what register makes.
func expected(host string, id canvas.ID) canvasprobe.Tool {
	return canvasprobe.Tool{
		ClientID: id, Title: "QA Tool", TargetLinkURI: "https://" + host + "/launch", OIDCInitiationURL: "https://" + host + "/login", PublicJWKURL: "https://" + host + "/jwks",
		PrivacyLevel: "public", Scopes: []string{lineItems}, Placements: map[string]canvas.MessageType{"course_navigation": canvas.ResourceLinkRequest},
		CustomFields: map[string]string{"env": "test"},
	}
}

// Every field that is not as expected is named.
//
// Requirement: CV-HOST-DRIFT
func TestDrift(t *testing.T) {
	fake := &canvastest.Server{}
	_, id := register(fake, "qa-test.example.com")
	i := instance(t, base(fake))
	good := expected("qa-test.example.com", id)
	probe := func(want canvasprobe.Tool) health.Result {
		p, err := i.Tool(want)
		require.NoError(t, err)
		return p.Probe(t.Context())
	}
	require.Equal(t, health.Healthy, probe(good).Status, probe(good).Message)
	require.Equal(t, health.Healthy, probe(canvasprobe.Tool{ClientID: id}).Status, "nothing else is checked")
	for _, c := range []struct {
		change func(*canvasprobe.Tool)
		field  string
		status health.Status
	}{
		{func(w *canvasprobe.Tool) { w.Title = "Q & A" }, "title", health.Degraded},
		{func(w *canvasprobe.Tool) { w.PrivacyLevel = "anonymous" }, "privacy_level", health.Degraded},
		{func(w *canvasprobe.Tool) { w.TargetLinkURI += "2" }, "target_link_uri", health.Unhealthy},
		{func(w *canvasprobe.Tool) { w.OIDCInitiationURL += "2" }, "oidc_initiation_url", health.Unhealthy},
		{func(w *canvasprobe.Tool) { w.PublicJWKURL += "2" }, "public_jwk_url", health.Unhealthy},
		{func(w *canvasprobe.Tool) { w.Scopes = append(w.Scopes, "https://another.example.com/scope") }, "scopes", health.Unhealthy},
		{func(w *canvasprobe.Tool) { w.Scopes = []string{} }, "scopes", health.Unhealthy},
		{func(w *canvasprobe.Tool) { w.Placements = map[string]canvas.MessageType{} }, "placements", health.Unhealthy},
		{func(w *canvasprobe.Tool) {
			w.Placements = map[string]canvas.MessageType{"course_navigation": canvas.DeepLinkingRequest}
		}, "placements.course_navigation.message_type", health.Unhealthy},
		{func(w *canvasprobe.Tool) {
			w.Placements = map[string]canvas.MessageType{"course_navigation": "", "link_selection": ""}
		}, "placements", health.Unhealthy},
		{func(w *canvasprobe.Tool) { w.CustomFields = map[string]string{"env": "beta"} }, "custom_fields.env", health.Degraded},
		{func(w *canvasprobe.Tool) { w.CustomFields = map[string]string{} }, "custom_fields.env", health.Degraded},
	} {
		want := expected("qa-test.example.com", id)
		c.change(&want)
		drift, err := i.Drift(t.Context(), want)
		require.NoError(t, err)
		require.Len(t, drift, 1, "%s: %v", c.field, drift)
		assert.Equal(t, c.field, drift[0].Field)
		r := probe(want)
		assert.Equal(t, c.status, r.Status, c.field)
		assert.Equal(t, canvasprobe.CauseDrift, r.Cause)
		assert.Contains(t, r.Message, c.field+" is ")
	}
	_, err := i.Tool(canvasprobe.Tool{})
	require.Error(t, err)
	clean(t, fake)
}

// What an administrator overlaid counts, and so does the switch.
//
// Requirement: CV-HOST-DRIFT
func TestToolThatIsOffOrOverlaid(t *testing.T) {
	fake := &canvastest.Server{}
	registration, id := register(fake, "qa.example.com")
	i := instance(t, base(fake))
	p, err := i.Tool(expected("qa.example.com", id))
	require.NoError(t, err)
	_, err = i.Client().BindRegistration(t.Context(), canvas.Self, canvas.ID(registration), canvas.BindingOff)
	require.NoError(t, err)
	r := p.Probe(t.Context())
	assert.Equal(t, canvasprobe.CauseOff, r.Cause)
	assert.Contains(t, r.Message, `account_binding is "off", want "on"`)
	_, err = i.Client().BindRegistration(t.Context(), canvas.Self, canvas.ID(registration), canvas.BindingOn)
	require.NoError(t, err)
	fake.Set(canvastest.Registrations, registration, canvastest.Object{"overlay": canvastest.Object{"disabled_placements": []string{"course_navigation"}, "title": "Renamed"}})
	r = p.Probe(t.Context())
	assert.Equal(t, health.Unhealthy, r.Status, r.Message)
	assert.Contains(t, r.Message, "placements is missing")
	assert.Contains(t, r.Message, `title is "Renamed"`)

	missing, err := i.Tool(canvasprobe.Tool{ClientID: 424242})
	require.NoError(t, err)
	r = missing.Probe(t.Context())
	assert.Equal(t, health.CauseMissing, r.Cause, r.Message)
	assert.Contains(t, r.Message, "client id 424242")
	clean(t, fake)
}

// After a refresh the tool of test is that of production.
//
// Requirement: CV-HOST-WRONG-TARGET
func TestToolOfTestPointsAtProduction(t *testing.T) {
	production, fake := &canvastest.Server{}, &canvastest.Server{}
	_, id := register(production, "qa.example.com")
	inProduction, err := instance(t, base(production)).ReadTool(t.Context(), canvas.Self, id)
	require.NoError(t, err)
	inProduction.CustomFields = nil
	fake.Refresh(production)
	cfg := base(fake)
	cfg.Environment = canvasprobe.Test
	want := expected("qa-test.example.com", id)
	want.Production = &inProduction
	p, err := instance(t, cfg).Tool(want)
	require.NoError(t, err)
	r := p.Probe(t.Context())
	assert.Equal(t, health.Unhealthy, r.Status)
	assert.Equal(t, canvasprobe.CauseWrongTarget, r.Cause, r.Message)
	assert.Contains(t, r.Message, `target_link_uri is "https://qa.example.com/launch", want "https://qa-test.example.com/launch" (it belongs to production)`)
}

// A tool in the test instance is compared with what it should be.
func ExampleInstance_Tool() {
	fake := &canvastest.Server{}
	_, id := register(fake, "qa-test.example.com")
	test, err := canvasprobe.New(canvasprobe.Config{
		Canvas: canvas.Config{
			BaseURL: "https://school.test.instructure.com", Token: runbook.NewSecret(canvastest.AdminToken),
			HTTP: fake.Client(), // a real program leaves this out
		},
		Environment: canvasprobe.Test,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	tool, err := test.Tool(canvasprobe.Tool{
		ClientID:      id,
		TargetLinkURI: "https://qa-test.example.com/launch",
		Scopes:        []string{lineItems},
		Placements:    map[string]canvas.MessageType{"course_navigation": canvas.ResourceLinkRequest, "link_selection": canvas.DeepLinkingRequest},
		PrivacyLevel:  "name_only",
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	r := tool.Probe(context.Background())
	fmt.Println(r.Status, r.Cause)
	fmt.Println(r.Message)
	// Output:
	// unhealthy drift
	// test (school.test.instructure.com): placements is missing, want "link_selection"; privacy_level is "public", want "name_only"
}
