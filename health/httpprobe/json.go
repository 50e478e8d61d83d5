package httpprobe

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// A kind is what was found at a path.
type kind uint8

const (
	absent kind = iota
	null
	boolean
	number
	text
	list
	object
	ambiguous // the key is there more than once
)

// String returns the kind with its article.
func (k kind) String() string {
	return [...]string{"missing", "null", "a boolean", "a number", "text", "a list", "an object", "there more than once"}[k]
}

// A value is what was found at a path.
type value struct {
	kind kind
	text string // of a boolean, number or text
}

// A node is a place in a JSON body that some path leads to or through. The
// nodes of all paths of a probe form a tree, so that a body is read once and
// only what is asked for is kept.
type node struct {
	id     int
	step   step
	parent *node
	keys   map[string]*node
	items  map[int]*node
}

// A tree is the paths of one probe.
type tree struct {
	root  *node
	nodes int
}

func newTree() *tree { return &tree{root: &node{}, nodes: 1} }

// add returns the node of a path, which is made if it is new.
func (t *tree) add(steps []step) *node {
	at := t.root
	for _, s := range steps {
		next := at.keys[s.key]
		if s.index >= 0 {
			next = at.items[s.index]
		}
		if next == nil {
			next = &node{id: t.nodes, step: s, parent: at}
			t.nodes++
			at.attach(next)
		}
		at = next
	}
	return at
}

func (n *node) attach(child *node) {
	if child.step.index >= 0 {
		if n.items == nil {
			n.items = make(map[int]*node)
		}
		n.items[child.step.index] = child
		return
	}
	if n.keys == nil {
		n.keys = make(map[string]*node)
	}
	n.keys[child.step.key] = child
}

// String returns the path of the node.
func (n *node) String() string {
	var steps []string
	for at := n; at.parent != nil; at = at.parent {
		steps = append(steps, at.step.String())
	}
	if len(steps) == 0 {
		return "."
	}
	var b strings.Builder
	for i := len(steps) - 1; i >= 0; i-- {
		b.WriteString(steps[i])
	}
	if path := b.String(); path[0] != '[' {
		return path
	}
	return "." + b.String()
}

// A document is a JSON body as far as a tree asks for it.
type document struct {
	values []value // by id of the node
}

// at returns the value at a node.
func (d document) at(n *node) value { return d.values[n.id] }

// why says why there is no usable value at n: it is missing, null or there
// more than once, or something on the way to it is.
func (d document) why(n *node) string {
	var way []*node // from n up to below the root
	for at := n; at.parent != nil; at = at.parent {
		way = append(way, at)
	}
	for i := len(way) - 1; i >= 0; i-- {
		at := way[i]
		switch k := d.at(at.parent).kind; {
		case k != at.container():
			return fmt.Sprintf("%v is missing: %v is %v", n, at.parent, k)
		case d.at(at).kind == absent && at != n:
			return fmt.Sprintf("%v is missing: there is no %v", n, at)
		}
	}
	return fmt.Sprintf("%v is %v", n, d.at(n).kind)
}

// container returns the kind of value that holds the node.
func (n *node) container() kind {
	if n.step.index >= 0 {
		return list
	}
	return object
}

// read reads the values of the tree from body. The error names the place of a
// syntax error and shows nothing of the body.
func (t *tree) read(body []byte) (document, error) {
	body = bytes.TrimPrefix(body, []byte("\ufeff"))
	// A check of the whole first: the walk below may then skip, and nesting is
	// bounded.
	if !json.Valid(body) {
		var whole json.RawMessage
		return document{}, syntaxError(body, json.Unmarshal(body, &whole))
	}
	d := document{values: make([]value, t.nodes)}
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	w := walk{dec: dec, doc: d}
	if err := w.value(t.root); err != nil {
		return document{}, syntaxError(body, err)
	}
	return d, nil
}

func syntaxError(body []byte, err error) error {
	e, ok := errors.AsType[*json.SyntaxError](err)
	switch {
	case !ok:
		return errors.New("is not valid JSON")
	case e.Offset >= int64(len(body)) && strings.HasPrefix(e.Error(), "unexpected end"):
		return fmt.Errorf("is not complete JSON: it ends after byte %d", len(body))
	}
	return fmt.Errorf("is not valid JSON: error at byte %d", e.Offset)
}

// A walk goes once through a valid body.
type walk struct {
	dec  *json.Decoder
	doc  document
	skip json.RawMessage // reused
}

// value reads the next value, which is at n; nil if nobody asks for it.
func (w *walk) value(n *node) error {
	if n == nil {
		return w.dec.Decode(&w.skip)
	}
	token, err := w.dec.Token()
	if err != nil {
		return err
	}
	v := &w.doc.values[n.id]
	if v.kind != absent {
		// The same key again: which one counts is anybody's guess.
		w.forget(n)
		v.kind = ambiguous
		return w.rest(token)
	}
	switch t := token.(type) {
	case nil:
		v.kind = null
	case bool:
		v.kind, v.text = boolean, fmt.Sprint(t)
	case json.Number:
		v.kind, v.text = number, t.String()
	case string:
		v.kind, v.text = text, t
	case json.Delim:
		if t == '[' {
			v.kind = list
			return w.list(n)
		}
		v.kind = object
		return w.object(n)
	}
	return nil
}

func (w *walk) object(n *node) error {
	for w.dec.More() {
		key, err := w.dec.Token()
		if err != nil {
			return err
		}
		name, _ := key.(string)
		if err := w.value(n.keys[name]); err != nil {
			return err
		}
	}
	_, err := w.dec.Token()
	return err
}

func (w *walk) list(n *node) error {
	for i := 0; w.dec.More(); i++ {
		if err := w.value(n.items[i]); err != nil {
			return err
		}
	}
	_, err := w.dec.Token()
	return err
}

// forget drops what was found at n and beneath it.
func (w *walk) forget(n *node) {
	w.doc.values[n.id] = value{}
	for _, child := range n.keys {
		w.forget(child)
	}
	for _, child := range n.items {
		w.forget(child)
	}
}

// rest skips what remains of the value that begins with token.
func (w *walk) rest(token json.Token) error {
	for depth := 0; ; {
		switch token {
		case json.Delim('['), json.Delim('{'):
			depth++
		case json.Delim(']'), json.Delim('}'):
			depth--
		}
		if depth == 0 {
			return nil
		}
		var err error
		if token, err = w.dec.Token(); err != nil {
			return err
		}
	}
}
