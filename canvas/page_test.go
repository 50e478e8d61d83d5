package canvas_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/canvas"
	"go.acu.edu.au/runbook/canvas/canvastest"
)

type named struct {
	ID   canvas.ID `json:"id"`
	Name string    `json:"name"`
}

// pages answers each path with query as told, and notes what was asked.
type pages struct {
	t     testing.TB
	at    map[string]page
	asked []string
}

type page struct{ body, link string }

func (p *pages) RoundTrip(r *http.Request) (*http.Response, error) {
	p.asked = append(p.asked, r.URL.RequestURI())
	assert.Equal(p.t, "school.test", r.URL.Host, "the token left its host")
	got, ok := p.at[r.URL.RequestURI()]
	status := 200
	if !ok {
		status = 404
	}
	h := http.Header{"Content-Type": {"application/json"}}
	if got.link != "" {
		h.Set("link", got.link)
	}
	return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader(got.body)), ContentLength: -1, Request: r}, nil
}

func read[T any](t testing.TB, c *canvas.Client, r canvas.Request, o *canvas.ListOptions) ([]T, error) {
	t.Helper()
	var all []T
	for item, err := range canvas.Items[T](t.Context(), c, r, o) {
		if err != nil {
			return all, err
		}
		all = append(all, item)
	}
	return all, nil
}

const first = "/api/v1/things?per_page=100"

func next(address string) string { return "<https://school.test" + address + `>; rel="next"` }

// Requirement: CV-PAGE-LINK, CV-PAGE-LENGTH, CV-PAGE-BOOKMARK, CV-PAGE-NO-LAST, CV-PAGE-TRUNCATED, CV-PAGE-COMPOUND, CV-PAGE-FOREIGN, CV-PEER-ATOMICJOLT-LAST
func TestItems(t *testing.T) {
	long := strings.Repeat("x", 6000)
	tests := []struct {
		name string
		at   map[string]page
		o    *canvas.ListOptions
		want []int
		err  string
	}{
		{"one page", map[string]page{first: {"[1,2]", ""}}, nil, []int{1, 2}, ""},
		{"empty", map[string]page{first: {"[]", ""}}, nil, nil, ""},
		{"a short page is not the end", map[string]page{first: {"[1]", next("/a")}, "/a": {"[]", next("/b")}, "/b": {"[2]", ""}}, nil, []int{1, 2}, ""},
		{"bookmark", map[string]page{
			first: {"[1]", `<https://school.test/api/v1/things?page=first>; rel="current",` + next("/api/v1/things?page=bookmark:WzFd&per_page=100") + `,<https://school.test/f>; rel="first"`},
			"/api/v1/things?page=bookmark:WzFd&per_page=100": {"[2]", `<https://school.test/c>; rel="current"`},
		}, &canvas.ListOptions{Parallel: 4}, []int{1, 2}, ""},
		{"other forms of the field", map[string]page{first: {"[1]", `<https://school.test/c,d>;title="a,b";REL=current , </a;x=1> ; foo ; rel="prefetch NEXT"`}, "/a;x=1": {"[2]", ""}}, nil, []int{1, 2}, ""},
		{"events", map[string]page{first: {`{"links":{},"events":[1],"linked":{"users":[9]}}`, next("/a")}, "/a": {`{"events":[2]}`, ""}}, &canvas.ListOptions{Items: "events"}, []int{1, 2}, ""},
		{"the only array", map[string]page{first: {`{"links":[7],"total":1,"data":[1]}`, ""}}, nil, []int{1}, ""},
		{"links in the body", map[string]page{first: {`{"things":[1],"meta":{"pagination":{"next":"https://school.test/a"}}}`, ""}, "/a": {`{"things":[2],"meta":{"pagination":{"next":null}}}`, ""}}, nil, []int{1, 2}, ""},
		{"several arrays", map[string]page{first: {`{"a":[1],"b":[2]}`, ""}}, nil, nil, "ListOptions.Items"},
		{"no such array", map[string]page{first: {`{"a":[1]}`, ""}}, &canvas.ListOptions{Items: "b"}, nil, `no field "b"`},
		{"not a list", map[string]page{first: {`3`, ""}}, nil, nil, "neither an array nor an object"},
		{"wrong items", map[string]page{first: {`["x"]`, ""}}, nil, nil, "cannot be read"},
		{"another host", map[string]page{first: {"[1]", `<https://evil.test/a>; rel="next"`}}, nil, nil, "another host (evil.test)"},
		{"plain http", map[string]page{first: {"[1]", `<http://school.test/a>; rel="next"`}}, nil, nil, "another host"},
		{"another port", map[string]page{first: {"[1]", `<https://school.test:8443/a>; rel="next"`}}, nil, nil, "another host"},
		{"the default port, with a zero", map[string]page{first: {"[1]", `<https://school.test:0443/a>; rel="next"`}}, nil, nil, "another host"},
		{"a dot after the host", map[string]page{first: {"[1]", `<https://school.test./a>; rel="next"`}}, nil, nil, "another host"},
		{"a host below it", map[string]page{first: {"[1]", `<//a.school.test/a>; rel="next"`}}, nil, nil, "another host"},
		{"no host", map[string]page{first: {"[1]", `<https:/a>; rel="next"`}}, nil, nil, "another host"},
		{"no path", map[string]page{first: {"[1]", `<https:a>; rel="next"`}}, nil, nil, "another host"},
		{"a backslash", map[string]page{first: {"[1]", `<https://school.test\@evil.test/a>; rel="next"`}}, nil, nil, "not a URL"},
		{"the same host in other words", map[string]page{first: {"[1]", `<HTTPS://School.Test/a>; rel="next"`}, "/a": {"[2]", ""}}, nil, []int{1, 2}, ""},
		{"with a user", map[string]page{first: {"[1]", `<https://me@school.test/a>; rel="next"`}}, nil, nil, "another host"},
		{"itself", map[string]page{first: {"[1]", next(first)}}, nil, []int{1}, "comes back"},
		{"a loop", map[string]page{first: {"[1]", next("/a")}, "/a": {"[2]", next("/b")}, "/b": {"[3]", next("/a")}}, nil, []int{1, 2, 3}, "comes back"},
		{"too many", map[string]page{first: {"[1]", next("/a")}, "/a": {"[2]", next("/b")}, "/b": {"[3]", next("/c")}}, &canvas.ListOptions{MaxPages: 2}, []int{1, 2}, "more than 2 pages"},
		{"a bookmark that is not valid", map[string]page{first: {"[1]", next("/gone")}}, nil, []int{1}, "not found"},
		{"not a URL", map[string]page{first: {"[1]", "<https://school.test/%zz>; rel=next"}}, nil, nil, "not a URL"},
		{"so long that the next page may be lost", map[string]page{"/api/v1/things?per_page=100&q=" + long: {"[1]", `<https://school.test/f>; rel="first"`}}, nil, nil, "so long"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			p := &pages{t: t, at: tc.at}
			r := canvas.Request{Op: "list things", Path: "/api/v1/things"}
			if strings.HasPrefix(tc.name, "so long") {
				r.Query = map[string][]string{"q": {long}}
			}
			got, err := read[int](t, newClient(t, &http.Client{Transport: p}), r, tc.o)
			assert.Equal(t, tc.want, got)
			if tc.err == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, tc.err)
			_, ok := errors.AsType[*canvas.Error](err)
			assert.True(t, ok)
		})
	}
}

