package canvastest

import (
	"encoding/hex"
	"maps"
	"strconv"
	"strings"
)

// find returns the resource that a path segment names: by its id, by the short
// form of a global id ("1~234"), by "self", or by an id of another system
// ("sis_course_id:BIO-101", "hex:sis_course_id:…", "uuid:…").
func (c *call) find(kind Kind, name string) *row {
	w := c.s.world
	switch {
	case name == "self" && kind == Users:
		return w.row(Users, c.who.user)
	case (name == "self" || name == "default") && kind == Accounts:
		return w.row(Accounts, RootAccount)
	}
	if rest, ok := strings.CutPrefix(name, "hex:"); ok {
		column, code, found := strings.Cut(rest, ":")
		raw, err := hex.DecodeString(code)
		if !found || err != nil {
			return nil
		}
		name = column + ":" + string(raw)
	}
	if column, value, found := strings.Cut(name, ":"); found {
		return c.findBy(kind, column, value)
	}
	if shard, id, found := strings.Cut(name, "~"); found {
		if r := w.row(kind, atoi(shard)*10_000_000_000_000+atoi(id)); r != nil {
			return r
		}
		if shard != "1" {
			return nil
		}
		name = id
	}
	return w.row(kind, atoi(name))
}

func (c *call) findBy(kind Kind, column, value string) *row {
	field := map[Kind]map[string]string{
		Accounts:    {"sis_account_id": "sis_account_id", "sis_integration_id": "integration_id", "lti_context_id": "lti_guid", "uuid": "uuid"},
		Courses:     {"sis_course_id": "sis_course_id", "sis_integration_id": "integration_id", "lti_context_id": "uuid", "uuid": "uuid"},
		Users:       {"sis_user_id": "sis_user_id", "sis_login_id": "login_id", "sis_integration_id": "integration_id", "uuid": "uuid", "lti_user_id": "uuid"},
		Assignments: {"sis_assignment_id": "sis_assignment_id", "lti_context_id": "lti_context_id"},
	}[kind][column]
	if field == "" || value == "" {
		return nil
	}
	for _, r := range c.s.world.all(kind) {
		if r.obj[field] == value {
			return r
		}
	}
	return nil
}

// account finds the account in the path.
func (c *call) account() *row { return c.find(Accounts, c.path["account_id"]) }

// course finds the course in the path, and says whether the caller may read or,
// with manage, change it. Both answers are the same as Canvas': a course that
// one may not see is "not authorized", one that does not exist "not found".
func (c *call) course(param string, manage bool) (r *row, bad answer, ok bool) {
	r = c.find(Courses, c.path[param])
	if r == nil {
		return nil, notFound(), false
	}
	if !c.admin() && (manage || !c.s.world.enrolled[r.id][c.who.user]) {
		return nil, c.unauthorized(), false
	}
	return r, answer{}, true
}

// inCourse finds a resource of a course by its id.
func (c *call) inCourse(kind Kind, course *row, id string) *row {
	r := c.find(kind, id)
	if r == nil || r.parent != course.id {
		return nil
	}
	return r
}

// rows lists what a parent has: the resources, then the generated ones.
func (c *call) rows(kind Kind, parent int64, keep func(*row) bool, view func(*row) Object) list {
	rows := c.s.world.in(kind, parent)
	if keep != nil {
		var some []*row
		for _, r := range rows {
			if keep(r) {
				some = append(some, r)
			}
		}
		rows = some
	}
	l := listOf(rows, view)
	more := c.s.world.table(kind).made[parent]
	if more.n == 0 {
		return l
	}
	n, base := l.len, int64(1)<<60 // after all that was added
	return list{
		len: n + more.n,
		at: func(i int) Object {
			if i < n {
				return view(rows[i])
			}
			return more.make(i - n)
		},
		key: func(i int) int64 {
			if i < n {
				return rows[i].seq
			}
			return base + int64(i)
		},
	}
}

// plain shows a resource without the fields that are shown only elsewhere.
func plain(r *row, without ...string) Object {
	o := maps.Clone(r.obj)
	for _, name := range without {
		delete(o, name)
	}
	return o
}

// field is how a parameter changes a resource.
type field struct {
	name string // of the resource
	kind byte   // 's' text, 'i' integer, 'f' float, 'b' boolean, 't' time, 'l' list of texts, 'n' list of ids
}

// fields reads a list such as "title:s published:b".
func fields(text string) []field {
	var out []field
	for _, f := range strings.Fields(text) {
		name, kind, _ := strings.Cut(f, ":")
		out = append(out, field{name, kind[0]})
	}
	return out
}

// params are the names of the parameters, within a prefix such as "course".
func params(prefix, text string) string {
	var b strings.Builder
	for _, f := range fields(text) {
		name := prefix + "[" + f.name + "]"
		if prefix == "" {
			name = f.name
		}
		if f.kind == 'l' || f.kind == 'n' {
			b.WriteString(name + "[] ")
		}
		b.WriteString(name + " ")
	}
	return b.String()
}

// change writes the parameters that were given into a resource. The field that
// could not be read is returned.
func (c *call) change(o Object, prefix, text string) (wrong string) {
	for _, f := range fields(text) {
		name := prefix + "[" + f.name + "]"
		if prefix == "" {
			name = f.name
		}
		if f.kind == 'l' || f.kind == 'n' {
			if v, ok := c.params[name+"[]"]; ok {
				o[f.name] = listValue(v, f.kind)
			}
			continue
		}
		if !c.has(name) {
			continue
		}
		v, ok := c.value(name, f.kind)
		if !ok {
			return f.name
		}
		o[f.name] = v
	}
	if _, has := o["updated_at"]; has {
		o["updated_at"] = stamp(c.now)
	}
	return ""
}

func listValue(v []string, kind byte) any {
	if kind == 'l' {
		return append([]string{}, v...)
	}
	ids := make([]int64, 0, len(v))
	for _, text := range v {
		ids = append(ids, atoi(text))
	}
	return ids
}

// value reads one parameter; an empty text is null.
func (c *call) value(name string, kind byte) (any, bool) {
	text := c.param(name)
	switch kind {
	case 's':
		return text, true
	case 'b':
		return truthy(text), true
	case 't':
		t, given, ok := c.when(name)
		if !ok || !given {
			return nil, ok
		}
		return stamp(t), true
	}
	if text == "" {
		return nil, true
	}
	f, err := strconv.ParseFloat(text, 64)
	if kind == 'i' {
		return int64(f), err == nil
	}
	return f, err == nil
}
