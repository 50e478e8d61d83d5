package runbook_test

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/gob"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"errors"
	"expvar"
	"fmt"
	htmltemplate "html/template"
	"io"
	"log"
	"log/slog"
	"reflect"
	"strings"
	"sync"
	"testing"
	"text/template"

	"github.com/davecgh/go-spew/spew"
	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook"
)

const (
	canary   = "canary-8hRz2Q"
	redacted = "[redacted]"
)

// A printer turns a value into text or bytes. It may fail, but must not show
// what a Secret holds, neither in what it wrote nor in its error.
type printer struct {
	name  string
	print func(v any) (string, error)
}

// Types with a Secret where printers look, and where they should not.
type (
	account struct {
		Name     string
		Password runbook.Secret
	}
	hidden struct {
		Name     string
		password runbook.Secret
		pointer  *runbook.Secret
		any      any
		list     []runbook.Secret
		byName   map[string]runbook.Secret
	}
	embedded struct {
		runbook.Secret
		Name string
	}
	attribute struct {
		XMLName  xml.Name       `xml:"account" json:"-" yaml:"-"`
		Password runbook.Secret `xml:"password,attr" json:"password,omitempty" yaml:"password,omitempty"`
	}
	loginError struct{ with hidden }
	valuer     struct{ account }
)

func (e loginError) Error() string    { return fmt.Sprintf("login failed: %+v", e.with) }
func (v valuer) LogValue() slog.Value { return slog.AnyValue(v.account) }
func newHidden(s runbook.Secret) hidden {
	return hidden{"a", s, &s, s, []runbook.Secret{s}, map[string]runbook.Secret{"k": s}}
}
func pointerTo[T any](v T) *T                  { return &v }
func text(b []byte, err error) (string, error) { return string(b), err }

// carriers returns values that hold s, in every way that a program may.
func carriers(s runbook.Secret) map[string]any {
	return map[string]any{
		"value":              s,
		"pointer":            &s,
		"pointer to pointer": pointerTo(&s),
		"field":              account{"a", s},
		"pointer to struct":  &account{"a", s},
		"unexported":         newHidden(s),
		"pointer unexported": pointerTo(newHidden(s)),
		"embedded":           embedded{s, "a"},
		"attribute":          attribute{Password: s},
		"map":                map[string]runbook.Secret{"k": s},
		"map of any":         map[string]any{"k": s, "l": []any{&s, newHidden(s)}},
		"map key":            map[any]string{account{Name: "a"}.Name: "", &s: "v"},
		"slice":              []runbook.Secret{s},
		"slice of pointers":  []*runbook.Secret{&s},
		"array":              [2]account{{"a", s}, {"b", s}},
		"anonymous":          struct{ in, In any }{s, newHidden(s)},
		"error":              loginError{newHidden(s)},
		"wrapped error":      fmt.Errorf("at start: %w", loginError{newHidden(s)}),
		"joined error":       errors.Join(io.EOF, loginError{newHidden(s)}),
		"log valuer":         valuer{account{"a", s}},
		"reflected":          reflect.ValueOf(account{"a", s}),
		"reflected hidden":   reflect.ValueOf(newHidden(s)).FieldByName("password"),
		"closure":            func() string { return s.Reveal() },
	}
}

func fmtPrinters() []printer {
	var list []printer
	for _, verb := range "vTtbcdoOqxXUeEfFgGspw!" {
		for _, flags := range []string{"", "+", "#", " ", "-", "0", "+#", "# ", "#+ -0", "30", ".4", "-30.40"} {
			format := "%" + flags + string(verb)
			list = append(list,
				printer{"Sprintf " + format, func(v any) (string, error) { return fmt.Sprintf(format, v), nil }},
				printer{"Errorf " + format, func(v any) (string, error) { return fmt.Errorf(format, v).Error(), nil }})
		}
	}
	return append(list,
		printer{"Sprint", func(v any) (string, error) { return fmt.Sprint(v), nil }},
		printer{"Sprintln", func(v any) (string, error) { return fmt.Sprintln(v), nil }},
		printer{"Appendf", func(v any) (string, error) { return string(fmt.Appendf(nil, "%[1]v %[1]*[1]d", v)), nil }},
		printer{"log", func(v any) (string, error) {
			var b bytes.Buffer
			l := log.New(&b, "", 0)
			l.Print(v)
			l.Printf("%d %#v", v, v)
			l.Println(v, v)
			return b.String(), nil
		}})
}

