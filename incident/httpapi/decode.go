package httpapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"
)

const (
	maxBody  = 1 << 20
	maxDepth = 32
	maxNotes = 50 // field problems that are told
)

// decode reads a body into a struct, or says everything that is wrong with it: it must be
// one JSON object in UTF-8, in which no name occurs twice, and must fit the schema that
// the description of the API has for it.
func decode(body []byte, s *schema, into any) *Problem {
	if len(bytes.TrimSpace(body)) == 0 {
		body = []byte("{}")
	}
	if !utf8.Valid(body) {
		return newProblem(codeMalformed, "the body is not JSON in UTF-8")
	}
	r := reader{d: json.NewDecoder(bytes.NewReader(body))}
	r.d.UseNumber()
	value, err := r.value("#", 0)
	if err == nil {
		if _, err = r.d.Token(); errors.Is(err, io.EOF) {
			err = nil
		} else if err == nil {
			err = errors.New("there is more after its end")
		}
	}
	if err != nil {
		return newProblem(codeMalformed, "the body is not one JSON object: %s", jsonWords(err))
	}
	v := validator{problems: r.problems}
	v.check(value, s, "#")
	if len(v.problems) > 0 {
		return invalid(v.problems...)
	}
	if err := json.Unmarshal(body, into); err != nil {
		// The schema is stricter than the type: this is a fault of the schema.
		return newProblem(codeMalformed, "the body cannot be read: %s", jsonWords(err))
	}
	return nil
}

// jsonWords says what is wrong with JSON, without quoting more of it than a character.
func jsonWords(err error) string {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return "it ends in the middle"
	}
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		return fmt.Sprintf("%s, at byte %d", strings.TrimPrefix(syntax.Error(), "json: "), syntax.Offset)
	}
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return fmt.Sprintf("%s is a %s", wrong.Field, wrong.Value)
	}
	return err.Error()
}

// A reader reads JSON and finds names that occur twice, which encoding/json takes.
type reader struct {
	d        *json.Decoder
	problems []FieldProblem
}

func (r *reader) value(at string, depth int) (any, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("it is more than %d levels deep", maxDepth)
	}
	token, err := r.d.Token()
	if err != nil {
		return nil, err
	}
	switch token {
	case json.Delim('{'):
		return r.object(at, depth)
	case json.Delim('['):
		list := []any{}
		for r.d.More() {
			item, err := r.value(at+"/"+strconv.Itoa(len(list)), depth+1)
			if err != nil {
				return nil, err
			}
			list = append(list, item)
		}
		_, err := r.d.Token()
		return list, err
	}
	return token, nil
}

func (r *reader) object(at string, depth int) (any, error) {
	object := make(map[string]any)
	for r.d.More() {
		token, err := r.d.Token()
		if err != nil {
			return nil, err
		}
		name, _ := token.(string)
		child := at + "/" + pointer(name)
		value, err := r.value(child, depth+1)
		if err != nil {
			return nil, err
		}
		if _, twice := object[name]; twice && len(r.problems) < maxNotes {
			r.problems = append(r.problems, FieldProblem{Pointer: child, Detail: "it is there twice"})
		}
		object[name] = value
	}
	_, err := r.d.Token()
	return object, err
}

// pointer escapes a name for a JSON pointer in a fragment, and shortens it.
func pointer(name string) string {
	if utf8.RuneCountInString(name) > 60 {
		name = string([]rune(name)[:60]) + "…"
	}
	name = strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
	var b strings.Builder
	for _, r := range name {
		if r <= ' ' || r == '%' || r == '#' || r == '"' || r == 0x7f || bidi(r) {
			for _, c := range []byte(string(r)) {
				fmt.Fprintf(&b, "%%%02X", c)
			}
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}
