package canvastest

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Kind is a kind of resource, for [Server.Add].
type Kind string

// The kinds of resources, and what their parent is.
const (
	Accounts             Kind = "account"              // in an account
	Users                Kind = "user"                 // in an account
	Courses              Kind = "course"               // in an account
	Pages                Kind = "page"                 // in a course
	Assignments          Kind = "assignment"           // in a course
	Modules              Kind = "module"               // in a course
	ModuleItems          Kind = "module item"          // in a module
	Folders              Kind = "folder"               // in a course
	Files                Kind = "file"                 // in a course; the field "content" is the text of the file
	ExternalTools        Kind = "external tool"        // in an account or a course
	DeveloperKeys        Kind = "developer key"        // in an account; 0 for keys of Instructure, which accounts inherit
	Registrations        Kind = "LTI registration"     // in an account
	AccountNotifications Kind = "account notification" // in an account
	Progresses           Kind = "progress"             // in nothing: 0
	AuthenticationEvents Kind = "authentication event" // in a user
	CourseEvents         Kind = "course event"         // in a course
	GradeChanges         Kind = "grade change"         // in a course
	PageViews            Kind = "page view"            // in a user
	Polls                Kind = "poll"                 // in a user; their list is a compound document
)

// row is a resource.
type row struct {
	id, parent int64
	seq        int64 // in the order of creation
	obj        Object
	deleted    bool
	hidden     map[string]any // what the API does not show: a file's content, a key's overlay
}

func (r *row) text(field string) string { s, _ := r.obj[field].(string); return s }

func (r *row) clone() *row {
	out := *r
	out.obj, out.hidden = maps.Clone(r.obj), maps.Clone(r.hidden)
	return &out
}

// table holds the resources of one kind.
type table struct {
	rows     map[int64]*row
	children map[int64][]*row
	made     map[int64]generated
}

// generated is a list of resources that are made when they are asked for.
type generated struct {
	n    int
	make func(int) Object
}

// world is all that a Canvas remembers. A refresh copies it.
type world struct {
	tables      map[Kind]*table
	last        int64
	seq         int64
	tokens      map[string]*token // by their text
	grants      map[string]*grant // authorization codes
	refresh     map[string]*token // by refresh token
	sessions    map[string]int64  // logged in, by cookie
	admins      map[int64]bool
	enrolled    map[int64]map[int64]bool // users of a course
	bindings    map[[2]int64]*binding    // of developer keys, by account and key
	settings    map[int64]Object         // of accounts
	uploads     map[string]*upload
	queries     map[string]*query
	definitions map[string]definitions // what is cached
}

func newWorld() *world {
	return &world{
		tables: make(map[Kind]*table), last: RootAccount, tokens: make(map[string]*token), grants: make(map[string]*grant), refresh: make(map[string]*token),
		sessions: make(map[string]int64), admins: make(map[int64]bool), enrolled: make(map[int64]map[int64]bool), bindings: make(map[[2]int64]*binding),
		settings: make(map[int64]Object), uploads: make(map[string]*upload), queries: make(map[string]*query),
		definitions: make(map[string]definitions),
	}
}

func (w *world) table(kind Kind) *table {
	t := w.tables[kind]
	if t == nil {
		t = &table{rows: make(map[int64]*row), children: make(map[int64][]*row), made: make(map[int64]generated)}
		w.tables[kind] = t
	}
	return t
}

// row returns a resource that is not deleted, or nil.
func (w *world) row(kind Kind, id int64) *row {
	if r := w.table(kind).rows[id]; r != nil && !r.deleted {
		return r
	}
	return nil
}

// in returns the resources of a parent that are not deleted, oldest first.
func (w *world) in(kind Kind, parent int64) []*row {
	rows := w.table(kind).children[parent]
	if !slices.ContainsFunc(rows, func(r *row) bool { return r.deleted }) {
		return rows
	}
	return slices.DeleteFunc(slices.Clone(rows), func(r *row) bool { return r.deleted })
}

// all returns the resources of a kind in the order of their creation.
func (w *world) all(kind Kind) []*row {
	t := w.table(kind)
	out := make([]*row, 0, len(t.rows))
	for _, r := range t.rows {
		if !r.deleted {
			out = append(out, r)
		}
	}
	slices.SortFunc(out, func(a, b *row) int { return int(a.seq - b.seq) })
	return out
}

func (w *world) nextID() int64 {
	w.last++
	return w.last
}

// taken says of what kind the resource with an id is.
func (w *world) taken(id int64) (Kind, bool) {
	for kind, t := range w.tables {
		if t.rows[id] != nil {
			return kind, true
		}
	}
	return "", false
}

