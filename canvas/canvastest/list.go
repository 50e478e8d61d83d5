package canvastest

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"sort"
	"strconv"
	"strings"
)

// maxLink is the largest Link header. Links that do not fit are left out, the
// more important ones kept: next, last, prev, current, first.
const maxLink = 6 << 10

// list is what a route pages through: some rows, made one by one when they are
// needed. Each row has a key that does not change when others come and go, and
// keys rise or fall along the list.
type list struct {
	len int
	at  func(i int) Object
	key func(i int) int64
}

func listOf(rows []*row, view func(*row) Object) list {
	return list{len: len(rows), at: func(i int) Object { return view(rows[i]) }, key: func(i int) int64 { return rows[i].seq }}
}

func listOfObjects(objects []Object) list {
	return list{len: len(objects), at: func(i int) Object { return objects[i] }, key: func(i int) int64 { return int64(i) }}
}

// paging is how an operation pages (lib/api.rb; documentation, page
// "Pagination").
type paging struct {
	usual, most int    // per_page by default, and at most; zero means 10 and 100
	bookmarks   bool   // pages are named by bookmarks, not numbers
	noLast      bool   // the total is not counted, so there is no last link
	wrap        string // the list is in this field of an object
	meta        bool   // the object has meta.pagination
	total       bool   // the object has total
	around      Object // other fields of the object
}

// paged answers with one page of a list.
func (c *call) paged(l list, p paging) answer {
	per := c.perPage(p)
	first, past, ok := c.where(l, per, p)
	if !ok {
		return notFound()
	}
	last := min(first+per, l.len)
	rows := make([]Object, 0, max(0, last-first))
	for i := first; i < last; i++ {
		rows = append(rows, l.at(i))
	}
	links := c.links(l, p, per, first, last, past)
	a := answer{status: http.StatusOK, header: http.Header{}}
	if text := links.header(); text != "" {
		a.header.Set("Link", text)
	}
	if p.wrap == "" {
		a.body = rows
		return a
	}
	body := Object{p.wrap: rows}
	for k, v := range p.around {
		body[k] = v
	}
	if p.total {
		body["total"] = l.len
	}
	if p.meta {
		body["meta"] = Object{"pagination": links.meta(c, per, l.len, p)}
	}
	a.body = body
	return a
}

// perPage clamps in silence.
func (c *call) perPage(p paging) int {
	usual, most := p.usual, p.most
	if usual == 0 {
		usual = 10
	}
	if most == 0 {
		most = 100
	}
	text := c.param("per_page")
	if text == "" {
		return usual
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		n = 0 // Ruby's to_i
	}
	if n <= 0 && err != nil {
		return usual
	}
	return min(max(n, 1), most)
}

// where finds the first row of the page that is asked for. past is the number of
// an ordinal page.
func (c *call) where(l list, per int, p paging) (first, past int, ok bool) {
	text := c.param("page")
	if text == "" || text == "first" {
		return 0, 1, true
	}
	if p.bookmarks {
		key, ok := readBookmark(text)
		if !ok {
			return 0, 0, false
		}
		return sort.Search(l.len, func(i int) bool { return after(l, i, key) }), 0, true
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		return 0, 0, false
	}
	if n-1 > l.len/per {
		return l.len, n, true
	}
	return min((n-1)*per, l.len), n, true
}

// after says that a row comes after the one that a bookmark names, which may be
// gone.
func after(l list, i int, key int64) bool {
	if l.len > 1 && l.key(0) > l.key(1) {
		return l.key(i) < key
	}
	return l.key(i) > key
}

func bookmark(key int64) string {
	text, err := json.Marshal([]int64{key})
	if err != nil {
		panic(err) // a list of a number
	}
	return "bookmark:" + base64.RawURLEncoding.EncodeToString(text)
}

func readBookmark(text string) (int64, bool) {
	text, ok := strings.CutPrefix(text, "bookmark:")
	if !ok {
		return 0, false
	}
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return 0, false
	}
	var key []int64
	if err := json.Unmarshal(raw, &key); err != nil || len(key) != 1 {
		return 0, false
	}
	return key[0], true
}

// links are those of one page, by their relation.
type links map[string]string

func (c *call) links(l list, p paging, per, first, last, number int) links {
	base := c.host() + c.r.URL.EscapedPath()
	query := c.r.URL.Query()
	for _, name := range []string{"page", "per_page", "access_token", "api_key"} {
		query.Del(name)
	}
	link := func(page string) string {
		q := query.Encode()
		if q != "" {
			q += "&"
		}
		return base + "?" + q + "page=" + url.QueryEscape(page) + "&per_page=" + strconv.Itoa(per)
	}
	out := make(links, 5)
	if p.bookmarks {
		out["current"] = link(orText(c.param("page"), "first"))
		if last < l.len {
			out["next"] = link(bookmark(l.key(last - 1)))
		}
		out["first"] = link("first")
		return out
	}
	out["current"], out["first"] = link(strconv.Itoa(number)), link("1")
	if last < l.len {
		out["next"] = link(strconv.Itoa(number + 1))
	}
	if number > 1 {
		out["prev"] = link(strconv.Itoa(number - 1))
	}
	if !p.noLast {
		out["last"] = link(strconv.Itoa(max(1, (l.len+per-1)/per)))
	}
	return out
}

func orText(text, fallback string) string {
	if text == "" {
		return fallback
	}
	return text
}

// header writes the Link header: in Canvas' order, without spaces between, and
// without the links that make it too long.
func (ls links) header() string {
	keep := make([]string, 0, 5)
	size := 0
	for _, rel := range []string{"next", "last", "prev", "current", "first"} {
		if ls[rel] == "" {
			continue
		}
		n := len(ls[rel]) + len(rel) + len(`<>; rel="",`)
		if size+n > maxLink {
			break
		}
		size += n
		keep = append(keep, rel)
	}
	var parts []string
	for _, rel := range []string{"current", "next", "prev", "first", "last"} {
		if slices.Contains(keep, rel) {
			parts = append(parts, "<"+ls[rel]+`>; rel="`+rel+`"`)
		}
	}
	return strings.Join(parts, ",")
}

// meta is the pagination of a compound document.
func (ls links) meta(c *call, per, count int, p paging) Object {
	m := Object{"per_page": per, "template": c.host() + c.r.URL.EscapedPath() + "?page={page}"}
	for rel, u := range ls {
		parsed, err := url.Parse(u)
		if err != nil {
			panic(err) // it was made by links
		}
		page := parsed.Query().Get("page")
		m[rel] = page
		if n, err := strconv.Atoi(page); err == nil {
			m[rel] = n
		}
	}
	if !p.noLast && !p.bookmarks {
		m["count"], m["page_count"] = count, max(1, (count+per-1)/per)
	}
	return m
}
