package canvastest

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
)

// graphRoutes: documentation, page "GraphQL". Of the schema there is what
// graphTypes lists: course, account, node and legacyNode at the top; courses,
// accounts, users, assignments and modules; connections with first and after.
func graphRoutes() []*route {
	rt := on("POST /api/graphql", asUser, graphql, "query variables* operationName extensions*")
	rt.anyScope = true // a key with scopes may query, and not change, anything
	return []*route{rt}
}

// graphTypes are the fields of each type, with the name that the resource has
// them under; "->" leads to another type, "[]" is a connection.
var graphTypes = map[string]map[string]string{
	"Query": {"course": "->Course", "account": "->Account", "node": "->Node", "legacyNode": "->Node"},
	"Course": {
		"name": "name", "courseCode": "course_code", "state": "workflow_state", "sisId": "sis_course_id", "createdAt": "created_at", "account": "->Account",
		"assignmentsConnection": "[]Assignment", "modulesConnection": "[]Module",
	},
	"Account":    {"name": "name", "sisId": "sis_account_id", "coursesConnection": "[]Course", "workflowState": "workflow_state"},
	"User":       {"name": "name", "shortName": "short_name", "sortableName": "sortable_name", "email": "email", "loginId": "login_id", "sisId": "sis_user_id"},
	"Assignment": {"name": "name", "state": "workflow_state", "dueAt": "due_at", "pointsPossible": "points_possible", "htmlUrl": "html_url", "course": "->Course"},
	"Module":     {"name": "name", "position": "position", "published": "published"},
	"Connection": {"nodes": "", "edges": "", "pageInfo": ""},
}

var graphKinds = map[string]Kind{"Course": Courses, "Account": Accounts, "User": Users, "Assignment": Assignments, "Module": Modules}

// graph is the execution of one operation.
type graph struct {
	c         *call
	doc       *document
	variables Object
	errors    []Object
	spreads   int
}

// graphql answers 200 also if the query is wrong.
func graphql(c *call) answer {
	text := c.param("query")
	if text == "" {
		return ok(graphErrors(Object{"message": "No query string was present"}))
	}
	doc, err := parseGraphQL(text)
	if err != nil {
		return ok(graphErrors(Object{"message": err.Error(), "locations": []Object{}}))
	}
	at := slices.IndexFunc(doc.operations, func(op operation) bool { return op.name == c.param("operationName") })
	if at < 0 && len(doc.operations) > 1 {
		return ok(graphErrors(Object{"message": "An operation name is required"}))
	}
	op := doc.operations[max(at, 0)]
	if op.kind != "query" {
		if !c.scoped() {
			return c.insufficientScopes()
		}
		f := op.selection[0]
		return ok(graphErrors(undefined(f, "Mutation", []any{op.kind})))
	}
	g := &graph{c: c, doc: doc, variables: Object{}}
	for name, v := range op.variables {
		g.variables[name] = v
	}
	for name, v := range asObject(c.json["variables"]) {
		g.variables[name] = v
	}
	g.check(op.selection, "Query", []any{op.kind})
	if len(g.errors) > 0 {
		return ok(Object{"errors": g.errors})
	}
	data := g.root(op.selection)
	if len(g.errors) > 0 {
		return ok(Object{"data": data, "errors": g.errors})
	}
	return ok(Object{"data": data})
}

func graphErrors(errs ...Object) Object { return Object{"errors": errs} }

// undefined is the error for a field that a type does not have.
func undefined(f gqlField, typeName string, path []any) Object {
	return Object{
		"message": fmt.Sprintf("Field '%s' doesn't exist on type '%s'", f.name, typeName), "locations": []Object{{"line": f.line, "column": f.column}},
		"path": append(slices.Clone(path), f.alias), "extensions": Object{"code": "undefinedField", "typeName": typeName, "fieldName": f.name},
	}
}

// fieldsOf resolves the fragments of a selection for a type.
func (g *graph) fieldsOf(sel selection, typeName string) []gqlField {
	var out []gqlField
	for _, f := range sel {
		switch {
		case f.spread != "":
			if g.spreads++; g.spreads < 1000 { // a fragment may name itself
				out = append(out, g.fieldsOf(g.doc.fragments[f.spread], typeName)...)
			}
		case f.on != "":
			if f.on == typeName || typeName == "Node" {
				out = append(out, g.fieldsOf(f.selection, f.on)...)
			}
		default:
			out = append(out, f)
		}
	}
	return out
}

// check looks for fields that do not exist, before anything is carried out.
func (g *graph) check(sel selection, typeName string, path []any) {
	if typeName == "Node" { // each fragment knows its own type
		for _, f := range sel {
			if f.on != "" {
				g.check(f.selection, f.on, path)
			} else if f.spread == "" && f.name != "id" && f.name != "__typename" {
				g.errors = append(g.errors, undefined(f, typeName, path))
			}
		}
		return
	}
	for _, f := range g.fieldsOf(sel, typeName) {
		to, known := graphTypes[typeName][f.name]
		switch at := append(slices.Clone(path), f.alias); {
		case f.name == "__typename", (f.name == "id" || f.name == "_id") && graphKinds[typeName] != "":
		case !known:
			g.errors = append(g.errors, undefined(f, typeName, path))
		case strings.HasPrefix(to, "->"):
			g.check(f.selection, to[2:], at)
		case strings.HasPrefix(to, "[]"):
			for _, part := range g.fieldsOf(f.selection, typeName) {
				switch part.name {
				case "nodes":
					g.check(part.selection, to[2:], append(at, "nodes"))
				case "edges", "pageInfo", "__typename":
				default:
					g.errors = append(g.errors, undefined(part, to[2:]+"Connection", at))
				}
			}
		}
	}
}

