package railwaytest_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// command reads the start command of api in an environment.
func (c *school) command(environment string) any {
	c.t.Helper()
	return dig(c.must(`query($e:String!,$s:String!){serviceInstance(environmentId:$e,serviceId:$s){startCommand}}`,
		vars{"e": environment, "s": c.api}), "serviceInstance", "startCommand")
}

// Requirement: RW-TEST-ALL-ENVIRONMENTS
func TestNoEnvironmentMeansAllOfThem(t *testing.T) {
	inSchool(t, func(t *testing.T, c *school) {
		update := `mutation($e:String,$s:String!,$c:String){serviceInstanceUpdate(environmentId:$e,serviceId:$s,input:{startCommand:$c})}`
		c.must(update, vars{"e": c.beta, "s": c.api, "c": "one"})
		assert.Equal(t, "one", c.command(c.beta))
		assert.Nil(t, c.command(c.production))
		for _, v := range []vars{{"s": c.api, "c": "absent"}, {"e": nil, "s": c.api, "c": "null"}} {
			c.must(update, v)
			assert.Equal(t, v["c"], c.command(c.production))
			assert.Equal(t, v["c"], c.command(c.beta))
		}
		c.must(update, vars{"e": c.beta, "s": c.api, "c": nil})
		assert.Nil(t, c.command(c.beta), "an explicit null removes a setting")
		assert.Equal(t, "null", c.command(c.production))

		gone := `query($e:String!,$s:String!){serviceInstance(environmentId:$e,serviceId:$s){id}}`
		fork := dig(c.must(`mutation($p:String!,$e:String!){environmentCreate(input:{projectId:$p,name:"pr-7",sourceEnvironmentId:$e,ephemeral:true}){id}}`,
			vars{"p": c.project, "e": c.production}), "environmentCreate", "id")
		time.Sleep(time.Minute)
		remove := `mutation($e:String,$id:String!){serviceDelete(environmentId:$e,id:$id)}`
		c.must(remove, vars{"e": fork, "id": c.api})
		c.must(gone, vars{"e": fork, "s": c.api}) // it takes a moment
		time.Sleep(time.Second)
		c.refused("ServiceInstance not found", gone, vars{"e": fork, "s": c.api})
		c.must(gone, vars{"e": c.production, "s": c.api})
		c.must(remove, vars{"e": c.beta, "id": c.api})
		time.Sleep(time.Second)
		c.refused("ServiceInstance not found", gone, vars{"e": c.beta, "s": c.api})
		c.refused("ServiceInstance not found", gone, vars{"e": c.production, "s": c.api}) // neither is a fork
		assert.Empty(t, c.s.Running(c.production, c.web)["nowhere"])
	})
}

func TestServiceSettings(t *testing.T) {
	inSchool(t, func(t *testing.T, c *school) {
		v := vars{"e": c.production, "s": c.api}
		c.must(`mutation($e:String,$s:String!){serviceInstanceUpdate(environmentId:$e,serviceId:$s,input:{
			healthcheckPath:"/h",healthcheckTimeout:120,preDeployCommand:["a","b"],restartPolicyType:ALWAYS,restartPolicyMaxRetries:3,
			cronSchedule:"0 * * * *",rootDirectory:"/api",watchPatterns:["/api/**"],numReplicas:7})}`, v)
		got := c.must(`query($e:String!,$s:String!){serviceInstance(environmentId:$e,serviceId:$s){
			healthcheckPath healthcheckTimeout preDeployCommand restartPolicyType restartPolicyMaxRetries rootDirectory watchPatterns numReplicas nextCronRunAt}}`, v)
		next := dig(got, "serviceInstance").(map[string]any)
		assert.NotEmpty(t, next["nextCronRunAt"])
		delete(next, "nextCronRunAt")
		assert.Equal(t, vars{
			"healthcheckPath": "/h", "healthcheckTimeout": 120.0, "preDeployCommand": []any{"a", "b"}, "restartPolicyType": "ALWAYS", "restartPolicyMaxRetries": 3.0,
			"rootDirectory": "/api", "watchPatterns": []any{"/api/**"}, "numReplicas": 1.0, // numReplicas is for old clients, and is ignored
		}, next)
		assert.Equal(t, map[string]int{"us-west2": 1}, c.s.Running(c.production, c.api))
	})
}

