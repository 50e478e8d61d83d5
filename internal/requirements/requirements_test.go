package requirements_test

import (
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/internal/requirements"
)

// TestEveryRequirementIsShownOrSaysWhyNot is the check of this project. Run it
// with -v for the number of requirements in each area.
func TestEveryRequirementIsShownOrSaysWhyNot(t *testing.T) {
	const root = "../.."
	_, err := os.Stat(root + "/go.mod")
	require.NoError(t, err, "the root of the module is not where it is expected")

	rows, err := requirements.Parse(requirements.Lists)
	require.NoError(t, err)
	mentions, err := requirements.Scan(os.DirFS(root))
	require.NoError(t, err)

	for _, tally := range requirements.Summary(rows, mentions) {
		t.Logf("%-9s %3d shown, %3d not yet", tally.Area.Name, tally.Shown, tally.Open)
	}
	assert.NoError(t, requirements.Check(rows, mentions))
}

// head is the start of each table.
const head = "| ID | What must hold | Not shown yet because |\n|---|---|---|\n"

// lists returns a file system that has a list of one row for each area, with
// the health list replaced by the given text.
func lists(health string) fstest.MapFS {
	files := make(fstest.MapFS)
	for _, area := range requirements.Areas() {
		text := head + "| " + area.Prefix + "-A | It holds. | later |\n"
		if area.Name == "health" {
			text = health
		}
		files[area.Name+".md"] = &fstest.MapFile{Data: []byte(text)}
	}
	return files
}

func TestParseReadsEveryTable(t *testing.T) {
	text := "# Health\n\nSome words.\n\n" + head +
		"| HL-ONE | The first holds. | being built |\n\n## More\n\n" + head +
		"| HL-TWO-2 | The second holds (RFC 2606, section 3). | |\n"

	rows, err := requirements.Parse(lists(text))

	require.NoError(t, err)
	var health []requirements.Requirement
	for _, r := range rows {
		if r.Area == "health" {
			health = append(health, r)
		}
	}
	assert.Len(t, rows, len(requirements.Areas())+1)
	assert.Empty(t, cmp.Diff([]requirements.Requirement{
		{ID: "HL-ONE", Area: "health", Text: "The first holds.", Reason: "being built", Line: 7},
		{ID: "HL-TWO-2", Area: "health", Text: "The second holds (RFC 2606, section 3).", Line: 13},
	}, health))
}

func TestParseRefuses(t *testing.T) {
	tests := map[string]struct {
		health string
		want   string
	}{
		"no rows":              {"# Health\n", "health.md: no rows"},
		"duplicate id":         {head + "| HL-A | It holds. | x |\n| HL-A | It holds. | x |\n", "health.md:4: HL-A is taken by health.md:3"},
		"other area":           {head + "| CV-B | It holds. | x |\n", "health.md:3: CV-B: ids of this list start with HL-"},
		"lower-case id":        {head + "| HL-b | It holds. | x |\n", `health.md:3: "HL-b" is not an id`},
		"empty id":             {head + "| | It holds. | x |\n", `health.md:3: "" is not an id`},
		"no sentence":          {head + "| HL-A | it | x |\n", "health.md:3: HL-A: the second cell has to be a sentence"},
		"empty sentence":       {head + "| HL-A | | x |\n", "health.md:3: HL-A: the second cell has to be a sentence"},
		"two cells":            {head + "| HL-A | It holds. |\n", "health.md:3: a row has three cells"},
		"four cells":           {head + "| HL-A | It holds. | x | y |\n", "health.md:3: a row has three cells"},
		"row not closed":       {head + "| HL-A | It holds. | x\n", "health.md:3: a row has three cells"},
		"row not opened":       {head + "HL-A | It holds. | x |\n", "health.md:3: a row has to start with |"},
		"indented row":         {head + " | HL-A | It holds. | x |\n", "health.md:3: a row has to start with |"},
		"other header":         {"| ID | Text | Why |\n|---|---|---|\n| HL-A | It holds. | x |\n", "health.md:1: a table has to start with"},
		"no header":            {"| HL-A | It holds. | x |\n", "health.md:1: a table has to start with"},
		"no ruler":             {"| ID | What must hold | Not shown yet because |\n| HL-A | It holds. | x |\n", "health.md:2: no ruler"},
		"header and no table":  {"| ID | What must hold | Not shown yet because |\n\nwords\n", "health.md:2: no ruler"},
		"ruler of two columns": {"| ID | What must hold | Not shown yet because |\n|---|---|\n", "health.md:2: no ruler"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := requirements.Parse(lists(test.health))
			assert.ErrorContains(t, err, test.want)
		})
	}
}