func (g *graph) arg(f gqlField, name string) any {
	v := f.args[name]
	if of, is := v.(variableName); is {
		return g.variables[string(of)]
	}
	return v
}

// root carries out the fields of the query.
func (g *graph) root(sel selection) Object {
	out := Object{}
	for _, f := range g.fieldsOf(sel, "Query") {
		switch f.name {
		case "course":
			out[f.alias] = g.object(g.named(f, "Course", "sis_course_id:"), "Course", f.selection)
		case "account":
			out[f.alias] = g.object(g.named(f, "Account", "sis_account_id:"), "Account", f.selection)
		case "legacyNode":
			name := fmt.Sprint(g.arg(f, "type"))
			out[f.alias] = g.object(g.find(name, fmt.Sprint(g.arg(f, "_id"))), name, f.selection)
		case "node":
			name, id := relay(fmt.Sprint(g.arg(f, "id")))
			out[f.alias] = g.object(g.find(name, id), name, f.selection)
		case "__typename":
			out[f.alias] = "Query"
		}
	}
	return out
}

// relay takes a global id of Relay apart: base64 of "Course-12".
func relay(id string) (typeName, legacy string) {
	raw, err := base64.StdEncoding.DecodeString(id)
	if err != nil {
		return "", ""
	}
	typeName, legacy, _ = strings.Cut(string(raw), "-")
	return typeName, legacy
}

func relayID(typeName string, id int64) string {
	return base64.StdEncoding.EncodeToString([]byte(typeName + "-" + itoa(id)))
}

func (g *graph) named(f gqlField, typeName, sis string) *row {
	if id := g.arg(f, "sisId"); id != nil {
		return g.find(typeName, sis+fmt.Sprint(id))
	}
	id := fmt.Sprint(g.arg(f, "id"))
	if name, legacy := relay(id); name == typeName {
		id = legacy
	}
	return g.find(typeName, id)
}

// find returns what the caller may see, else nothing: null, and no error.
func (g *graph) find(typeName, id string) *row {
	kind, known := graphKinds[typeName]
	if !known {
		return nil
	}
	r := g.c.find(kind, id)
	if r == nil || g.c.admin() {
		return r
	}
	course := r.id
	if kind == Assignments || kind == Modules {
		course = r.parent
	}
	if kind == Users && r.id == g.c.who.user || g.c.s.world.enrolled[course][g.c.who.user] {
		return r
	}
	return nil
}

func (g *graph) object(r *row, typeName string, sel selection) any {
	if r == nil {
		return nil
	}
	out := Object{}
	for _, f := range g.fieldsOf(sel, typeName) {
		to := graphTypes[typeName][f.name]
		switch {
		case f.name == "__typename":
			out[f.alias] = typeName
		case f.name == "_id":
			out[f.alias] = itoa(r.id)
		case f.name == "id":
			out[f.alias] = relayID(typeName, r.id)
		case strings.HasPrefix(to, "->"):
			out[f.alias] = g.object(g.find(to[2:], itoa(r.parent)), to[2:], f.selection)
		case strings.HasPrefix(to, "[]"):
			out[f.alias] = g.connection(r, to[2:], f)
		default:
			out[f.alias] = r.obj[to]
		}
	}
	return out
}

// connection is a page of a list. Its cursors are opaque.
func (g *graph) connection(r *row, typeName string, f gqlField) Object {
	rows := g.c.s.world.in(graphKinds[typeName], r.id)
	if text, ok := g.arg(f, "after").(string); ok {
		raw, err := base64.StdEncoding.DecodeString(text)
		at := atoi(string(raw))
		if err != nil || at < 0 || at > int64(len(rows)) {
			g.errors = append(g.errors, Object{"message": "Invalid cursor", "path": []any{f.alias}})
			return nil
		}
		rows = rows[at:]
	}
	whole := g.c.s.world.in(graphKinds[typeName], r.id)
	start := len(whole) - len(rows)
	first, ok := g.arg(f, "first").(int64)
	if !ok || first > 100 || first < 0 {
		first = 100
	}
	page := rows[:min(first, int64(len(rows)))]
	cursor := func(i int) string {
		return base64.StdEncoding.EncodeToString([]byte(itoa(int64(start + i + 1))))
	}
	out := Object{}
	for _, part := range g.fieldsOf(f.selection, typeName) {
		switch part.name {
		case "nodes":
			nodes := make([]any, len(page))
			for i, r := range page {
				nodes[i] = g.object(r, typeName, part.selection)
			}
			out[part.alias] = nodes
		case "edges":
			out[part.alias] = g.edges(page, typeName, part, cursor)
		case "pageInfo":
			info := Object{"hasNextPage": len(page) < len(rows), "hasPreviousPage": start > 0, "startCursor": nil, "endCursor": nil}
			if len(page) > 0 {
				info["startCursor"], info["endCursor"] = cursor(0), cursor(len(page)-1)
			}
			out[part.alias] = info
		}
	}
	return out
}

func (g *graph) edges(page []*row, typeName string, f gqlField, cursor func(int) string) []Object {
	out := make([]Object, len(page))
	for i, r := range page {
		out[i] = Object{}
		for _, part := range g.fieldsOf(f.selection, typeName) {
			switch part.name {
			case "node":
				out[i][part.alias] = g.object(r, typeName, part.selection)
			case "cursor":
				out[i][part.alias] = cursor(i)
			}
		}
	}
	return out
}
