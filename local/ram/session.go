package ram

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"time"

	"go.etcd.io/bbolt"

	"ecs-image-export/local/identity"
)

// keepExpired is how long temporary credentials are kept after their end, so
// that who still uses them is told that they expired rather than that they
// never were.
const keepExpired = time.Hour

// session is a role that somebody has taken for a while.
type session struct {
	Secret, Token string
	Expires       time.Time
	RoleKey       string
	RoleID        string // a role that is made again is not the same
	RoleName      string
	Name          string
	Policy        string // what it is limited to; empty for no limit
}

func (s *Service) newSession(taken role, name, policy string, d time.Duration) (identity.Credentials, error) {
	made := session{
		Secret: randomText(44),
		// Real tokens begin so, and hold characters that have to be encoded.
		Token:    "CAIS" + randomBase64(384),
		Expires:  s.now().Add(d).UTC().Truncate(time.Second),
		RoleKey:  roleKey(taken.Name),
		RoleID:   taken.ID,
		RoleName: taken.Name,
		Name:     name,
		Policy:   policy,
	}
	key := "STS." + randomText(25)
	err := s.db.Update(func(tx *bbolt.Tx) error {
		if err := s.sweep(tx); err != nil {
			return err
		}
		return save(tx, sessionsBucket, key, made)
	})
	if err != nil {
		return identity.Credentials{}, fmt.Errorf("keep session of role %s: %w", taken.Name, err)
	}
	return identity.Credentials{AccessKeyID: key, AccessKeySecret: made.Secret, SecurityToken: made.Token, Expiration: made.Expires}, nil
}

// sweep removes what expired long ago, at most once a minute.
func (s *Service) sweep(tx *bbolt.Tx) error {
	now := s.now()
	s.mu.Lock()
	due := !now.Before(s.nextSweep)
	if due {
		s.nextSweep = now.Add(time.Minute)
	}
	s.mu.Unlock()
	if !due {
		return nil
	}
	var old []string
	b := tx.Bucket(sessionsBucket)
	err := b.ForEach(func(k, _ []byte) error {
		found, _, err := load[session](tx, sessionsBucket, string(k))
		if now.Sub(found.Expires) > keepExpired {
			old = append(old, string(k))
		}
		return err
	})
	if err != nil {
		return err
	}
	for _, k := range old {
		if err := b.Delete([]byte(k)); err != nil {
			return err
		}
		s.mu.Lock()
		delete(s.known, k)
		s.mu.Unlock()
	}
	return nil
}

func randomText(n int) string {
	const alphabet = "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz123456789"
	b := make([]byte, n)
	rand.Read(b) // never returns an error
	for i := range b {
		b[i] = alphabet[int(b[i])%len(alphabet)]
	}
	return string(b)
}

func randomBase64(n int) string {
	b := make([]byte, n)
	rand.Read(b)
	return base64.StdEncoding.EncodeToString(b)
}
