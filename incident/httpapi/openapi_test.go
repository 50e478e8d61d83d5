package httpapi_test

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/httpapi"
)

// described is the description of the API as a client reads it.
type described struct {
	OpenAPI    string                          `json:"openapi"`
	Servers    []struct{ URL string }          `json:"servers"`
	Paths      map[string]map[string]operation `json:"paths"`
	Components struct {
		Schemas map[string]map[string]any `json:"schemas"`
	} `json:"components"`
}

type operation struct {
	ID          string              `json:"operationId"`
	Summary     string              `json:"summary"`
	Description string              `json:"description"`
	Verb        string              `json:"x-verb"`
	Parameters  []map[string]any    `json:"parameters"`
	Body        *content            `json:"requestBody"`
	Responses   map[string]*content `json:"responses"`

	method, path string
}

type content struct {
	Description string `json:"description"`
	Content     map[string]struct {
		Schema  map[string]any  `json:"schema"`
		Example json.RawMessage `json:"example"`
	} `json:"content"`
}

func (w *world) described() (d described, operations map[string]operation) {
	w.t.Helper()
	w.get("val", "/v1/openapi.json").ok(http.StatusOK, &d)
	operations = make(map[string]operation)
	for path, methods := range d.Paths {
		for method, o := range methods {
			o.method, o.path = strings.ToUpper(method), path
			operations[o.ID] = o
		}
	}
	return d, operations
}

// check holds a value against a schema, strictly: what the schema does not name must not be
// there.
func (d described) check(value any, schema map[string]any, at string) (problems []string) {
	fail := func(format string, args ...any) { problems = append(problems, at+": "+fmt.Sprintf(format, args...)) }
	if ref, ok := schema["$ref"].(string); ok {
		named, found := d.Components.Schemas[strings.TrimPrefix(ref, "#/components/schemas/")]
		if !found {
			return []string{at + ": there is no " + ref}
		}
		return d.check(value, named, at)
	}
	types := []any{schema["type"]}
	if list, ok := schema["type"].([]any); ok {
		types = list
	}
	if types[0] == nil {
		return nil // anything
	}
	kind := map[bool]string{true: "null"}[value == nil]
	switch v := value.(type) {
	case bool:
		kind = "boolean"
	case string:
		kind = "string"
		problems = append(problems, checkText(v, schema, at)...)
	case json.Number:
		kind = "number"
		if _, err := v.Int64(); err == nil && slices.Contains(types, any("integer")) {
			kind = "integer"
		}
	case []any:
		kind = "array"
		items, _ := schema["items"].(map[string]any)
		for i, item := range v {
			problems = append(problems, d.check(item, items, fmt.Sprint(at, "/", i))...)
		}
	case map[string]any:
		kind = "object"
		properties, _ := schema["properties"].(map[string]any)
		more, _ := schema["additionalProperties"].(map[string]any)
		required, _ := schema["required"].([]any)
		for _, name := range required {
			if _, ok := v[name.(string)]; !ok {
				fail("%s is required", name)
			}
		}
		for name, item := range v {
			property, ok := properties[name].(map[string]any)
			if !ok && more == nil && len(properties)+len(required) > 0 {
				fail("%s is not described", name)
				continue
			}
			if !ok {
				property = more
			}
			problems = append(problems, d.check(item, property, at+"/"+name)...)
		}
	}
	if !slices.Contains(types, any(kind)) {
		fail("a %s, and not one of %v", kind, types)
	}
	return problems
}

func checkText(v string, schema map[string]any, at string) (problems []string) {
	if enum, ok := schema["enum"].([]any); ok && !slices.Contains(enum, any(v)) {
		problems = append(problems, fmt.Sprintf("%s: %q is none of %v", at, v, enum))
	}
	if pattern, ok := schema["pattern"].(string); ok && !regexp.MustCompile(pattern).MatchString(v) {
		problems = append(problems, fmt.Sprintf("%s: %q does not match %s", at, v, pattern))
	}
	switch schema["format"] {
	case "date-time":
		if _, err := time.Parse(time.RFC3339Nano, v); err != nil {
			problems = append(problems, at+": "+err.Error())
		}
	case "go-duration":
		if _, err := time.ParseDuration(v); err != nil {
			problems = append(problems, at+": "+err.Error())
		}
	}
	return problems
}

func readJSON(t testing.TB, text string) (value any) {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	require.NoError(t, d.Decode(&value))
	return value
}

