package canvastest

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
)

// diffOf lists what changed: ["+", path, new], ["-", path, old] or ["~", path,
// old, new].
func diffOf(path string, before, after any) [][]any {
	a, b := asObject(before), asObject(after)
	if a == nil && b == nil {
		return diffLists(path, before, after)
	}
	names := slices.Sorted(maps.Keys(a))
	for _, name := range slices.Sorted(maps.Keys(b)) {
		if _, both := a[name]; !both {
			names = append(names, name)
		}
	}
	diff := [][]any{}
	for _, name := range names {
		at := name
		if path != "" {
			at = path + "." + name
		}
		old, had := a[name]
		now, has := b[name]
		switch {
		case reflect.DeepEqual(old, now) && had == has:
		case asObject(old) != nil || asObject(now) != nil:
			diff = append(diff, diffOf(at, old, now)...)
		case had && has:
			diff = append(diff, diffOf(at, old, now)...)
		case has:
			diff = append(diff, diffLists(at, nil, now)...)
		default:
			diff = append(diff, diffLists(at, old, nil)...)
		}
	}
	return diff
}

func diffLists(path string, before, after any) [][]any {
	a, aList := before.([]string)
	b, bList := after.([]string)
	if !aList && !bList {
		switch {
		case reflect.DeepEqual(before, after):
			return nil
		case before == nil:
			return [][]any{{"+", path, after}}
		case after == nil:
			return [][]any{{"-", path, before}}
		}
		return [][]any{{"~", path, before, after}}
	}
	var diff [][]any
	for i, v := range a {
		if !slices.Contains(b, v) {
			diff = append(diff, []any{"-", fmt.Sprintf("%s[%d]", path, i), v})
		}
	}
	for i, v := range b {
		if !slices.Contains(a, v) {
			diff = append(diff, []any{"+", fmt.Sprintf("%s[%d]", path, i), v})
		}
	}
	return diff
}
