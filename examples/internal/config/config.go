// Package config reads the YAML configuration of the example hosts: strictly,
// with every problem at once, and without ever printing a value.
//
//	var settings struct {
//		Timeout time.Duration  `config:"timeout"`
//		URL     string         `config:"url,required"`
//		Token   runbook.Secret `config:"token"`
//	}
//	file := config.Decode(config.Source{Name: "app.yaml", Text: text, Getenv: os.Getenv}, &settings)
//	if !strings.HasPrefix(settings.URL, "https://") {
//		file.Problem("url", "must begin with https://")
//	}
//	if err := file.Err(); err != nil {
//		fmt.Fprintln(os.Stderr, err) // app.yaml:3:1: url: must begin with https://
//	}
//
// Strict means: a key that the Go type does not have is an error, and so are a
// key given twice, a key without a value, a second document, and a value of
// another type than wanted. Anchors, aliases, merge keys and tags are not
// supported, so no file is larger than it looks.
//
// # Secrets
//
// A [runbook.Secret] is never in the file. It is a reference, resolved while
// decoding:
//
//	token: {env: QA_AUTOMATION_TOKEN}
//	token: {file: /run/secrets/qa-automation}
//
// A text in its place is an error, and the error does not show the text. As one
// cannot know where else somebody pastes a password, no message of this package
// contains a value of the file, nor an excerpt of it: only file, line, column,
// path, what was wanted, and names that have the form of a name.
//
// It is for programs: a library takes values. Decode may be called
// concurrently; a File may not be shared. Importing it compiles the parser of
// github.com/goccy/go-yaml (about a second), but not its decoder.
package config

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

const (
	maxSize  = 1 << 18 // of a configuration, in bytes
	maxDepth = 32      // of brackets in each other: the parser's time grows with the square
)

// Source is a configuration and where its references lead.
type Source struct {
	// Name is what messages call the file.
	Name string
	// Text is its content.
	Text []byte
	// Getenv returns the value of an environment variable, "" if it is not set.
	// Nil means that no variable is set.
	Getenv func(name string) string
	// ReadFile returns the content of a file that a secret refers to. Nil means
	// that files cannot be referred to.
	ReadFile func(path string) ([]byte, error)
}

// File is a decoded configuration, to which a host adds the problems that it
// finds itself.
type File struct {
	name      string
	positions map[string]Position
	problems  []Problem
}

// Position is a place in a file. Lines and columns are counted from 1; the zero
// Position is not known.
type Position struct {
	// Line is the line.
	Line int
	// Column is the column, in characters.
	Column int
}

// Problem is one thing that is wrong with a configuration.
type Problem struct {
	// File is the name of the file.
	File string
	// Position is where.
	Position Position
	// Path is which value, such as "environments[1].url". Empty for the whole.
	Path string
	// Text is what is wrong, and what is wanted instead.
	Text string
}

// Error returns "file:line:column: path: text".
func (p Problem) Error() string {
	var b strings.Builder
	b.WriteString(p.File)
	if p.Position.Line > 0 {
		fmt.Fprintf(&b, ":%d:%d", p.Position.Line, p.Position.Column)
	}
	b.WriteString(": ")
	if p.Path != "" {
		b.WriteString(p.Path + ": ")
	}
	b.WriteString(p.Text)
	return b.String()
}

// Decode reads src into out, a pointer to a struct whose fields carry the tag
// `config:"name"` or `config:"name,required"`. Fields may be structs, pointers,
// slices, maps with text keys, texts, booleans, numbers, durations ("5s"),
// secrets, and types with an UnmarshalText method. What is not in the text keeps
// the value that out had.
//
// It goes on after a problem, so that [File.Err] reports them all; out is then
// only partly filled. Decode panics if out has a type that it cannot fill: that
// is a mistake in the program.
func Decode(src Source, out any) *File {
	f := &File{name: src.Name, positions: make(map[string]Position)}
	body := f.parse(src.Text)
	if body == nil {
		return f
	}
	d := &decoder{source: src, file: f}
	d.value("", body, reflect.ValueOf(out).Elem())
	return f
}

