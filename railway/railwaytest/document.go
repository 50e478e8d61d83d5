package railwaytest

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
	"github.com/vektah/gqlparser/v2/parser"
	"github.com/vektah/gqlparser/v2/validator"
	"github.com/vektah/gqlparser/v2/validator/rules"

	"go.acu.edu.au/runbook/railway/internal/gql"
)

// catalogue is a schema, and the documents that were validated against it. All
// servers share one, since it takes longer to read than most tests run, until Drop
// gives a server its own.
type catalogue struct {
	schema *ast.Schema // is not changed any more

	mu     sync.Mutex
	parsed map[string]*document
}

var sharedCatalogue = sync.OnceValue(newCatalogue)

func newCatalogue() *catalogue {
	schema := gqlparser.MustLoadSchema(&ast.Source{Name: "schema.graphql", Input: gql.Schema})
	delete(schema.Directives, "defer") // the library's own; Railway has none
	return &catalogue{schema: schema, parsed: map[string]*document{}}
}

// Drop takes something out of the schema, as happens to an API without versions:
// what asks for it is refused, and introspection does not show it. A coordinate is
// "Deployment.canRollback" for a field of a type or of an input, or for a value of
// an enum, and "Query.deployments(first:)" for an argument. It panics if there is no
// such thing.
func (s *Server) Drop(coordinates ...string) {
	defer s.lock()()
	own, all := newCatalogue(), slices.Concat(s.dropped, coordinates)
	for _, c := range all {
		if !drop(own.schema, c) {
			panic(fmt.Sprintf("railwaytest: there is no %q in the schema", c))
		}
	}
	s.catalogue, s.dropped = own, all
}

func drop(schema *ast.Schema, coordinate string) bool {
	typeName, member, _ := strings.Cut(coordinate, ".")
	member, argument, isArgument := strings.Cut(strings.TrimSuffix(member, ":)"), "(")
	def := schema.Types[typeName]
	if def == nil {
		return false
	}
	if isArgument {
		field := def.Fields.ForName(member)
		if field == nil || field.Arguments.ForName(argument) == nil {
			return false
		}
		field.Arguments = slices.DeleteFunc(field.Arguments, func(a *ast.ArgumentDefinition) bool { return a.Name == argument })
		return true
	}
	before := len(def.Fields) + len(def.EnumValues)
	def.Fields = slices.DeleteFunc(def.Fields, func(f *ast.FieldDefinition) bool { return f.Name == member })
	def.EnumValues = slices.DeleteFunc(def.EnumValues, func(v *ast.EnumValueDefinition) bool { return v.Name == member })
	return len(def.Fields)+len(def.EnumValues) < before
}

// document is a text that was parsed and validated.
type document struct {
	query  *ast.QueryDocument // nil if it cannot be parsed
	errors gqlerror.List
}

// maxParsed is how many documents are kept, maxKept how long they may be, and
// maxTokens how long one may be at all.
const (
	maxParsed = 1000
	maxKept   = 64 << 10
	maxTokens = 15_000
)

// parse parses and validates a document.
func (c *catalogue) parse(text string) *document {
	c.mu.Lock()
	defer c.mu.Unlock()
	if d := c.parsed[text]; d != nil {
		return d
	}
	d := c.read(text)
	if len(c.parsed) >= maxParsed {
		clear(c.parsed)
	}
	if len(text) <= maxKept {
		c.parsed[text] = d
	}
	return d
}

func (c *catalogue) read(text string) *document {
	query, err := parser.ParseQueryWithTokenLimit(&ast.Source{Input: text}, maxTokens)
	if e, ok := errors.AsType[*gqlerror.Error](err); ok {
		return &document{errors: gqlerror.List{{Message: "Syntax Error: " + e.Message, Locations: e.Locations}}}
	}
	if err != nil || len(query.Operations) == 0 {
		return &document{errors: gqlerror.List{{Message: "Syntax Error: Unexpected <EOF>."}}}
	}
	return &document{query: query, errors: validator.ValidateWithRules(c.schema, query, rules.NewDefaultRules())}
}

// problems are what is wrong with the document.
func (d *document) problems() []problem {
	code := codeValidation
	if d.query == nil {
		code = codeParse
	}
	return problemsOf(d.errors, code)
}

// operation is one operation that a client asks for.
type operation struct {
	definition *ast.OperationDefinition // nil if there is none
	document   *document
	root       []*ast.Field // its fields, as far as they are not in fragments
	name       string       // its name, or that of its first field
	refused    *answer      // why it is not run
}

// operationOf finds the operation of a document. The lock is held.
func (s *Server) operationOf(text, name string) *operation {
	o := &operation{document: s.catalogue.parse(text), name: name}
	refuse := func(a answer) *operation { o.refused = &a; return o }
	if o.document.query == nil {
		return refuse(refusal(http.StatusBadRequest, o.document.problems()...))
	}
	for _, d := range o.document.query.Operations {
		if d.Name == name || name == "" && len(o.document.query.Operations) == 1 {
			o.definition = d
		}
	}
	if o.definition != nil {
		for _, selection := range o.definition.SelectionSet {
			if field, ok := selection.(*ast.Field); ok {
				o.root = append(o.root, field)
			}
		}
		o.name = o.definition.Name
		if o.name == "" && len(o.root) > 0 {
			o.name = o.root[0].Name
		}
	}
	switch {
	case len(o.document.errors) > 0:
		return refuse(refusal(http.StatusBadRequest, o.document.problems()...))
	case o.definition == nil && name == "":
		return refuse(refusal(http.StatusBadRequest, newProblem("Must provide operation name if query contains multiple operations.", codeRequest)))
	case o.definition == nil:
		return refuse(refusal(http.StatusBadRequest, newProblem(fmt.Sprintf("Unknown operation named %q.", name), codeRequest)))
	}
	return o
}

// kind is "query", "mutation" or "subscription", or empty if there is no operation.
func (o *operation) kind() string {
	if o.definition == nil {
		return ""
	}
	return string(o.definition.Operation)
}

// is reports whether the operation has the name, or a field of that name.
func (o *operation) is(name string) bool {
	return o.name == name || slices.ContainsFunc(o.root, func(f *ast.Field) bool { return f.Name == name })
}