// add makes a resource from the defaults of its kind and some fields.
func (s *Server) add(kind Kind, parent int64, fields Object) *row {
	w := s.world
	id, _ := fields["id"].(int64)
	if n, ok := fields["id"].(int); ok {
		id = int64(n)
	}
	for id == 0 {
		id = w.nextID()
		if _, taken := w.taken(id); taken {
			id = 0
		}
	}
	w.seq++
	r := &row{id: id, parent: parent, seq: w.seq, hidden: make(map[string]any)}
	r.obj = s.blank(kind, r)
	r.obj["id"] = r.shownID(kind)
	for name, v := range fields {
		if name == "id" {
			continue
		}
		if n, ok := v.(int); ok {
			v = int64(n)
		}
		if t, ok := v.(time.Time); ok {
			v = stamp(t)
		}
		if _, known := r.obj[name]; !known {
			panic(fmt.Sprintf("canvastest: a %s has no field %q", kind, name))
		}
		r.obj[name] = v
	}
	s.complete(kind, r)
	t := w.table(kind)
	t.rows[id] = r
	t.children[parent] = append(t.children[parent], r)
	return r
}

// shownID is the id as the API shows it: a UUID for events and page views.
func (r *row) shownID(kind Kind) any {
	switch kind {
	case AuthenticationEvents, CourseEvents, GradeChanges, PageViews:
		return r.obj["id"]
	}
	return r.id
}

// parentKinds says in what a resource may be.
func parentKinds(kind Kind) []Kind {
	switch kind {
	case Accounts, Users, Courses, Registrations, AccountNotifications, DeveloperKeys:
		return []Kind{Accounts}
	case Pages, Assignments, Modules, Folders, Files, CourseEvents, GradeChanges:
		return []Kind{Courses}
	case ModuleItems:
		return []Kind{Modules}
	case ExternalTools:
		return []Kind{Accounts, Courses}
	case AuthenticationEvents, PageViews, Polls:
		return []Kind{Users}
	}
	return nil
}

func (s *Server) mustParent(kind Kind, parent int64) {
	kinds := parentKinds(kind)
	if parent == 0 && (kind == DeveloperKeys || len(kinds) == 0) {
		return
	}
	if !slices.ContainsFunc(kinds, func(k Kind) bool { return s.world.row(k, parent) != nil }) {
		panic(fmt.Sprintf("canvastest: a %s cannot be in %d: it is no %s", kind, parent, strings.Trim(fmt.Sprint(kinds), "[]")))
	}
}

// Add makes a resource and returns its id. fields are those of the resource in
// Canvas' API; what is left out has the default that Canvas gives it. Ids are
// unique over all kinds, so that one cannot pass for another; "id" chooses one.
//
// Add panics for a parent that does not exist, an id that is taken, and a field
// that the documentation does not have, because a test with such a resource
// would test nothing.
func (s *Server) Add(kind Kind, parent int64, fields Object) int64 {
	defer s.lock()()
	s.mustParent(kind, parent)
	if id, ok := fields["id"].(int64); ok {
		if other, taken := s.world.taken(id); taken {
			panic(fmt.Sprintf("canvastest: the id %d is that of a %s", id, other))
		}
	}
	return s.add(kind, parent, fields).id
}

// Generate adds n resources to the lists of a parent, after those that were
// added one by one. They are made by a func whenever they are listed, so that a
// million of them takes no memory. They have the fields that the func returns
// and no others, and can be listed only.
func (s *Server) Generate(kind Kind, parent int64, n int, make func(i int) Object) {
	defer s.lock()()
	s.mustParent(kind, parent)
	s.world.table(kind).made[parent] = generated{n, make}
}

// Set changes fields of a resource, as another user would. It panics for a
// resource or a field that does not exist.
func (s *Server) Set(kind Kind, id int64, fields Object) {
	defer s.lock()()
	r := s.world.row(kind, id)
	if r == nil {
		panic(fmt.Sprintf("canvastest: there is no %s %d", kind, id))
	}
	for name, v := range fields {
		if _, known := r.obj[name]; !known {
			panic(fmt.Sprintf("canvastest: a %s has no field %q", kind, name))
		}
		if n, ok := v.(int); ok {
			v = int64(n)
		}
		r.obj[name] = v
	}
	s.complete(kind, r)
}

// Get returns the fields of a resource, or nil if it does not exist (any more).
func (s *Server) Get(kind Kind, id int64) Object {
	defer s.lock()()
	if r := s.world.row(kind, id); r != nil {
		return maps.Clone(r.obj)
	}
	return nil
}

// Remove deletes a resource, as another user would.
func (s *Server) Remove(kind Kind, id int64) {
	defer s.lock()()
	if r := s.world.row(kind, id); r != nil {
		r.deleted = true
	}
}

// Enroll lets a user into a course. Administrators need no enrolment.
func (s *Server) Enroll(course, user int64) {
	defer s.lock()()
	if s.world.enrolled[course] == nil {
		s.world.enrolled[course] = make(map[int64]bool)
	}
	s.world.enrolled[course][user] = true
}

// MakeAdmin makes a user an administrator of the root account.
func (s *Server) MakeAdmin(user int64) {
	defer s.lock()()
	s.world.admins[user] = true
}

// Revoke makes an access token invalid, with the answer that a deleted one gets
// ("Revoked access token.").
func (s *Server) Revoke(text string) {
	defer s.lock()()
	if t := s.world.tokens[text]; t != nil {
		t.revoked = true
	}
}
