package config

import (
	"encoding"
	"math"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"
	"go.acu.edu.au/runbook"
)

var (
	durationType = reflect.TypeFor[time.Duration]()
	secretType   = reflect.TypeFor[runbook.Secret]()
	textType     = reflect.TypeFor[encoding.TextUnmarshaler]()

	// keyForm is what a key looks like that may be shown in a message.
	keyForm = regexp.MustCompile(`^[a-z][a-z_-]{0,30}$`)
)

type decoder struct {
	source Source
	file   *File
}

// value fills out from node, which is at path.
func (d *decoder) value(path string, node ast.Node, out reflect.Value) {
	if _, ok := d.file.positions[path]; !ok {
		d.file.positions[path] = positionOf(node)
	}
	d.decode(path, node, out)
}

func (d *decoder) decode(path string, node ast.Node, out reflect.Value) {
	switch node.(type) {
	case *ast.AnchorNode, *ast.AliasNode, *ast.TagNode, *ast.MergeKeyNode:
		d.wrong(node, path, "anchors, aliases, merge keys and tags are not supported")
		return
	case *ast.NullNode:
		if out.Type() == secretType {
			break // says what a secret looks like
		}
		d.wrong(node, path, "has no value")
		return
	}
	switch t := out.Type(); {
	case t == secretType:
		d.secret(path, node, out)
	case t == durationType:
		d.duration(path, node, out)
	case reflect.PointerTo(t).Implements(textType):
		d.text(path, node, out)
	case t.Kind() == reflect.Pointer:
		out.Set(reflect.New(t.Elem()))
		d.decode(path, node, out.Elem())
	case t.Kind() == reflect.Struct:
		d.structure(path, node, out)
	case t.Kind() == reflect.Map && t.Key().Kind() == reflect.String:
		d.mapping(path, node, out)
	case t.Kind() == reflect.Slice:
		d.list(path, node, out)
	default:
		d.scalar(path, node, out)
	}
}

// wrong adds a problem with the value of node.
func (d *decoder) wrong(node ast.Node, path, text string) {
	d.file.add(positionOf(node), path, text)
}

// entry is a key of a mapping with its value.
type entry struct {
	name  string
	key   ast.Node
	value ast.Node
}

// entries returns what is in a mapping, each key once.
func (d *decoder) entries(path string, node ast.Node) (all []entry, ok bool) {
	var pairs []*ast.MappingValueNode
	switch n := node.(type) {
	case *ast.MappingNode:
		pairs = n.Values
	case *ast.MappingValueNode:
		pairs = []*ast.MappingValueNode{n}
	default:
		d.wrong(node, path, "must be a mapping (key: value)")
		return nil, false
	}
	seen := make(map[string]bool, len(pairs))
	for _, pair := range pairs {
		name, plain := keyName(pair.Key)
		switch {
		case !plain:
			d.wrong(pair.Key, path, "a key must be a plain text")
		case seen[name]:
			d.wrong(pair.Key, path, shown(name)+" is given twice")
		default:
			seen[name] = true
			all = append(all, entry{name, pair.Key, pair.Value})
		}
	}
	return all, true
}

// keyName returns the text of a key.
func keyName(key ast.MapKeyNode) (name string, plain bool) {
	switch k := key.(type) {
	case *ast.StringNode:
		return k.Value, true
	case *ast.IntegerNode, *ast.BoolNode, *ast.FloatNode, *ast.NullNode:
		return key.GetToken().Value, true
	}
	return "", false
}