// A scene of the story is one operation with its example.
type scene struct {
	id, who string
	path    string                    // after the first variable was filled in
	edit    func(body map[string]any) // what of the example depends on what was before
	before  func()                    // what else happens
}

// noCommands are the operations of the story that are no GET and that the audit record does
// not have: a plan changes nothing, and the run had the incident already when it was started.
var noCommands = []string{"makePlan", "attachRun"}

// The story makes each operation of the description with its example, holds each answer
// against its schema, and finds each command in the audit record, by who gave it.
func TestTheDescriptionIsWhatTheHandlerDoes(t *testing.T) {
	inWorld(t, func(w *world) {
		d, operations := w.described()
		assert.Equal(t, "3.1.0", d.OpenAPI)
		assert.Equal(t, "../v1", d.Servers[0].URL)
		told := make(map[string]bool)
		story := w.story()
		for i := range story {
			if story[i].before != nil {
				story[i].before()
			}
			s := story[i]
			o, ok := operations[s.id]
			require.True(t, ok, "there is an operation %s", s.id)
			told[s.id] = true
			before := len(w.audited())
			w.tell(d, o, s)
			synctest.Wait()
			if o.method != http.MethodGet && !slices.Contains(noCommands, s.id) {
				isBy := func(e incident.Entry) bool { return e.Actor == people[s.who].Name }
				assert.True(t, slices.ContainsFunc(w.audited()[before:], isBy), "%s of %s is in the audit record", s.id, s.who)
			}
		}
		for id := range operations {
			assert.True(t, told[id], "operation %s is in the story", id)
		}
	})
}

// tell makes a scene.
func (w *world) tell(d described, o operation, s scene) {
	w.t.Helper()
	var body string
	if o.Body != nil {
		example := o.Body.Content["application/json"].Example
		require.NotEmpty(w.t, example, "%s has an example", o.ID)
		value := readJSON(w.t, string(example))
		assert.Empty(w.t, d.check(value, o.Body.Content["application/json"].Schema, o.ID), "its example fits its schema")
		if s.edit != nil {
			s.edit(value.(map[string]any))
		}
		text, err := json.Marshal(value)
		require.NoError(w.t, err)
		body = string(text)
	}
	path := o.path
	if s.path != "" {
		path = s.path
	}
	require.NotContains(w.t, path, "{")
	a := w.ask(s.who, o.method, "/v1"+path, body)
	response, ok := o.Responses[strconv.Itoa(a.Code)]
	require.True(w.t, ok, "%s answers %d: %s", o.ID, a.Code, a.Body)
	require.Less(w.t, a.Code, 300, "%s: %s", o.ID, a.Body)
	if len(response.Content) == 0 {
		assert.Empty(w.t, a.Body.String())
		return
	}
	media := a.Header().Get("Content-Type")
	require.Contains(w.t, response.Content, media, o.ID)
	switch {
	case media == "application/json":
		assert.Empty(w.t, d.check(readJSON(w.t, a.Body.String()), response.Content[media].Schema, o.ID))
	case media == "text/event-stream":
		for _, e := range parse(a.Body.String()) {
			if e.name == "run" {
				assert.Empty(w.t, d.check(readJSON(w.t, e.data), d.Components.Schemas["Run"], o.ID))
			}
		}
	default:
		assert.True(w.t, strings.HasPrefix(a.Body.String(), "# "), a.Body.String())
	}
	if a.Code == http.StatusCreated {
		assert.NotEmpty(w.t, a.Header().Get("Location"), o.ID)
	}
}