func slogPrinters() []printer {
	handlers := map[string]func(io.Writer, *slog.HandlerOptions) slog.Handler{
		"text": func(w io.Writer, o *slog.HandlerOptions) slog.Handler { return slog.NewTextHandler(w, o) },
		"JSON": func(w io.Writer, o *slog.HandlerOptions) slog.Handler { return slog.NewJSONHandler(w, o) },
	}
	var list []printer
	for name, newHandler := range handlers {
		list = append(list, printer{"slog " + name, func(v any) (string, error) {
			var b bytes.Buffer
			l := slog.New(newHandler(&b, &slog.HandlerOptions{AddSource: true}))
			l.Info("one", "key", v)
			l.With("key", v).WithGroup("group").Info("two", slog.Group("inner", slog.Any("key", v)))
			l.Info("three", v, v)
			l.Info("four", slog.Any("key", slog.AnyValue(v)))
			return b.String(), nil
		}})
	}
	return list
}

func encoders() []printer {
	return []printer{
		{"json", func(v any) (string, error) { return text(json.Marshal(v)) }},
		{"json indented", func(v any) (string, error) { return text(json.MarshalIndent(v, "", " ")) }},
		{"json encoder", func(v any) (string, error) {
			var b bytes.Buffer
			err := json.NewEncoder(&b).Encode(map[string]any{"v": v})
			return b.String(), err
		}},
		{"xml", func(v any) (string, error) { return text(xml.Marshal(v)) }},
		{"xml element", func(v any) (string, error) {
			var b bytes.Buffer
			err := xml.NewEncoder(&b).EncodeElement(v, xml.StartElement{Name: xml.Name{Local: "v"}})
			return b.String(), err
		}},
		{"xml fields", func(v any) (string, error) {
			s, ok := v.(runbook.Secret)
			if !ok {
				return "", nil
			}
			return text(xml.Marshal(struct {
				XMLName xml.Name       `xml:"v"`
				Attr    runbook.Secret `xml:"attr,attr"`
				Text    runbook.Secret `xml:",chardata"`
				Any     any            `xml:"any"`
			}{Attr: s, Text: s, Any: s}))
		}},
		{"xml comment", func(v any) (string, error) {
			return text(xml.Marshal(struct {
				Comment any `xml:",comment"`
			}{v}))
		}},
		{"xml inner", func(v any) (string, error) {
			return text(xml.Marshal(struct {
				Inner any `xml:",innerxml"`
			}{v}))
		}},
		{"gob", func(v any) (string, error) {
			var b bytes.Buffer
			err := gob.NewEncoder(&b).Encode(v)
			return b.String(), err
		}},
		{"binary", func(v any) (string, error) {
			var b bytes.Buffer
			err := binary.Write(&b, binary.LittleEndian, v)
			return b.String(), err
		}},
		{"yaml", func(v any) (string, error) { return text(yaml.Marshal(v)) }},
		{"yaml flow and JSON", func(v any) (string, error) {
			flow, err := yaml.MarshalWithOptions(v, yaml.Flow(true))
			asJSON, err2 := yaml.MarshalWithOptions(v, yaml.JSON())
			return string(flow) + string(asJSON), errors.Join(err, err2)
		}},
		{"expvar", func(v any) (string, error) { return expvar.Func(func() any { return v }).String(), nil }},
	}
}

func templates() []printer {
	execute := func(t interface{ Execute(io.Writer, any) error }, v any) (string, error) {
		var b bytes.Buffer
		err := t.Execute(&b, map[string]any{"V": v})
		return b.String(), err
	}
	const source = `{{.V}} {{print .V}} {{printf "%d %x %#v %q" .V .V .V .V}} {{with .V}}{{.}}{{end}} {{html .V}} {{js .V}} {{urlquery .V}}`
	const page = `<a href="/?q={{.V}}" title="{{.V}}" style="color: {{.V}}" onclick="f({{.V}})">{{.V}}</a><script>var v = {{.V}}; var w = "{{.V}}"</script>`
	return []printer{
		{"text/template", func(v any) (string, error) { return execute(template.Must(template.New("t").Parse(source)), v) }},
		{"html/template", func(v any) (string, error) { return execute(htmltemplate.Must(htmltemplate.New("t").Parse(page)), v) }},
	}
}

// recorder is a testing.T that keeps what assertions print.
type recorder struct{ strings.Builder }

func (r *recorder) Errorf(format string, args ...any) { fmt.Fprintf(r, format, args...) }

