package canvastest

import "maps"

// Refresh overwrites what this server remembers with what another one does, as
// the refresh of a beta or test instance from production: resources, developer
// keys and tokens that were made here only are gone. The throttle's buckets and
// the faults stay.
func (s *Server) Refresh(from *Server) {
	unlock := from.lock()
	copied := from.world.clone()
	unlock()
	defer s.lock()()
	s.world = copied
}

func (w *world) clone() *world {
	out := newWorld()
	out.last, out.seq = w.last, w.seq
	for kind, t := range w.tables {
		to := out.table(kind)
		maps.Copy(to.made, t.made)
		for parent, rows := range t.children {
			for _, r := range rows {
				r = r.clone()
				to.rows[r.id] = r
				to.children[parent] = append(to.children[parent], r)
			}
		}
	}
	maps.Copy(out.tokens, copies(w.tokens))
	for k, t := range w.refresh {
		out.refresh[k] = out.tokens[t.text]
		if out.refresh[k] == nil {
			c := *t
			out.refresh[k] = &c
		}
	}
	maps.Copy(out.grants, copies(w.grants))
	maps.Copy(out.admins, w.admins)
	maps.Copy(out.bindings, copies(w.bindings))
	for id, users := range w.enrolled {
		out.enrolled[id] = maps.Clone(users)
	}
	for id, set := range w.settings {
		out.settings[id] = maps.Clone(set)
	}
	return out // web sessions, uploads and queries under way do not survive
}

func copies[K comparable, V any](m map[K]*V) map[K]*V {
	out := make(map[K]*V, len(m))
	for k, v := range m {
		c := *v
		out[k] = &c
	}
	return out
}
