package railwaytest

// Object is a value with fields.
type Object = object

// Play makes a field of Query a value, for tests of what happens to it.
func (s *Server) Play(field string, value any) {
	defer s.lock()()
	s.query[field] = func(*request, args) (any, error) { return value, nil }
}
