package ecs

import "go.etcd.io/bbolt"

// BreakStore lets nothing be stored, as on a full disk, until it is mended.
func BreakStore(s *Service) (mend func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	db := s.db
	s.db = new(bbolt.DB) // one that is not open
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.db = db
	}
}
