package railwaytest_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/railway/railwaytest"
)

// messages reads the messages of a log.
func (c *school) messages(field string, v vars) (all []string) {
	c.t.Helper()
	data := c.must(`query($d:String!,$n:Int,$f:String){`+field+`(deploymentId:$d,limit:$n,filter:$f){timestamp message severity attributes{key value}}}`, v)
	list, _ := data[field].([]any)
	for _, l := range list {
		all = append(all, dig(l, "message").(string))
	}
	return all
}

func TestLogs(t *testing.T) {
	inSchool(t, func(t *testing.T, c *school) {
		id := c.s.Newest(c.production, c.api)
		for _, m := range []string{"one", "two", "three", "four"} {
			c.s.Print(id, m)
		}
		c.s.PrintBuild(id, "step 1")
		assert.Equal(t, []string{"two", "three", "four"}, c.messages("deploymentLogs", vars{"d": id, "n": 2}), "one more than asked for")
		assert.Equal(t, []string{"step 1"}, c.messages("buildLogs", vars{"d": id}))
		c.refused("limit", `query($d:String!){deploymentLogs(deploymentId:$d,limit:5001){message}}`, vars{"d": id})

		data := c.must(`query($d:String!){deploymentLogs(deploymentId:$d){timestamp}}`, vars{"d": id})
		first, second := dig(data, "deploymentLogs", 0, "timestamp"), dig(data, "deploymentLogs", 1, "timestamp")
		third := dig(data, "deploymentLogs", 2, "timestamp")
		assert.Equal(t, first, second, "times repeat")
		assert.Regexp(t, `\.\d{9}Z$`, third)
		assert.NotEqual(t, second, third)
		time.Sleep(31 * 24 * time.Hour)
		assert.Empty(t, c.messages("deploymentLogs", vars{"d": id}), "they are kept for 30 days")
	})
}

func TestLogFilters(t *testing.T) {
	inSchool(t, func(t *testing.T, c *school) {
		id := c.s.Newest(c.production, c.api)
		c.s.Print(id, "User not found", "level", "error", "status", "404", "path", "/a")
		c.s.Print(id, "user found", "status", "200", "path", "/b")
		c.s.Print(id, "\x1b[31mslow\x1b[0m query", "level", "warn", "took", "1500", "tags", `["db","slow"]`)
		for filter, want := range map[string][]int{
			"":                                  {0, 1, 2},
			"user":                              {0, 1},
			`"not found"`:                       {0},
			"user found":                        {0, 1},
			"user -not":                         {1},
			"@level:error":                      {0},
			"@status:>=400":                     {0},
			"@status:200..299":                  {1},
			"@took:>1000":                       {2},
			"@took:<1000":                       {},
			"@tags[1]:slow":                     {2},
			`@path:"/a" OR @path:/b`:            {0, 1},
			"(query OR user) AND -@level:error": {1, 2},
			"@none:1":                           {},
		} {
			all := []string{"User not found", "user found", "\x1b[31mslow\x1b[0m query"}
			var lines []string
			for _, i := range want {
				lines = append(lines, all[i])
			}
			assert.Equal(t, lines, c.messages("deploymentLogs", vars{"d": id, "f": filter}), filter)
		}
		c.refused("Invalid filter", `query($d:String!){deploymentLogs(deploymentId:$d,filter:"(a"){message}}`, vars{"d": id})
		attributes := dig(c.must(`query($d:String!){deploymentLogs(deploymentId:$d,filter:"slow"){severity attributes{key value}}}`, vars{"d": id}), "deploymentLogs", 0)
		assert.Equal(t, "warn", dig(attributes, "severity"))
		assert.Contains(t, dig(attributes, "attributes"), vars{"key": "level", "value": `"warn"`}, "values are JSON")
	})
}

func TestEnvironmentLogs(t *testing.T) {
	inSchool(t, func(t *testing.T, c *school) {
		var times []string
		for _, m := range []string{"1", "2", "3", "4", "5"} {
			id := c.s.Newest(c.production, map[bool]string{true: c.api, false: c.web}[m < "3"])
			c.s.Print(id, m)
			times = append(times, time.Now().UTC().Format(time.RFC3339Nano))
			time.Sleep(time.Second)
		}
		read := func(v vars) (all []string) {
			v["e"] = c.production
			data := c.must(`query($e:String!,$f:String,$a:String,$b:String,$bl:Int,$al:Int){environmentLogs(environmentId:$e,filter:$f,anchorDate:$a,beforeDate:$b,beforeLimit:$bl,afterLimit:$al){message}}`, v)
			list, _ := data["environmentLogs"].([]any)
			for _, l := range list {
				all = append(all, dig(l, "message").(string))
			}
			return all
		}
		assert.Equal(t, []string{"1", "2", "3", "4", "5"}, read(vars{}))
		assert.Equal(t, []string{"3", "4", "5"}, read(vars{"bl": 2}), "one more than asked for")
		assert.Equal(t, []string{"1", "2", "3"}, read(vars{"a": times[2]}))
		assert.Equal(t, []string{"4", "5"}, read(vars{"b": times[2]}), "the bound itself is left out")
		assert.Equal(t, []string{"3", "4", "5"}, read(vars{"f": "@service:" + c.web}))
	})
}

