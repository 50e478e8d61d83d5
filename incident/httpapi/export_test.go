package httpapi

import "reflect"

// Decode reads a body for a run that is started, as the handler does.
func Decode(text []byte) *Problem {
	s, err := body(reflect.TypeFor[startBody]())
	if err != nil {
		return newProblem(codeInternal, "%v", err)
	}
	var b startBody
	return decode(text, s, &b)
}
