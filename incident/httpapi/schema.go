package httpapi

import (
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/incident"
)

const (
	typeObject  = "object"
	typeArray   = "array"
	typeString  = "string"
	typeInteger = "integer"
	typeNumber  = "number"
	typeBoolean = "boolean"

	formatTime     = "date-time"
	formatInterval = "go-duration"
)

// A schema is a JSON schema, as far as this API needs it.
type schema struct {
	Ref                  string             `json:"$ref,omitempty"`
	Type                 string             `json:"type,omitempty"`
	Description          string             `json:"description,omitempty"`
	Format               string             `json:"format,omitempty"`
	Pattern              string             `json:"pattern,omitempty"`
	Enum                 []string           `json:"enum,omitempty"`
	MinLength            int                `json:"minLength,omitempty"`
	MaxLength            int                `json:"maxLength,omitempty"`
	Minimum              *int64             `json:"minimum,omitempty"`
	Maximum              *int64             `json:"maximum,omitempty"`
	Items                *schema            `json:"items,omitempty"`
	MaxItems             int                `json:"maxItems,omitempty"`
	Properties           map[string]*schema `json:"properties,omitempty"`
	Required             []string           `json:"required,omitempty"`
	MaxProperties        int                `json:"maxProperties,omitempty"`
	AdditionalProperties any                `json:"additionalProperties,omitempty"` // false or a *schema
	Default              any                `json:"default,omitempty"`

	nullable bool           // it may be null too
	line     bool           // a text of one line
	re       *regexp.Regexp // of Pattern
	must     string         // what a text must be that has a pattern
}

// MarshalJSON writes that something may be null as JSON Schema does.
func (s *schema) MarshalJSON() ([]byte, error) {
	type plain schema
	if !s.nullable {
		return json.Marshal((*plain)(s))
	}
	return json.Marshal(struct {
		*plain
		Type []string `json:"type"`
	}{(*plain)(s), []string{s.Type, "null"}})
}

// values returns the schema of the values of a map, nil if it is none.
func (s *schema) values() *schema {
	values, _ := s.AdditionalProperties.(*schema)
	return values
}

func (s *schema) minimum() int64 {
	if s.Minimum == nil {
		return math.MinInt64
	}
	return *s.Minimum
}

func (s *schema) maximum() int64 {
	if s.Maximum == nil {
		return math.MaxInt64
	}
	return *s.Maximum
}

// enums are all values of the texts of the core of which there are a few.
var enums = map[reflect.Type][]string{
	reflect.TypeFor[alert.Severity]():         {"critical", "high", "medium", "low"},
	reflect.TypeFor[incident.RunState]():      {"queued", "running", "waiting", "held", "succeeded", "failed", "undone", "cancelled", "stranded"},
	reflect.TypeFor[incident.StepState]():     {"pending", "running", "waiting", "done", "failed", "unknown", "skipped", "undone", "planned"},
	reflect.TypeFor[incident.Kind]():          {"check", "action", "verify", "approve", "wait", "sleep", "notice", "manual", "parallel", "playbook"},
	reflect.TypeFor[incident.Repeat]():        {"", "check first", "idempotent"},
	reflect.TypeFor[incident.State]():         {"triggered", "acknowledged", "mitigated", "resolved", "reviewed", "merged", "cancelled"},
	reflect.TypeFor[incident.ClockKind]():     {"acknowledge", "mitigate", "resolve", "update"},
	reflect.TypeFor[incident.DeadlineMark]():  {"half", "four fifths", "last day", "over"},
	reflect.TypeFor[incident.ParameterType](): {"", "whole", "duration", "yes-no"},
}

// schemas makes schemas of Go types, and keeps those that have names.
type schemas map[string]*schema

// of returns the schema of a type in an answer: structs by reference.
func (all schemas) of(t reflect.Type) *schema {
	if enum, ok := enums[t]; ok {
		return &schema{Type: typeString, Enum: enum}
	}
	switch t {
	case reflect.TypeFor[time.Time]():
		return &schema{Type: typeString, Format: formatTime}
	case reflect.TypeFor[json.RawMessage]():
		return &schema{Description: "Any JSON."}
	case reflect.TypeFor[incident.Interval]():
		return &schema{Type: typeString, Format: formatInterval}
	case reflect.TypeFor[incident.Spread]():
		return all.named(reflect.TypeFor[spread](), "Spread")
	}
	switch t.Kind() {
	case reflect.Pointer:
		return all.of(t.Elem())
	case reflect.Slice:
		return &schema{Type: typeArray, Items: all.of(t.Elem())}
	case reflect.Map:
		return &schema{Type: typeObject, AdditionalProperties: all.of(t.Elem())}
	case reflect.Struct:
		return all.named(t, strings.ToUpper(t.Name()[:1])+t.Name()[1:])
	case reflect.Bool:
		return &schema{Type: typeBoolean}
	case reflect.Float64:
		return &schema{Type: typeNumber}
	case reflect.String:
		return &schema{Type: typeString}
	}
	if t.Implements(reflect.TypeFor[encoding.TextMarshaler]()) {
		return &schema{Type: typeString}
	}
	return &schema{Type: typeInteger}
}