func TestHTTPLogsAndMetrics(t *testing.T) {
	inSchool(t, func(t *testing.T, c *school) {
		id := c.s.Newest(c.production, c.api)
		start := time.Now()
		for i, status := range []int{200, 200, 500} {
			c.s.Serve(id, railwaytest.HTTPRequest{Path: "/x", Status: status, Duration: time.Duration(i+1) * 100 * time.Millisecond})
		}
		time.Sleep(time.Minute)
		data := c.must(`query($d:String!){httpLogs(deploymentId:$d,filter:"@httpStatus:>=500"){path httpStatus totalDuration}}`, vars{"d": id})
		assert.Equal(t, []any{vars{"path": "/x", "httpStatus": 500.0, "totalDuration": 300.0}}, data["httpLogs"])

		v := vars{"e": c.production, "s": c.api, "a": start.Format(time.RFC3339), "b": time.Now().Format(time.RFC3339)}
		data = c.must(`query($e:String!,$s:String!,$a:DateTime!,$b:DateTime!){
			httpMetricsGroupedByStatus(environmentId:$e,serviceId:$s,startDate:$a,endDate:$b){statusCode samples{ts value}}
			httpDurationMetrics(environmentId:$e,serviceId:$s,startDate:$a,endDate:$b){samples{p50 p99}}}`, v)
		assert.EqualValues(t, 2, dig(data, "httpMetricsGroupedByStatus", 0, "samples", 0, "value"))
		assert.EqualValues(t, 500, dig(data, "httpMetricsGroupedByStatus", 1, "statusCode"))
		assert.EqualValues(t, 200, dig(data, "httpDurationMetrics", "samples", 0, "p50"), "in milliseconds")
	})
}

func TestMetrics(t *testing.T) {
	inSchool(t, func(t *testing.T, c *school) {
		start := time.Now()
		c.s.Measure(c.production, c.api, "CPU_USAGE", start, 0.5)
		c.s.Measure(c.production, c.api, "CPU_USAGE", start.Add(10*time.Second), 1.5)
		v := vars{"e": c.production, "s": c.api, "a": start.Format(time.RFC3339)}
		time.Sleep(time.Minute)
		read := func(more string) any {
			return c.must(`query($e:String!,$s:String!,$a:DateTime!){metrics(environmentId:$e,serviceId:$s,startDate:$a,measurements:[CPU_USAGE,MEMORY_USAGE_GB]`+more+`){measurement tags{region} values{ts value}}}`, v)["metrics"]
		}
		assert.Len(t, dig(read(""), 0, "values"), 2)
		assert.Empty(t, dig(read(""), 1, "values"), "a series may be empty")
		averaged := read(",sampleRateSeconds:30")
		assert.Equal(t, []any{vars{"ts": float64(start.Unix()), "value": 1.0}}, dig(averaged, 0, "values"))
		grouped := read(",groupBy:[REGION]")
		assert.Len(t, grouped, 1)
		assert.Equal(t, "us-west2", dig(grouped, 0, "tags", "region"))
	})
}

func TestFollowedLogsBeginAgain(t *testing.T) {
	inSchool(t, func(t *testing.T, c *school) {
		id := c.s.Newest(c.production, c.api)
		c.s.Print(id, "before")
		for range 2 {
			f := c.follow(`subscription($d:String!){deploymentLogs(deploymentId:$d,limit:5){message}}`, vars{"d": id})
			assert.Equal(t, "before", dig(f.next(), "deploymentLogs", 0, "message"), "whoever comes back gets it again")
			f.close()
		}
		f := c.follow(`subscription($d:String!){deploymentLogs(deploymentId:$d,filter:"kept"){message}}`, vars{"d": id})
		defer f.close()
		c.s.Print(id, "lost")
		c.s.Print(id, "kept")
		assert.Equal(t, []any{vars{"message": "kept"}}, dig(f.next(), "deploymentLogs"))
	})
}

