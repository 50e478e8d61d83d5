package railwaytest_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/railway/railwaytest"
)

func bearer(text string) http.Header { return http.Header{"Authorization": {"Bearer " + text}} }

func TestWhoSeesWhat(t *testing.T) {
	inSchool(t, func(t *testing.T, c *school) {
		other := c.s.AddWorkspace("Other")
		hidden := c.s.AddProject(other, "lessons")
		account := bearer(c.account)
		workspace := bearer(c.s.AddToken(railwaytest.Token{Kind: "workspace", Workspace: c.workspace}))
		project := http.Header{"Project-Access-Token": {c.s.AddToken(railwaytest.Token{Kind: "project", Project: c.project, Environment: c.beta})}}

		data, message := c.as(account, `{me{id workspaces{id projects(first:5){edges{node{name}}}}} apiToken{workspaces{id name}}}`, nil)
		require.Empty(t, message)
		assert.Equal(t, "lessons", dig(data, "me", "workspaces", 1, "projects", "edges", 0, "node", "name"))
		assert.Len(t, dig(data, "apiToken", "workspaces"), 2)
		_, message = c.as(workspace, `{me{id}}`, nil)
		assert.Equal(t, "Not Authorized", message)
		data, _ = c.as(workspace, `{apiToken{workspaces{name}}}`, nil)
		assert.Equal(t, []any{vars{"name": "School"}}, dig(data, "apiToken", "workspaces"))
		_, message = c.as(workspace, `query($id:String!){project(id:$id){id}}`, vars{"id": hidden})
		assert.Equal(t, "Not Authorized", message)
		data, message = c.as(project, `{projectToken{project{id name} environment{id name}}}`, nil)
		require.Empty(t, message)
		assert.Equal(t, c.beta, dig(data, "projectToken", "environment", "id"))
		_, message = c.as(account, `{projectToken{id}}`, nil)
		assert.Contains(t, message, "not found")
		c.refused("Project not found", `query($id:String!){project(id:$id){id}}`, vars{"id": c.api})

		assert.Empty(t, dig(c.must(`{projects(first:5){edges{node{id}}}}`, nil), "projects", "edges"), "an account has to say in which workspace")
		data = c.must(`query($w:String!){projects(workspaceId:$w,first:5){edges{node{id}}}}`, vars{"w": other})
		assert.Equal(t, hidden, dig(data, "projects", "edges", 0, "node", "id"))
		c.s.Restrict(c.beta)
		c.refused("Not Authorized", `query($id:String!){environment(id:$id){id}}`, vars{"id": c.beta})
		data = c.must(`query($p:String!){environments(projectId:$p,first:5){edges{node{name canAccess}}}}`, vars{"p": c.project})
		assert.Equal(t, vars{"name": "beta", "canAccess": false}, dig(data, "environments", "edges", 1, "node"))
	})
}

func TestPages(t *testing.T) {
	inSchool(t, func(t *testing.T, c *school) {
		for range 12 {
			c.s.AddEnvironment(c.project, "more")
		}
		var seen []any
		after, pages := any(nil), 0
		for {
			data := c.must(`query($p:String!,$a:String){environments(projectId:$p,first:5,after:$a){edges{node{id}} pageInfo{hasNextPage endCursor}}}`, vars{"p": c.project, "a": after})
			edges, _ := dig(data, "environments", "edges").([]any)
			for _, e := range edges {
				seen = append(seen, dig(e, "node", "id"))
			}
			pages++
			if dig(data, "environments", "pageInfo", "hasNextPage") != true {
				break
			}
			after = dig(data, "environments", "pageInfo", "endCursor")
		}
		assert.Equal(t, 3, pages)
		assert.Len(t, seen, 14)
		first := c.must(`query($p:String!){environments(projectId:$p){edges{node{id}}}}`, vars{"p": c.project})
		assert.Len(t, dig(first, "environments", "edges"), 10, "ten if it is not said how many")
		c.refused("Invalid cursor", `query($p:String!){environments(projectId:$p,first:5,after:"x"){edges{node{id}}}}`, vars{"p": c.project})
		last := c.must(`query($in:DeploymentListInput!){deployments(input:$in,last:1){edges{cursor node{id}} pageInfo{hasPreviousPage}}}`,
			vars{"in": vars{"projectId": c.project, "environmentId": c.production}})
		assert.Len(t, dig(last, "deployments", "edges"), 1)
		assert.Equal(t, true, dig(last, "deployments", "pageInfo", "hasPreviousPage"))
		before := c.must(`query($in:DeploymentListInput!,$b:String){deployments(input:$in,last:10,before:$b){edges{node{id}}}}`,
			vars{"in": vars{"projectId": c.project, "environmentId": c.production}, "b": dig(last, "deployments", "edges", 0, "cursor")})
		assert.Len(t, dig(before, "deployments", "edges"), 2)
	})
}

