package lti

// ScoreTimes returns how many timestamps of scores are remembered.
func (s *Service) ScoreTimes() int {
	s.scores.mu.Lock()
	defer s.scores.mu.Unlock()
	return len(s.scores.now) + len(s.scores.old)
}
