package railwaytest_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const readConfig = `query($e:String!,$d:Boolean){environment(id:$e){config(decryptVariables:$d) configEtag unmergedChangesCount}}`

func (c *school) config(decrypt bool) (config map[string]any, etag string, unmerged float64) {
	c.t.Helper()
	env := dig(c.must(readConfig, vars{"e": c.production, "d": decrypt}), "environment")
	return dig(env, "config").(map[string]any), dig(env, "configEtag").(string), dig(env, "unmergedChangesCount").(float64)
}

// workflow waits for the end of a workflow, and returns its status and error.
func (c *school) workflow(id any) (status, why string) {
	c.t.Helper()
	for range 100 {
		got := c.must(`query($id:String!){workflowStatus(workflowId:$id){status error}}`, vars{"id": id})["workflowStatus"]
		status, _ = dig(got, "status").(string)
		why, _ = dig(got, "error").(string)
		if status != "NotFound" && status != "Running" {
			return status, why
		}
		time.Sleep(100 * time.Millisecond)
	}
	return status, why
}

func (c *school) stage(patch any, merge bool) map[string]any {
	c.t.Helper()
	return c.must(`mutation($e:String!,$in:EnvironmentConfig!,$m:Boolean){environmentStageChanges(environmentId:$e,input:$in,merge:$m){id status patch}}`,
		vars{"e": c.production, "in": patch, "m": merge})
}

func (c *school) commitStaged(skip bool) (status, why string) {
	c.t.Helper()
	got := c.must(`mutation($e:String!,$k:Boolean){environmentPatchCommitStaged(environmentId:$e,skipDeploys:$k,commitMessage:"m")}`, vars{"e": c.production, "k": skip})
	return c.workflow(got["environmentPatchCommitStaged"])
}

func (c *school) patch(patch any) (status, why string) {
	c.t.Helper()
	got := c.must(`mutation($e:String!,$p:EnvironmentConfig){environmentPatchCommit(environmentId:$e,patch:$p)}`, vars{"e": c.production, "p": patch})
	return c.workflow(got["environmentPatchCommit"])
}

func service(id string, settings vars) vars { return vars{"services": vars{id: settings}} }

func TestConfig(t *testing.T) {
	inSchool(t, func(t *testing.T, c *school) {
		masked, etag, _ := c.config(false)
		assert.Equal(t, "*****", dig(masked, "services", c.api, "variables", "A", "value"))
		open, again, _ := c.config(true)
		assert.Equal(t, etag, again)
		assert.Equal(t, "a", dig(open, "services", c.api, "variables", "A", "value"))
		assert.Equal(t, vars{"isSealed": true, "value": nil}, dig(open, "services", c.api, "variables", "S"))
		assert.Contains(t, open, "placementHints", "there are keys that no client knows")

		status, _ := c.patch(service(c.api, vars{"variables": vars{"B": vars{"value": "b"}}}))
		require.Equal(t, "Complete", status)
		changed, other, _ := c.config(true)
		assert.NotEqual(t, etag, other)
		assert.Contains(t, changed, "placementHints")
		status, _ = c.patch(service(c.api, vars{"variables": vars{"B": nil}}))
		require.Equal(t, "Complete", status)
		_, same, _ := c.config(true)
		assert.Equal(t, etag, same, "the same content has the same etag")
	})
}

func TestStagedChanges(t *testing.T) {
	inSchool(t, func(t *testing.T, c *school) {
		c.s.Stage(c.production, `{"services":{"`+c.web+`":{"variables":{"THEIRS":{"value":"1"}}}}}`)
		c.stage(service(c.api, vars{"variables": vars{"OURS": vars{"value": "2"}}}), true)
		_, _, unmerged := c.config(true)
		assert.EqualValues(t, 2, unmerged)

		before := c.s.Newest(c.production, c.api)
		status, _ := c.commitStaged(true)
		require.Equal(t, "Complete", status)
		assert.Equal(t, "1", c.s.Variables(c.production, c.web)["THEIRS"], "everything that is staged is committed")
		assert.Equal(t, "2", c.s.Variables(c.production, c.api)["OURS"])
		assert.Equal(t, before, c.s.Newest(c.production, c.api), "deployments were skipped")
		assert.Equal(t, "{}", c.s.Staged(c.production))
		c.refused("No staged changes", `mutation($e:String!){environmentPatchCommitStaged(environmentId:$e)}`, vars{"e": c.production})

		c.stage(service(c.api, vars{"variables": vars{"OURS": nil}}), true)
		c.stage(service(c.web, vars{"variables": vars{"THEIRS": nil}}), false)
		assert.NotContains(t, c.s.Staged(c.production), "OURS", "without merge it replaces")
		web := c.s.Newest(c.production, c.web)
		status, _ = c.commitStaged(false)
		require.Equal(t, "Complete", status)
		assert.NotEqual(t, web, c.s.Newest(c.production, c.web))
		history := c.must(`query($e:String!){environmentPatches(environmentId:$e,first:10){edges{node{status message appliedAt}}}}`, vars{"e": c.production})
		assert.Len(t, dig(history, "environmentPatches", "edges"), 2)
		assert.Equal(t, "COMMITTED", dig(history, "environmentPatches", "edges", 0, "node", "status"))
	})
}

