package canvastest

//lint:file-ignore ST1005 the texts are those that Canvas answers with

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// document is a parsed GraphQL document: the part of the language that clients
// use, which is operations, fields, arguments, variables and fragments, without
// directives.
type document struct {
	operations []operation
	fragments  map[string]selection
}

type operation struct {
	kind, name string
	variables  map[string]any // their defaults
	selection  selection
}

type selection []gqlField

// gqlField is a field, or a fragment if spread or on is set.
type gqlField struct {
	alias, name  string
	args         map[string]any
	selection    selection
	spread       string // the name of a fragment
	on           string // the type of an inline fragment
	line, column int
}

// variableName stands for a value that comes with the request.
type variableName string

type gqlToken struct {
	kind         byte // 'n' name, 's' string, 'i' number, 'p' punctuation, 0 end
	text         string
	line, column int
}

type gqlParser struct {
	tokens []gqlToken
	at     int
	depth  int
}

// maxDepth limits the nesting of a document.
const maxDepth = 30

func parseGraphQL(text string) (*document, error) {
	tokens, err := scanGraphQL(text)
	if err != nil {
		return nil, err
	}
	p := &gqlParser{tokens: tokens}
	d := &document{fragments: make(map[string]selection)}
	for p.peek().kind != 0 {
		if p.peek().text == "fragment" {
			p.next()
			name := p.next().text
			p.next() // on
			p.next() // the type
			if d.fragments[name], err = p.set(); err != nil {
				return nil, err
			}
			continue
		}
		op, err := p.operation()
		if err != nil {
			return nil, err
		}
		d.operations = append(d.operations, op)
	}
	if len(d.operations) == 0 {
		return nil, errors.New("Unexpected end of document")
	}
	return d, nil
}

func scanGraphQL(text string) ([]gqlToken, error) {
	var out []gqlToken
	line, start := 1, 0
	for i := 0; i < len(text); {
		c := text[i]
		t := gqlToken{line: line, column: i - start + 1}
		switch {
		case c == '\n':
			line, start = line+1, i+1
			i++
			continue
		case strings.IndexByte(" \t\r,", c) >= 0:
			i++
			continue
		case c == '#':
			for i < len(text) && text[i] != '\n' {
				i++
			}
			continue
		case strings.HasPrefix(text[i:], "..."):
			t.kind, t.text = 'p', "..."
		case strings.IndexByte("{}()[]:!=$@|", c) >= 0:
			t.kind, t.text = 'p', text[i:i+1]
		case c == '"':
			end := i + 1
			for end < len(text) && text[end] != '"' && text[end] != '\n' {
				if text[end] == '\\' {
					end++
				}
				end++
			}
			if end >= len(text) || text[end] != '"' {
				return nil, fmt.Errorf("Parse error on bad Unicode escape sequence: %d:%d", t.line, t.column)
			}
			value, err := strconv.Unquote(text[i : end+1])
			if err != nil {
				return nil, fmt.Errorf("Parse error on bad Unicode escape sequence: %d:%d", t.line, t.column)
			}
			t.kind, t.text = 's', value
			i = end + 1
			out = append(out, t)
			continue
		case letter(c):
			end := i
			for end < len(text) && (letter(text[end]) || digit(text[end])) {
				end++
			}
			t.kind, t.text = 'n', text[i:end]
		case digit(c) || c == '-':
			end := i + 1
			for end < len(text) && (digit(text[end]) || strings.IndexByte(".eE+-", text[end]) >= 0) {
				end++
			}
			t.kind, t.text = 'i', text[i:end]
		default:
			return nil, fmt.Errorf("Expected a name, got %q at [%d, %d]", c, t.line, t.column)
		}
		i += len(t.text)
		out = append(out, t)
	}
	return append(out, gqlToken{line: line}), nil
}

func letter(c byte) bool { return c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }
func digit(c byte) bool  { return c >= '0' && c <= '9' }

func (p *gqlParser) peek() gqlToken { return p.tokens[p.at] }

func (p *gqlParser) next() gqlToken {
	t := p.tokens[p.at]
	if t.kind != 0 {
		p.at++
	}
	return t
}

func (p *gqlParser) skip(text string) bool {
	if t := p.peek(); t.kind == 'p' && t.text == text {
		p.at++
		return true
	}
	return false
}