// Problem adds a problem with the value at path, such as "checks[2].url", at
// the place of that value or of the nearest one around it.
func (f *File) Problem(path, format string, args ...any) {
	f.add(f.Position(path), path, fmt.Sprintf(format, args...))
}

// Position returns where the value at path is, or the nearest one around it.
func (f *File) Position(path string) Position {
	for {
		if at, ok := f.positions[path]; ok || path == "" {
			return at
		}
		path = path[:max(strings.LastIndexAny(path, ".["), 0)]
	}
}

// Err returns all problems, one a line and in the order of the file, or nil.
// errors.AsType[Problem] finds the first one.
func (f *File) Err() error {
	problems := slices.Clone(f.problems)
	slices.SortStableFunc(problems, func(a, b Problem) int {
		if a.Position.Line != b.Position.Line {
			return a.Position.Line - b.Position.Line
		}
		return a.Position.Column - b.Position.Column
	})
	all := make([]error, len(problems))
	for i, p := range problems {
		all[i] = p
	}
	return errors.Join(all...)
}

func (f *File) add(at Position, path, text string) {
	f.problems = append(f.problems, Problem{File: f.name, Position: at, Path: path, Text: text})
}

// parse returns the body of the only document, or nil after adding a problem.
func (f *File) parse(text []byte) (body ast.Node) {
	if len(text) > maxSize {
		f.add(Position{}, "", fmt.Sprintf("larger than %d bytes", maxSize))
		return nil
	}
	defer func() { // the parser of a text that somebody edits at night must not end the program
		if recover() != nil {
			body = nil
			f.add(Position{}, "", "not valid YAML")
		}
	}()
	tokens := lexer.Tokenize(string(text))
	if tk := tooDeep(tokens); tk != nil {
		f.add(Position{Line: tk.Position.Line, Column: tk.Position.Column}, "", "brackets are nested too deeply")
		return nil
	}
	tree, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		f.add(syntaxProblem(err))
		return nil
	}
	for _, doc := range tree.Docs {
		switch {
		case doc.Body == nil:
		case body != nil:
			f.add(positionOf(doc.Body), "", "a second document; only one is wanted")
			return nil
		default:
			body = doc.Body
		}
	}
	if body == nil {
		f.add(Position{}, "", "empty")
	}
	return body
}

// tooDeep returns the first bracket that is nested too deeply, or nil.
func tooDeep(tokens token.Tokens) *token.Token {
	depth := 0
	for _, tk := range tokens {
		switch tk.Type {
		case token.MappingStartType, token.SequenceStartType:
			if depth++; depth > maxDepth {
				return tk
			}
		case token.MappingEndType, token.SequenceEndType:
			depth--
		}
	}
	return nil
}

// syntaxProblem returns the place and the message of a parser's error, without
// its excerpt of the text. A message that quotes more than a character is
// replaced, as it may quote a secret.
func syntaxProblem(err error) (Position, string, string) {
	const plain = "not valid YAML"
	e, ok := errors.AsType[interface {
		error
		GetToken() *token.Token
		GetMessage() string
	}](err)
	if !ok {
		return Position{}, "", plain
	}
	at, message := Position{}, plain
	if tk := e.GetToken(); tk != nil && tk.Position != nil {
		at = Position{Line: tk.Position.Line, Column: tk.Position.Column}
	}
	if m := e.GetMessage(); m != "" && !strings.ContainsAny(m, "\"`\n") {
		message += ": " + m
	}
	return at, "", message
}

// positionOf returns where node begins.
func positionOf(node ast.Node) Position {
	tk := node.GetToken()
	if m, ok := node.(*ast.MappingNode); ok && !m.IsFlowStyle && len(m.Values) > 0 {
		tk = m.Values[0].Key.GetToken()
	}
	if mv, ok := node.(*ast.MappingValueNode); ok {
		tk = mv.Key.GetToken()
	}
	if tk == nil || tk.Position == nil {
		return Position{}
	}
	return Position{Line: tk.Position.Line, Column: tk.Position.Column}
}
