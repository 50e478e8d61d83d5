package httpx

import "strings"

// Links reads the Link fields of an answer: the address of each relation, of
// which the first counts (RFC 8288, section 3). What it cannot read it skips.
func Links(fields []string) map[string]string {
	links := make(map[string]string, 5)
	for _, field := range fields {
		for field != "" {
			var target string
			target, field = nextTarget(field)
			if field == "" {
				break
			}
			var rels string
			rels, field = nextRelations(field)
			for rel := range strings.FieldsSeq(rels) {
				rel = strings.ToLower(rel)
				if links[rel] == "" {
					links[rel] = target
				}
			}
		}
	}
	return links
}

// nextTarget returns the text of the next <...>, and what follows it.
func nextTarget(s string) (target, rest string) {
	_, s, _ = strings.Cut(s, "<")
	target, rest, ok := strings.Cut(s, ">")
	if !ok {
		return "", ""
	}
	return strings.TrimSpace(target), rest
}

// nextRelations reads the parameters of one link, up to the comma that ends it,
// and returns the value of the first rel.
func nextRelations(s string) (rels, rest string) {
	found := false
	for s != "" {
		switch s[0] {
		case ',':
			return rels, s[1:]
		case ';', ' ', '\t':
			s = s[1:]
			continue
		}
		end := strings.IndexAny(s, "=;,")
		if end < 0 {
			return rels, ""
		}
		name := strings.TrimSpace(s[:end])
		if s[end] != '=' {
			s = s[end:]
			continue
		}
		var value string
		value, s = nextValue(strings.TrimLeft(s[end+1:], " \t"))
		if strings.EqualFold(name, "rel") && !found {
			rels, found = value, true
		}
	}
	return rels, ""
}

// nextValue reads a token or a quoted string.
func nextValue(s string) (value, rest string) {
	if s == "" || s[0] != '"' {
		end := strings.IndexAny(s, ";,")
		if end < 0 {
			end = len(s)
		}
		return strings.TrimSpace(s[:end]), s[end:]
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '"':
			return b.String(), s[i+1:]
		case '\\':
			if i++; i < len(s) {
				b.WriteByte(s[i])
			}
		default:
			b.WriteByte(s[i])
		}
	}
	return b.String(), ""
}
