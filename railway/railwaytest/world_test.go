package railwaytest_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/railway/railwaytest"
)

const deployV2 = `mutation($e:String!,$s:String!,$c:String){serviceInstanceDeployV2(environmentId:$e,serviceId:$s,commitSha:$c)}`

// deploy deploys a service and returns the ID of the deployment.
func (c *school) deploy(service, commit string) string {
	c.t.Helper()
	v := vars{"e": c.production, "s": service}
	if commit != "" {
		v["c"] = commit
	}
	id, _ := c.must(deployV2, v)["serviceInstanceDeployV2"].(string)
	return id
}

// on sends a mutation that takes the ID of a deployment and returns true.
func (c *school) on(mutation, id string) {
	c.t.Helper()
	require.Equal(c.t, true, c.must(`mutation($id:String!){`+mutation+`(id:$id)}`, vars{"id": id})[mutation])
}

func (c *school) refusedOn(want, mutation, id string) {
	c.t.Helper()
	c.refused(want, `mutation($id:String!){`+mutation+`(id:$id)}`, vars{"id": id})
}

// list lists the deployments of a service.
func (c *school) list(service string) (ids []string) {
	c.t.Helper()
	data := c.must(`query($p:String!,$e:String!,$s:String!){deployments(input:{projectId:$p,environmentId:$e,serviceId:$s},first:100){edges{node{id}}}}`,
		vars{"p": c.project, "e": c.production, "s": service})
	edges, _ := dig(data, "deployments", "edges").([]any)
	for _, e := range edges {
		ids = append(ids, dig(e, "node", "id").(string))
	}
	return ids
}

func TestDeploymentMovesInTime(t *testing.T) {
	inSchool(t, func(t *testing.T, c *school) {
		before := c.s.Newest(c.production, c.api)
		id := c.deploy(c.api, "abcdef1")
		assert.Equal(t, "INITIALIZING", c.status(id))
		assert.NotContains(t, c.list(c.api), id, "a list lags")
		time.Sleep(2 * time.Second)
		assert.Equal(t, "BUILDING", c.status(id))
		assert.Contains(t, c.list(c.api), id)
		assert.Equal(t, "SUCCESS", c.status(before), "the one before goes on while the new one is built")
		time.Sleep(20 * time.Second)
		assert.Equal(t, "DEPLOYING", c.status(id))
		time.Sleep(4 * time.Second)
		assert.Equal(t, "SUCCESS", c.status(id))
		assert.Equal(t, "REMOVING", c.status(before))
		time.Sleep(3 * time.Second)
		assert.Equal(t, "REMOVED", c.status(before))
		assert.Equal(t, []string{"serviceInstanceDeployV2 " + c.api + " abcdef1"}, c.s.Effects())
		c.refused("Commit not found", deployV2, vars{"e": c.production, "s": c.api, "c": "nope"})
	})
}

func TestOutcomes(t *testing.T) {
	inSchool(t, func(t *testing.T, c *school) {
		current := c.s.Newest(c.production, c.api)
		c.s.NextDeployments("FAILED", "FAILED:PRE_DEPLOY_COMMAND", "SKIPPED", "NEEDS_APPROVAL", "HIBERNATING")
		failed := c.deploy(c.api, "")
		settle()
		assert.Equal(t, "FAILED", c.status(failed))
		assert.Equal(t, "SUCCESS", c.status(current), "a failure leaves the one before")
		assert.Contains(t, c.why(failed), "exit code 1")
		failed = c.deploy(c.api, "")
		settle()
		assert.Contains(t, c.why(failed), "pre-deploy")
		skipped := c.deploy(c.api, "")
		settle()
		assert.Equal(t, "SKIPPED", c.status(skipped))
		blocked := c.deploy(c.api, "")
		settle()
		assert.Equal(t, "NEEDS_APPROVAL", c.status(blocked))
		c.refusedOn("does not need approval", "deploymentApprove", current)
		c.on("deploymentApprove", blocked)
		settle()
		assert.Equal(t, "HIBERNATING", c.status(blocked), "a status that no schema has")
	})
}

// why returns the error of the events of a deployment.
func (c *school) why(id string) string {
	c.t.Helper()
	data := c.must(`query($id:String!){deploymentEvents(id:$id,first:50){edges{node{step payload{error skipped}}}}}`, vars{"id": id})
	edges, _ := dig(data, "deploymentEvents", "edges").([]any)
	for _, e := range edges {
		if why, ok := dig(e, "node", "payload", "error").(string); ok {
			return why
		}
	}
	return ""
}