func TestBadPatchIsRejectedLater(t *testing.T) {
	inSchool(t, func(t *testing.T, c *school) {
		c.stage(service(c.api, vars{"variables": vars{"GOOD": vars{"value": "1"}}, "deploy": vars{"multiRegionConfig": vars{"us-west1": vars{"numReplicas": 1}}}}), true)
		status, why := c.commitStaged(false)
		assert.Equal(t, "Error", status)
		assert.Contains(t, why, "us-west1")
		assert.NotContains(t, c.s.Variables(c.production, c.api), "GOOD", "it is rejected as a whole")
		staged := c.must(`query($e:String!){environmentStagedChanges(environmentId:$e){status lastAppliedError}}`, vars{"e": c.production})["environmentStagedChanges"]
		assert.Equal(t, "STAGED", dig(staged, "status"))
		assert.Equal(t, why, dig(staged, "lastAppliedError"))
	})
}

func TestScale(t *testing.T) {
	inSchool(t, func(t *testing.T, c *school) {
		regions := func(r vars) vars { return service(c.web, vars{"deploy": vars{"multiRegionConfig": r}}) }
		before := c.s.Newest(c.production, c.web)
		status, _ := c.patch(regions(vars{"us-west2": vars{"numReplicas": 2}, "europe-west4-drams3a": vars{"numReplicas": 1}}))
		require.Equal(t, "Complete", status)
		assert.Equal(t, before, c.s.Newest(c.production, c.web), "it needs no deployment")
		assert.Equal(t, map[string]int{"us-west2": 2, "europe-west4-drams3a": 1}, c.s.Running(c.production, c.web))
		got := c.must(`query($e:String!,$s:String!){serviceInstance(environmentId:$e,serviceId:$s){numReplicas latestDeployment{meta}}}`, vars{"e": c.production, "s": c.web})
		assert.EqualValues(t, 1, dig(got, "serviceInstance", "numReplicas"), "this is not true of several regions")
		assert.EqualValues(t, 2, dig(got, "serviceInstance", "latestDeployment", "meta", "serviceManifest", "deploy", "multiRegionConfig", "us-west2", "numReplicas"))

		status, _ = c.patch(regions(vars{"us-west2": nil}))
		require.Equal(t, "Complete", status)
		assert.Equal(t, map[string]int{"europe-west4-drams3a": 1}, c.s.Running(c.production, c.web))
		for _, bad := range []vars{
			{"us-west2": vars{"numReplicas": 0}}, {"us-west2": vars{"numReplicas": 50}}, {"nowhere": vars{"numReplicas": 1}}, {"europe-west4-drams3a": nil},
		} {
			status, why := c.patch(regions(bad))
			assert.Equal(t, "Error", status, "%v", bad)
			assert.NotEmpty(t, why)
		}
	})
}

func (c *school) apply(etag string, changes ...any) (map[string]any, string) {
	c.t.Helper()
	return c.call(`mutation($e:String!,$in:JSON!,$b:String){environmentApplyChangeSet(environmentId:$e,input:$in,baseConfigEtag:$b){id status}}`, vars{
		"e": c.production, "b": etag, "in": vars{"version": 1, "changes": changes, "diagnostics": []any{}, "declared": []any{}},
	})
}

func set(address, name, value string) vars {
	return vars{"kind": "variable.set", "address": address, "variable": name, "after": vars{"type": "literal", "value": value}, "path": "resources." + address}
}

func TestChangeSet(t *testing.T) {
	inSchool(t, func(t *testing.T, c *school) {
		applied := func(data map[string]any) any {
			time.Sleep(5 * time.Second)
			return dig(c.must(`query($e:String!,$id:String!){environmentChangeSetApply(environmentId:$e,id:$id){status diagnostics}}`,
				vars{"e": c.production, "id": dig(data, "environmentApplyChangeSet", "id")}), "environmentChangeSetApply")
		}
		_, etag, _ := c.config(true)
		before := c.s.Newest(c.production, c.api)
		first, message := c.apply(etag, set("service.api", "A", "first"), vars{"kind": "variable.delete", "address": "service.api", "variable": "FROM"})
		require.Empty(t, message)
		assert.Equal(t, "applying", dig(first, "environmentApplyChangeSet", "status"))
		second, message := c.apply(etag, set("service.api", "A", "second"))
		require.Empty(t, message)
		assert.Equal(t, "applied", dig(applied(first), "status"))
		assert.Equal(t, "failed", dig(applied(second), "status"), "of two with the same base one succeeds")
		assert.NotEmpty(t, dig(applied(second), "diagnostics"))
		assert.Equal(t, "first", c.s.Variables(c.production, c.api)["A"])
		assert.NotContains(t, c.s.Variables(c.production, c.api), "FROM")
		assert.NotEqual(t, before, c.s.Newest(c.production, c.api), "variables deploy")

		_, message = c.apply(etag, set("service.api", "A", "third"))
		assert.Contains(t, message, "has changed", "the etag is old by now")
		_, etag, _ = c.config(true)
		_, message = c.apply(etag, vars{"kind": "resource.explode", "address": "service.api"})
		assert.Contains(t, message, "Unsupported change kind")
		unknown, message := c.apply(etag, set("service.none", "A", "x"))
		require.Empty(t, message)
		assert.Equal(t, "failed", dig(applied(unknown), "status"))
		preview := c.must(`mutation($e:String!,$in:JSON!){environmentPreviewChangeSet(environmentId:$e,input:$in){changeSet diagnostics effects}}`,
			vars{"e": c.production, "in": vars{"version": 1, "changes": []any{set("service.none", "A", "x")}}})
		assert.Contains(t, fmt.Sprint(dig(preview, "environmentPreviewChangeSet", "diagnostics")), "not found")
	})
}

