// Package requirements lists what the project must do, each with an id, so
// that nothing which was once found out is quietly forgotten: the sections and
// commands of the operations runbook, defects of comparable libraries, traps
// of the systems that are talked to, rows of certifications.
//
// The lists are the Markdown files beside this one, one for each area. A row
// has an id, a sentence that says what must hold, and a third cell:
//
//   - It is empty if a test shows that the sentence holds. The test says so by
//     a line "Requirement: ID[, ID]" in the doc comment of its Test, Fuzz or
//     Example function.
//   - Otherwise it says why nothing shows it yet.
//
// The test of this package holds both against each other: see [Check].
package requirements

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"strings"
)

// Lists holds the lists of this project, for [Parse].
//
//go:embed *.md
var Lists embed.FS

// An Area is one list: a file, and what the ids in it start with.
type Area struct {
	// Name is the name of the file without its ending.
	Name string
	// Prefix is what the ids of the area start with, without the hyphen.
	Prefix string
}

// Areas returns all areas, in the order in which they are reported.
func Areas() []Area {
	return []Area{
		{Name: "runbook", Prefix: "RB"},
		{Name: "health", Prefix: "HL"},
		{Name: "alert", Prefix: "AL"},
		{Name: "incident", Prefix: "INC"},
		{Name: "canvas", Prefix: "CV"},
		{Name: "lti", Prefix: "LTI"},
		{Name: "railway", Prefix: "RW"},
	}
}

// A Requirement is one row of a list.
type Requirement struct {
	// ID names the requirement: "HL-PEER-ALEX-HANGUP". It is never used for
	// anything else, also after the requirement has gone.
	ID string
	// Area is the name of the list that the row is in.
	Area string
	// Text is the sentence that says what must hold.
	Text string
	// Reason says why no test shows it yet. It is empty if one does.
	Reason string
	// Line is where the row is in its file, from 1.
	Line int
}

// header is the first row of each table.
const header = "| ID | What must hold | Not shown yet because |"

var (
	idPattern    = regexp.MustCompile(`^[A-Z]+(-[A-Z0-9]+)+$`)
	rulerPattern = regexp.MustCompile(`^\|( *-{3,} *\|){3}$`)
)

// Parse reads the lists of all areas from the Markdown files in the root of a
// file system. It returns the rows in the order of [Areas] and of the files,
// and an error that has every problem: a list that is missing or has no rows,
// a file that is no area's, a malformed row, an id that is taken or of another
// area.
func Parse(lists fs.FS) ([]Requirement, error) {
	var all []Requirement
	var problems []error
	files := make(map[string]bool)
	seen := make(map[string]string)
	for _, area := range Areas() {
		name := area.Name + ".md"
		files[name] = true
		data, err := fs.ReadFile(lists, name)
		if err != nil {
			problems = append(problems, err)
			continue
		}
		rows, errs := parseList(area, string(data))
		problems = append(problems, errs...)
		if len(rows) == 0 {
			problems = append(problems, fmt.Errorf("%s: no rows", name))
		}
		for _, r := range rows {
			position := fmt.Sprintf("%s:%d", name, r.Line)
			if first, taken := seen[r.ID]; taken {
				problems = append(problems, fmt.Errorf("%s: %s is taken by %s", position, r.ID, first))
				continue
			}
			seen[r.ID] = position
			all = append(all, r)
		}
	}
	found, err := fs.Glob(lists, "*.md")
	if err != nil {
		problems = append(problems, err)
	}
	for _, name := range found {
		if !files[path.Base(name)] {
			problems = append(problems, fmt.Errorf("%s: not the list of an area", name))
		}
	}
	return all, errors.Join(problems...)
}

// parseList reads one list. Each table starts with the header and a ruler;
// between tables there is any other text that cannot be taken for a row.
func parseList(area Area, text string) (rows []Requirement, problems []error) {
	const (
		outside = iota
		afterHeader
		inside
	)
	state := outside
	for i, line := range strings.Split(text, "\n") {
		fail := func(format string, args ...any) {
			problems = append(problems, fmt.Errorf("%s.md:%d: %s", area.Name, i+1, fmt.Sprintf(format, args...)))
		}
		switch {
		case !strings.HasPrefix(line, "|"):
			if strings.Contains(line, "|") {
				fail("a row has to start with |")
			}
			if state == afterHeader {
				fail("no ruler under the header of the table")
			}
			state = outside
		case state == outside:
			if line != header {
				fail("a table has to start with %q", header)
			}
			state = afterHeader
		case state == afterHeader:
			if !rulerPattern.MatchString(line) {
				fail("no ruler under the header of the table")
			}
			state = inside
		default:
			r, err := parseRow(area, line)
			if err != nil {
				fail("%v", err)
				continue
			}
			r.Line = i + 1
			rows = append(rows, r)
		}
	}
	return rows, problems
}

// parseRow reads one row of a table. A cell cannot contain a vertical bar.
func parseRow(area Area, line string) (Requirement, error) {
	inner, closed := strings.CutSuffix(strings.TrimPrefix(line, "|"), "|")
	cells := strings.Split(inner, "|")
	if !closed || len(cells) != 3 {
		return Requirement{}, errors.New("a row has three cells and ends with |")
	}
	r := Requirement{
		ID:     strings.TrimSpace(cells[0]),
		Area:   area.Name,
		Text:   strings.TrimSpace(cells[1]),
		Reason: strings.TrimSpace(cells[2]),
	}
	switch {
	case !idPattern.MatchString(r.ID):
		return r, fmt.Errorf("%q is not an id: upper-case words and numbers joined by hyphens", r.ID)
	case !strings.HasPrefix(r.ID, area.Prefix+"-"):
		return r, fmt.Errorf("%s: ids of this list start with %s-", r.ID, area.Prefix)
	case !strings.HasSuffix(r.Text, "."):
		return r, fmt.Errorf("%s: the second cell has to be a sentence that ends with a full stop", r.ID)
	}
	return r, nil
}
