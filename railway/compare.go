package railway

import (
	"strings"

	"github.com/vektah/gqlparser/v2/ast"
)

// selection compares the fields that are selected of a type.
func (v *verifier) selection(set ast.SelectionSet, want *ast.Definition, live *liveType) {
	for _, s := range set {
		switch s := s.(type) {
		case *ast.Field:
			v.field(s, want, live)
		case *ast.FragmentSpread:
			f := v.fragments.ForName(s.Name)
			v.fragment(f.SelectionSet, f.TypeCondition, want, live)
		case *ast.InlineFragment:
			v.fragment(s.SelectionSet, s.TypeCondition, want, live)
		}
	}
}

func (v *verifier) fragment(set ast.SelectionSet, on string, want *ast.Definition, live *liveType) {
	if on == want.Name && live.Name != on {
		v.note(on, "was the type of what is now "+live.Name, true)
	}
	v.selection(set, want, live)
}

func (v *verifier) field(f *ast.Field, want *ast.Definition, live *liveType) {
	def := want.Fields.ForName(f.Name)
	if def == nil {
		return // __typename
	}
	coordinate := want.Name + "." + f.Name
	got := live.field(f.Name)
	if got == nil {
		v.note(coordinate, "is gone", true)
		return
	}
	v.deprecated(coordinate, got.liveValue)
	v.arguments(coordinate, f.Arguments, def.Arguments, got.Args)
	if was, is := def.Type.String(), got.Type.String(); was != is {
		v.note(coordinate, "was "+was+", is "+is, !v.decodes(def.Type, &got.Type))
	}
	result, named := v.want[def.Type.Name()], v.live[got.Type.named().nameOf()]
	switch {
	case result == nil || named == nil:
	case result.Kind == ast.Enum:
		v.received(result, named)
	case len(f.SelectionSet) > 0 && !isLeafKind(named.Kind):
		v.selection(f.SelectionSet, result, named)
	}
}

func (r *liveRef) nameOf() string {
	if r == nil {
		return ""
	}
	return r.Name
}

func (v *verifier) deprecated(coordinate string, x liveValue) {
	if x.Deprecated {
		v.note(coordinate, strings.TrimSuffix("is deprecated: "+printable(x.Reason, maxText), ": "), false)
	}
}

// decodes reports whether an answer of a type is still asked for and decoded rightly.
// That something can be null now is decoded as its zero value.
func (v *verifier) decodes(want *ast.Type, live *liveRef) bool {
	if want.Elem != nil {
		return live.element() != nil && v.decodes(want.Elem, live.element())
	}
	live = live.nullable()
	if live == nil || live.Kind == listKind {
		return false
	}
	def := v.want[want.NamedType]
	composite := def != nil && (def.Kind == ast.Object || def.Kind == ast.Interface || def.Kind == ast.Union)
	switch {
	case composite || !isLeafKind(live.Kind):
		return composite && !isLeafKind(live.Kind) // its fields are compared one by one
	case live.Name == want.NamedType:
		return true
	}
	isText := want.NamedType == "String" || want.NamedType == "ID" || def != nil && def.Kind == ast.Enum
	return isText && (live.Name == "String" || live.Name == "ID" || live.Kind == "ENUM")
}

// received compares an enum that comes in answers. An unknown value is decoded as it
// is, so that nothing breaks; whoever decides by it wants to know.
func (v *verifier) received(want *ast.Definition, live *liveType) {
	for _, value := range live.Values {
		if want.EnumValues.ForName(value.Name) == nil {
			v.note(want.Name+"."+value.Name, "is new", false)
		}
	}
	for _, value := range want.EnumValues {
		if live.value(value.Name) == nil {
			v.note(want.Name+"."+value.Name, "is gone", false)
		}
	}
}

// arguments compares the arguments of a field, and those of them that are given.
func (v *verifier) arguments(coordinate string, given ast.ArgumentList, want ast.ArgumentDefinitionList, live liveInputs) {
	for _, a := range given {
		at := coordinate + "(" + a.Name + ":)"
		got := live.find(a.Name)
		if got == nil {
			v.note(at, "is gone", true)
			continue
		}
		v.deprecated(at, got.liveValue)
		v.value(at, a.Value, want.ForName(a.Name).Type, got)
	}
	for _, in := range live {
		if in.required() && given.ForName(in.Name) == nil {
			v.note(coordinate+"("+in.Name+":)", "is new and required", true)
		}
	}
}

// value compares the place of a value that is sent.
func (v *verifier) value(coordinate string, value *ast.Value, want *ast.Type, live *liveInput) {
	was, is := want.String(), live.Type.String()
	if value.Kind == ast.Variable {
		d := v.op.VariableDefinitions.ForName(value.Raw)
		fits := usable(d.Type, d.DefaultValue != nil || live.Default != nil, &live.Type)
		if was != is || !fits {
			v.note(coordinate, "was "+was+", is "+is, !fits)
		}
		if fits {
			v.sent(want.Name())
		}
		return
	}
	if was != is {
		v.note(coordinate, "was "+was+", is "+is, want.Name() != live.Type.named().nameOf() || (want.Elem == nil) != (live.Type.element() == nil))
	}
	def, got := v.want[want.Name()], v.live[live.Type.named().nameOf()]
	if def == nil || got == nil {
		return
	}
	v.literal(value, def, got)
}

// literal compares what is written in an operation itself.
func (v *verifier) literal(value *ast.Value, want *ast.Definition, live *liveType) {
	switch value.Kind {
	case ast.ListValue:
		for _, child := range value.Children {
			v.literal(child.Value, want, live)
		}
	case ast.EnumValue:
		if live.value(value.Raw) == nil {
			v.note(want.Name+"."+value.Raw, "is gone", true)
		}
	case ast.ObjectValue:
		if want.Kind != ast.InputObject {
			return // JSON
		}
		for _, child := range value.Children {
			v.inputField(child.Name, child.Value, want, live)
		}
		for _, in := range live.Inputs {
			if in.required() && value.Children.ForName(in.Name) == nil {
				v.note(want.Name+"."+in.Name, "is new and required", true)
			}
		}
	}
}

func (v *verifier) inputField(name string, value *ast.Value, want *ast.Definition, live *liveType) {
	coordinate := want.Name + "." + name
	got := live.Inputs.find(name)
	if got == nil {
		v.note(coordinate, "is gone", true)
		return
	}
	v.deprecated(coordinate, got.liveValue)
	v.value(coordinate, value, want.Fields.ForName(name).Type, got)
}

// sent compares an enum of which a variable is sent: it may be any of its values.
func (v *verifier) sent(name string) {
	want, live := v.want[name], v.live[name]
	if want == nil || live == nil {
		return
	}
	for _, value := range want.EnumValues {
		coordinate := name + "." + value.Name
		if got := live.value(value.Name); got == nil {
			v.note(coordinate, "is gone", true)
		} else {
			v.deprecated(coordinate, *got)
		}
	}
}
