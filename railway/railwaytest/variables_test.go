package railwaytest_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const (
	readRaw      = `query($p:String!,$e:String!,$s:String){variables(projectId:$p,environmentId:$e,serviceId:$s,unrendered:true)}`
	readRendered = `query($p:String!,$e:String!,$s:String!){variablesForServiceDeployment(projectId:$p,environmentId:$e,serviceId:$s)}`
	upsert       = `mutation($in:VariableCollectionUpsertInput!){variableCollectionUpsert(input:$in)}`
)

// inAPI are the variables of an operation on the service api.
func (c *school) inAPI() vars { return vars{"p": c.project, "e": c.production, "s": c.api} }

func (c *school) batch(values vars, more vars) vars {
	in := vars{"projectId": c.project, "environmentId": c.production, "serviceId": c.api, "variables": values}
	for name, value := range more {
		in[name] = value
	}
	return vars{"in": in}
}

func TestReadVariables(t *testing.T) {
	inSchool(t, func(t *testing.T, c *school) {
		raw := c.must(readRaw, c.inAPI())["variables"].(map[string]any)
		assert.Equal(t, vars{"A": "a", "URL": "postgres://${{db.HOST}}/x", "FROM": "${{shared.REGION}}", "S": nil}, raw)
		rendered := c.must(readRendered, c.inAPI())["variablesForServiceDeployment"].(map[string]any)
		assert.Equal(t, "postgres://db.internal/x", rendered["URL"])
		assert.Equal(t, "au", rendered["FROM"])
		assert.Equal(t, c.api, rendered["RAILWAY_SERVICE_ID"])
		assert.Nil(t, rendered["S"])
		shared := c.must(readRaw, vars{"p": c.project, "e": c.production})["variables"]
		assert.Equal(t, vars{"REGION": "au"}, shared)
		c.s.SetVariable(c.production, c.api, "SELF", "${{SELF}}-${{S}}", false)
		rendered = c.must(readRendered, c.inAPI())["variablesForServiceDeployment"].(map[string]any)
		assert.NotContains(t, rendered["SELF"], "hidden", "a reference does not unseal")
	})
}

func TestWriteVariables(t *testing.T) {
	inSchool(t, func(t *testing.T, c *school) {
		before := c.s.Newest(c.production, c.api)
		c.must(upsert, c.batch(vars{"A": "2", "B": "${{A}}", "S": "other"}, vars{"skipDeploys": true}))
		assert.Equal(t, before, c.s.Newest(c.production, c.api))
		assert.Equal(t, []string{"variableCollectionUpsert " + c.api + " A,B,S"}, c.s.Effects())
		assert.Nil(t, c.must(readRaw, c.inAPI())["variables"].(map[string]any)["S"], "what is sealed stays sealed")
		assert.Equal(t, "other", c.s.Variables(c.production, c.api)["S"])

		c.must(upsert, c.batch(vars{"A": "3", "S": nil}, nil))
		after := c.s.Newest(c.production, c.api)
		assert.NotEqual(t, before, after, "a write deploys unless it is told not to")
		assert.Equal(t, "3", c.s.Got(after)["B"])
		assert.Empty(t, c.s.Variables(c.production, c.api)["S"], "null that is written back blanks a sealed value")

		c.must(`mutation($p:String!,$e:String!,$s:String){variableDelete(input:{projectId:$p,environmentId:$e,serviceId:$s,name:"B"})}`, c.inAPI())
		assert.NotEqual(t, after, c.s.Newest(c.production, c.api), "a deletion always deploys")
		c.refused("Variable not found", `mutation($p:String!,$e:String!,$s:String){variableDelete(input:{projectId:$p,environmentId:$e,serviceId:$s,name:"B"})}`, c.inAPI())

		c.must(upsert, c.batch(vars{"ONLY": "1"}, vars{"replace": true, "skipDeploys": true}))
		assert.Equal(t, map[string]string{"ONLY": "1"}, c.s.Variables(c.production, c.api), "the rest is gone")
		c.refused("Invalid variable name", upsert, c.batch(vars{"A B": "1"}, nil))
	})
}

func TestSharedVariables(t *testing.T) {
	inSchool(t, func(t *testing.T, c *school) {
		api, web := c.s.Newest(c.production, c.api), c.s.Newest(c.production, c.web)
		in := vars{"in": vars{"projectId": c.project, "environmentId": c.production, "variables": vars{"REGION": "nz"}}}
		c.must(upsert, in)
		assert.NotEqual(t, api, c.s.Newest(c.production, c.api), "whoever uses it is deployed")
		assert.Equal(t, web, c.s.Newest(c.production, c.web))
		c.must(`mutation($in:SharedVariableConfigureInput!){sharedVariableConfigure(input:$in){id name isSealed}}`, vars{"in": vars{
			"projectId": c.project, "environmentId": c.production, "name": "REGION", "enabledServiceIds": []string{c.web}, "disabledServiceIds": []string{c.api},
		}})
		assert.Equal(t, "nz", c.s.Got(c.s.Newest(c.production, c.web))["REGION"])
	})
}

func TestVariableRows(t *testing.T) {
	inSchool(t, func(t *testing.T, c *school) {
		row := func(name string) (id string, updated time.Time) {
			data := c.must(`query($e:String!){environment(id:$e){variables(first:100){edges{node{id name isSealed serviceId updatedAt}}}}}`, vars{"e": c.production})
			edges, _ := dig(data, "environment", "variables", "edges").([]any)
			for _, e := range edges {
				if dig(e, "node", "name") == name {
					at, err := time.Parse(time.RFC3339Nano, dig(e, "node", "updatedAt").(string))
					require.NoError(t, err)
					require.Equal(t, name == "S", dig(e, "node", "isSealed"))
					return dig(e, "node", "id").(string), at
				}
			}
			return "", time.Time{}
		}
		id, last := row("A")
		for range 3 { // at the same moment, and the same value
			c.must(upsert, c.batch(vars{"A": "a", "S": "hidden"}, vars{"skipDeploys": true}))
			again, now := row("A")
			assert.Equal(t, id, again)
			assert.True(t, now.After(last), "each write is newer")
			last = now
		}
		sealed, _ := row("S")
		assert.NotEmpty(t, sealed)
	})
}