func (p *gqlParser) unexpected() error {
	t := p.peek()
	if t.kind == 0 {
		return errors.New("Unexpected end of document")
	}
	return fmt.Errorf("Parse error on %q at [%d, %d]", t.text, t.line, t.column)
}

func (p *gqlParser) operation() (op operation, err error) {
	op = operation{kind: "query", variables: make(map[string]any)}
	if t := p.peek(); t.kind == 'n' {
		switch op.kind = p.next().text; op.kind {
		case "query", "mutation", "subscription":
		default:
			p.at--
			return op, p.unexpected()
		}
		if p.peek().kind == 'n' {
			op.name = p.next().text
		}
		if p.skip("(") {
			if err := p.variables(op.variables); err != nil {
				return op, err
			}
		}
	}
	op.selection, err = p.set()
	return op, err
}

// variables reads the definitions, of which only the defaults matter here.
func (p *gqlParser) variables(into map[string]any) error {
	for !p.skip(")") {
		if !p.skip("$") {
			return p.unexpected()
		}
		name := p.next().text
		if !p.skip(":") {
			return p.unexpected()
		}
		for p.peek().kind == 'n' || p.peek().text == "[" || p.peek().text == "]" || p.peek().text == "!" {
			p.next()
		}
		if p.skip("=") {
			v, err := p.value()
			if err != nil {
				return err
			}
			into[name] = v
		}
	}
	return nil
}

func (p *gqlParser) set() (selection, error) {
	if p.depth++; p.depth > maxDepth {
		return nil, errors.New("Query has depth of more than 30")
	}
	defer func() { p.depth-- }()
	if !p.skip("{") {
		return nil, p.unexpected()
	}
	var out selection
	for !p.skip("}") {
		f, err := p.field()
		if err != nil {
			return nil, err
		}
		out = append(out, f)
	}
	if len(out) == 0 {
		return nil, errors.New(`Parse error on "}"`)
	}
	return out, nil
}

func (p *gqlParser) field() (f gqlField, err error) {
	t := p.next()
	f = gqlField{line: t.line, column: t.column}
	if t.kind == 'p' && t.text == "..." {
		if p.peek().text == "on" {
			p.next()
			f.on = p.next().text
			f.selection, err = p.set()
			return f, err
		}
		f.spread = p.next().text
		return f, nil
	}
	if t.kind != 'n' {
		if t.kind != 0 {
			p.at--
		}
		return f, p.unexpected()
	}
	f.name, f.alias = t.text, t.text
	if p.skip(":") {
		f.name = p.next().text
	}
	if p.skip("(") {
		f.args = make(map[string]any)
		for !p.skip(")") {
			name := p.next().text
			if !p.skip(":") {
				return f, p.unexpected()
			}
			if f.args[name], err = p.value(); err != nil {
				return f, err
			}
		}
	}
	if p.peek().text == "{" && p.peek().kind == 'p' {
		f.selection, err = p.set()
	}
	return f, err
}

func (p *gqlParser) value() (any, error) {
	if p.depth++; p.depth > maxDepth {
		return nil, errors.New("Query has depth of more than 30")
	}
	defer func() { p.depth-- }()
	switch t := p.next(); {
	case t.kind == 's':
		return t.text, nil
	case t.kind == 'i':
		if n, err := strconv.ParseInt(t.text, 10, 64); err == nil {
			return n, nil
		}
		return strconv.ParseFloat(t.text, 64)
	case t.text == "$":
		return variableName(p.next().text), nil
	case t.text == "true", t.text == "false":
		return t.text == "true", nil
	case t.text == "null":
		return nil, nil
	case t.kind == 'n':
		return t.text, nil // an enum
	case t.text == "[":
		list := []any{}
		for !p.skip("]") {
			v, err := p.value()
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		return list, nil
	case t.text == "{":
		o := Object{}
		for !p.skip("}") {
			name := p.next().text
			if !p.skip(":") {
				return nil, p.unexpected()
			}
			v, err := p.value()
			if err != nil {
				return nil, err
			}
			o[name] = v
		}
		return o, nil
	case t.kind != 0:
		p.at--
	}
	return nil, p.unexpected()
}