func TestServiceCreate(t *testing.T) {
	inSchool(t, func(t *testing.T, c *school) {
		got := c.must(`mutation($in:ServiceCreateInput!){serviceCreate(input:$in){id name}}`, vars{"in": vars{
			"projectId": c.project, "environmentId": c.beta, "name": "jobs", "source": vars{"image": "jobs:1"}, "variables": vars{"A": "1"},
		}})
		id := dig(got, "serviceCreate", "id").(string)
		assert.Equal(t, "1", c.s.Got(c.s.Newest(c.beta, id))["A"], "the first deployment has them already")
		c.refused("ServiceInstance not found", `query($e:String!,$s:String!){serviceInstance(environmentId:$e,serviceId:$s){id}}`, vars{"e": c.production, "s": id})
		c.refused("already exists", `mutation($in:ServiceCreateInput!){serviceCreate(input:$in){id}}`, vars{"in": vars{"projectId": c.project, "name": "jobs"}})
		got = c.must(`mutation($in:ServiceCreateInput!){serviceCreate(input:$in){id}}`, vars{"in": vars{"projectId": c.project, "name": "everywhere"}})
		for _, e := range []string{c.production, c.beta} {
			assert.Empty(t, c.s.Newest(e, dig(got, "serviceCreate", "id").(string)), "it has nothing to deploy")
		}
		c.must(`mutation($id:String!){serviceConnect(id:$id,input:{image:"jobs:2"}){id}}`, vars{"id": id})
		settle()
		assert.Equal(t, "SUCCESS", c.status(c.s.Newest(c.beta, id)))
	})
}

func TestLimits(t *testing.T) {
	inSchool(t, func(t *testing.T, c *school) {
		v := vars{"e": c.production, "s": c.api}
		read := `query($e:String!,$s:String!){serviceInstanceLimits(environmentId:$e,serviceId:$s) serviceInstanceLimitOverride(environmentId:$e,serviceId:$s)}`
		assert.Nil(t, c.must(read, v)["serviceInstanceLimitOverride"])
		c.must(`mutation($e:String!,$s:String!){serviceInstanceLimitsUpdate(input:{environmentId:$e,serviceId:$s,memoryGB:2})}`, v)
		got := c.must(read, v)
		assert.EqualValues(t, 2e9, dig(got, "serviceInstanceLimits", "containers", "memoryBytes"))
		assert.EqualValues(t, 24, dig(got, "serviceInstanceLimits", "containers", "cpu"))
		c.refused("limits of the plan", `mutation($e:String!,$s:String!){serviceInstanceLimitsUpdate(input:{environmentId:$e,serviceId:$s,vCPUs:99})}`, v)
	})
}

func TestTemplate(t *testing.T) {
	inSchool(t, func(t *testing.T, c *school) {
		c.refused("Template not found", `query{template(code:"mysql"){id}}`, nil)
		template := dig(c.must(`query{template(code:"postgres"){id name serializedConfig}}`, nil), "template")
		got := c.must(`mutation($in:TemplateDeployV2Input!){templateDeployV2(input:$in){projectId workflowId}}`, vars{"in": vars{
			"projectId": c.project, "environmentId": c.beta, "templateId": dig(template, "id"), "serializedConfig": dig(template, "serializedConfig"),
		}})
		status, _ := c.workflow(dig(got, "templateDeployV2", "workflowId"))
		require.Equal(t, "Complete", status)
		env := c.must(`query($e:String!){environment(id:$e){serviceInstances(first:100){edges{node{serviceId serviceName}}}}}`, vars{"e": c.beta})
		made := dig(env, "environment", "serviceInstances", "edges", 1, "node")
		require.Equal(t, "Postgres", dig(made, "serviceName"))
		id := dig(made, "serviceId").(string)
		assert.NotEmpty(t, c.s.Mounted(c.beta, id))
		assert.Contains(t, c.s.Got(c.s.Newest(c.beta, id))["DATABASE_URL"], "@postgres.railway.internal:5432/railway")
	})
}