func (w *world) story() []scene {
	inc, run := "/incidents/INC-2000-0001", "/runs/run-1"
	var approval string
	waits := func() { approval = "/approvals/" + w.waiting().ID }
	list := []scene{
		{id: "listPlaybooks", who: "val"}, {id: "getPlaybook", who: "val", path: "/playbooks/production/restart"}, {id: "getPlaybookDocument", who: "val", path: "/playbooks/production/restart/document"},
		{id: "openIncident", who: "jane"}, {id: "makePlan", who: "jane"}, {id: "startRun", who: "jane"}, {id: "listRuns", who: "val"}, {id: "getRun", who: "val", path: run}, {id: "getRunDocument", who: "val", path: run + "/document"},
		{id: "pauseRun", who: "jane", path: run + "/pause"}, {id: "resumeRun", who: "jane", path: run + "/resume"}, {id: "listApprovals", who: "kim"},
	}
	late := func(id, who, verb string, edit func(map[string]any)) {
		list = append(list, scene{id: id, who: who, path: "?" + verb, edit: edit})
	}
	late("getApproval", "kim", "", nil)
	late("sendBack", "kim", "/back", nil)
	late("approve", "kim", "/approve", func(body map[string]any) {
		w.errs = []error{incident.ErrOutcomeUnknown}
		body["plan"] = w.waiting().Question.Plan
	})
	list = append(list,
		scene{id: "answerRun", who: "jane", path: run + "/answer"}, scene{id: "followRun", who: "val", path: run + "/events"},
		scene{id: "suggestRun", who: "jane"},
	)
	late("deny", "kim", "/deny", nil)
	list = append(list,
		// The step that was approved is not made again under that approval: from the gate.
		scene{id: "forkRun", who: "jane", path: run + "/fork", edit: func(body map[string]any) { body["step"] = "gate" }},
		scene{id: "cancelRun", who: "jane", path: "/runs/run-3/cancel", before: func() { w.start(`{"id":"run-3","environment":"test","playbook":"tidy"}`) }},
		scene{id: "listIncidents", who: "val"}, scene{id: "getIncident", who: "val", path: inc},
		scene{id: "escalateIncident", who: "jane", path: inc + "/escalate"}, scene{id: "acknowledgeIncident", who: "jane", path: inc + "/acknowledge"},
		scene{id: "setSeverity", who: "jane", path: inc + "/severity"}, scene{id: "setRole", who: "jane", path: inc + "/roles"}, scene{id: "addNote", who: "jane", path: inc + "/notes"},
		scene{id: "setDeadline", who: "jane", path: inc + "/deadlines"}, scene{id: "settleDeadline", who: "jane", path: inc + "/deadlines/notify/settle"},
		scene{id: "postUpdate", who: "jane", path: inc + "/updates"}, scene{id: "attachRun", who: "jane", path: inc + "/runs"}, scene{id: "attachDeployment", who: "jane", path: inc + "/deployments"},
		scene{id: "attachTicket", who: "jane", path: inc + "/tickets"}, scene{id: "openTicket", who: "jane", path: inc + "/ticket"}, scene{id: "getTicket", who: "val", path: inc + "/ticket"},
		scene{id: "mitigateIncident", who: "jane", path: inc + "/mitigate"}, scene{id: "resolveIncident", who: "jane", path: inc + "/resolve"},
		scene{id: "addFollowUp", who: "jane", path: inc + "/follow-ups"}, scene{id: "finishFollowUp", who: "jane", path: inc + "/follow-ups/finish"},
		scene{id: "getTimeline", who: "val", path: inc + "/timeline"}, scene{id: "getReport", who: "val", path: inc + "/report"}, scene{id: "getReportDocument", who: "val", path: inc + "/report/document"},
		scene{id: "reviewIncident", who: "jane", path: inc + "/review"}, scene{id: "reopenIncident", who: "jane", path: inc + "/reopen"},
		scene{id: "mergeIncident", who: "jane", path: inc + "/merge", before: func() { w.open() }},
		scene{id: "cancelIncident", who: "jane", path: "/incidents/INC-2000-0002/cancel"}, scene{id: "getFigures", who: "val"},
		scene{id: "getAutomation", who: "val"}, scene{id: "stopAutomation", who: "jane"}, scene{id: "resumeAutomation", who: "ada"},
		scene{id: "listReplicas", who: "val"}, scene{id: "takeOver", who: "ada"}, scene{id: "readAudit", who: "val"}, scene{id: "getDescription", who: "val"},
	)
	for i, s := range list {
		if verb, ok := strings.CutPrefix(s.path, "?"); ok { // the approval that waits then
			list[i].before = func() { waits(); list[i].path = approval + verb }
		}
	}
	return list
}

func TestEachRouteIsDescribedWithWhatCanGoWrong(t *testing.T) {
	inWorld(t, func(w *world) {
		d, operations := w.described()
		assert.Greater(t, len(operations), 45)
		for id, o := range operations {
			assert.NotEmpty(t, o.Summary, id)
			assert.Contains(t, o.Description, "Needs the right to "+o.Verb, id)
			var names []string
			for _, p := range o.Parameters {
				if p["in"] == "path" {
					names = append(names, "{"+p["name"].(string)+"}")
				}
			}
			assert.Equal(t, regexp.MustCompile(`\{\w+\}`).FindAllString(o.path, -1), names, id)
			for status, response := range o.Responses {
				assert.NotEmpty(t, response.Description, id)
				if n, _ := strconv.Atoi(status); n >= 400 {
					assert.Contains(t, response.Content, "application/problem+json", id)
				}
			}
			if o.Body == nil {
				continue
			}
			body := o.Body.Content["application/json"].Schema
			assert.Equal(t, false, body["additionalProperties"], id)
			path := regexp.MustCompile(`\{\w+\}`).ReplaceAllString(o.path, "INC-2000-0001")
			for _, bad := range []string{`{"unknown":1}`, `[]`, `{`} {
				a := w.post("ada", "/v1"+path, bad)
				p := a.problem(a.Code, map[int]string{400: "malformed", 422: "invalid"}[a.Code])
				assert.Contains(t, o.Responses, strconv.Itoa(a.Code), id)
				assert.Empty(t, d.check(readJSON(t, a.Body.String()), d.Components.Schemas["Problem"], id), "%+v", p)
			}
		}
		assert.Empty(t, w.audit("opened"))
	})
}

