package railway

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/Khan/genqlient/graphql"
	"github.com/vektah/gqlparser/v2/ast"
)

// A Drift is a difference between Railway's API and what this package was written
// for, in something that the package uses.
type Drift struct {
	// Coordinate says what is different, as a schema coordinate
	// (https://spec.graphql.org/draft/#sec-Schema-Coordinates):
	// "Deployment.canRollback", "Query.deployments(input:)",
	// "DeploymentListInput.serviceId", "MetricMeasurement.CPU_USAGE".
	Coordinate string
	// Change says how: "is gone", "was Boolean!, is Deployment!", "is new and
	// required", "is deprecated: use config instead".
	Change string
	// Breaks says that the operations do not work any more: Railway refuses them, or
	// their answer cannot be decoded. If it is false, they still work.
	Breaks bool
	// Operations are the names of those operations of this package that it breaks, or
	// that use it if it breaks none, in order.
	Operations []string
}

// String says the drift in one line.
func (d Drift) String() string {
	verb := "used by "
	if d.Breaks {
		verb = "breaks "
	}
	return d.Coordinate + " " + d.Change + "; " + verb + list(d.Operations)
}

// Verify compares the API as it is now with everything in it that this package
// uses: each type, field, argument, input field and enum value. The API changes
// without versions, and has broken its own command line
// (https://github.com/railwayapp/cli/issues/930). It returns what differs, that
// which breaks first; none means that all is as it was. What is new and not used is
// no drift, but for values of enums, which may be met in an answer.
//
// It costs one call, for an answer of about 2 MB, or two with servers that do not
// know of deprecated arguments. Any token may do it, and nothing is changed.
func (c *Client) Verify(ctx context.Context) ([]Drift, error) {
	return c.verify(ctx, c.op("verify the schema"))
}

func (c *Client) verify(ctx context.Context, o op) ([]Drift, error) {
	var got introspection
	err := o.MakeRequest(ctx, introspect(true), &graphql.Response{Data: &got})
	if errors.Is(err, ErrSchemaDrift) {
		got = introspection{}
		err = o.MakeRequest(ctx, introspect(false), &graphql.Response{Data: &got})
	}
	if err != nil {
		return nil, err
	}
	if len(got.Schema.Types) == 0 {
		return nil, &Error{Op: o.name, Status: 200, Code: "no data", Message: "the answer has no types in it"}
	}
	v, err := newVerifier(got)
	if err != nil {
		return nil, err
	}
	return v.drifts(), nil
}

// A verifier walks over the operations and compares what they use.
type verifier struct {
	*documents

	live  map[string]*liveType
	roots map[ast.Operation]*liveType

	op    *ast.OperationDefinition // the one that is walked over
	found map[[2]string]map[string]bool
}

func newVerifier(got introspection) (*verifier, error) {
	own, err := readDocuments()
	if err != nil {
		return nil, err
	}
	v := &verifier{documents: own, live: make(map[string]*liveType), found: make(map[[2]string]map[string]bool)}
	for i := range got.Schema.Types {
		t := &got.Schema.Types[i]
		v.live[t.Name] = t
	}
	v.roots = map[ast.Operation]*liveType{
		ast.Query: v.live[got.Schema.Query.Name], ast.Mutation: v.live[got.Schema.Mutation.Name], ast.Subscription: v.live[got.Schema.Subscription.Name],
	}
	return v, nil
}

// rootName returns the name that the type of an operation has in our schema.
func rootName(o ast.Operation) string {
	switch o {
	case ast.Mutation:
		return "Mutation"
	case ast.Subscription:
		return "Subscription"
	}
	return "Query"
}

func (v *verifier) drifts() []Drift {
	for _, v.op = range v.operations {
		root := rootName(v.op.Operation)
		if v.roots[v.op.Operation] == nil {
			v.note(root, "is gone", true)
			continue
		}
		v.selection(v.op.SelectionSet, v.want[root], v.roots[v.op.Operation])
	}
	var all []Drift
	for what, users := range v.found {
		d := Drift{Coordinate: what[0], Change: what[1], Breaks: slices.Contains(slices.Collect(maps.Values(users)), true)}
		for name, breaks := range users {
			if breaks == d.Breaks {
				d.Operations = append(d.Operations, name)
			}
		}
		slices.Sort(d.Operations)
		all = append(all, d)
	}
	slices.SortFunc(all, func(a, b Drift) int {
		switch {
		case a.Breaks && !b.Breaks:
			return -1
		case b.Breaks && !a.Breaks:
			return 1
		}
		return cmp.Or(cmp.Compare(a.Coordinate, b.Coordinate), cmp.Compare(a.Change, b.Change))
	})
	return all
}

// note writes down a difference for the operation that is walked over.
func (v *verifier) note(coordinate, change string, breaks bool) {
	what := [2]string{coordinate, change}
	if v.found[what] == nil {
		v.found[what] = make(map[string]bool)
	}
	v.found[what][v.op.Name] = v.found[what][v.op.Name] || breaks
}
