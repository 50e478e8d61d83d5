package canvastest_test

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/canvas/canvastest"
)

// pages adds a course with some pages and returns the address of their list.
func pages(fake *canvastest.Server, n int) string {
	course := fake.Add(canvastest.Courses, canvastest.RootAccount, nil)
	for i := range n {
		fake.Add(canvastest.Pages, course, canvastest.Object{"title": fmt.Sprintf("Page %d", i)})
	}
	return fmt.Sprintf("/api/v1/courses/%d/pages", course)
}

func TestPagesByNumber(t *testing.T) {
	var fake canvastest.Server
	path := pages(&fake, 25)
	r := get(t, &fake, path+"?search_term=page&page=2&per_page=10")
	assert.Len(t, r.list(t), 10)
	base := school + path + "?search_term=page&page="
	assert.Equal(t, "<"+base+`2&per_page=10>; rel="current",<`+base+`3&per_page=10>; rel="next",<`+base+`1&per_page=10>; rel="prev",<`+base+`1&per_page=10>; rel="first",<`+base+`3&per_page=10>; rel="last"`, r.Header.Get("Link"))

	last := links(t, get(t, &fake, links(t, r)["last"]))
	assert.NotContains(t, last, "next")
	assert.Equal(t, "[]", string(get(t, &fake, path+"?page=9").body), "past the end")
	for _, bad := range []string{"0", "-1", "x", "bookmark:WzFd"} {
		assert.Equal(t, http.StatusNotFound, get(t, &fake, path+"?page="+bad).StatusCode, bad)
	}
}

func TestPerPageIsClampedInSilence(t *testing.T) {
	var fake canvastest.Server
	path := pages(&fake, 120)
	for per, n := range map[string]int{"": 10, "7": 7, "0": 1, "-4": 1, "100": 100, "5000": 100} {
		assert.Len(t, get(t, &fake, path+"?per_page="+per).list(t), n, "per_page=%q", per)
	}
}

// A token in the query is lost from the links, and is listed as a problem.
func TestATokenInTheQueryIsDroppedFromLinks(t *testing.T) {
	var fake canvastest.Server
	path := pages(&fake, 11)
	r := get(t, &fake, path+"?access_token="+canvastest.AdminToken, "Authorization", "")
	require.Equal(t, http.StatusOK, r.StatusCode)
	assert.NotContains(t, r.Header.Get("Link"), "access_token")
	require.Len(t, fake.Problems(), 1)
	assert.Contains(t, fake.Problems()[0], "access token in the query")
	requests := fake.Requests()
	assert.Equal(t, "[redacted]", requests[0].Query.Get("access_token"))
}

// More than 6 KB of links lose the less important ones, in the end next itself.
func TestLongQueriesLoseLinks(t *testing.T) {
	var fake canvastest.Server
	path := pages(&fake, 25)
	long := func(n int) []string {
		r := get(t, &fake, path+"?page=2&search_term=page&sort="+strings.Repeat("x", n))
		out := []string{}
		for rel := range links(t, r) {
			out = append(out, rel)
		}
		slices.Sort(out)
		return out
	}
	assert.Equal(t, []string{"current", "last", "next", "prev"}, long(1400))
	assert.Equal(t, []string{"last", "next"}, long(2800))
	assert.Equal(t, []string{"next"}, long(4000))
	assert.Empty(t, long(6200))
}

// Bookmarks survive what is added and removed meanwhile.
func TestPagesByBookmark(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var fake canvastest.Server
		user := fake.Add(canvastest.Users, canvastest.RootAccount, nil)
		var ids []int64
		for range 25 {
			time.Sleep(time.Second)
			ids = append(ids, fake.Add(canvastest.PageViews, user, nil))
		}
		path := fmt.Sprintf("/api/v1/users/%d/page_views?per_page=10", user)
		var seen []string
		r := get(t, &fake, path)
		for page := 0; ; page++ {
			for _, v := range r.list(t) {
				seen = append(seen, v["id"].(string))
			}
			l := links(t, r)
			assert.NotContains(t, l, "last")
			if page == 0 {
				fake.Remove(canvastest.PageViews, ids[15]) // the one that the bookmark names
				fake.Add(canvastest.PageViews, user, nil)  // at the front of the list
			}
			if l["next"] == "" {
				break
			}
			next, err := url.Parse(l["next"])
			require.NoError(t, err)
			require.True(t, strings.HasPrefix(next.Query().Get("page"), "bookmark:"))
			r = get(t, &fake, l["next"])
		}
		assert.Len(t, seen, 25)
		unique := slices.Clone(seen)
		slices.Sort(unique)
		assert.Len(t, slices.Compact(unique), 25)
		assert.Equal(t, http.StatusNotFound, get(t, &fake, path+"&page=bookmark:rubbish").StatusCode)
		assert.Equal(t, http.StatusNotFound, get(t, &fake, path+"&page=2").StatusCode)
		assert.Len(t, get(t, &fake, fmt.Sprintf("/api/v1/users/%d/page_views?per_page=200", user)).list(t), 25, "up to 200")
	})
}

func TestGeneratedLists(t *testing.T) {
	var fake canvastest.Server
	fake.Add(canvastest.Courses, canvastest.RootAccount, canvastest.Object{"name": "First"})
	fake.Generate(canvastest.Courses, canvastest.RootAccount, 100_000, func(i int) canvastest.Object {
		return canvastest.Object{"id": int64(5_000_000 + i), "name": "Generated"}
	})
	r := get(t, &fake, "/api/v1/accounts/1/courses?per_page=100")
	assert.Equal(t, "First", r.list(t)[0]["name"])
	assert.Contains(t, links(t, r)["last"], "page=1001&")
	last := get(t, &fake, links(t, r)["last"]).list(t)
	require.Len(t, last, 1)
	assert.Equal(t, 5_099_999.0, last[0]["id"])
}

func TestIDsAsText(t *testing.T) {
	var fake canvastest.Server
	fake.Add(canvastest.Courses, canvastest.RootAccount, canvastest.Object{"id": int64(10_000_000_000_000_001)})
	r := get(t, &fake, "/api/v1/courses/10000000000000001", "Accept", "application/json+canvas-string-ids")
	assert.Equal(t, "10000000000000001", r.json(t)["id"])
	assert.Equal(t, "1", r.json(t)["account_id"])
	assert.Contains(t, string(get(t, &fake, "/api/v1/courses/10000000000000001").body), `"id":10000000000000001,`)
}

func TestCompoundDocuments(t *testing.T) {
	var fake canvastest.Server
	for range 12 {
		fake.Add(canvastest.Polls, 2, nil)
	}
	r := get(t, &fake, "/api/v1/polls?page=2&per_page=5")
	body := r.json(t)
	assert.Len(t, body["polls"], 5)
	pagination := body["meta"].(map[string]any)["pagination"].(map[string]any)
	delete(pagination, "template")
	assert.Equal(t, map[string]any{"per_page": 5.0, "current": 2.0, "next": 3.0, "prev": 1.0, "first": 1.0, "last": 3.0, "count": 12.0, "page_count": 3.0}, pagination)
	assert.Len(t, links(t, r), 5)
	assert.IsType(t, "", body["polls"].([]any)[0].(map[string]any)["id"])
}
