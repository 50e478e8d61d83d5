package config

import (
	"errors"
	"io/fs"
	"reflect"
	"regexp"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"go.acu.edu.au/runbook"
)

// variableForm is what the name of an environment variable looks like. Lower
// case is not allowed, because a pasted token often is, and the name is shown.
var variableForm = regexp.MustCompile(`^[A-Z][A-Z0-9_]{0,63}$`)

// secretWanted says what a secret looks like, and nothing of what was found.
const secretWanted = "a secret must not be in the file: write {env: NAME_OF_A_VARIABLE} or {file: /path}"

// secret resolves a reference. The key named wrongly, and the text found, may
// both be a secret, so neither is in a message.
func (d *decoder) secret(path string, node ast.Node, out reflect.Value) {
	kind, target, ok := reference(node)
	if !ok {
		d.wrong(node, path, secretWanted)
		return
	}
	var text string
	switch kind {
	case "env":
		if !variableForm.MatchString(target) {
			d.wrong(node, path, "env must be the name of an environment variable (capitals, digits, _)")
			return
		}
		if d.source.Getenv != nil {
			text = d.source.Getenv(target)
		}
		if text == "" {
			d.wrong(node, path, "the environment variable "+target+" is not set")
			return
		}
	case "file":
		if d.source.ReadFile == nil {
			d.wrong(node, path, "files cannot be referred to here; use {env: NAME_OF_A_VARIABLE}")
			return
		}
		content, err := d.source.ReadFile(target)
		if err != nil {
			d.wrong(node, path, withoutValue("the file cannot be read: "+reason(err), target))
			return
		}
		text = strings.TrimSuffix(strings.TrimSuffix(string(content), "\n"), "\r")
		if text == "" {
			d.wrong(node, path, "the file is empty")
			return
		}
	}
	out.Set(reflect.ValueOf(runbook.NewSecret(text)))
}

// reference returns what {env: NAME} or {file: PATH} says.
func reference(node ast.Node) (kind, target string, ok bool) {
	var pair *ast.MappingValueNode
	switch n := node.(type) {
	case *ast.MappingNode:
		if len(n.Values) != 1 {
			return "", "", false
		}
		pair = n.Values[0]
	case *ast.MappingValueNode:
		pair = n
	default:
		return "", "", false
	}
	kind, _ = keyName(pair.Key)
	target, ok = stringOf(pair.Value)
	return kind, target, ok && target != "" && (kind == "env" || kind == "file")
}

// reason returns why a file could not be read, without its path.
func reason(err error) string {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err.Error()
	}
	return err.Error()
}
