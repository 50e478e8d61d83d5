package httpprobe

import "fmt"

// ParsePath returns the path as it is understood, for tests.
func ParsePath(path string) (string, error) {
	steps, err := parsePath(path)
	if err != nil {
		return "", err
	}
	return newTree().add(steps).String(), nil
}

// Lookup returns the kind and the text of the value at a path, for tests.
func Lookup(body []byte, path string) (kind, text, why string, err error) {
	steps, err := parsePath(path)
	if err != nil {
		return "", "", "", err
	}
	t := newTree()
	n := t.add(steps)
	d, err := t.read(body)
	if err != nil {
		return "", "", "", err
	}
	v := d.at(n)
	return fmt.Sprint(v.kind), v.text, d.why(n), nil
}