// whole returns a value of a type in which nothing is zero.
func whole(t reflect.Type, depth int) reflect.Value {
	v := reflect.New(t).Elem()
	texts := map[string]string{
		"RunState": "running", "StepState": "done", "Kind": "check", "Repeat": "idempotent", "State": "triggered", "ClockKind": "resolve", "DeadlineMark": "half", "ParameterType": "whole",
	}
	switch {
	case t == reflect.TypeFor[time.Time]():
		return reflect.ValueOf(time.Date(2026, 3, 1, 9, 30, 0, 0, time.UTC))
	case t == reflect.TypeFor[json.RawMessage]():
		return reflect.ValueOf(json.RawMessage(`{"a":[1]}`))
	}
	switch t.Kind() {
	case reflect.Pointer:
		p := reflect.New(t.Elem())
		p.Elem().Set(whole(t.Elem(), depth))
		return p
	case reflect.Struct:
		for i := range t.NumField() {
			if t.Field(i).IsExported() {
				v.Field(i).Set(whole(t.Field(i).Type, depth+1))
			}
		}
	case reflect.Slice:
		if depth < 12 {
			v = reflect.Append(v, whole(t.Elem(), depth+3))
		}
	case reflect.Map:
		v = reflect.MakeMap(t)
		key := reflect.New(t.Key()).Elem()
		key.SetString(cmpOr(texts[t.Key().Name()], "key"))
		v.SetMapIndex(key, whole(t.Elem(), depth+1))
	case reflect.String:
		v.SetString(cmpOr(texts[t.Name()], "text"))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(int64(time.Minute))
	case reflect.Uint8:
		v.SetUint(1)
	case reflect.Float64:
		v.SetFloat(1.5)
	}
	return v
}