func TestFollowDeployment(t *testing.T) {
	inSchool(t, func(t *testing.T, c *school) {
		id := c.deploy(c.api, "abcdef1")
		early := c.follow(`subscription($id:String!){deployment(id:$id){status}}`, vars{"id": id})
		require.Nil(t, early.next(), "what is not registered yet completes at once")
		early.close()
		time.Sleep(time.Second)
		f := c.follow(`subscription($id:String!){deployment(id:$id){status}}`, vars{"id": id})
		defer f.close()
		var seen []any
		for len(seen) == 0 || seen[len(seen)-1] != "SUCCESS" {
			seen = append(seen, dig(f.next(), "deployment", "status"))
		}
		assert.Subset(t, []any{"INITIALIZING", "BUILDING", "DEPLOYING", "SUCCESS"}, seen)
		assert.Contains(t, seen, "DEPLOYING")
		events := c.follow(`subscription($id:String!){deploymentEvents(id:$id){step completedAt}}`, vars{"id": id})
		defer events.close()
		assert.Equal(t, "SNAPSHOT_CODE", dig(events.next(), "deploymentEvents", "step"))
	})
}

func TestFollowEnvironment(t *testing.T) {
	inSchool(t, func(t *testing.T, c *school) {
		id := c.s.Newest(c.production, c.api)
		c.s.Print(id, "old")
		bound := time.Now()
		time.Sleep(time.Second)
		c.s.Print(id, "missed")
		logs := c.follow(`subscription($e:String!,$b:String){environmentLogs(environmentId:$e,beforeDate:$b,beforeLimit:50){message}}`,
			vars{"e": c.production, "b": bound.Format(time.RFC3339Nano)})
		defer logs.close()
		assert.Equal(t, []any{vars{"message": "missed"}}, logs.next()["environmentLogs"], "what is later than the bound")
		c.s.Print(c.s.Newest(c.production, c.web), "new")
		assert.Equal(t, []any{vars{"message": "new"}}, logs.next()["environmentLogs"])

		requests := c.follow(`subscription($d:String!){httpLogs(deploymentId:$d,filter:"@httpStatus:500"){path}}`, vars{"d": id})
		defer requests.close()
		c.s.Serve(id, railwaytest.HTTPRequest{Path: "/fine"})
		c.s.Serve(id, railwaytest.HTTPRequest{Path: "/broken", Status: 500})
		assert.Equal(t, []any{vars{"path": "/broken"}}, requests.next()["httpLogs"])

		staged := c.follow(`subscription($e:String!){environmentStagedPatch(environmentId:$e){status patch}}`, vars{"e": c.production})
		defer staged.close()
		assert.Empty(t, dig(staged.next(), "environmentStagedPatch", "patch"))
		c.s.Stage(c.production, `{"sharedVariables":{"X":{"value":"1"}}}`)
		assert.NotEmpty(t, dig(staged.next(), "environmentStagedPatch", "patch"))
	})
}

func TestSetStatus(t *testing.T) {
	inSchool(t, func(t *testing.T, c *school) {
		before := c.s.Newest(c.production, c.api)
		id := c.s.AddDeployment(c.production, c.api, railwaytest.Deployment{Status: "BUILDING", Commit: "c2", Variables: map[string]string{"A": "old"}})
		settle()
		assert.Equal(t, "BUILDING", c.status(id), "it moves only when it is told to")
		assert.Equal(t, map[string]string{"A": "old"}, map[string]string{"A": c.s.Got(id)["A"]})
		c.s.SetStatus(id, "SUCCESS")
		settle()
		assert.Equal(t, "REMOVED", c.status(before))
		assert.Equal(t, map[string]int{"us-west2": 1}, c.s.Running(c.production, c.api))
		failed := c.s.AddDeployment(c.production, c.api, railwaytest.Deployment{Status: "BUILDING", Commit: "c3"})
		c.s.SetStatus(failed, "FAILED")
		assert.Contains(t, c.why(failed), "failed to build")
		assert.Equal(t, "SUCCESS", c.status(id))
		c.s.SetStatus(id, "CRASHED")
		assert.Empty(t, c.s.Running(c.production, c.api))
	})
}

// FuzzFilter sends filters that anybody may write: none of them may break anything.
func FuzzFilter(f *testing.F) {
	for _, text := range []string{"", "a b", `"a`, "@a:>=1", "@a[0]:1..2", "(a OR b) -c", "AND", "-", "replica:x", "@a:\"b c\""} {
		f.Add(text)
	}
	s := &railwaytest.Server{PerSecond: 1 << 30, PerHour: 1 << 30}
	project := s.AddProject(s.AddWorkspace("w"), "p")
	environment := s.AddEnvironment(project, "e")
	id := s.Newest(environment, s.AddService(environment, railwaytest.Service{Name: "s", Image: "i"}))
	s.Print(id, "a line", "a", "1")
	account := s.AddToken(railwaytest.Token{})
	f.Fuzz(func(t *testing.T, text string) {
		c := &school{t: t, s: s, account: account}
		data, message := c.call(`query($d:String!,$f:String){deploymentLogs(deploymentId:$d,filter:$f){message}}`, vars{"d": id, "f": text})
		list, ok := dig(data, "deploymentLogs").([]any)
		if message == "" && (!ok || len(list) > 1) || message != "" && message != "Invalid filter" {
			t.Errorf("filter %q: %v, %s", text, data, message)
		}
	})
}
