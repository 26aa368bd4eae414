package ram

import "go.etcd.io/bbolt"

// Seed makes a role with a system policy without a request.
func (s *Service) Seed(name, trust, policy string) error {
	return s.write(func(tx *bbolt.Tx) error {
		return save(tx, rolesBucket, roleKey(name), role{
			Name: name, ID: newID(), Trust: trust, MaxSessionDuration: minSessionDuration,
			Attached: []attachment{{Type: system, Name: policy, Date: s.date()}},
		})
	})
}