func TestRollback(t *testing.T) {
	inSchool(t, func(t *testing.T, c *school) {
		first := c.s.Newest(c.production, c.api)
		c.refusedOn("cannot be rolled back", "deploymentRollback", first) // the current one
		c.s.SetVariable(c.production, c.api, "A", "changed", false)
		second := c.deploy(c.api, "abcdef1")
		settle()
		require.Equal(t, "changed", c.s.Got(second)["A"])

		c.on("deploymentRollback", first)
		made := c.s.Newest(c.production, c.api)
		require.NotEqual(t, first, made, "a rollback makes a deployment")
		require.NotContains(t, c.list(c.api), made)
		settle()
		got := c.must(`query($id:String!){deployment(id:$id){status meta}}`, vars{"id": made})
		assert.Equal(t, "SUCCESS", dig(got, "deployment", "status"))
		assert.Equal(t, "c1", dig(got, "deployment", "meta", "commitHash"))
		assert.Equal(t, "a", c.s.Got(made)["A"], "it gets the variables of its target")
		assert.Equal(t, "changed", c.s.Variables(c.production, c.api)["A"], "what is configured stays")
		assert.Equal(t, "REMOVED", c.status(second))

		old := c.s.AddDeployment(c.production, c.api, railwaytest.Deployment{Status: "REMOVED", Commit: "c0", Created: time.Now().Add(-time.Hour)})
		c.refusedOn("cannot be rolled back", "deploymentRollback", old)
		c.refusedOn("Deployment not found", "deploymentRollback", c.project)
		time.Sleep(121 * time.Hour)
		c.refusedOn("cannot be rolled back", "deploymentRollback", second) // its image has expired
	})
}

// Requirement: RW-TEST-SNAPSHOT
func TestVariablesTakeEffectWithADeployment(t *testing.T) {
	inSchool(t, func(t *testing.T, c *school) {
		id := c.s.Newest(c.production, c.api)
		c.s.SetVariable(c.production, c.api, "A", "new", false)
		before := c.must(restartState, vars{"id": id})

		c.on("deploymentRestart", id)
		assert.Equal(t, before, c.must(restartState, vars{"id": id}), "a restart does not show at once")
		time.Sleep(time.Second)
		assert.Equal(t, "DEPLOYING", c.status(id))
		settle()
		after := c.must(restartState, vars{"id": id})
		assert.Equal(t, "SUCCESS", dig(after, "deployment", "status"))
		assert.NotEqual(t, dig(before, "deployment", "instances", 0, "id"), dig(after, "deployment", "instances", 0, "id"))
		assert.NotEqual(t, dig(before, "deployment", "statusUpdatedAt"), dig(after, "deployment", "statusUpdatedAt"))
		assert.Equal(t, id, c.s.Newest(c.production, c.api), "a restart keeps the deployment")
		assert.Equal(t, "a", c.s.Got(id)["A"], "and its variables")

		got := c.must(`mutation($id:String!){deploymentRedeploy(id:$id){id}}`, vars{"id": id})
		made := dig(got, "deploymentRedeploy", "id").(string)
		assert.Equal(t, "new", c.s.Got(made)["A"])
		shown := dig(c.must(`query($id:String!){deploymentSnapshot(deploymentId:$id){variables}}`, vars{"id": made}), "deploymentSnapshot", "variables").(map[string]any)
		assert.Equal(t, "new", shown["A"])
		assert.Equal(t, "postgres://db.internal/x", shown["URL"])
		assert.Contains(t, shown, "S")
		assert.Nil(t, shown["S"], "a sealed value is never shown")
		assert.Equal(t, "hidden", c.s.Got(made)["S"])
	})
}

const restartState = `query($id:String!){deployment(id:$id){status statusUpdatedAt instances{id status}}}`

func TestStopCancelRemove(t *testing.T) {
	inSchool(t, func(t *testing.T, c *school) {
		id := c.s.Newest(c.production, c.web)
		require.Equal(t, map[string]int{"us-west2": 1}, c.s.Running(c.production, c.web))
		c.on("deploymentStop", id)
		settle()
		assert.Empty(t, c.s.Running(c.production, c.web))
		got := c.must(`query($e:String!,$s:String!){serviceInstance(environmentId:$e,serviceId:$s){activeDeployments{id} latestDeployment{id deploymentStopped}}}`,
			vars{"e": c.production, "s": c.web})
		assert.Empty(t, dig(got, "serviceInstance", "activeDeployments"))
		assert.Equal(t, true, dig(got, "serviceInstance", "latestDeployment", "deploymentStopped"))
		c.refusedOn("not running", "deploymentRestart", id)

		c.must(`mutation($id:String!){deploymentRedeploy(id:$id){id}}`, vars{"id": id})
		settle()
		assert.Equal(t, map[string]int{"us-west2": 1}, c.s.Running(c.production, c.web))

		id = c.deploy(c.api, "abcdef1")
		c.refusedOn("not running", "deploymentRemove", id)
		c.on("deploymentCancel", id)
		settle()
		assert.Equal(t, "REMOVED", c.status(id))
		c.refusedOn("has ended", "deploymentCancel", id)
		current := c.list(c.api)
		c.on("deploymentRemove", current[len(current)-1])
		settle()
		assert.Empty(t, c.s.Running(c.production, c.api))
	})
}