func dumpers() []printer {
	plain := spew.ConfigState{Indent: " ", DisableMethods: true, DisablePointerMethods: true, SpewKeys: true, MaxDepth: 20}
	methods := spew.ConfigState{Indent: " ", ContinueOnMethod: true}
	everything := cmp.Exporter(func(reflect.Type) bool { return true })
	return []printer{
		{"spew.Sdump", func(v any) (string, error) { return spew.Sdump(v), nil }},
		{"spew.Sprintf", func(v any) (string, error) { return spew.Sprintf("%v %+v %#v %#+v %d", v, v, v, v, v), nil }},
		{"spew without methods", func(v any) (string, error) { return plain.Sdump(v) + plain.Sprintf("%#+v", v), nil }},
		{"spew going on", func(v any) (string, error) { return methods.Sdump(v) + methods.Sprintf("%#+v", v), nil }},
		{"testify", func(v any) (string, error) {
			var r recorder
			assert.Equal(&r, v, "another")
			assert.Equal(&r, v, newLike(v))
			assert.EqualValues(&r, []any{v}, []any{newLike(v)})
			assert.ElementsMatch(&r, []any{v}, []any{1})
			assert.Contains(&r, []any{v}, 1)
			assert.Nil(&r, v)
			assert.Empty(&r, v)
			assert.IsType(&r, 1, v)
			assert.Len(&r, v, 77)
			return r.String(), nil
		}},
		{"cmp", func(v any) (string, error) {
			return cmp.Diff(v, "another", everything) + cmp.Diff([]any{v}, []any{newLike(v)}, everything) + cmp.Diff(nil, v, everything), nil
		}},
	}
}

// newLike returns an empty value of the type of v.
func newLike(v any) any { return reflect.Zero(reflect.TypeOf(v)).Interface() }

func printers() []printer {
	var all []printer
	for _, list := range [][]printer{fmtPrinters(), slogPrinters(), encoders(), templates(), dumpers()} {
		all = append(all, list...)
	}
	return all
}

// shows reports whether printed has secret in it, as text or as any usual
// notation of its bytes.
func shows(printed, secret string) bool {
	raw := []byte(secret)
	list := strings.Trim(fmt.Sprint(raw), "[]")
	lower := hex.EncodeToString(raw)
	forms := []string{
		secret,
		secret[:8],
		list,
		strings.ReplaceAll(list, " ", ","),
		strings.ReplaceAll(list, " ", ", "),
		lower,
		fmt.Sprintf("% x", raw),
		fmt.Sprintf("%# x", raw),
		strings.Trim(fmt.Sprintf("%#v", raw), "[]byte{}"),
		base64.RawStdEncoding.EncodeToString(raw)[:16],
		strings.Trim(fmt.Sprintf("%q", []rune(secret)), "[]"),
		strings.Trim(fmt.Sprintf("%U", []rune(secret)), "[]"),
	}
	for _, form := range forms {
		if strings.Contains(strings.ToLower(printed), strings.ToLower(form)) {
			return true
		}
	}
	return false
}

// safely runs a printer. A panic is a failure whose text counts as well.
func safely(p printer, v any) (printed string) {
	defer func() {
		if r := recover(); r != nil {
			printed += fmt.Sprint(" panic: ", r)
		}
	}()
	out, err := p.print(v)
	if err != nil {
		out += " error: " + err.Error()
	}
	return out
}

// Whatever a host prints, logs, encodes or dumps, and wherever in it the Secret
// is: its text does not come out.
func TestSecretIsNotPrinted(t *testing.T) {
	for kind, v := range carriers(runbook.NewSecret(canary)) {
		t.Run(kind, func(t *testing.T) {
			for _, p := range printers() {
				if printed := safely(p, v); shows(printed, canary) {
					t.Errorf("%s shows the secret: %s", p.name, printed)
				}
			}
		})
	}
}

// The walk above would see a leak: it does, of types that redact by methods
// alone.
func TestSecretWalkSeesLeaks(t *testing.T) {
	leaky := struct{ password redactedString }{canary}
	seen := map[string]bool{}
	for _, p := range printers() {
		seen[p.name] = shows(safely(p, leaky), canary)
	}
	for _, name := range []string{"Sprintf %v", "Sprintf %#v", "Sprintf %d", "Sprintf %x", "Sprintf % X", "slog text", "spew without methods", "testify", "text/template"} {
		assert.True(t, seen[name], "%s", name)
	}
	assert.True(t, shows(fmt.Sprint([]byte(canary)), canary))
	assert.True(t, shows(fmt.Sprintf("%#v", []byte(canary)), canary))
	assert.True(t, shows(string(must(json.Marshal([]byte(canary)))), canary))
}

type redactedString string