func TestChangeSetValues(t *testing.T) {
	inSchool(t, func(t *testing.T, c *school) {
		_, etag, _ := c.config(true)
		with := func(name string, after vars) vars {
			return vars{"kind": "variable.set", "address": "service.api", "variable": name, "after": after}
		}
		_, message := c.apply(etag,
			with("REF", vars{"type": "reference", "resource": "service.db", "output": "HOST"}), with("SHARED", vars{"type": "sharedReference", "name": "REGION"}),
			with("A", vars{"type": "preserve"}), with("NEW", vars{"type": "literal", "value": "x", "isSealed": true}))
		require.Empty(t, message)
		settle()
		assert.Equal(t, map[string]string{
			"A": "a", "URL": "postgres://${{db.HOST}}/x", "FROM": "${{shared.REGION}}", "S": "hidden",
			"REF": "${{db.HOST}}", "SHARED": "${{shared.REGION}}", "NEW": "x",
		}, c.s.Variables(c.production, c.api))
		assert.Nil(t, c.must(readRaw, c.inAPI())["variables"].(map[string]any)["NEW"])
		got := c.s.Got(c.s.Newest(c.production, c.api))
		assert.Equal(t, "db.internal", got["REF"])
		_, message = c.call(`mutation($e:String!){environmentApplyChangeSet(environmentId:$e,input:{version:2,changes:[]}){id}}`, vars{"e": c.production})
		assert.Contains(t, message, "version")
	})
}

func TestPatchOfASourceDeploysIt(t *testing.T) {
	inSchool(t, func(t *testing.T, c *school) {
		status, _ := c.patch(service(c.web, vars{"source": vars{"image": "registry.example/web:3"}}))
		require.Equal(t, "Complete", status)
		got := c.must(`query($id:String!){deployment(id:$id){meta}}`, vars{"id": c.s.Newest(c.production, c.web)})
		assert.Equal(t, "registry.example/web:3", dig(got, "deployment", "meta", "image"))
		for _, bad := range []vars{
			{"services": vars{c.project: vars{}}}, service(c.web, vars{"variables": vars{"A": "x"}}), service(c.web, vars{"variables": vars{"A": vars{"value": 1}}}),
			service(c.web, vars{"volumeMounts": vars{c.project: vars{"mountPath": "/x"}}}), {"services": vars{c.web: 1}},
		} {
			status, why := c.patch(bad)
			assert.Equal(t, "Error", status, "%v", bad)
			assert.NotEmpty(t, why)
		}
		status, _ = c.patch(service(c.web, vars{"isDeleted": true}))
		require.Equal(t, "Complete", status)
		settle()
		assert.Empty(t, c.s.Running(c.production, c.web))
	})
}

func TestWorkflowIsNotFoundAtFirst(t *testing.T) {
	inSchool(t, func(t *testing.T, c *school) {
		c.s.Stage(c.production, `{"sharedVariables":{"X":{"value":"1"}}}`)
		id := c.must(`mutation($e:String!){environmentPatchCommitStaged(environmentId:$e)}`, vars{"e": c.production})["environmentPatchCommitStaged"]
		status := func() any {
			return dig(c.must(`query($id:String!){workflowStatus(workflowId:$id){status}}`, vars{"id": id}), "workflowStatus", "status")
		}
		assert.Equal(t, "NotFound", status())
		time.Sleep(300 * time.Millisecond)
		assert.Equal(t, "Running", status())
		staged := c.must(`query($e:String!){environmentStagedChanges(environmentId:$e){status}}`, vars{"e": c.production})
		assert.Equal(t, "APPLYING", dig(staged, "environmentStagedChanges", "status"))
		assert.Empty(t, c.s.Variables(c.production, "")["X"])
		time.Sleep(2 * time.Second)
		assert.Equal(t, "Complete", status())
		assert.Equal(t, "1", c.s.Variables(c.production, "")["X"])
	})
}