func TestEnvironments(t *testing.T) {
	inSchool(t, func(t *testing.T, c *school) {
		create := `mutation($in:EnvironmentCreateInput!){environmentCreate(input:$in){id name}}`
		got := c.must(create, vars{"in": vars{"projectId": c.project, "name": "copy", "sourceEnvironmentId": c.production, "skipInitialDeploys": true}})
		id := dig(got, "environmentCreate", "id").(string)
		instances := func() int {
			return len(dig(c.must(`query($e:String!){environment(id:$e){serviceInstances(first:100){edges{node{id}}}}}`, vars{"e": id}),
				"environment", "serviceInstances", "edges").([]any))
		}
		assert.Equal(t, 0, instances(), "they come later")
		settle()
		assert.Equal(t, 3, instances())
		assert.Equal(t, "a", c.s.Variables(id, c.api)["A"])
		assert.NotContains(t, c.s.Variables(id, c.api), "S", "sealed variables are not copied")
		assert.Empty(t, c.s.Newest(id, c.api))
		c.refused("already exists", create, vars{"in": vars{"projectId": c.project, "name": "copy"}})
		renamed := c.must(`mutation($id:String!){environmentRename(id:$id,input:{name:"again"}){id name}}`, vars{"id": id})
		assert.Equal(t, "again", dig(renamed, "environmentRename", "name"))

		c.s.RequireTwoFactor()
		session := bearer(c.s.AddToken(railwaytest.Token{Kind: "session"}))
		remove := `mutation($id:String!){environmentDelete(id:$id)}`
		_, message := c.as(session, remove, vars{"id": id})
		assert.Equal(t, "Two Factor Authentication Required", message)
		c.must(remove, vars{"id": id})
		c.refused("Environment not found", `query($id:String!){environment(id:$id){id}}`, vars{"id": id})
		data := c.must(`query($p:String!){environments(projectId:$p,first:50){edges{node{id deletedAt}}}}`, vars{"p": c.project})
		assert.NotNil(t, dig(data, "environments", "edges", 2, "node", "deletedAt"), "what is deleted is listed still")
	})
}

func TestProjects(t *testing.T) {
	inSchool(t, func(t *testing.T, c *school) {
		got := c.must(`mutation($w:String){projectCreate(input:{name:"new",workspaceId:$w,defaultEnvironmentName:"test"}){id primaryEnvironmentId environments{edges{node{name}}}}}`, vars{"w": c.workspace})
		id := dig(got, "projectCreate", "id").(string)
		assert.Equal(t, "test", dig(got, "projectCreate", "environments", "edges", 0, "node", "name"))
		c.s.AddWorkspace("Other")
		c.refused("workspaceId", `mutation{projectCreate(input:{name:"new"}){id}}`, nil)
		c.must(`mutation($id:String!){projectScheduleDelete(id:$id)}`, vars{"id": id})
		c.must(`query($id:String!){project(id:$id){id}}`, vars{"id": id})
		time.Sleep(49 * time.Hour)
		c.refused("Project not found", `query($id:String!){project(id:$id){id}}`, vars{"id": id})
		c.must(`mutation($id:String!){projectDelete(id:$id)}`, vars{"id": c.project})
		list := c.must(`query($w:String!){projects(workspaceId:$w,includeDeleted:true,first:9){edges{node{id deletedAt}}}}`, vars{"w": c.workspace})
		assert.Len(t, dig(list, "projects", "edges"), 2)
	})
}