func TestNewImageNeedsADeployment(t *testing.T) {
	inSchool(t, func(t *testing.T, c *school) {
		c.must(`mutation($e:String!,$s:String!){serviceInstanceUpdate(environmentId:$e,serviceId:$s,input:{source:{image:"registry.example/web:2"}})}`,
			vars{"e": c.production, "s": c.web})
		c.must(`mutation($e:String!,$s:String!){serviceInstanceRedeploy(environmentId:$e,serviceId:$s)}`, vars{"e": c.production, "s": c.web})
		settle()
		image := func(id string) any {
			return dig(c.must(`query($id:String!){deployment(id:$id){meta}}`, vars{"id": id}), "deployment", "meta", "image")
		}
		assert.Equal(t, "registry.example/web:1", image(c.s.Newest(c.production, c.web)), "a redeployment runs what runs")
		assert.Equal(t, "registry.example/web:2", image(c.deploy(c.web, "")))
	})
}

func TestAutomaticDeployments(t *testing.T) {
	inSchool(t, func(t *testing.T, c *school) {
		v := vars{"p": c.project, "e": c.production, "s": c.api}
		c.must(`mutation($p:String!,$e:String!,$s:String!){serviceInstanceAutoDeployUpdate(input:{projectId:$p,environmentId:$e,serviceId:$s,enabled:false}){enabled}}`, v)
		before := c.s.Newest(c.production, c.api)
		c.s.Push(c.production, c.api, "feed123", "a commit")
		require.Equal(t, before, c.s.Newest(c.production, c.api), "it is frozen")
		got := c.must(`mutation($e:String!,$s:String!){serviceInstanceDeploy(environmentId:$e,serviceId:$s,latestCommit:true)}`, vars{"e": c.production, "s": c.api})
		require.Equal(t, true, got["serviceInstanceDeploy"])
		newest := c.s.Newest(c.production, c.api)
		assert.Equal(t, "feed123", dig(c.must(`query($id:String!){deployment(id:$id){meta}}`, vars{"id": newest}), "deployment", "meta", "commitHash"))
		v["s"] = c.web
		state := c.must(`query($p:String!,$e:String!,$s:String!){serviceInstanceAutoDeployStatus(projectId:$p,environmentId:$e,serviceId:$s){enabled canEnable reason}}`, v)
		assert.Equal(t, false, dig(state, "serviceInstanceAutoDeployStatus", "canEnable"))
	})
}

func TestListIsNotAlwaysInOrder(t *testing.T) {
	inSchool(t, func(t *testing.T, c *school) {
		for i := range 5 {
			c.s.AddDeployment(c.production, c.api, railwaytest.Deployment{Commit: "old", Created: time.Now().Add(-time.Hour * time.Duration(i+1))})
		}
		orders := make(map[string]bool)
		for range 4 {
			orders[c.list(c.api)[0]] = true
		}
		assert.Len(t, orders, 2)
	})
}

func TestProjectTokenStaysInItsEnvironment(t *testing.T) {
	inSchool(t, func(t *testing.T, c *school) {
		text := c.s.AddToken(railwaytest.Token{Kind: "project", Project: c.project, Environment: c.beta})
		_, message := c.as(http.Header{"Project-Access-Token": {text}}, `mutation($id:String!){deploymentRestart(id:$id)}`, vars{"id": c.s.Newest(c.production, c.api)})
		assert.Equal(t, "Not Authorized", message)
		_, message = c.as(http.Header{"Project-Access-Token": {text}}, `mutation($id:String!){deploymentRestart(id:$id)}`, vars{"id": c.s.Newest(c.beta, c.api)})
		assert.Empty(t, message)
		_, message = c.as(http.Header{"Project-Access-Token": {text}}, `mutation($id:String!){environmentDelete(id:$id)}`, vars{"id": c.beta})
		assert.Equal(t, "Not Authorized", message)
	})
}

func TestUploadThroughWorld(t *testing.T) {
	inSchool(t, func(t *testing.T, c *school) {
		assert.Equal(t, http.StatusOK, c.upload(c.api, []byte{0x1f, 0x8b, 0}))
		assert.Equal(t, http.StatusNotFound, c.upload(c.project, []byte{0x1f, 0x8b, 0}))
		assert.Equal(t, http.StatusBadRequest, c.upload(c.api, []byte("plain")))
	})
}
