package requirements

import (
	"errors"
	"fmt"
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// A Mention is a requirement that a test names.
type Mention struct {
	// ID is the id as the test has it.
	ID string
	// Func is the name of the Test, Fuzz or Example function.
	Func string
	// Position is where the line is: "health/monitor_test.go:31".
	Position string
}

// nestedModuleIsOurs reports whether the tests of a nested module count. Only
// those of modules that are never released and exist to test this one do.
func nestedModuleIsOurs(dir string) bool {
	return dir == "internal/e2e" || dir == "internal/peers"
}

// mentionPattern matches a comment line that names requirements, or that was
// meant to.
var mentionPattern = regexp.MustCompile(`(?i)^requirements?\s*:\s*(.*)$`)

// Scan reads the test files of the module whose root is given, and returns the
// requirements that its tests name. Folders called testdata or vendor, folders
// that the go command ignores, and other modules are left out.
//
// The error has every problem: a file that cannot be parsed, a line that is
// misspelt, that is not in the doc comment of a Test, Fuzz or Example function
// and so would count for nothing, or that is on an example without checked
// output, which is compiled but never run.
func Scan(module fs.FS) ([]Mention, error) {
	var mentions []Mention
	var problems []error
	err := fs.WalkDir(module, ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir():
			if name != "." && isOutside(module, name) {
				return fs.SkipDir
			}
		case strings.HasSuffix(name, "_test.go"):
			found, errs := scanFile(module, name)
			mentions = append(mentions, found...)
			problems = append(problems, errs...)
		}
		return nil
	})
	return mentions, errors.Join(append(problems, err)...)
}

// isOutside reports whether the tests of a folder are not tests of the module.
func isOutside(module fs.FS, dir string) bool {
	base := path.Base(dir)
	if base == "testdata" || base == "vendor" || strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_") {
		return true
	}
	_, err := fs.Stat(module, dir+"/go.mod")
	return err == nil && !nestedModuleIsOurs(dir)
}

// scanFile returns what the tests in one file name.
func scanFile(module fs.FS, name string) (mentions []Mention, problems []error) {
	src, err := fs.ReadFile(module, name)
	if err != nil {
		return nil, []error{err}
	}
	positions := token.NewFileSet()
	file, err := parser.ParseFile(positions, name, src, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return nil, []error{err}
	}
	tests := testsByDoc(file)
	for _, group := range file.Comments {
		test := tests[group]
		for _, comment := range group.List {
			for line, text := range commentLines(comment.Text) {
				match := mentionPattern.FindStringSubmatch(text)
				if match == nil {
					continue
				}
				position := fmt.Sprintf("%s:%d", name, positions.Position(comment.Pos()).Line+line)
				ids, err := parseMention(test, text, match[1])
				if err != nil {
					problems = append(problems, fmt.Errorf("%s: %w", position, err))
				}
				for _, id := range ids {
					mentions = append(mentions, Mention{ID: id, Func: test.name, Position: position})
				}
			}
		}
	}
	return mentions, problems
}

// commentLines returns the lines of a comment without its marks.
func commentLines(comment string) []string {
	comment = strings.TrimPrefix(comment, "//")
	if block, ok := strings.CutPrefix(comment, "/*"); ok {
		comment = strings.TrimSuffix(block, "*/")
	}
	lines := strings.Split(comment, "\n")
	for i := range lines {
		lines[i] = strings.TrimSpace(lines[i])
	}
	return lines
}

// parseMention returns the ids of a line that is in the doc comment of a test.
func parseMention(test testFunc, text, ids string) ([]string, error) {
	switch {
	case test.name == "":
		return nil, fmt.Errorf("%q is not in the doc comment of a Test, Fuzz or Example function", text)
	case test.unchecked:
		return nil, fmt.Errorf("%s has no checked output and so is never run: it shows nothing", test.name)
	case !strings.HasPrefix(text, "Requirement: "):
		return nil, fmt.Errorf("%q has to be written \"Requirement: ID[, ID]\"", text)
	}
	var good []string
	for id := range strings.SplitSeq(ids, ",") {
		id = strings.TrimSpace(id)
		if !idPattern.MatchString(id) {
			return nil, fmt.Errorf("%s: %q is not an id", test.name, id)
		}
		good = append(good, id)
	}
	return good, nil
}

// A testFunc is a function that go test runs, or nearly.
type testFunc struct {
	name string
	// unchecked is true for an example without an output comment.
	unchecked bool
}

// testsByDoc returns the test functions of a file by their doc comments.
func testsByDoc(file *ast.File) map[*ast.CommentGroup]testFunc {
	checked := make(map[string]bool)
	for _, example := range doc.Examples(file) {
		if example.Output != "" || example.EmptyOutput {
			checked["Example"+example.Name] = true
		}
	}
	tests := make(map[*ast.CommentGroup]testFunc)
	for _, decl := range file.Decls {
		f, ok := decl.(*ast.FuncDecl)
		if !ok || f.Recv != nil || f.Doc == nil || !isTest(f.Name.Name) {
			continue
		}
		name := f.Name.Name
		tests[f.Doc] = testFunc{name: name, unchecked: strings.HasPrefix(name, "Example") && !checked[name]}
	}
	return tests
}

// isTest reports whether the go command takes a function of this name for a
// test, a fuzz target or an example. TestMain is none: it shows nothing.
func isTest(name string) bool {
	if name == "TestMain" {
		return false
	}
	for _, prefix := range []string{"Test", "Fuzz", "Example"} {
		if rest, ok := strings.CutPrefix(name, prefix); ok {
			r, _ := utf8.DecodeRuneInString(rest)
			return rest == "" || !unicode.IsLower(r)
		}
	}
	return false
}