func cmpOr(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

func TestNoFieldOfAnAnswerIsMissing(t *testing.T) {
	inWorld(t, func(w *world) {
		d, _ := w.described()
		for _, v := range []any{
			incident.Run{}, incident.Plan{}, incident.Approval{}, incident.Incident{}, incident.Report{}, incident.Figures{}, incident.Entry{},
			incident.Replica{}, incident.KillSwitch{}, alert.Ticket{}, httpapi.Problem{},
		} {
			typ := reflect.TypeOf(v)
			text, err := json.Marshal(whole(typ, 0).Interface())
			require.NoError(t, err)
			if typ.Name() == "Problem" {
				text = []byte(strings.Replace(string(text), `"code":"text"`, `"code":"stale"`, 1))
			}
			require.Contains(t, d.Components.Schemas, typ.Name())
			assert.Empty(t, d.check(readJSON(t, string(text)), d.Components.Schemas[typ.Name()], typ.Name()))
			var fields int
			for name := range d.Components.Schemas[typ.Name()]["properties"].(map[string]any) {
				assert.Contains(t, string(text), `"`+name+`":`)
				fields++
			}
			assert.Positive(t, fields)
		}
	})
}

// snake writes the name of a Go field as JSON has it.
func snake(name string) string {
	name = strings.ReplaceAll(name, "ID", "Id")
	return strings.ToLower(regexp.MustCompile(`([a-z])([A-Z])`).ReplaceAllString(name, "${1}_${2}"))
}

func TestNoFieldOfACommandIsMissing(t *testing.T) {
	inWorld(t, func(w *world) {
		d, operations := w.described()
		body := func(id string) map[string]any {
			return operations[id].Body.Content["application/json"].Schema["properties"].(map[string]any)
		}
		schema := func(name string) map[string]any { return d.Components.Schemas[name]["properties"].(map[string]any) }
		for _, c := range []struct {
			typ    reflect.Type
			has    map[string]any
			except map[string]string // fields that are not there, and why
		}{
			{reflect.TypeFor[incident.Request](), body("startRun"), map[string]string{"By": "is the actor", "Automatic": "a person asks"}},
			{reflect.TypeFor[incident.Answer](), body("answerRun"), map[string]string{"Kind": "is called answer", "Actor": "is the actor", "Plan": "is that of approvals"}},
			{reflect.TypeFor[incident.Opening](), body("openIncident"), map[string]string{"By": "is the actor"}},
			{reflect.TypeFor[incident.Ack](), body("acknowledgeIncident"), map[string]string{"By": "is the actor"}},
			{reflect.TypeFor[incident.Resolution](), body("resolveIncident"), map[string]string{"By": "is the actor"}},
			{reflect.TypeFor[incident.StatusUpdate](), body("postUpdate"), map[string]string{"By": "is the actor"}},
			{reflect.TypeFor[incident.FollowUp](), body("addFollowUp"), map[string]string{"Done": "is said by finishFollowUp", "DoneBy": "is who says so"}},
			{reflect.TypeFor[incident.Playbook](), schema("Playbook"), nil},
			{reflect.TypeFor[incident.Parameter](), schema("PlaybookInput"), nil},
			{reflect.TypeFor[incident.Phase](), schema("PlaybookPhase"), nil},
			{reflect.TypeFor[incident.Need](), schema("PlaybookNeed"), nil},
			{reflect.TypeFor[incident.Step](), schema("PlaybookStep"), map[string]string{"Do": "is written out", "When": "is conditional", "OnFailure": ""}},
		} {
			for i := range c.typ.NumField() {
				field := c.typ.Field(i)
				if _, left := c.except[field.Name]; field.IsExported() && !left {
					assert.Contains(t, c.has, snake(field.Name), c.typ.Name())
				}
			}
		}
	})
}

// The values that the description lists for a type are the constants of that type.
func TestTheDescriptionListsAllValues(t *testing.T) {
	inWorld(t, func(w *world) {
		d, _ := w.described()
		enum := func(schema, property string) (list []string) {
			p, _ := d.Components.Schemas[schema]["properties"].(map[string]any)[property].(map[string]any)
			for _, v := range p["enum"].([]any) {
				list = append(list, v.(string))
			}
			return list
		}
		all := constants(t, "..")
		for typ, got := range map[string][]string{
			"RunState": enum("Run", "state"), "StepState": enum("StepRun", "state"), "Kind": enum("StepRun", "kind"), "Repeat": enum("StepRun", "repeat"),
			"State": enum("Incident", "state"), "ClockKind": enum("Clock", "kind"), "DeadlineMark": enum("Deadline", "told"), "ParameterType": enum("PlaybookInput", "type"),
		} {
			assert.ElementsMatch(t, all[typ], got, typ)
			assert.NotEmpty(t, got)
		}
	})
}

// constants returns the texts of the constants of a package, by their types.
func constants(t testing.TB, dir string) map[string][]string {
	t.Helper()
	all := make(map[string][]string)
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	require.NoError(t, err)
	for _, name := range slices.DeleteFunc(files, func(f string) bool { return strings.HasSuffix(f, "_test.go") }) {
		src, err := os.ReadFile(name)
		require.NoError(t, err)
		file, err := parser.ParseFile(token.NewFileSet(), name, src, 0)
		require.NoError(t, err)
		for _, decl := range file.Decls {
			group, ok := decl.(*ast.GenDecl)
			if !ok || group.Tok != token.CONST {
				continue
			}
			for _, spec := range group.Specs {
				value := spec.(*ast.ValueSpec)
				typ, named := value.Type.(*ast.Ident)
				if !named || len(value.Values) != 1 {
					continue
				}
				if text, ok := value.Values[0].(*ast.BasicLit); ok && text.Kind == token.STRING {
					s, err := strconv.Unquote(text.Value)
					require.NoError(t, err)
					all[typ.Name] = append(all[typ.Name], s)
				}
			}
		}
	}
	return all
}

func TestTheDescriptionIsTheSameEachTime(t *testing.T) {
	inWorld(t, func(w *world) {
		one := w.get("val", "/v1/openapi.json").Body.String()
		api, err := httpapi.New(w.cfg)
		require.NoError(t, err)
		w.api = api
		assert.Equal(t, one, w.get("val", "/v1/openapi.json").Body.String())
		names := slices.Sorted(maps.Keys(w.get("val", "/v1/openapi.json").Header()))
		assert.Contains(t, names, "Content-Security-Policy")
	})
}
