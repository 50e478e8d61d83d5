package httpapi

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// A validator collects what is wrong with the body of a request, by the schema that the
// description of the API has for it.
type validator struct{ problems []FieldProblem }

func (v *validator) fail(at, format string, args ...any) {
	if len(v.problems) < maxNotes {
		v.problems = append(v.problems, FieldProblem{Pointer: at, Detail: fmt.Sprintf(format, args...)})
	}
}

// check holds a value against a schema of a request.
func (v *validator) check(value any, s *schema, at string) {
	if s.Type == "" { // anything
		return
	}
	switch value := value.(type) {
	case map[string]any:
		if s.Type == typeObject {
			v.object(value, s, at)
			return
		}
	case []any:
		if s.Type == typeArray {
			v.array(value, s, at)
			return
		}
	case string:
		if s.Type == typeString {
			v.text(value, s, at)
			return
		}
	case json.Number:
		if n, err := value.Int64(); s.Type == typeInteger && err == nil {
			if n < s.minimum() || n > s.maximum() {
				v.fail(at, "must be from %d to %d", s.minimum(), s.maximum())
			}
			return
		}
	case bool:
		if s.Type == typeBoolean {
			return
		}
	}
	v.fail(at, "must be %s", map[string]string{
		typeObject: "an object", typeArray: "a list", typeString: "a text", typeInteger: "a whole number", typeBoolean: "true or false",
	}[s.Type])
}

func (v *validator) object(value map[string]any, s *schema, at string) {
	for _, name := range s.Required {
		if _, ok := value[name]; !ok {
			v.fail(at+"/"+pointer(name), "is required")
		}
	}
	if s.MaxProperties > 0 && len(value) > s.MaxProperties {
		v.fail(at, "has at most %d names", s.MaxProperties)
		return
	}
	for _, name := range slices.Sorted(maps.Keys(value)) {
		child := at + "/" + pointer(name)
		switch property, known := s.Properties[name]; {
		case known:
			v.check(value[name], property, child)
		case s.values() != nil:
			v.check(value[name], s.values(), child)
		default:
			v.fail(child, "there is no such field; there are %s", strings.Join(slices.Sorted(maps.Keys(s.Properties)), ", "))
		}
	}
}

func (v *validator) array(value []any, s *schema, at string) {
	if s.MaxItems > 0 && len(value) > s.MaxItems {
		v.fail(at, "has at most %d items", s.MaxItems)
		return
	}
	for i, item := range value {
		v.check(item, s.Items, fmt.Sprintf("%s/%d", at, i))
	}
}

func (v *validator) text(value string, s *schema, at string) {
	if s.MaxLength > 0 && utf8.RuneCountInString(value) > s.MaxLength {
		v.fail(at, "has at most %d characters", s.MaxLength)
	}
	if s.MinLength > 0 && strings.TrimSpace(value) == "" {
		v.fail(at, "must not be empty")
		return
	}
	if len(s.Enum) > 0 && !slices.Contains(s.Enum, value) {
		v.fail(at, "must be one of %s", strings.Join(s.Enum, ", "))
	}
	if i := strings.IndexFunc(value, s.unprintable); i >= 0 {
		v.fail(at, "has a character that is none of a text, at byte %d", i)
		return
	}
	if s.re != nil && !s.re.MatchString(value) {
		v.fail(at, "%s", s.must)
	}
	switch s.Format {
	case formatTime:
		if _, err := time.Parse(time.RFC3339, value); err != nil {
			v.fail(at, "must be a time such as 2026-03-01T09:30:00Z")
		}
	case formatInterval:
		if d, err := time.ParseDuration(value); err != nil || d < 0 {
			v.fail(at, "must be a duration such as 90s or 1h30m")
		}
	}
}

// unprintable reports whether a character is none of a text: the core would leave it out.
// New lines and tabs are ones of a text of several lines.
func (s *schema) unprintable(r rune) bool {
	if !s.line && (r == '\n' || r == '\r' || r == '\t') {
		return false
	}
	return unicode.IsControl(r) || bidi(r)
}

// bidi reports whether a character changes the direction in which others are shown.
func bidi(r rune) bool { return r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 }

// Names in requests: those of the core.
var (
	idPattern  = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$`)
	runPattern = regexp.MustCompile(`^[A-Za-z0-9_-]{1,100}$`)
)