func TestDomains(t *testing.T) {
	inSchool(t, func(t *testing.T, c *school) {
		v := c.inAPI()
		read := `query($p:String!,$e:String!,$s:String!){domains(projectId:$p,environmentId:$e,serviceId:$s){serviceDomains{id domain targetPort syncStatus} customDomains{id domain status{verified certificateStatus dnsRecords{fqdn recordType status}}}} tcpProxies(environmentId:$e,serviceId:$s){id applicationPort proxyPort}}`
		got := c.must(read, v)
		assert.EqualValues(t, 8000, dig(got, "domains", "serviceDomains", 0, "targetPort"))
		made := c.must(`mutation($p:String!,$e:String!,$s:String!){customDomainCreate(input:{projectId:$p,environmentId:$e,serviceId:$s,domain:"Lessons.example"}){id}}`, v)
		custom := vars{"id": dig(made, "customDomainCreate", "id")}
		assert.Equal(t, false, dig(c.must(read, v), "domains", "customDomains", 0, "status", "verified"))
		c.must(`mutation($id:String!){customDomainIssueCertificate(id:$id)}`, custom)
		settle()
		assert.Equal(t, "CERTIFICATE_STATUS_TYPE_VALID", dig(c.must(read, v), "domains", "customDomains", 0, "status", "certificateStatus"))
		c.must(`mutation($id:String!){customDomainDelete(id:$id)}`, custom)
		c.refused("Domain not found", `mutation($id:String!){customDomainDelete(id:$id)}`, custom)

		status, _ := c.patch(service(c.api, vars{"networking": vars{"tcpProxies": vars{"5432": vars{}}}}))
		require.Equal(t, "Complete", status)
		proxy := dig(c.must(read, v), "tcpProxies", 0)
		assert.EqualValues(t, 5432, dig(proxy, "applicationPort"))
		c.must(`mutation($id:String!){tcpProxyDelete(id:$id)}`, vars{"id": dig(proxy, "id")})
		assert.Empty(t, c.must(read, v)["tcpProxies"])
	})
}

func TestDomainChanges(t *testing.T) {
	inSchool(t, func(t *testing.T, c *school) {
		v := c.inAPI()
		read := `query($p:String!,$e:String!,$s:String!){domains(projectId:$p,environmentId:$e,serviceId:$s){serviceDomains{id domain targetPort} customDomains{id targetPort}} tcpProxies(environmentId:$e,serviceId:$s){applicationPort}}`
		id := dig(c.must(read, v), "domains", "serviceDomains", 0, "id")
		update := `mutation($in:ServiceDomainUpdateInput!){serviceDomainUpdate(input:$in)}`
		in := vars{"serviceDomainId": id, "domain": "lessons.up.railway.app", "environmentId": c.production, "serviceId": c.api, "targetPort": 9000}
		c.must(update, vars{"in": in})
		assert.Equal(t, "lessons.up.railway.app", dig(c.must(read, v), "domains", "serviceDomains", 0, "domain"))
		assert.EqualValues(t, 9000, dig(c.must(read, v), "domains", "serviceDomains", 0, "targetPort"))
		in["domain"] = "lessons.example"
		c.refused("not available", update, vars{"in": in})
		made := dig(c.must(`mutation($p:String!,$e:String!,$s:String!){customDomainCreate(input:{projectId:$p,environmentId:$e,serviceId:$s,domain:"a.example"}){id}}`, v), "customDomainCreate", "id")
		c.must(`mutation($e:String!,$id:String!){customDomainUpdate(environmentId:$e,id:$id,targetPort:7000)}`, vars{"e": c.production, "id": made})
		assert.EqualValues(t, 7000, dig(c.must(read, v), "domains", "customDomains", 0, "targetPort"))
		c.must(`mutation($e:String!,$s:String!){tcpProxyCreate(input:{environmentId:$e,serviceId:$s,applicationPort:6379}){id}}`, vars{"e": c.production, "s": c.api})
		assert.EqualValues(t, 6379, dig(c.must(read, v), "tcpProxies", 0, "applicationPort"))
	})
}

func TestDeploymentsFromRepositories(t *testing.T) {
	inSchool(t, func(t *testing.T, c *school) {
		before := c.s.Newest(c.production, c.api)
		c.must(`mutation($p:String!,$e:String!,$s:String!){environmentTriggersDeploy(input:{projectId:$p,environmentId:$e,serviceId:$s})}`, c.inAPI())
		assert.NotEqual(t, before, c.s.Newest(c.production, c.api))
		got := c.must(`mutation($p:String!,$e:String){githubRepoDeploy(input:{projectId:$p,environmentId:$e,repo:"school/new"})}`, vars{"p": c.project, "e": c.beta})
		status, _ := c.workflow(got["githubRepoDeploy"])
		assert.Equal(t, "Complete", status)
		env := c.must(`query($e:String!){environment(id:$e){serviceInstances(first:9){edges{node{serviceName latestDeployment{status}}}} deployments(first:9){edges{node{id}}}}}`, vars{"e": c.beta})
		assert.Equal(t, "new", dig(env, "environment", "serviceInstances", "edges", 1, "node", "serviceName"))
		assert.Len(t, dig(env, "environment", "deployments", "edges"), 2)
	})
}
