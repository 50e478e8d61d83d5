package railwaytest

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"slices"
)

// A tree is a JSON object, as it is kept: the configuration of an environment, the
// patch of one, the meta of a deployment.
type tree = map[string]any

// child returns a part of a tree that is an object; an empty one if there is none.
func child(t tree, path ...string) tree {
	for _, name := range path {
		t, _ = t[name].(tree)
	}
	return t
}

// text returns a part of a tree that is text.
func text(t tree, path ...string) string {
	s, _ := child(t, path[:len(path)-1]...)[path[len(path)-1]].(string)
	return s
}

// at makes a tree with a value at the end of a path.
func at(value any, path ...string) tree {
	for _, name := range slices.Backward(path) {
		value = tree{name: value}
	}
	return value.(tree)
}

// merged returns a tree with a patch put in: objects are merged, null deletes, and
// anything else replaces. Neither of them is changed.
func merged(t, patch tree) tree {
	out := maps.Clone(t)
	if out == nil {
		out = make(tree)
	}
	for name, value := range patch {
		switch value := value.(type) {
		case nil:
			delete(out, name)
		case tree:
			old, _ := out[name].(tree)
			out[name] = merged(old, value)
		default:
			out[name] = value
		}
	}
	return out
}

// stacked is merged of two patches, whose nulls are kept.
func stacked(p, q tree) tree {
	out := maps.Clone(p)
	if out == nil {
		out = make(tree)
	}
	for name, value := range q {
		if part, ok := value.(tree); ok {
			old, _ := out[name].(tree)
			value = stacked(old, part)
		}
		out[name] = value
	}
	return out
}

// plain makes of a Go value what encoding/json reads of its JSON, which shares
// nothing with it.
func plain(value any) any {
	b, err := json.Marshal(value)
	if err != nil {
		panic("railwaytest: a value is no JSON: " + err.Error())
	}
	var out any
	if err := json.Unmarshal(b, &out); err != nil {
		panic("railwaytest: a value is no JSON: " + err.Error())
	}
	return out
}

func plainTree(value any) tree { t, _ := plain(value).(tree); return t }

// etag names a content.
func etag(t tree) string {
	b, err := json.Marshal(t) // the keys are sorted
	if err != nil {
		panic("railwaytest: a configuration is no JSON: " + err.Error())
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:16])
}

// leaves returns the number of values of a tree that are no objects.
func leaves(t tree) (n int) {
	for _, value := range t {
		if part, ok := value.(tree); ok && len(part) > 0 {
			n += leaves(part)
			continue
		}
		n++
	}
	return n
}
