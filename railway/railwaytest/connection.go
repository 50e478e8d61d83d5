package railwaytest

import (
	"encoding/base64"
	"slices"
)

// connect makes a connection of the items that the arguments first, after, last and
// before choose: 10 if they do not say how many, and at most 1000.
func connect[T any](all []T, a args, id func(T) string, show func(T) object) (object, error) {
	cursor := func(v T) string { return base64.StdEncoding.EncodeToString([]byte(id(v))) }
	from, to := 0, len(all)
	if a.has("after") {
		at := slices.IndexFunc(all, func(v T) bool { return cursor(v) == a.text("after") })
		if at < 0 {
			return nil, badInput("Invalid cursor")
		}
		from = at + 1
	}
	if a.has("before") {
		at := slices.IndexFunc(all, func(v T) bool { return cursor(v) == a.text("before") })
		if at < 0 {
			return nil, badInput("Invalid cursor")
		}
		to = max(from, at)
	}
	if a.number("first", 0) < 0 || a.number("last", 0) < 0 {
		return nil, badInput("first and last must not be negative")
	}
	if a.has("last") {
		from = max(from, to-min(a.number("last", 0), 1000))
	} else {
		to = min(to, from+min(a.number("first", 10), 1000))
	}
	edges := make([]object, 0, to-from)
	for _, v := range all[from:to] {
		edges = append(edges, object{"node": show(v), "cursor": cursor(v)})
	}
	page := object{"hasNextPage": to < len(all), "hasPreviousPage": from > 0}
	if to > from {
		page["startCursor"], page["endCursor"] = cursor(all[from]), cursor(all[to-1])
	}
	return object{"edges": edges, "pageInfo": page}, nil
}