func TestProjectTokens(t *testing.T) {
	inSchool(t, func(t *testing.T, c *school) {
		text := c.must(`mutation($p:String!,$e:String!){projectTokenCreate(input:{projectId:$p,environmentId:$e,name:"ci"})}`,
			vars{"p": c.project, "e": c.production})["projectTokenCreate"].(string)
		header := http.Header{"Project-Access-Token": {text}}
		data, message := c.as(header, `{projectToken{id name}}`, nil)
		require.Empty(t, message)
		assert.Equal(t, "ci", dig(data, "projectToken", "name"))
		_, message = c.as(header, `query($p:String!){projectTokens(projectId:$p,first:5){edges{node{id}}}}`, vars{"p": c.project})
		assert.Equal(t, "Not Authorized", message)
		list := c.must(`query($p:String!){projectTokens(projectId:$p,first:5){edges{node{id name environmentId}}}}`, vars{"p": c.project})
		require.Len(t, dig(list, "projectTokens", "edges"), 1)
		c.must(`mutation($id:String!){projectTokenDelete(id:$id)}`, vars{"id": dig(list, "projectTokens", "edges", 0, "node", "id")})
		_, message = c.as(header, `{projectToken{id}}`, nil)
		assert.NotEmpty(t, message)
	})
}

func TestNotificationRules(t *testing.T) {
	inSchool(t, func(t *testing.T, c *school) {
		create := `mutation($in:CreateNotificationRuleInput!){notificationRuleCreate(input:$in){id}}`
		in := vars{"in": vars{"workspaceId": c.workspace, "projectId": c.project, "eventTypes": []string{"Deployment.failed"}, "channelConfigs": []any{vars{"type": "webhook", "url": "https://x.example"}}}}
		id := dig(c.must(create, in), "notificationRuleCreate", "id")
		got := c.must(`query($w:String!){notificationRules(workspaceId:$w){id eventTypes severities channels{id config}}}`, vars{"w": c.workspace})
		assert.Equal(t, "https://x.example", dig(got, "notificationRules", 0, "channels", 0, "config", "url"))
		project := http.Header{"Project-Access-Token": {c.s.AddToken(railwaytest.Token{Kind: "project", Project: c.project, Environment: c.beta})}}
		_, message := c.as(project, create, in)
		assert.Equal(t, "Not Authorized", message)
		updated := c.must(`mutation($id:String!){notificationRuleUpdate(id:$id,input:{severities:[CRITICAL]}){severities eventTypes}}`, vars{"id": id})
		assert.Equal(t, vars{"severities": []any{"CRITICAL"}, "eventTypes": []any{"Deployment.failed"}}, updated["notificationRuleUpdate"])
		c.s.NextDeployments("FAILED", "SUCCESS")
		c.deploy(c.web, "")
		c.deploy(c.api, "")
		settle()
		sent := c.must(`{notificationDeliveries(first:9){edges{node{id status createdAt}}}}`, nil)
		assert.Len(t, dig(sent, "notificationDeliveries", "edges"), 1, "of the one that failed")
		c.must(`mutation($id:String!){notificationRuleDelete(id:$id)}`, vars{"id": id})
		assert.EqualValues(t, 200, c.must(`mutation{webhookTest(url:"https://x.example/h",payload:"{}")}`, nil)["webhookTest"])
		c.refused("Invalid webhook URL", `mutation{webhookTest(url:"x",payload:"{}")}`, nil)
	})
}

func TestPlatform(t *testing.T) {
	inSchool(t, func(t *testing.T, c *school) {
		c.s.SetPlatformStatus(false, "Deployments are paused")
		got := c.must(`query($p:String){platformStatus{isStable incident{message status}} regions(projectId:$p){name deploymentConstraints{deprecationInfo{isDeprecated}}}}`, vars{"p": c.project})
		assert.Equal(t, false, dig(got, "platformStatus", "isStable"))
		assert.Equal(t, "Deployments are paused", dig(got, "platformStatus", "incident", "message"))
		assert.Equal(t, true, dig(got, "regions", 4, "deploymentConstraints", "deprecationInfo", "isDeprecated"))
	})
}