// spread is an incident.Spread as it is written.
type spread struct {
	Count int               `json:"count"`
	Mean  incident.Interval `json:"mean"`
	P50   incident.Interval `json:"p50"`
	P90   incident.Interval `json:"p90"`
}

// named returns a reference to the schema of a struct.
func (all schemas) named(t reflect.Type, name string) *schema {
	if _, ok := all[name]; !ok {
		s := &schema{Type: typeObject, Properties: make(map[string]*schema)}
		all[name] = s
		all.fields(t, s)
	}
	return &schema{Ref: "#/components/schemas/" + name}
}

// fields adds the fields of a struct to its schema.
func (all schemas) fields(t reflect.Type, s *schema) {
	for f := range t.Fields() {
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case f.Anonymous && name == "":
			all.fields(f.Type, s)
			continue
		case !f.IsExported() || name == "-":
			continue
		case name == "":
			name = f.Name
		}
		property := all.of(f.Type)
		if about := f.Tag.Get("about"); about != "" {
			property.Description = about
		}
		optional := strings.Contains(options, "omit")
		property.nullable = !optional && (f.Type.Kind() == reflect.Slice || f.Type.Kind() == reflect.Map) && property.Type != "" && f.Tag.Get("api") != "never null"
		s.Properties[name] = property
		if !optional {
			s.Required = append(s.Required, name)
		}
	}
}

// body returns the schema of the body of a request, by the tags of its fields: what is
// not stated there is not taken.
func body(t reflect.Type) (*schema, error) {
	var problems []error
	s := &schema{Type: typeObject, Properties: make(map[string]*schema), AdditionalProperties: false}
	for f := range t.Fields() {
		if f.Anonymous {
			more, err := body(f.Type)
			problems = append(problems, err)
			maps.Copy(s.Properties, more.Properties)
			s.Required = append(s.Required, more.Required...)
			continue
		}
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		property := value(f.Type)
		property.Description = f.Tag.Get("about")
		inner := property
		if property.Items != nil {
			inner = property.Items
		} else if values := property.values(); values != nil {
			inner = values
		}
		for rule := range strings.SplitSeq(f.Tag.Get("api"), ",") {
			if rule == "required" {
				s.Required = append(s.Required, name)
				if inner.Type == typeString {
					inner.MinLength = 1
				}
				continue
			}
			problems = append(problems, inner.rule(rule))
		}
		s.Properties[name] = property
	}
	slices.Sort(s.Required)
	return s, errors.Join(problems...)
}

// value returns the schema of a field of a request.
func value(t reflect.Type) *schema {
	switch t {
	case reflect.TypeFor[time.Time]():
		return &schema{Type: typeString, Format: formatTime}
	case reflect.TypeFor[incident.Interval]():
		return &schema{Type: typeString, Format: formatInterval}
	case reflect.TypeFor[alert.Severity]():
		return &schema{Type: typeString, Enum: enums[t]}
	case reflect.TypeFor[json.RawMessage]():
		return &schema{}
	}
	switch t.Kind() {
	case reflect.Slice:
		return &schema{Type: typeArray, Items: value(t.Elem()), MaxItems: 200}
	case reflect.Map:
		return &schema{Type: typeObject, AdditionalProperties: value(t.Elem()), MaxProperties: 100}
	case reflect.Bool:
		return &schema{Type: typeBoolean}
	case reflect.Int:
		return &schema{Type: typeInteger}
	}
	return &schema{Type: typeString}
}

// rule adds what a tag says: "line" and "words" are texts of one and of several lines,
// "id" and "run" are names of the core, "max=60" is how long a text or how large a number
// may be, "min=1" how small a number, "enum=a|b" are all values.
func (s *schema) rule(rule string) error {
	name, argument, _ := strings.Cut(rule, "=")
	n, err := strconv.ParseInt(argument, 10, 64)
	switch name {
	case "":
	case "line":
		s.line, s.MaxLength = true, 200
	case "words":
		s.MaxLength = 3000
	case "id":
		s.line, s.re, s.Pattern, s.must = true, idPattern, idPattern.String(), "must be a name of letters, digits, -, _ and dots"
	case "run":
		s.line, s.re, s.Pattern, s.must = true, runPattern, runPattern.String(), "must be 1 to 100 letters, digits, - and _"
	case "max":
		if s.Type == typeInteger {
			s.Maximum = &n
		} else {
			s.MaxLength = int(n)
		}
		return err
	case "min":
		s.Minimum = &n
		return err
	case "enum":
		s.Enum = strings.Split(argument, "|")
	default:
		return fmt.Errorf("there is no rule %q for a field of a body", rule)
	}
	return nil
}