// Requirement: CV-PAGE-STOP
func TestItemsStop(t *testing.T) {
	p := &pages{t: t, at: map[string]page{first: {"[1,2]", next("/a")}, "/a": {"[3]", ""}}}
	list := canvas.Items[int](t.Context(), newClient(t, &http.Client{Transport: p}), canvas.Request{Path: "/api/v1/things"}, nil)
	for item := range list {
		if item == 2 {
			break
		}
	}
	assert.Equal(t, []string{first}, p.asked, "the next page is asked for when it is needed")
	n := 0
	for _, err := range list {
		require.NoError(t, err)
		n++
	}
	assert.Equal(t, 3, n, "ranging again begins anew")
	assert.Len(t, p.asked, 3)
}

func many(n int) *canvastest.Server {
	fake := &canvastest.Server{Load: canvastest.Load{Cost: 0.1, Latency: 200 * time.Millisecond, Jitter: 0.3}, Seed: 3}
	fake.Generate(canvastest.Courses, canvastest.RootAccount, n, func(i int) canvastest.Object {
		return canvastest.Object{"id": int64(1_000_000 + i), "name": "Course " + strconv.Itoa(i)}
	})
	return fake
}

var allCourses = canvas.Request{Op: "list courses", Path: canvas.Path("accounts", "self", "courses")}

// Requirement: CV-ASK-PARALLEL, CV-PEER-HARRYBRWN-GOROUTINES
func TestItemsInParallel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := many(5000)
		c := newClient(t, fake.Client())
		start := time.Now()
		one, err := read[named](t, c, allCourses, nil)
		require.NoError(t, err)
		slow := time.Since(start)
		start = time.Now()
		eight, err := read[named](t, c, allCourses, &canvas.ListOptions{Parallel: 8})
		require.NoError(t, err)
		fast := time.Since(start)
		require.Len(t, one, 5000)
		assert.Equal(t, one, eight, "the order is kept")
		t.Logf("one after the other %v, eight at a time %v", slow, fast)
		assert.Less(t, fast, slow/4)
		assert.Zero(t, fake.Stats().Rejected)
		assert.Empty(t, fake.Problems())
	})
}

func TestParallelStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := many(5000)
		c := newClient(t, fake.Client())
		n := 0
		for _, err := range canvas.Items[named](t.Context(), c, allCourses, &canvas.ListOptions{Parallel: 8}) {
			require.NoError(t, err)
			if n++; n == 150 {
				break
			}
		}
		// All that were asked for have ended here: the bubble would not end
		// with a goroutine of ours left over.
		assert.Zero(t, c.Throttle().Stats().InFlight)
		assert.LessOrEqual(t, fake.Stats().Requests, 10)
		fake.Wait()
	})
	// An error comes in its place, after the pages before it.
	synctest.Test(t, func(t *testing.T) {
		fake := many(1000)
		fake.Inject(canvastest.Fault{Route: "GET /api/v1/accounts/:account_id/courses", Skip: 4, Times: -1, Status: 404})
		got, err := read[named](t, newClient(t, fake.Client()), allCourses, &canvas.ListOptions{Parallel: 3})
		require.ErrorIs(t, err, canvas.ErrNotFound)
		assert.Zero(t, len(got)%100)
		assert.LessOrEqual(t, len(got), 400)
		fake.Wait()
	})
}

// A list that grows or shrinks while it is read, with the last page wrong.
func TestParallelListChanges(t *testing.T) {
	address := func(n int) string { return fmt.Sprintf("/api/v1/things?page=%d&per_page=100", n) }
	link := func(n, last int) string {
		l := fmt.Sprintf(`<https://school.test%s>; rel="last"`, address(last))
		if n < last {
			l += "," + next(address(n+1))
		}
		return l
	}
	for name, at := range map[string]map[string]page{
		"grows":   {first: {"[1]", link(1, 3)}, address(2): {"[2]", link(2, 3)}, address(3): {"[3]", link(3, 5)}, address(4): {"[4]", link(4, 5)}, address(5): {"[5]", link(5, 5)}},
		"shrinks": {first: {"[1]", link(1, 9)}, address(2): {"[2]", link(2, 9)}, address(3): {"[3,4,5]", link(3, 3)}, address(4): {"[]", ""}, address(5): {"[]", ""}},
	} {
		got, err := read[int](t, newClient(t, &http.Client{Transport: &locked{next: &pages{t: t, at: at}}}), canvas.Request{Path: "/api/v1/things"}, &canvas.ListOptions{Parallel: 2})
		require.NoError(t, err, name)
		assert.Equal(t, []int{1, 2, 3, 4, 5}, got, name)
	}
}

// locked makes one request at a time.
type locked struct {
	mu   sync.Mutex
	next http.RoundTripper
}

func (l *locked) RoundTrip(r *http.Request) (*http.Response, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.next.RoundTrip(r)
}

// Requirement: CV-PAGE-PAST-END
func TestPastTheEnd(t *testing.T) {
	fake := &canvastest.Server{}
	c := newClient(t, fake.Client())
	r := allCourses
	r.Query = map[string][]string{"page": {"99"}}
	got, err := read[named](t, c, r, nil)
	require.NoError(t, err)
	assert.Empty(t, got)
	r.Query = map[string][]string{"page": {"bookmark:nonsense"}}
	_, err = read[named](t, c, r, nil)
	require.Error(t, err)
}

// A hundred thousand items take the memory of one page.
func TestItemsTakeConstantMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := many(100_000)
		fake.KeepRequests = -1
		n, most := 0, uint64(0)
		var before, now runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		for _, err := range canvas.Items[named](t.Context(), newClient(t, fake.Client()), allCourses, nil) {
			require.NoError(t, err)
			if n++; n%20_000 == 0 {
				runtime.GC()
				runtime.ReadMemStats(&now)
				most = max(most, now.HeapAlloc)
			}
		}
		assert.Equal(t, 100_000, n)
		t.Logf("heap at most %d KiB more", (int64(most)-int64(before.HeapAlloc))/1024)
		assert.Less(t, int64(most), int64(before.HeapAlloc)+2<<20)
	})
}

func TestRoutes(t *testing.T) {
	for path, want := range map[string]string{
		"/api/v1/courses/17/pages/my-page":           "GET /api/v1/courses/:id/pages/:id",
		"/api/v1/courses/sis_course_id:X/pages":      "GET /api/v1/courses/:id/pages",
		"/api/v1/users/self":                         "GET /api/v1/users/:id",
		"/api/v1/audit/authentication/logins/3":      "GET /api/v1/audit/authentication/logins/:id",
		"/api/v1/users/1~2/page_views":               "GET /api/v1/users/:id/page_views",
		"/api/graphql":                               "GET /api/graphql",
		"/api/v1/x/6a6f6a6f-1111-2222-3333-44444444": "GET /api/v1/x/:id",
	} {
		assert.Equal(t, want, canvas.RouteOf("GET", path))
	}
}