func TestParseRefusesMissingAndForeignFiles(t *testing.T) {
	files := lists(head + "| HL-A | It holds. | x |\n")
	delete(files, "canvas.md")
	files["notes.md"] = &fstest.MapFile{Data: []byte("words\n")}

	_, err := requirements.Parse(files)

	assert.ErrorContains(t, err, "canvas.md")
	assert.ErrorContains(t, err, "notes.md: not the list of an area")
}

// source returns Go source text in which § stands for the mark of a comment,
// so that the lines of fixtures are not taken for lines of this file.
func source(text string) *fstest.MapFile {
	return &fstest.MapFile{Data: []byte("package x\n\n" + strings.ReplaceAll(text, "§", "//"))}
}

func TestScanFindsWhatTestsName(t *testing.T) {
	module := fstest.MapFS{
		"go.mod":      {Data: []byte("module x\n")},
		"a_test.go":   source("§ TestA tests.\n§ Requirement: HL-A, HL-B\nfunc TestA(t *testing.T) {}\n"),
		"b/b_test.go": source("/*\nFuzzB fuzzes.\nRequirement: HL-C\n*/\nfunc FuzzB(f *testing.F) {}\n"),
		"c/c_test.go": source("§ Requirement: HL-D\n§ Requirement: HL-E\nfunc Example() {\n\t§ Output: 1\n}\n\n" +
			"§ Requirement: HL-F\nfunc ExampleX_second() {\n\t§ Output:\n}\n"),
		"d/d.go":                     source("§ Requirement: HL-NOT-A-TEST-FILE\nfunc TestD() {}\n"),
		"e/testdata/e_test.go":       source("§ Requirement: HL-TESTDATA\nfunc TestE() {}\n"),
		".git/e_test.go":             source("§ Requirement: HL-HIDDEN\nfunc TestE() {}\n"),
		"_old/e_test.go":             source("§ Requirement: HL-IGNORED\nfunc TestE() {}\n"),
		"other/go.mod":               {Data: []byte("module y\n")},
		"other/f_test.go":            source("§ Requirement: HL-OTHER-MODULE\nfunc TestF() {}\n"),
		"internal/e2e/go.mod":        {Data: []byte("module z\n")},
		"internal/e2e/g_test.go":     source("§ Requirement: HL-G\nfunc TestG(t *testing.T) {}\n"),
		"internal/peers/go.mod":      {Data: []byte("module w\n")},
		"internal/peers/x/h_test.go": source("§ Requirement: HL-H\nfunc Test_h(t *testing.T) {}\n"),
		"quiet/i_test.go":            source("§ The requirement: nothing here names one.\nfunc TestI(t *testing.T) {}\n"),
	}

	mentions, err := requirements.Scan(module)

	require.NoError(t, err)
	assert.Empty(t, cmp.Diff([]requirements.Mention{
		{ID: "HL-A", Func: "TestA", Position: "a_test.go:4"},
		{ID: "HL-B", Func: "TestA", Position: "a_test.go:4"},
		{ID: "HL-C", Func: "FuzzB", Position: "b/b_test.go:5"},
		{ID: "HL-D", Func: "Example", Position: "c/c_test.go:3"},
		{ID: "HL-E", Func: "Example", Position: "c/c_test.go:4"},
		{ID: "HL-F", Func: "ExampleX_second", Position: "c/c_test.go:9"},
		{ID: "HL-G", Func: "TestG", Position: "internal/e2e/g_test.go:3"},
		{ID: "HL-H", Func: "Test_h", Position: "internal/peers/x/h_test.go:3"},
	}, mentions))
}

