// Package ram is the stand-in's Resource Access Management and Security Token
// Service: roles, custom and system policies, and temporary credentials.
//
// It tells the other services who signed a request (identity.Source) and hands
// roles to services that they trust (identity.Roles). Its state is one bbolt
// file that is written without fsync: it survives a killed process, not a power
// cut. Users, groups and identity providers are not built, but Config can name
// users, since the account's own key may not assume roles.
package ram

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"go.etcd.io/bbolt"

	"ecs-image-export/local/boltfile"
	"ecs-image-export/local/identity"
	"ecs-image-export/local/rpc"
)

// Config says where the state is and whose account this is.
type Config struct {
	Dir       string // made if it is missing
	AccountID string // digits
	Region    string
	// Root is the account's own access key: it may do everything but assume
	// roles.
	Root identity.Credentials
	// Users are further callers, whose keys never expire.
	Users []User
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// User is a RAM user with one access key.
type User struct {
	Name        string
	Credentials identity.Credentials
	// Policies are names of system policies, such as AdministratorAccess.
	Policies []string
}

// Service is one account's RAM and STS.
type Service struct {
	cfg      Config
	now      func() time.Time
	db       *bbolt.DB
	users    map[string]*identity.Identity // by access key id
	ram, sts *rpc.Service

	mu        sync.Mutex
	known     map[string]*identity.Identity // sessions already read, by access key id
	changes   uint64                        // how often roles or policies changed
	nextSweep time.Time
}

var (
	_ identity.Source = (*Service)(nil)
	_ identity.Roles  = (*Service)(nil)
)

var (
	rolesBucket    = []byte("roles")    // lower-cased name -> role
	policiesBucket = []byte("policies") // name -> policy
	sessionsBucket = []byte("sessions") // access key id -> session
)

// Open opens or makes the state in cfg.Dir. It fails if another process has it
// open.
func Open(cfg Config) (*Service, error) {
	if cfg.AccountID == "" || cfg.Root.AccessKeyID == "" || cfg.Root.AccessKeySecret == "" {
		return nil, errors.New("open ram: account id or root key is missing")
	}
	s := &Service{cfg: cfg, now: cfg.Now, known: map[string]*identity.Identity{}}
	if s.now == nil {
		s.now = time.Now
	}
	if err := s.addUsers(); err != nil {
		return nil, fmt.Errorf("open ram: %w", err)
	}
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("open ram: %w", err)
	}
	db, err := boltfile.Open(filepath.Join(cfg.Dir, "ram.db"), 0o600, &bbolt.Options{NoSync: true, Timeout: time.Second})
	if err != nil {
		return nil, fmt.Errorf("open ram: %w", err)
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		for _, name := range [][]byte{rolesBucket, policiesBucket, sessionsBucket} {
			if _, err := tx.CreateBucketIfNotExists(name); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open ram: %w", err), db.Close())
	}
	s.db = db
	s.ram = s.ramService()
	s.sts = s.stsService()
	return s, nil
}

func (s *Service) addUsers() error {
	s.users = map[string]*identity.Identity{}
	for _, u := range s.cfg.Users {
		id := &identity.Identity{
			AccountID:   s.cfg.AccountID,
			ARN:         s.arn("user/" + u.Name),
			Credentials: u.Credentials,
		}
		for _, name := range u.Policies {
			p, ok := systemPolicies[name]
			if !ok {
				return fmt.Errorf("user %s: no system policy %s", u.Name, name)
			}
			id.Policies = append(id.Policies, p.parsed())
		}
		s.users[u.Credentials.AccessKeyID] = id
	}
	return nil
}

// Close closes the state. Requests that are under way fail.
func (s *Service) Close() error { return s.db.Close() }

// RAM answers the API of product Ram, version 2015-05-01.
func (s *Service) RAM() http.Handler { return s.ram }

// STS answers the API of product Sts, version 2015-04-01.
func (s *Service) STS() http.Handler { return s.sts }

// arn is the name of something as RAM's answers and trust policies write it.
func (s *Service) arn(what string) string { return "acs:ram::" + s.cfg.AccountID + ":" + what }

// resource is the name of something as permissions write it.
func (s *Service) resource(what string) string { return "acs:ram:*:" + s.cfg.AccountID + ":" + what }

// date is the current time as RAM's answers write it.
func (s *Service) date() string { return s.now().UTC().Format(time.RFC3339) }

// read and write run f on the state; write also forgets what is remembered of
// callers' permissions.
func (s *Service) read(f func(*bbolt.Tx) error) error { return s.db.View(f) }

func (s *Service) write(f func(*bbolt.Tx) error) error {
	err := s.db.Update(f)
	s.mu.Lock()
	s.changes++
	clear(s.known)
	s.mu.Unlock()
	return err
}

// load reads the value of key, and returns false if there is none.
func load[T any](tx *bbolt.Tx, bucket []byte, key string) (T, bool, error) {
	var v T
	data := tx.Bucket(bucket).Get([]byte(key))
	if data == nil {
		return v, false, nil
	}
	if err := json.Unmarshal(data, &v); err != nil {
		return v, false, fmt.Errorf("read %s of %s: %w", key, bucket, err)
	}
	return v, true, nil
}

func save[T any](tx *bbolt.Tx, bucket []byte, key string, v T) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return tx.Bucket(bucket).Put([]byte(key), data)
}

// roleKey is the name under which a role is kept: names differ by more than
// case.
func roleKey(name string) string { return strings.ToLower(name) }