func (redactedString) String() string { return redacted }

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// Where methods are asked, people see why there is nothing to see, also of a
// Secret that is empty: whether it is set is nobody's business.
func TestSecretIsShownAsRedacted(t *testing.T) {
	for name, s := range map[string]runbook.Secret{"set": runbook.NewSecret(canary), "empty": {}} {
		t.Run(name, func(t *testing.T) {
			for _, verb := range "vtbcdoOqxXUeEfFgGs" {
				assert.Equal(t, redacted, fmt.Sprintf("%"+string(verb), s), "%%%c", verb)
				assert.Equal(t, redacted, fmt.Sprintf("%+#"+string(verb), &s), "%%+#%c", verb)
			}
			assert.Equal(t, "{a [redacted]}", fmt.Sprint(account{"a", s}))
			assert.JSONEq(t, `{"Name": "a", "Password": "[redacted]"}`, string(must(json.Marshal(account{"a", s}))))
			assert.JSONEq(t, `{"k": "[redacted]"}`, string(must(json.Marshal(map[string]*runbook.Secret{"k": &s}))))
			assert.Equal(t, `<account password="[redacted]"></account>`, string(must(xml.Marshal(attribute{Password: s}))))
			assert.Equal(t, "name: a\npassword: \"[redacted]\"\n", string(must(yaml.Marshal(account{"a", s}))))
			var b bytes.Buffer
			slog.New(slog.NewTextHandler(&b, nil)).Info("m", "key", s)
			assert.Contains(t, b.String(), "key=[redacted]")
		})
	}
	assert.Equal(t, "<nil>", fmt.Sprint((*runbook.Secret)(nil)))
}

func TestSecretZeroIsOmitted(t *testing.T) {
	type config struct {
		Token runbook.Secret `json:"token,omitzero"`
	}
	assert.JSONEq(t, `{}`, string(must(json.Marshal(config{}))))
	assert.JSONEq(t, `{"token": "[redacted]"}`, string(must(json.Marshal(config{runbook.NewSecret(canary)}))))
}

func TestSecretIsNotEncodedByGob(t *testing.T) {
	var b bytes.Buffer
	require.Error(t, gob.NewEncoder(&b).Encode(account{"a", runbook.NewSecret(canary)}))
	assert.False(t, shows(b.String(), canary))
}

// A file that was written with redacted secrets does not become a configuration
// whose password is "[redacted]".
func TestSecretIsNotReadBack(t *testing.T) {
	type file struct {
		Password runbook.Secret `json:"password" xml:"password" yaml:"password"`
	}
	for _, test := range []struct {
		name   string
		decode func(*file) error
	}{
		{"json", func(f *file) error { return json.Unmarshal([]byte(`{"password": "[redacted]"}`), f) }},
		{"json text", func(f *file) error { return json.Unmarshal([]byte(`{"password": "hunter2"}`), f) }},
		{"xml attribute", func(f *file) error {
			return xml.Unmarshal([]byte(`<account password="[redacted]"/>`), (*struct {
				Password runbook.Secret `xml:"password,attr"`
			})(f))
		}},
		{"yaml", func(f *file) error { return yaml.Unmarshal([]byte(`password: '[redacted]'`), f) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			var f file
			require.Error(t, test.decode(&f))
			assert.True(t, f.Password.IsZero())
		})
	}
	t.Run("xml element", func(t *testing.T) { // encoding/xml skips text that a struct has no place for
		var f file
		require.NoError(t, xml.Unmarshal([]byte(`<file><password>[redacted]</password></file>`), &f))
		assert.True(t, f.Password.IsZero())
	})
}

func TestSecretEqual(t *testing.T) {
	for _, test := range []struct {
		a, b string
		want bool
	}{
		{"", "", true},
		{"", "a", false},
		{"a", "a", true},
		{"a", "b", false},
		{"a", "a ", false},
		{"a", "A", false},
		{"a\x00", "a", false},
		{"\xff", "\xfe", false},
		{strings.Repeat("a", 1<<20), strings.Repeat("a", 1<<20), true},
		{strings.Repeat("a", 1<<20), strings.Repeat("a", 1<<20-1) + "b", false},
	} {
		a, b := runbook.NewSecret(test.a), runbook.NewSecret(test.b)
		assert.Equal(t, test.want, a.Equal(b), "%.10q and %.10q", test.a, test.b)
		assert.Equal(t, test.want, b.Equal(a), "%.10q and %.10q", test.b, test.a)
	}
	assert.True(t, runbook.Secret{}.Equal(runbook.NewSecret("")))
}

func TestSecretReveal(t *testing.T) {
	for _, text := range []string{"", "a", " a\n", "\x00", "\xff", redacted, "päss wörd"} {
		s := runbook.NewSecret(text)
		copied := s
		assert.Equal(t, text, s.Reveal())
		assert.Equal(t, text, copied.Reveal())
		assert.Equal(t, text == "", s.IsZero())
	}
	assert.Empty(t, runbook.Secret{}.Reveal())
	assert.False(t, reflect.TypeFor[runbook.Secret]().Comparable(), "== would not compare texts")
}

func TestSecretConcurrently(t *testing.T) {
	s := runbook.NewSecret(canary)
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for range 100 {
				if s.Reveal() != canary || s.IsZero() || !s.Equal(s) || fmt.Sprint(s) != redacted {
					t.Error("a Secret changed")
				}
			}
		})
	}
	wg.Wait()
}