func TestScanRefuses(t *testing.T) {
	tests := map[string]struct {
		source string
		want   string
	}{
		"helper":                 {"§ Requirement: HL-A\nfunc help(t *testing.T) {}\n", "not in the doc comment"},
		"benchmark":              {"§ Requirement: HL-A\nfunc BenchmarkA(b *testing.B) {}\n", "not in the doc comment"},
		"main":                   {"§ Requirement: HL-A\nfunc TestMain(m *testing.M) {}\n", "not in the doc comment"},
		"method":                 {"§ Requirement: HL-A\nfunc (s suite) TestA(t *testing.T) {}\n", "not in the doc comment"},
		"lower-case name":        {"§ Requirement: HL-A\nfunc Testing(t *testing.T) {}\n", "not in the doc comment"},
		"inside a test":          {"func TestA(t *testing.T) {\n\t§ Requirement: HL-A\n}\n", "x_test.go:4: "},
		"detached comment":       {"§ Requirement: HL-A\n\nfunc TestA(t *testing.T) {}\n", "not in the doc comment"},
		"example without output": {"§ Requirement: HL-A\nfunc ExampleA() {}\n", "never run"},
		"no id":                  {"§ Requirement:\nfunc TestA(t *testing.T) {}\n", "has to be written"},
		"plural":                 {"§ Requirements: HL-A\nfunc TestA(t *testing.T) {}\n", "has to be written"},
		"lower case":             {"§ requirement: HL-A\nfunc TestA(t *testing.T) {}\n", "has to be written"},
		"no comma":               {"§ Requirement: HL-A HL-B\nfunc TestA(t *testing.T) {}\n", `"HL-A HL-B" is not an id`},
		"comma at the end":       {"§ Requirement: HL-A,\nfunc TestA(t *testing.T) {}\n", `"" is not an id`},
		"full stop":              {"§ Requirement: HL-A.\nfunc TestA(t *testing.T) {}\n", `"HL-A." is not an id`},
		"not Go":                 {"func {\n", "x_test.go:3"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			mentions, err := requirements.Scan(fstest.MapFS{"x_test.go": source(test.source)})
			assert.ErrorContains(t, err, test.want)
			assert.Empty(t, mentions)
		})
	}
}

func TestCheck(t *testing.T) {
	row := func(id, reason string) requirements.Requirement {
		return requirements.Requirement{ID: id, Area: "health", Text: "It holds.", Reason: reason, Line: 9}
	}
	mention := func(id string) requirements.Mention {
		return requirements.Mention{ID: id, Func: "TestX", Position: "x_test.go:1"}
	}
	tests := map[string]struct {
		rows     []requirements.Requirement
		mentions []requirements.Mention
		want     string
	}{
		"shown":                 {[]requirements.Requirement{row("HL-A", "")}, []requirements.Mention{mention("HL-A")}, ""},
		"shown twice":           {[]requirements.Requirement{row("HL-A", "")}, []requirements.Mention{mention("HL-A"), mention("HL-A")}, ""},
		"says why not":          {[]requirements.Requirement{row("HL-A", "later")}, nil, ""},
		"neither":               {[]requirements.Requirement{row("HL-A", "")}, nil, "health.md:9: no test names HL-A, and the row does not say why"},
		"stale reason":          {[]requirements.Requirement{row("HL-A", "later")}, []requirements.Mention{mention("HL-A")}, "health.md:9: HL-A is shown by TestX (x_test.go:1)"},
		"unknown id":            {[]requirements.Requirement{row("HL-A", "later")}, []requirements.Mention{mention("HL-B")}, "x_test.go:1: TestX names HL-B, which is in no list"},
		"every problem is told": {[]requirements.Requirement{row("HL-A", ""), row("HL-C", "")}, []requirements.Mention{mention("HL-B")}, "HL-C"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			err := requirements.Check(test.rows, test.mentions)
			if test.want == "" {
				assert.NoError(t, err)
				return
			}
			assert.ErrorContains(t, err, test.want)
		})
	}
}

func TestSummaryCountsShownAndOpen(t *testing.T) {
	rows := []requirements.Requirement{
		{ID: "HL-A", Area: "health"}, {ID: "HL-B", Area: "health", Reason: "later"}, {ID: "CV-A", Area: "canvas", Reason: "later"},
	}
	mentions := []requirements.Mention{{ID: "HL-A"}, {ID: "HL-A"}}

	got := requirements.Summary(rows, mentions)

	nonZero := cmpopts.IgnoreSliceElements(func(tally requirements.Tally) bool { return tally.Shown+tally.Open == 0 })
	assert.Len(t, got, len(requirements.Areas()))
	assert.Empty(t, cmp.Diff([]requirements.Tally{
		{Area: requirements.Area{Name: "health", Prefix: "HL"}, Shown: 1, Open: 1},
		{Area: requirements.Area{Name: "canvas", Prefix: "CV"}, Open: 1},
	}, got, nonZero))
}