// shown returns a key for a message, if it looks like one.
func shown(key string) string {
	if keyForm.MatchString(key) {
		return "key " + strconv.Quote(key)
	}
	return "key (not shown)"
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

func (d *decoder) structure(path string, node ast.Node, out reflect.Value) {
	all, ok := d.entries(path, node)
	if !ok {
		return
	}
	fields, required := fieldsOf(out.Type())
	given := make(map[string]bool, len(all))
	for _, e := range all {
		i, known := fields[e.name]
		if !known {
			d.wrong(e.key, path, "unknown "+shown(e.name)+"; known are "+knownKeys(fields))
			continue
		}
		given[e.name] = true
		p := join(path, e.name)
		d.file.positions[p] = positionOf(e.key)
		d.value(p, e.value, out.Field(i))
	}
	for _, name := range required {
		if !given[name] {
			d.wrong(node, path, strconv.Quote(name)+" is missing")
		}
	}
}

// fieldsOf returns the index of each field by its key, and the required keys.
func fieldsOf(t reflect.Type) (fields map[string]int, required []string) {
	fields = make(map[string]int, t.NumField())
	for i := range t.NumField() {
		name, option, _ := strings.Cut(t.Field(i).Tag.Get("config"), ",")
		if name == "" {
			continue
		}
		fields[name] = i
		if option == "required" {
			required = append(required, name)
		}
	}
	return fields, required
}

func knownKeys(fields map[string]int) string {
	names := make([]string, 0, len(fields))
	for name := range fields {
		names = append(names, name)
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

func (d *decoder) mapping(path string, node ast.Node, out reflect.Value) {
	all, ok := d.entries(path, node)
	if !ok {
		return
	}
	t := out.Type()
	out.Set(reflect.MakeMapWithSize(t, len(all)))
	for i, e := range all {
		name := e.name
		if !keyForm.MatchString(name) { // a pasted secret may be a key: keep it out of paths
			name = "[" + strconv.Itoa(i) + "]"
			d.file.positions[path+name] = positionOf(e.key)
			name = path + name
		} else {
			name = join(path, name)
			d.file.positions[name] = positionOf(e.key)
		}
		v := reflect.New(t.Elem()).Elem()
		d.value(name, e.value, v)
		out.SetMapIndex(reflect.ValueOf(e.name).Convert(t.Key()), v)
	}
}

func (d *decoder) list(path string, node ast.Node, out reflect.Value) {
	n, ok := node.(*ast.SequenceNode)
	if !ok {
		d.wrong(node, path, "must be a list")
		return
	}
	out.Set(reflect.MakeSlice(out.Type(), len(n.Values), len(n.Values)))
	for i, v := range n.Values {
		d.value(path+"["+strconv.Itoa(i)+"]", v, out.Index(i))
	}
}

// stringOf returns the text of a node that is a text.
func stringOf(node ast.Node) (string, bool) {
	switch n := node.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		return n.Value.Value, true
	}
	return "", false
}

func (d *decoder) duration(path string, node ast.Node, out reflect.Value) {
	text, _ := stringOf(node)
	v, err := time.ParseDuration(text)
	if err != nil || v < 0 {
		d.wrong(node, path, `must be a duration such as "500ms", "5s" or "1m30s"`)
		return
	}
	out.SetInt(int64(v))
}

func (d *decoder) text(path string, node ast.Node, out reflect.Value) {
	text, ok := stringOf(node)
	if !ok {
		d.wrong(node, path, "must be a text; put it in quotes")
		return
	}
	if err := out.Addr().Interface().(encoding.TextUnmarshaler).UnmarshalText([]byte(text)); err != nil {
		d.wrong(node, path, withoutValue(err.Error(), text))
	}
}

// withoutValue returns message without the value that it is about.
func withoutValue(message, value string) string {
	message = strings.ReplaceAll(message, strconv.Quote(value), "this")
	if value != "" && strings.Contains(message, value) {
		return "has a value that is not allowed"
	}
	return message
}

func (d *decoder) scalar(path string, node ast.Node, out reflect.Value) {
	switch out.Kind() {
	case reflect.String:
		if text, ok := stringOf(node); ok {
			out.SetString(text)
			return
		}
		d.wrong(node, path, "must be a text; put it in quotes")
	case reflect.Bool:
		if n, ok := node.(*ast.BoolNode); ok {
			out.SetBool(n.Value)
			return
		}
		d.wrong(node, path, "must be true or false")
	case reflect.Int, reflect.Int64:
		if v, ok := integerOf(node); ok && !out.OverflowInt(v) {
			out.SetInt(v)
			return
		}
		d.wrong(node, path, "must be a whole number")
	case reflect.Float64:
		if n, ok := node.(*ast.FloatNode); ok && !math.IsInf(n.Value, 0) && !math.IsNaN(n.Value) {
			out.SetFloat(n.Value)
			return
		}
		if v, ok := integerOf(node); ok {
			out.SetFloat(float64(v))
			return
		}
		d.wrong(node, path, "must be a number")
	default:
		panic("config: cannot decode into " + out.Type().String())
	}
}

func integerOf(node ast.Node) (int64, bool) {
	n, ok := node.(*ast.IntegerNode)
	if !ok {
		return 0, false
	}
	switch v := n.Value.(type) {
	case int64:
		return v, true
	case uint64:
		return int64(v), v <= math.MaxInt64
	}
	return 0, false
}
