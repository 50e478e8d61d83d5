package pgdump

import "io"

// ScriptOf is what readScript found, for tests.
type ScriptOf struct {
	Server, Dump string
	Drops        []string
	Tables       []TableRows
	LargeObjects int64
	Complete     bool
	Names        []TableName
}

// ReadScript exports readScript.
func ReadScript(r io.Reader) (ScriptOf, error) {
	s, err := readScript(r)
	if err != nil {
		return ScriptOf{}, err
	}
	return ScriptOf{s.server, s.dump, s.drops, s.tables, s.largeObjects, s.complete, s.tableNames()}, nil
}

// MaxLine exports maxLine.
const MaxLine = maxLine
