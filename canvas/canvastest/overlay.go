package canvastest

import (
	"fmt"
	"maps"
	"slices"
)

// textList reads a list of texts, however a test wrote it.
func textList(v any) []string {
	switch v := v.(type) {
	case []string:
		return slices.Clone(v)
	case []any:
		out := make([]string, 0, len(v))
		for _, e := range v {
			out = append(out, fmt.Sprint(e))
		}
		return out
	}
	return []string{}
}

func (r *row) overlay() Object { o, _ := r.obj["overlay"].(Object); return o }

// overlaid is a configuration with what an administrator changed.
func overlaid(config, overlay Object) Object {
	out := maps.Clone(config)
	for name, v := range overlay {
		switch name {
		case "disabled_scopes":
			off := textList(v)
			out["scopes"] = slices.DeleteFunc(textList(config["scopes"]), func(s string) bool { return slices.Contains(off, s) })
		case "disabled_placements", "placements":
		default:
			out[name] = v
		}
	}
	list, _ := config["placements"].([]any)
	changed, _ := overlay["placements"].(Object)
	placements := make([]any, len(list))
	for i, p := range list {
		o := maps.Clone(asObject(p))
		name, _ := o["placement"].(string)
		maps.Copy(o, asObject(changed[name]))
		if slices.Contains(textList(overlay["disabled_placements"]), name) {
			o["enabled"] = false
		}
		placements[i] = o
	}
	out["placements"] = placements
	return out
}

func asObject(v any) Object {
	switch v := v.(type) {
	case Object:
		return v
	case map[string]any:
		return v
	}
	return nil
}
