package canvastest

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// access says what a route asks of the caller.
type access int

const (
	asUser  access = iota // a user's token
	asAdmin               // a user's token, of an administrator
	asTool                // the token of an LTI service
	open                  // nothing
)

// route is one operation of the API.
type route struct {
	name     string // "GET /api/v1/courses/:id", as in scopes
	method   string
	segments []string
	handle   func(*call) answer
	access   access
	list     bool     // takes page and per_page
	anyScope bool     // is open to keys with scopes
	edge     bool     // is served before, or beside, Canvas and its throttle
	params   []string // that Canvas reads; a trailing * stands for any rest
	includes []string // values of include[]
	// extra is added to the cost, also where the request fails; nil is nothing.
	extra func(*call) float64
}

// on makes a route. params is a list, separated by spaces, of the names of the
// parameters; "include[]=a,b" lists the values of one.
func on(name string, who access, handle func(*call) answer, params string) *route {
	method, path, _ := strings.Cut(name, " ")
	rt := &route{name: name, method: method, segments: strings.Split(path[1:], "/"), handle: handle, access: who}
	for _, p := range strings.Fields(params) {
		if values, ok := strings.CutPrefix(p, "include[]="); ok {
			rt.includes = strings.Split(values, ",")
			p = "include[]"
		}
		rt.params = append(rt.params, p)
	}
	return rt
}

// lists makes a route that is paged.
func lists(name string, who access, handle func(*call) answer, params string) *route {
	rt := on(name, who, handle, params)
	rt.list = true
	return rt
}

func (rt *route) costs(units float64) *route {
	rt.extra = func(*call) float64 { return units }
	return rt
}

func (rt *route) takes(name string) bool {
	switch name {
	case "as_user_id", "access_token":
		return true
	case "page", "per_page":
		return rt.list
	}
	return slices.ContainsFunc(rt.params, func(p string) bool {
		head, rest := strings.CutSuffix(p, "*")
		return name == p || rest && strings.HasPrefix(name, head)
	})
}

// router finds routes. It does not change once it is made.
type router struct {
	byLen map[int][]*route
	named map[string]*route
}

func newRouter(routes []*route) *router {
	m := &router{byLen: make(map[int][]*route), named: make(map[string]*route, len(routes))}
	for _, rt := range routes {
		if m.named[rt.name] != nil {
			panic("canvastest: route twice: " + rt.name)
		}
		m.named[rt.name] = rt
		m.byLen[len(rt.segments)] = append(m.byLen[len(rt.segments)], rt)
	}
	// Fixed segments go before parameters: courses/:id/files/quota before
	// courses/:course_id/files/:id.
	for _, some := range m.byLen {
		slices.SortStableFunc(some, func(a, b *route) int {
			for i := range a.segments {
				pa, pb := variable(a.segments[i]), variable(b.segments[i])
				if pa != pb {
					if pa {
						return 1
					}
					return -1
				}
			}
			return 0
		})
	}
	return m
}

// find returns the route of a request and the values of its path parameters.
// HEAD is matched as GET. ".json" at the end asks for JSON and is no part of the
// path.
func (m *router) find(r *http.Request) (*route, map[string]string) {
	method := r.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	path := strings.Trim(r.URL.EscapedPath(), "/")
	path = strings.TrimSuffix(path, ".json")
	segments := strings.Split(path, "/")
	for _, rt := range m.byLen[len(segments)] {
		if rt.method != method {
			continue
		}
		if values, ok := rt.match(segments); ok {
			return rt, values
		}
	}
	return nil, nil
}

func (rt *route) match(segments []string) (map[string]string, bool) {
	for i, want := range rt.segments {
		if !variable(want) && want != segments[i] {
			return nil, false
		}
	}
	values := make(map[string]string, 2)
	for i, want := range rt.segments {
		if !variable(want) {
			continue
		}
		v, err := url.PathUnescape(segments[i])
		if err != nil || v == "" {
			return nil, false
		}
		values[want[1:]] = v
	}
	return values, true
}

func allRoutes() []*route {
	return slices.Concat(
		infoRoutes(), oauthRoutes(), tokenRoutes(), userRoutes(), accountRoutes(), courseRoutes(), pageRoutes(), assignmentRoutes(), moduleRoutes(), fileRoutes(),
		toolRoutes(), keyRoutes(), registrationRoutes(), notificationRoutes(), auditRoutes(), pageViewRoutes(), progressRoutes(), graphRoutes(),
	)
}

// resource is the last fixed part of the path, and action what Rails calls the
// operation.
func (rt *route) resource() string {
	for _, part := range slices.Backward(rt.segments) {
		if !variable(part) {
			return part
		}
	}
	return ""
}

func (rt *route) action() string {
	one := variable(rt.segments[len(rt.segments)-1])
	switch {
	case rt.method == http.MethodGet && one:
		return "show"
	case rt.method == http.MethodGet:
		return "index"
	case rt.method == http.MethodPost:
		return "create"
	case rt.method == http.MethodDelete:
		return "destroy"
	}
	return "update"
}

func joinPath(segments []string) string { return strings.Join(segments, "/") }

// variable says that a segment of a route stands for any value.
func variable(segment string) bool { return strings.HasPrefix(segment, ":") }
